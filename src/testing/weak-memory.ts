// SPDX-License-Identifier: MIT
/**
 * Model checker: racy words under ECMAScript's memory model. The write that a read returns is a
 * choice, like the next thread.
 *
 * A read may return an earlier write, by the rules in `write-history.ts`, or one that is carried
 * out later, unless the read happens before it (load buffering; a plain read that moves after an
 * atomic one). Later writes are learned (`learned-writes.ts`): they are values that a thread has
 * written to the word in a schedule that wrote everything it read. A read of a later write leaves a
 * promise; another thread's write of that value fulfils it. A schedule that ends with an open
 * promise is impossible: it is dropped, together with its failures.
 *
 * A read of a later write could equally come just before its thread's next write or atomic access,
 * so the thread continues to there without interruption.
 *
 * The rest of a schedule's state is in the model's memory as well, and is undone with it:
 *
 *   SPENT   reads so far that did not return the last write
 *   HELD    1 + the thread that must continue, or 0
 *   FAILED  1 + the failure met while a promise was open, or 0
 *   OPEN    number of open promises
 *   each:   CELL, VALUE, READER = thread, atomic; EPOCH of the reader
 */

import { writesAfter } from './atomic-values.ts';
import { type ClockRanks, KNOWLEDGE, type MovingClocks, STAMP } from './clock-ranks.ts';
import { FinalValues } from './final-values.ts';
import { type LearnedWrite, LearnedWrites } from './learned-writes.ts';
import type { MachineFailure, MachineParts } from './machine-contract.ts';
import {
  DEAD,
  OP_COMPARE_EXCHANGE,
  OP_LOAD,
  OP_PLAIN_LOAD,
  OP_STORE,
  T_LOG,
  T_SPINS,
  T_STATUS,
} from './machine-layout.ts';
import type { SchedulePath } from './path.ts';
import type { RaceClocks } from './race-clocks.ts';
import { WriteHistory } from './write-history.ts';

/** Promises open at once. */
const PROMISES_MAX = 8;

const SPENT = 0;
const HELD = 1;
const FAILED = 2;
const OPEN = 3;
const PROMISES = 4;
const P_CELL = 0;
const P_VALUE = 1;
/** thread << 1, and 1 if it read atomically. */
const P_READER = 2;
const P_EPOCH = 3;
const PROMISE_WORDS = 4;

/** The part of the machine that the weak memory uses. */
interface WeakMachine extends MachineParts {
  readonly clocks: RaceClocks;
  readonly ranks: ClockRanks;
  readonly path: SchedulePath;
  readonly current: number;
  failure: MachineFailure | undefined;
  /** Chooses one of `count` values for a read; −1: the promised one. */
  chooseRead(op: number, cell: number, count: number): number;
  /** Ends the schedule. */
  drop(): never;
}

/** The source of a read that did not return the last write, for a trace. */
export interface WeakSource {
  /** The thread that wrote, or −1: setup. */
  readonly writer: number;
  /** True if it is written later. */
  readonly isLater: boolean;
}

export class WeakMemory implements MovingClocks {
  readonly #machine: WeakMachine;
  readonly #history: WriteHistory;
  readonly #words: number;
  readonly #learned: LearnedWrites;
  readonly #later: LearnedWrite[] = [];
  /** Clocks of lists of waiters, by word. */
  readonly #lists = new Map<number, number>();
  readonly #faults: MachineFailure[] = [];
  /** What `check` reads. */
  readonly ends: FinalValues;
  /** For a replay: the value that the next read returns before it is written. */
  promised = 0;
  /** The source of the last read, unless it returned the last write. */
  source: WeakSource | undefined;

