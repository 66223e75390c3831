// SPDX-License-Identifier: MIT
/** Model checker: carries out shared accesses on the memory, the clocks and the waiters. */

import { operandsOf, valueAfter, writesAfter } from './atomic-values.ts';
import { ByteAccess } from './byte-accesses.ts';
import type { Machine } from './machine.ts';
import {
  G_KILLS,
  OP_BYTES_LOAD,
  OP_BYTES_STORE,
  OP_NOTIFY,
  OP_PLAIN_LOAD,
  OP_PLAIN_STORE,
  OP_STORE,
  OP_WAIT,
  OP_WAIT_ASYNC,
  OP_WAKE,
  SYNC_WAITER,
} from './machine-layout.ts';
import { CELL_RACY, CELL_SILENT } from './memory.ts';
import type { WeakMemory } from './weak-memory.ts';

export type WaitOutcome = 'ok' | 'not-equal' | 'timed-out';
const OUTCOMES: readonly WaitOutcome[] = ['ok', 'not-equal', 'timed-out'];
const OK = 0;
const NOT_EQUAL = 1;
const TIMED_OUT = 2;
const BLOCKS = 3;

/**
 * The accesses that the replaced `Atomics` and typed arrays turn into. Cells are heap indexes of
 * the model's memory.
 */
export class SharedAccess {
  readonly #machine: Machine;
  /** Accesses of less than a word, or of two. */
  readonly bytes: ByteAccess;

  constructor(machine: Machine) {
    this.#machine = machine;
    this.bytes = new ByteAccess(machine, this);
  }

  /** Called for each call of a method of a shared view, such as `set` or `fill`. */
  call(): void {
    this.#machine.calls();
  }

  /** Fails because of something that the checker does not support. */
  complain(message: string): never {
    return this.#machine.complain(message);
  }

  /** Any atomic access except waiting; returns the old value (a store: the new one). */
  atomic(op: number, cell: number, a: number, b: number): number {
    const machine = this.#machine;
    const { memory } = machine;
    if (machine.direct) {
      const before = this.#last(cell);
      memory.put(cell, valueAfter(op, before, a, b));
      return op === OP_STORE ? a | 0 : before;
    }
    if (machine.replays(op, cell, operandsOf(a, b))) return machine.replayed;
    const seen = memory.heap[cell];
    machine.arrive(op, cell, true, valueAfter(op, seen, a, b) !== seen);
    const weak = this.weakOf(cell);
    if (weak !== undefined) return this.#weakAtomic(weak, op, cell, a, b);
    const thread = machine.current;
    const before = memory.heap[cell];
    const after = valueAfter(op, before, a, b);
    const writes = writesAfter(op, before, a);
    if (machine.limits.races) this.#order(thread, op, cell, writes);
    if (after !== before) {
      memory.put(cell, after);
      machine.spins.noteChange(thread);
      machine.changed();
    } else {
      machine.spins.noteRead(thread, cell, before);
    }
    const value = op === OP_STORE ? after : before;
    machine.append(op, cell, operandsOf(a, b), value);
    machine.recorder?.({ thread, op, cell, a, b, value });
    return value;
  }

  /** The weak memory of a racy word; undefined for other words, and without `memory: 'es'`. */
  weakOf(cell: number): WeakMemory | undefined {
    const { weak } = this.#machine;
    return weak !== undefined && this.isRacy(cell) ? weak : undefined;
  }

