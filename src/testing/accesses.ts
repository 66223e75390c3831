// SPDX-License-Identifier: MIT
/**
 * Model checker: what each kind of shared access does to the memory, the clocks and the waiters.
 */

import type { Machine } from './machine.ts';
import {
  G_KILLS,
  OP_ADD,
  OP_AND,
  OP_BYTES_LOAD,
  OP_BYTES_STORE,
  OP_COMPARE_EXCHANGE,
  OP_EXCHANGE,
  OP_LOAD,
  OP_NOTIFY,
  OP_OR,
  OP_PLAIN_LOAD,
  OP_PLAIN_STORE,
  OP_STORE,
  OP_SUB,
  OP_WAIT,
  OP_WAIT_ASYNC,
  OP_WAKE,
  OP_XOR,
  SYNC_WAITER,
} from './machine-layout.ts';
import { CELL_RACY, CELL_SILENT, type Region } from './memory.ts';

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

  constructor(machine: Machine) {
    this.#machine = machine;
  }

  /** A method of a shared view is called: `set`, `fill` and the like, not an element's access. */
  call(): void {
    this.#machine.calls();
  }

  /** Any atomic access but waiting; returns the value before (a store: the new one). */
  atomic(op: number, cell: number, a: number, b: number): number {
    const machine = this.#machine;
    if (machine.direct) return this.#apply(op, cell, a, b);
    if (machine.replays(op, cell)) return machine.replayed;
    machine.arrive(op, cell, true);
    const thread = machine.current;
    const before = machine.memory.heap[cell];
    const writes = op !== OP_LOAD && !(op === OP_COMPARE_EXCHANGE && before !== a);
    if (machine.limits.races) this.#order(thread, op, cell, writes);
    const value = this.#apply(op, cell, a, b);
    if (machine.memory.heap[cell] !== before) {
      machine.spins.noteChange(thread);
      machine.changed();
    } else if (op !== OP_STORE) {
      machine.spins.noteRead(thread, cell, before);
    }
    machine.append(op, cell, value);
    machine.recorder?.({ thread, op, cell, a, b, value });
    return value;
  }

  /** Race check and synchronization of an atomic access. */
  #order(thread: number, op: number, cell: number, writes: boolean): void {
    const machine = this.#machine;
    const clocks = machine.clocks;
    if ((machine.memory.flags[cell] & CELL_SILENT) !== 0) return;
    if ((machine.memory.flags[cell] & CELL_RACY) === 0) {
      const other = writes ? clocks.atomicWrite(thread, cell) : clocks.atomicRead(thread, cell);
      if (other >= 0) this.#race(other, op, cell);
    }
    if (op !== OP_STORE) clocks.acquire(thread, cell);
    if (writes) clocks.release(thread, cell);
  }

  #apply(op: number, cell: number, a: number, b: number): number {
    const memory = this.#machine.memory;
    const before = memory.heap[cell];
    switch (op) {
      case OP_LOAD:
        return before;
      case OP_STORE:
        memory.put(cell, a | 0);
        return a | 0;
      case OP_ADD:
        memory.put(cell, (before + a) | 0);
        return before;
      case OP_SUB:
        memory.put(cell, (before - a) | 0);
        return before;
      case OP_AND:
        memory.put(cell, before & a);
        return before;
      case OP_OR:
        memory.put(cell, before | a);
        return before;
      case OP_XOR:
        memory.put(cell, before ^ a);
        return before;
      case OP_EXCHANGE:
        memory.put(cell, a | 0);
        return before;
      default:
        if (before === (a | 0)) memory.put(cell, b | 0);
        return before;
    }
  }

  plainLoad(cell: number): number {
    const machine = this.#machine;
    if (machine.direct) return machine.memory.heap[cell];
    if (machine.replays(OP_PLAIN_LOAD, cell)) return machine.replayed;
    const racy = (machine.memory.flags[cell] & CELL_RACY) !== 0;
    machine.arrive(OP_PLAIN_LOAD, cell, racy);
    const thread = machine.current;
    const value = machine.memory.heap[cell];
    if (racy) {
      machine.spins.noteRead(thread, cell, value);
    } else if (machine.limits.races) {
      const other = machine.clocks.plainRead(thread, cell);
      if (other >= 0) this.#race(other, OP_PLAIN_LOAD, cell);
    }
    machine.append(OP_PLAIN_LOAD, cell, value);
    machine.recorder?.({ thread, op: OP_PLAIN_LOAD, cell, a: 0, b: 0, value });
    return value;
  }

  plainStore(cell: number, value: number): void {
    const machine = this.#machine;
    if (machine.direct) {
      machine.memory.put(cell, value | 0);
      return;
    }
    if (machine.replays(OP_PLAIN_STORE, cell)) return;
    const racy = (machine.memory.flags[cell] & CELL_RACY) !== 0;
    machine.arrive(OP_PLAIN_STORE, cell, racy);
    const thread = machine.current;
    if (machine.limits.races && !racy) {
      const other = machine.clocks.plainWrite(thread, cell);
      if (other >= 0) this.#race(other, OP_PLAIN_STORE, cell);
      machine.clocks.forget(cell);
    }
    if (machine.memory.heap[cell] !== (value | 0)) {
      machine.memory.put(cell, value | 0);
      machine.spins.noteChange(thread);
      machine.changed();
    }
    machine.append(OP_PLAIN_STORE, cell, 0);
    machine.recorder?.({ thread, op: OP_PLAIN_STORE, cell, a: value | 0, b: 0, value: value | 0 });
  }

  /** Up to four bytes, the first one lowest. */
  loadBytes(region: Region, offset: number, count: number): number {
    const machine = this.#machine;
    if (machine.direct) return this.#peekBytes(region, offset, count);
    const shadow = machine.memory.byteShadow(region, offset);
    if (machine.replays(OP_BYTES_LOAD, shadow)) return machine.replayed;
    machine.arrive(OP_BYTES_LOAD, shadow, false);
    const thread = machine.current;
    if (machine.limits.races) {
      for (let i = 0; i < count; i++) {
        const at = machine.memory.byteShadow(region, offset + i);
        const other = machine.clocks.byteRead(thread, at);
        if (other >= 0) this.#race(other, OP_BYTES_LOAD, at, offset + i);
      }
    }
    const value = this.#peekBytes(region, offset, count);
    machine.append(OP_BYTES_LOAD, shadow, value);
    machine.recorder?.({ thread, op: OP_BYTES_LOAD, cell: shadow, a: offset, b: count, value });
    return value;
  }

  /** Writes `source[begin, begin + count)`. */
  storeBytes(
    region: Region,
    offset: number,
    source: ArrayLike<number>,
    begin: number,
    count: number,
  ): void {
    const machine = this.#machine;
    if (count === 0) return;
    if (machine.direct) {
      this.#pokeBytes(region, offset, source, begin, count);
      return;
    }
    const shadow = machine.memory.byteShadow(region, offset);
    if (machine.replays(OP_BYTES_STORE, shadow)) return;
    machine.arrive(OP_BYTES_STORE, shadow, false);
    const thread = machine.current;
    if (machine.limits.races) {
      for (let i = 0; i < count; i++) {
        const at = machine.memory.byteShadow(region, offset + i);
        const other = machine.clocks.byteWrite(thread, at);
        if (other >= 0) this.#race(other, OP_BYTES_STORE, at, offset + i);
      }
    }
    this.#pokeBytes(region, offset, source, begin, count);
    machine.changed();
    machine.append(OP_BYTES_STORE, shadow, 0);
    machine.recorder?.({
      thread,
      op: OP_BYTES_STORE,
      cell: shadow,
      a: offset,
      b: count,
      value: source[begin],
    });
  }

  #peekBytes(region: Region, offset: number, count: number): number {
    const memory = this.#machine.memory;
    let value = 0;
    for (let i = 0; i < count; i++) {
      const word = memory.heap[region.firstCell + ((offset + i) >> 2) * memory.cellWords];
      value |= ((word >>> (((offset + i) & 3) * 8)) & 0xff) << (8 * i);
    }
    return value;
  }

  #pokeBytes(
    region: Region,
    offset: number,
    source: ArrayLike<number>,
    begin: number,
    count: number,
  ): void {
    const memory = this.#machine.memory;
    for (let i = 0; i < count; i++) {
      const cell = region.firstCell + ((offset + i) >> 2) * memory.cellWords;
      const shift = ((offset + i) & 3) * 8;
      const kept = memory.heap[cell] & ~(0xff << shift);
      memory.put(cell, kept | ((source[begin + i] & 0xff) << shift));
    }
  }

  wait(cell: number, expected: number, timeoutMs: number): WaitOutcome {
    const machine = this.#machine;
    if (machine.direct) {
      if (machine.memory.heap[cell] !== expected) return 'not-equal';
      throw new Error('setup and check cannot wait: no other thread runs');
    }
    const begun = this.#beginWait(cell, expected, timeoutMs);
    if (begun !== BLOCKS) return OUTCOMES[begun];
    const outcome = this.#endWait(cell, expected);
    if (outcome === TIMED_OUT) machine.agent.nowMs += timeoutMs;
    return OUTCOMES[outcome];
  }

  #beginWait(cell: number, expected: number, timeoutMs: number): number {
    const machine = this.#machine;
    if (machine.replays(OP_WAIT, cell)) return machine.replayed;
    machine.arrive(OP_WAIT, cell, true);
    this.#lookAt(cell);
    const seen = machine.memory.heap[cell];
    let outcome = BLOCKS;
    if (seen !== expected) {
      outcome = NOT_EQUAL;
      machine.spins.noteRead(machine.current, cell, seen);
    } else if (timeoutMs <= 0) {
      outcome = TIMED_OUT;
    }
    this.#logWait(OP_WAIT, cell, expected, outcome);
    if (outcome === BLOCKS) {
      machine.waiters.add(machine.current, cell, SYNC_WAITER, expected);
      machine.block(timeoutMs < Number.POSITIVE_INFINITY);
    }
    return outcome;
  }

  #endWait(cell: number, expected: number): number {
    const machine = this.#machine;
    if (machine.replays(OP_WAKE, cell)) return machine.replayed;
    const outcome = machine.unblock() ? TIMED_OUT : OK;
    if (outcome === OK) machine.changed();
    this.#logWait(OP_WAKE, cell, expected, outcome);
    return outcome;
  }

  #logWait(op: number, cell: number, expected: number, outcome: number): void {
    const machine = this.#machine;
    machine.append(op, cell, outcome);
    machine.recorder?.({ thread: machine.current, op, cell, a: expected, b: 0, value: outcome });
  }

  waitAsync(
    cell: number,
    expected: number,
  ): { async: false; value: WaitOutcome } | { async: true; value: Promise<WaitOutcome> } {
    const machine = this.#machine;
    if (machine.direct) {
      if (machine.memory.heap[cell] !== expected) return { async: false, value: 'not-equal' };
      machine.waiters.add(machine.layout.threadCount, cell, 0, expected);
      return { async: true, value: new Promise(() => undefined) };
    }
    if (!machine.replays(OP_WAIT_ASYNC, cell)) {
      machine.arrive(OP_WAIT_ASYNC, cell, true);
      this.#lookAt(cell);
      const waits = machine.memory.heap[cell] === expected;
      if (waits) {
        const number = machine.agent.resolvers.length;
        machine.waiters.add(machine.current, cell, number, expected);
      }
      machine.replayed = waits ? OK : NOT_EQUAL;
      machine.append(OP_WAIT_ASYNC, cell, machine.replayed);
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
      if (machine.replays(OP_NOTIFY, cell)) return machine.replayed;
      machine.arrive(OP_NOTIFY, cell, true);
    }
    const notifier = machine.current;
    let woken = 0;
    if (!machine.direct && machine.state[G_KILLS] > 0) this.#meetGhosts(notifier, cell);
    while (woken < count) {
      const waiter = machine.waiters.notifyOne(cell);
      if (waiter < 0) break;
      woken++;
      const agent = machine.waiters.agentOf(waiter);
      // Setup's event loop does not turn any more, and a thread that has ended for good has none.
      if (agent === machine.layout.threadCount) machine.waiters.remove(waiter);
      else if (notifier >= 0 && machine.waiters.isSync(waiter))
        machine.clocks.join(agent, notifier);
    }
    if (!machine.direct) {
      if (woken > 0) machine.changed();
      machine.append(OP_NOTIFY, cell, woken);
      machine.recorder?.({ thread: notifier, op: OP_NOTIFY, cell, a: count, b: 0, value: woken });
    }
    return woken;
  }

  /**
   * An engine forgets a dead thread's waits under the lock that notify takes: what the dead did
   * comes before.
   */
  #meetGhosts(notifier: number, cell: number): void {
    const machine = this.#machine;
    for (let agent = 0; agent < machine.layout.threadCount; agent++) {
      if (machine.waiters.haunts(agent, cell)) machine.clocks.join(notifier, agent);
    }
  }

  /** The part of a wait that reads: a sequentially consistent load. */
  #lookAt(cell: number): void {
    const machine = this.#machine;
    if (!machine.limits.races) return;
    if ((machine.memory.flags[cell] & CELL_RACY) === 0) {
      const other = machine.clocks.atomicRead(machine.current, cell);
      if (other >= 0) this.#race(other, OP_WAIT, cell);
    }
    machine.clocks.acquire(machine.current, cell);
  }

  /** Nothing orders this access and the last one that `other` made to the same word. */
  #race(other: number, op: number, cell: number, offset = 0): never {
    const machine = this.#machine;
    const thread = machine.current;
    machine.recorder?.({ thread, op, cell, a: offset, b: 1, value: 0 });
    const first = machine.threads[other].name;
    const second = machine.threads[thread].name;
    const message = `nothing orders what ${first} did to a word and what ${second} does to it`;
    return machine.fail('data race', message, cell);
  }
}