  constructor(machine: WeakMachine) {
    this.#machine = machine;
    this.#history = new WriteHistory(machine.memory, machine.state, machine.layout);
    this.#learned = new LearnedWrites(machine.leftOut);
    this.ends = new FinalValues(machine.memory, this.#history);
    this.#words = machine.memory.reserve(PROMISES + PROMISES_MAX * PROMISE_WORDS);
    machine.ranks.moving = this;
  }

  /** True if reads have returned values that are not written yet. */
  get isOpen(): boolean {
    return this.#machine.memory.heap[this.#words + OPEN] > 0;
  }

  eachClock(visit: (index: number, column: number, kind: number) => void): void {
    this.#history.eachClock(visit);
    const { heap } = this.#machine.memory;
    for (let i = 0; i < heap[this.#words + OPEN]; i++) {
      const at = this.#words + PROMISES + i * PROMISE_WORDS;
      visit(at + P_EPOCH, heap[at + P_READER] >> 1, STAMP);
    }
  }

  /** At the end of an exploration: true if it learned writes that it did not know at its start. */
  isNews(): boolean {
    return this.#learned.isNews();
  }

  // ── Accesses ───────────────────────────────────────────────────────────────────────────────────

  /** Called before an access of the running thread: true if no other thread may run first. */
  goesOn(op: number, schedules: boolean): boolean {
    const { memory, current } = this.#machine;
    if (memory.heap[this.#words + HELD] === 0) return false;
    const isWeak = op === OP_PLAIN_LOAD || (op > OP_PLAIN_LOAD && !schedules);
    if (!isWeak) memory.put(this.#words + HELD, 0);
    // It spins, and will reach no other access.
    return !isWeak || !this.#spins(current) || this.#machine.drop();
  }

  /** A read of a racy word: chooses what it returns. */
  read(cell: number, op: number): number {
    const machine = this.#machine;
    const thread = machine.current;
    const isAtomic = op !== OP_PLAIN_LOAD;
    const history = this.#history;
    const past = Math.max(1, history.find(cell, thread, isAtomic));
    const all = past + this.#findLater(cell, thread, isAtomic);
    const count = all > 1 && this.#mayDiffer(cell, thread) ? all : 1;
    const choice = machine.chooseRead(op, cell, count);
    this.source = undefined;
    if (choice < 0 || choice >= past) {
      const value = choice < 0 ? this.promised : this.#later[choice - past].value;
      const writer = choice < 0 ? -1 : this.#later[choice - past].writer;
      this.#spend(cell, `@+${value}`, { writer, isLater: true });
      this.#promise(cell, value, thread, isAtomic);
      // A read-modify-write is itself the write that the thread has to reach.
      const isWrite = isAtomic && op !== OP_LOAD && op <= OP_COMPARE_EXCHANGE;
      if (!isWrite) machine.memory.put(this.#words + HELD, thread + 1);
      return value;
    }
    if (history.found.length === 0) return machine.memory.heap[cell];
    const entry = history.found[Math.min(choice, history.found.length - 1)];
    if (choice > 0) {
      const writer = history.writer(entry);
      const isSetup = writer === machine.layout.threadCount;
      this.#spend(cell, `@${choice}`, { writer: isSetup ? -1 : writer, isLater: false });
    }
    if (isAtomic && history.isAtomic(entry)) machine.clocks.learn(thread, history.clock(entry));
    return history.value(entry);
  }

  /** A write of a racy word. */
  write(cell: number, value: number, isAtomic: boolean): void {
    const machine = this.#machine;
    const thread = machine.current;
    if (this.#history.add(cell, thread, value, isAtomic)) machine.leftOut.add('old writes');
    machine.memory.put(cell, value);
    const wasOpen = this.isOpen;
    if (wasOpen) this.#fulfil(cell, value, thread, isAtomic);
    if (isAtomic) machine.clocks.tick(thread);
    if (this.isOpen) return;
    if (wasOpen) this.#learnAll();
    else this.#learned.add(cell, value, thread, isAtomic, this.#log(thread));
  }

  /** Any atomic access except waiting. Returns the value read; a store, the value written. */
  atomic(op: number, cell: number, a: number, result: (before: number) => number): number {
    if (op === OP_STORE) {
      this.source = undefined;
      this.write(cell, a | 0, true);
      return a | 0;
    }
    const before = this.read(cell, op);
    if (writesAfter(op, before, a)) this.write(cell, result(before), true);
    return before;
  }

  /**
   * Called when the thread was in the critical section of a word's list of waiters: the next thread
   * there knows everything that it has done.
   */
  meets(cell: number): void {
    const { memory, clocks, state, layout, current } = this.#machine;
    let list = this.#lists.get(cell);
    if (list === undefined) {
      list = memory.reserve(layout.threadCount);
      this.#lists.set(cell, list);
      this.#machine.ranks.add(list, KNOWLEDGE);
    }
    clocks.learn(current, list);
    const clock = layout.clock(current);
    for (let u = 0; u < layout.threadCount; u++) memory.putClock(list + u, state[clock + u]);
    clocks.tick(current);
  }

  #spend(cell: number, mark: string, source: WeakSource): void {
    const machine = this.#machine;
    this.source = source;
    if (machine.limits.weakReads !== Number.POSITIVE_INFINITY) {
      machine.memory.put(this.#words + SPENT, machine.memory.heap[this.#words + SPENT] + 1);
    }
    this.#history.noteWeakRead(cell, machine.current);
    machine.path.reads(machine.current, mark);
  }

  /** True within the bounds; a thread that spins or reads again eventually sees the last write. */
  #mayDiffer(cell: number, thread: number): boolean {
    const { memory, limits, leftOut } = this.#machine;
    if (this.#spins(thread)) return false;
    const isWithin =
      memory.heap[this.#words + SPENT] < limits.weakReads &&
      this.#history.weakReads(cell, thread) < limits.spins;
    if (!isWithin) leftOut.add('weak reads');
    return isWithin;
  }

  #spins(thread: number): boolean {
    const { state, layout, limits } = this.#machine;
    return state[layout.thread(thread) + T_SPINS] >= limits.spins;
  }

  #log(thread: number): number {
    return this.#machine.state[this.#machine.layout.thread(thread) + T_LOG];
  }

  // ── Later writes ───────────────────────────────────────────────────────────────────────────────

  /** Fills `#later` with expected writes of values that no earlier write has. */
  #findLater(cell: number, thread: number, isAtomic: boolean): number {
    const later = this.#later;
    later.length = 0;
    const { memory } = this.#machine;
    const { found } = this.#history;
    for (const write of this.#learned.of(cell)) {
      const { value, writer } = write;
      // Two atomic accesses would synchronize, so the write would have to come first.
      if (writer === thread || (isAtomic && write.isAtomic) || !this.#mayCome(write)) continue;
      const isPast =
        found.length === 0
          ? memory.heap[cell] === value
          : found.some(
              (entry) =>
                this.#history.value(entry) === value &&
                !(isAtomic && this.#history.isAtomic(entry)),
            );
      if (isPast || later.some((other) => other.value === value)) continue;
      later.push(write);
    }
    if (later.length > 0 && memory.heap[this.#words + OPEN] === PROMISES_MAX) {
      this.#machine.leftOut.add('old writes');
      later.length = 0;
    }
    return later.length;
  }

  #mayCome({ writer, position }: LearnedWrite): boolean {
    const { state, layout } = this.#machine;
    return state[layout.thread(writer) + T_STATUS] !== DEAD && this.#log(writer) <= position;
  }

  #promise(cell: number, value: number, thread: number, isAtomic: boolean): void {
    const { memory, state, layout } = this.#machine;
    const { heap } = memory;
    const reader = (thread << 1) | (isAtomic ? 1 : 0);
    const first = this.#words + PROMISES;
    const count = heap[this.#words + OPEN];
    for (let i = 0; i < count; i++) {
      const at = first + i * PROMISE_WORDS;
      // A write that fulfils an older promise fulfils this one as well.
      const isSame = heap[at + P_CELL] === cell && heap[at + P_VALUE] === value;
      if (isSame && heap[at + P_READER] === reader) return;
    }
    const at = first + count * PROMISE_WORDS;
    memory.put(at + P_CELL, cell);
    memory.put(at + P_VALUE, value);
    memory.put(at + P_READER, reader);
    memory.putClock(at + P_EPOCH, state[layout.clock(thread) + thread]);
    memory.put(this.#words + OPEN, count + 1);
  }

  #fulfil(cell: number, value: number, writer: number, isAtomic: boolean): void {
    const { memory, state, layout } = this.#machine;
    const { heap } = memory;
    const clock = layout.clock(writer);
    const first = this.#words + PROMISES;
    let left = 0;
    const count = heap[this.#words + OPEN];
    for (let i = 0; i < count; i++) {
      const at = first + i * PROMISE_WORDS;
      const reader = heap[at + P_READER];
      const isIt =
        heap[at + P_CELL] === cell &&
        heap[at + P_VALUE] === value &&
        !(isAtomic && (reader & 1) === 1) &&
        reader >> 1 !== writer &&
        state[clock + (reader >> 1)] < heap[at + P_EPOCH];
      if (isIt) continue;
      const to = first + left++ * PROMISE_WORDS;
      for (let k = 0; k < P_EPOCH; k++) memory.put(to + k, heap[at + k]);
      memory.putClock(to + P_EPOCH, heap[at + P_EPOCH]);
    }
    for (let i = left; i < count; i++) {
      const at = first + i * PROMISE_WORDS;
      for (let k = 0; k < P_EPOCH; k++) memory.put(at + k, 0);
      memory.putClock(at + P_EPOCH, 0);
    }
    memory.put(this.#words + OPEN, left);
    const failed = heap[this.#words + FAILED];
    if (left === 0 && failed > 0) this.#machine.failure = this.#faults[failed - 1];
  }

  /**
   * True if this schedule is impossible: a promise will not be fulfilled, or its reader will not
   * reach a write or an atomic access.
   */
  isHopeless(): boolean {
    const { heap } = this.#machine.memory;
    if (heap[this.#words + HELD] > 0) return true;
    const count = heap[this.#words + OPEN];
    for (let i = 0; i < count; i++) {
      if (!this.#mayBeFulfilled(this.#words + PROMISES + i * PROMISE_WORDS)) return true;
    }
    return false;
  }

  #mayBeFulfilled(at: number): boolean {
    const { memory, state, layout } = this.#machine;
    const { heap } = memory;
    const reader = heap[at + P_READER];
    for (const write of this.#learned.of(heap[at + P_CELL])) {
      if (write.value !== heap[at + P_VALUE] || write.writer === reader >> 1) continue;
      if (write.isAtomic && (reader & 1) === 1) continue;
      const known = state[layout.clock(write.writer) + (reader >> 1)];
      if (known < heap[at + P_EPOCH] && this.#mayCome(write)) return true;
    }
    return false;
  }

  /**
   * Keeps a failure until it is known whether its schedule is possible. False: it is, or it has had
   * another failure before.
   */
  defers(fault: MachineFailure): boolean {
    if (!this.isOpen) return false;
    const { memory } = this.#machine;
    if (memory.heap[this.#words + FAILED] > 0) return true;
    const isSame = (other: MachineFailure): boolean =>
      other.kind === fault.kind && other.message === fault.message && other.cell === fault.cell;
    let index = this.#faults.findIndex(isSame);
    if (index < 0) index = this.#faults.push(fault) - 1;
    memory.put(this.#words + FAILED, index + 1);
    return true;
  }

  /** Learns the writes made meanwhile, once all promises are fulfilled. */
  #learnAll(): void {
    const history = this.#history;
    for (const cell of history.cells) {
      const count = history.count(cell);
      for (let i = 0; i < count; i++) {
        const entry = history.entry(cell, i);
        const writer = history.writer(entry);
        if (writer === this.#machine.layout.threadCount) continue;
        const position = history.position(entry);
        this.#learned.add(cell, history.value(entry), writer, history.isAtomic(entry), position);
      }
    }
  }
}