  /** Returns what setup or `check` reads. */
  #last(cell: number): number {
    return this.weakOf(cell)?.ends.read(cell) ?? this.#machine.memory.heap[cell];
  }

  #weakAtomic(weak: WeakMemory, op: number, cell: number, a: number, b: number): number {
    const machine = this.#machine;
    const thread = machine.current;
    const last = machine.memory.heap[cell];
    const value = weak.atomic(op, cell, a, (before) => valueAfter(op, before, a, b));
    if (machine.memory.heap[cell] !== last) {
      machine.spins.noteChange(thread);
      machine.changed();
    } else {
      machine.spins.noteRead(thread, cell, value);
    }
    machine.append(op, cell, operandsOf(a, b), value);
    machine.recorder?.({ thread, op, cell, a, b, value, source: weak.source });
    return value;
  }

  /**
   * Synchronization and race check of an atomic access. It first acquires: what happens before the
   * write that it reads from happens before it, and cannot race with it.
   */
  #order(thread: number, op: number, cell: number, writes: boolean): void {
    const machine = this.#machine;
    const clocks = machine.clocks;
    if ((machine.memory.flags[cell] & CELL_SILENT) !== 0) return;
    if (op !== OP_STORE) clocks.acquire(thread, cell);
    if (!this.isRacy(cell)) {
      const other = writes ? clocks.atomicWrite(thread, cell) : clocks.atomicRead(thread, cell);
      if (other >= 0) this.race(other, op, cell);
    }
    if (writes) clocks.release(thread, cell);
  }

  isRacy(cell: number): boolean {
    return (this.#machine.memory.flags[cell] & CELL_RACY) !== 0;
  }

  /** True if others may run between plain accesses of the word, which count as no race. */
  schedules(cell: number): boolean {
    return !this.#machine.limits.races || this.isRacy(cell);
  }

  plainLoad(cell: number): number {
    const machine = this.#machine;
    if (machine.direct) return this.#last(cell);
    if (machine.replays(OP_PLAIN_LOAD, cell, 0)) return machine.replayed;
    const schedules = this.schedules(cell);
    machine.arrive(OP_PLAIN_LOAD, cell, schedules, false);
    const thread = machine.current;
    const weak = this.weakOf(cell);
    const value = weak?.read(cell, OP_PLAIN_LOAD) ?? machine.memory.heap[cell];
    if (schedules) this.readsLoosely(thread, cell, value);
    else {
      const other = machine.clocks.plainRead(thread, cell);
      if (other >= 0) this.race(other, OP_PLAIN_LOAD, cell);
    }
    machine.append(OP_PLAIN_LOAD, cell, 0, value);
    const source = weak?.source;
    machine.recorder?.({ thread, op: OP_PLAIN_LOAD, cell, a: 0, b: 0, value, source });
    return value;
  }

  readsLoosely(thread: number, cell: number, value: number): void {
    const machine = this.#machine;
    machine.spins.noteRead(thread, cell, value);
    if (machine.weak === undefined && machine.contention.at(cell)) {
      machine.leftOut.add('stale reads');
    }
  }

  plainStore(cell: number, value: number): void {
    const machine = this.#machine;
    if (machine.direct) {
      this.#last(cell);
      machine.memory.put(cell, value | 0);
      return;
    }
    const written = value | 0;
    if (machine.replays(OP_PLAIN_STORE, cell, written)) return;
    const schedules = this.schedules(cell);
    const heap = machine.memory.heap;
    machine.arrive(OP_PLAIN_STORE, cell, schedules, heap[cell] !== written);
    const thread = machine.current;
    if (!schedules) {
      const other = machine.clocks.plainWrite(thread, cell);
      if (other >= 0) this.race(other, OP_PLAIN_STORE, cell);
    }
    if (machine.limits.races) machine.clocks.forget(cell);
    const isNews = heap[cell] !== written;
    this.weakOf(cell)?.write(cell, written, false);
    if (isNews) {
      machine.memory.put(cell, written);
      machine.spins.noteChange(thread);
      machine.changed();
    } else if (schedules) {
      machine.spins.noteRead(thread, cell, written);
    }
    machine.append(OP_PLAIN_STORE, cell, written, 0);
    machine.recorder?.({ thread, op: OP_PLAIN_STORE, cell, a: written, b: 0, value: written });
  }

  /** `high`: the expected next word, if the wait is on 64 bits. */
  wait(cell: number, expected: number, timeoutMs: number, high?: number): WaitOutcome {
    const machine = this.#machine;
    if (machine.direct) {
      if (!this.#holds(cell, expected, high)) return 'not-equal';
      throw new Error('setup and check cannot wait: no other thread runs');
    }
    const begun = this.#beginWait(cell, expected, timeoutMs, high);
    if (begun !== BLOCKS) return OUTCOMES[begun];
    const outcome = this.#endWait(cell, expected);
    if (outcome === TIMED_OUT) machine.agent.nowMs += timeoutMs;
    return OUTCOMES[outcome];
  }

  /** True if a wait would begin now. */
  #holds(cell: number, expected: number, high: number | undefined): boolean {
    const { heap, cellWords } = this.#machine.memory;
    return heap[cell] === expected && (high === undefined || heap[cell + cellWords] === high);
  }

  #beginWait(cell: number, expected: number, timeoutMs: number, high?: number): number {
    const machine = this.#machine;
    const operands = operandsOf(operandsOf(expected, timeoutMs), high ?? 0);
    if (machine.replays(OP_WAIT, cell, operands)) return machine.replayed;
    if (high !== undefined) this.bytes.meetTogether(OP_WAIT, cell);
    const blocks = this.#holds(cell, expected, high) && timeoutMs > 0;
    machine.arrive(OP_WAIT, cell, true, blocks);
    const seen = this.#lookAt(cell, OP_WAIT, high);
    let outcome = BLOCKS;
    if (seen !== expected || !this.#isHigh(cell, high)) outcome = NOT_EQUAL;
    else if (!(timeoutMs > 0)) outcome = TIMED_OUT;
    if (outcome !== BLOCKS) machine.spins.noteRead(machine.current, cell, seen);
    this.#logWait(OP_WAIT, cell, operands, expected, outcome);
    if (outcome === BLOCKS) {
      machine.waiters.add(machine.current, cell, SYNC_WAITER, expected);
      machine.block(timeoutMs < Number.POSITIVE_INFINITY);
    }
    return outcome;
  }

  #endWait(cell: number, expected: number): number {
    const machine = this.#machine;
    if (machine.replays(OP_WAKE, cell, 0)) return machine.replayed;
    const outcome = machine.unblock() ? TIMED_OUT : OK;
    machine.weak?.meets(cell);
    machine.spins.noteChange(machine.current);
    if (outcome === OK) machine.changed();
    this.#logWait(OP_WAKE, cell, 0, expected, outcome);
    machine.woken();
    return outcome;
  }

  #logWait(op: number, cell: number, operands: number, expected: number, outcome: number): void {
    const machine = this.#machine;
    machine.append(op, cell, operands, outcome);
    machine.recorder?.({ thread: machine.current, op, cell, a: expected, b: 0, value: outcome });
  }

  waitAsync(
    cell: number,
    expected: number,
    high?: number,
  ): { async: false; value: WaitOutcome } | { async: true; value: Promise<WaitOutcome> } {
    const machine = this.#machine;
    if (machine.direct) {
      if (!this.#holds(cell, expected, high)) return { async: false, value: 'not-equal' };
      machine.waiters.add(machine.layout.threadCount, cell, 0, expected);
      return { async: true, value: new Promise(() => undefined) };
    }
    const operands = operandsOf(expected, high ?? 0);
    if (!machine.replays(OP_WAIT_ASYNC, cell, operands)) {
      if (high !== undefined) this.bytes.meetTogether(OP_WAIT_ASYNC, cell);
      machine.arrive(OP_WAIT_ASYNC, cell, true, this.#holds(cell, expected, high));
      const seen = this.#lookAt(cell, OP_WAIT_ASYNC, high);
      const waits = seen === expected && this.#isHigh(cell, high);
      if (!waits) machine.spins.noteRead(machine.current, cell, seen);
      if (waits) {
        machine.spins.noteChange(machine.current);
        machine.changed();
        const number = machine.agent.resolvers.length;
        machine.waiters.add(machine.current, cell, number, expected);
      }
      machine.replayed = waits ? OK : NOT_EQUAL;
      machine.append(OP_WAIT_ASYNC, cell, operands, machine.replayed);
      machine.recorder?.({
        thread: machine.current,
        op: OP_WAIT_ASYNC,
        cell,
        a: expected,
        b: 0,
        value: machine.replayed,
      });
    }
    if (machine.replayed === NOT_EQUAL) return { async: false, value: 'not-equal' };
    const agent = machine.agent;
    const value = new Promise<WaitOutcome>((resolve) => agent.resolvers.push(resolve));
    return { async: true, value };
  }

  notify(cell: number, count: number): number {
    const machine = this.#machine;
    if (!machine.direct) {
      if (machine.replays(OP_NOTIFY, cell, operandsOf(count, 0))) return machine.replayed;
      machine.arrive(OP_NOTIFY, cell, true, true);
      machine.weak?.meets(cell);
      machine.spins.noteChange(machine.current);
    }
    const notifier = machine.current;
    let woken = 0;
    if (!machine.direct && machine.state[G_KILLS] > 0) this.#meetGhosts(notifier, cell);
    while (woken < count) {
      const waiter = machine.waiters.notifyOne(cell);
      if (waiter < 0) break;
      woken++;
      const agent = machine.waiters.agentOf(waiter);
      // Setup's event loop has stopped, and so has that of a thread that has ended for good.
      if (agent === machine.layout.threadCount) machine.waiters.remove(waiter);
      else if (notifier >= 0 && machine.waiters.isSync(waiter)) {
        // Both take the lock of the word's list of waiters: the later one knows the earlier one.
        machine.clocks.join(notifier, agent);
        machine.clocks.join(agent, notifier);
      }
    }
    if (!machine.direct) {
      if (woken > 0) machine.changed();
      machine.append(OP_NOTIFY, cell, operandsOf(count, 0), woken);
      machine.recorder?.({ thread: notifier, op: OP_NOTIFY, cell, a: count, b: 0, value: woken });
    }
    return woken;
  }

  /**
   * An engine removes a dead thread's waits under the lock that notify takes: the dead thread's
   * accesses happen before.
   */
  #meetGhosts(notifier: number, cell: number): void {
    const machine = this.#machine;
    for (let agent = 0; agent < machine.layout.threadCount; agent++) {
      if (machine.waiters.haunts(agent, cell)) machine.clocks.join(notifier, agent);
    }
  }

  /** True if the upper half of 64 bits is as expected; counts as a read. */
  #isHigh(cell: number, high: number | undefined): boolean {
    if (high === undefined) return true;
    const { memory, spins, current } = this.#machine;
    const other = cell + memory.cellWords;
    if (memory.heap[other] === high) return true;
    spins.noteRead(current, other, memory.heap[other]);
    return false;
  }

  /** The part of a wait that reads: a sequentially consistent load. */
  #lookAt(cell: number, op: number, high?: number): number {
    const machine = this.#machine;
    machine.weak?.meets(cell);
    if (high !== undefined) {
      this.bytes.orderLong(op, cell, true, false);
      return machine.memory.heap[cell];
    }
    const weak = this.weakOf(cell);
    if (weak !== undefined) return weak.read(cell, op);
    const value = machine.memory.heap[cell];
    if (machine.limits.races) this.#order(machine.current, op, cell, false);
    return value;
  }

  /** Reports a race of this access with the last one of `other` to the same word. */
  race(other: number, op: number, cell: number, offset = 0): void {
    const machine = this.#machine;
    const thread = machine.current;
    const first = machine.threads[other].name;
    const second = machine.threads[thread].name;
    const what = op === OP_BYTES_LOAD || op === OP_BYTES_STORE ? `byte ${offset}` : 'a word';
    const message = `nothing orders what ${first} did to ${what} and what ${second} does to it`;
    const deferred = machine.weak?.defers({ kind: 'data race', message, cell }) === true;
    const step = { thread, op, cell, a: offset, b: 1, value: 0, races: deferred, isRace: true };
    machine.recorder?.(step);
    if (!deferred) machine.fail('data race', message, cell);
  }
}
