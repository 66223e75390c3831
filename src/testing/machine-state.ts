// SPDX-License-Identifier: MIT
/**
 * Model checker: the state of a run: everything that is saved and restored when another schedule is
 * tried, and predicates on it.
 */

import { ClockRanks } from './clock-ranks.ts';
import { Contention } from './contention.ts';
import type {
  MachineFailure,
  MachineLimits,
  MachineParts,
  MachineThread,
} from './machine-contract.ts';
import {
  ABSENT,
  BLOCKED,
  DEAD,
  G_EXCEPTIONS,
  G_HASH_A,
  G_HASH_B,
  G_KILLS,
  G_STARTS,
  OP_EXCEPTION,
  OP_START,
  OP_TURN,
  READY,
  StateLayout,
  T_CALLS,
  T_CELL,
  T_CHOSEN,
  T_DIRTY,
  T_FINISHED,
  T_HASH_A,
  T_HASH_B,
  T_LOG,
  T_OP,
  T_STATUS,
  T_TIMED,
  T_TIMEOUTS,
  T_TURNS,
} from './machine-layout.ts';
import { type MemoryCopy, ModelMemory, mixA, mixB } from './memory.ts';
import { Moment } from './moment.ts';
import type { LeftOut } from './omissions.ts';
import { type PathCopy, SchedulePath } from './path.ts';
import { RaceClocks } from './race-clocks.ts';
import type { Access } from './report.ts';
import { textOfResult } from './result-hash.ts';
import { type SpinsCopy, SpinWatch } from './spins.ts';
import { StateKey } from './state-key.ts';
import { ThreadLog } from './thread-log.ts';
import { WaiterTable } from './waiters.ts';

// How code runs.
/** A thread's code, from access to access. */
export const RUNS = 0;
/** Setup or check: accesses happen at once. */
const DIRECT = 1;
/** A thread is thrown out of: every access throws again. */
export const UNWINDS = 2;

/** A thread alone may make this many times the accesses that it may make among others. */
const ALONE_FACTOR = 10;

/** Everything that a checkpoint keeps of a machine. */
export interface MachineCopy {
  readonly memory: MemoryCopy;
  readonly log: ReturnType<ThreadLog['copy']>;
  readonly path: PathCopy;
  readonly spins: SpinsCopy;
  readonly ranks: ReturnType<ClockRanks['copy']>;
  readonly leftOut: readonly LeftOut[];
  readonly grew: boolean;
  readonly resultsMatter: boolean;
  readonly passesMax: number;
  readonly accesses: number;
  readonly effort: number;
}

export class MachineState implements MachineParts {
  readonly memory: ModelMemory;
  readonly layout: StateLayout;
  readonly state: Int32Array;
  readonly waiters: WaiterTable;
  readonly ranks: ClockRanks;
  readonly clocks: RaceClocks;
  readonly contention: Contention;
  readonly spins: SpinWatch;
  readonly path: SchedulePath;
  readonly limits: MachineLimits;
  readonly log: ThreadLog;
  readonly moment: Moment;
  readonly key: StateKey;
  readonly results: unknown[] = [];
  readonly published: unknown[][] = [];
  /** What schedules so far have left out. */
  readonly leftOut: Set<LeftOut> = new Set();
  threads: readonly MachineThread[] = [];
  /** Accesses that threads have made, and all that were carried out, again ones included. */
  accesses = 0;
  effort = 0;
  /** What is not supported and setup or check has asked for; they may have caught it. */
  complaint: string | undefined;
  /** Told of every access; every access is a decision and a place to die then: for replay. */
  recorder: ((step: Access) => void) | undefined;
  /** Told of every access that is new. */
  observer: ((thread: number, op: number, cell: number) => void) | undefined;
  failure: MachineFailure | undefined;
  protected mode: typeof RUNS | typeof DIRECT | typeof UNWINDS = DIRECT;
  #root: Int32Array = new Int32Array(0);

  constructor(threadCount: number, limits: MachineLimits) {
    this.limits = limits;
    this.layout = new StateLayout(threadCount);
    this.state = new Int32Array(this.layout.size);
    this.memory = new ModelMemory(threadCount);
    this.contention = new Contention(this.memory);
    this.waiters = new WaiterTable(this.state, this.layout);
    this.ranks = new ClockRanks(this);
    const { memory, state, layout, ranks, contention } = this;
    this.clocks = new RaceClocks(memory, state, layout, ranks, contention);
    this.spins = new SpinWatch(this.memory, this.state, this.layout, limits.spins);
    this.path = new SchedulePath(this.state, this.layout);
    this.log = new ThreadLog(this.state, this.layout);
    this.moment = new Moment(this);
    this.key = new StateKey(this, this.ranks);
    for (let thread = 0; thread < threadCount; thread++) {
      this.published.push([]);
      this.results.push(undefined);
    }
  }

  /** After setup: every schedule begins with the present memory and waiters. */
  freeze(threads: readonly MachineThread[]): void {
    this.threads = threads;
    this.memory.freeze();
    this.clocks.begin();
    threads.forEach((thread, i) => {
      const base = this.layout.thread(i);
      this.state[base + T_STATUS] = thread.supervises < 0 && !thread.isSpawned ? READY : ABSENT;
      this.state[base + T_OP] = OP_START;
      this.state[base + T_DIRTY] = 1;
    });
    this.#root = this.save();
    this.mode = RUNS;
  }

  /** True while setup or check runs: accesses happen at once. */
  get direct(): boolean {
    return this.mode === DIRECT;
  }

  /** True while a thread is being thrown out of: every access throws again. */
  get unwinding(): boolean {
    return this.mode === UNWINDS;
  }

  /** Runs setup or check. */
  directly<Result>(body: () => Result): Result {
    const mode = this.mode;
    this.mode = DIRECT;
    try {
      return body();
    } finally {
      this.mode = mode;
    }
  }

  /** Restores the initial state. */
  reset(): void {
    this.restore(this.#root, 0, this.#root.length, 0);
  }

  /** A copy of what counts of the state block. */
  save(): Int32Array {
    this.note();
    return this.state.slice(0, this.layout.used(this.state));
  }

  /** From here on, nothing but this is left out. */
  leaveOut(what: readonly LeftOut[]): void {
    this.leftOut.clear();
    for (const one of what) this.leftOut.add(one);
  }

  /** A copy for a later run: of everything but the moment, which the explorer has. */
  copy(): MachineCopy {
    const { memory, log, path, spins, ranks, accesses, effort } = this;
    return {
      memory: memory.copy(),
      log: log.copy(),
      path: path.copy(),
      spins: spins.copy(),
      ranks: ranks.copy(),
      leftOut: [...this.leftOut],
      grew: this.contention.grew,
      resultsMatter: this.key.resultsMatter,
      passesMax: this.moment.passesMax,
      accesses,
      effort,
    };
  }

  load(copy: MachineCopy): void {
    for (const part of ['memory', 'log', 'path', 'spins', 'ranks'] as const) {
      this[part].load(copy[part] as never);
    }
    this.leaveOut(copy.leftOut);
    this.contention.grew = copy.grew;
    this.key.resultsMatter = copy.resultsMatter;
    this.moment.passesMax = copy.passesMax;
    this.accesses = copy.accesses;
    this.effort = copy.effort;
  }

  /** Before the state block is copied. */
  note(): void {
    this.state[G_HASH_A] = this.memory.hashA;
    this.state[G_HASH_B] = this.memory.hashB;
  }

  /** Goes back to a moment whose state block was copied to `source` at `begin`. */
  restore(source: Int32Array, begin: number, length: number, undoMark: number): void {
    const state = this.state;
    for (let i = 0; i < length; i++) state[i] = source[begin + i];
    this.memory.undoTo(undoMark);
    this.memory.hashA = state[G_HASH_A];
    this.memory.hashB = state[G_HASH_B];
    this.failure = undefined;
  }

  /** Ends a thread where it is; its supervisor begins. */
  kill(thread: number): void {
    const state = this.state;
    this.path.kill(thread);
    state[this.layout.thread(thread) + T_STATUS] = DEAD;
    state[G_KILLS]++;
    this.waiters.endAll(thread);
    this.threads.forEach((other, i) => {
      if (other.supervises !== thread) return;
      state[this.layout.thread(i) + T_STATUS] = READY;
      this.clocks.join(i, thread);
    });
  }

  /** The thread's next access, before which others may run. */
  protected announce(thread: number, op: number, cell: number): void {
    const base = this.layout.thread(thread);
    this.state[base + T_STATUS] = READY;
    this.state[base + T_OP] = op;
    this.state[base + T_CELL] = cell;
  }

  /** The thread's next call throws; the thread continues from there. */
  throwAt(thread: number): void {
    const state = this.state;
    const base = this.layout.thread(thread);
    const calls = state[base + T_CALLS];
    const starts = state[G_STARTS];
    this.path.throwAt(thread, calls);
    this.log.append(thread, OP_EXCEPTION, calls, 0, 0);
    this.path.take(2 * thread, false);
    state[G_STARTS] = starts;
    state[base + T_STATUS] = READY;
    state[base + T_OP] = OP_EXCEPTION;
    state[G_EXCEPTIONS]++;
    this.recorder?.({ thread, op: OP_EXCEPTION, cell: -1, a: calls, b: 0, value: 0 });
  }

  /** The thread's sync wait is over; false if there was none. */
  protected endWait(thread: number, byTime: boolean): boolean {
    const state = this.state;
    const base = this.layout.thread(thread);
    const waiter = this.waiters.syncWaiter(thread);
    if (state[base + T_STATUS] !== BLOCKED || waiter < 0) return false;
    this.waiters.remove(waiter);
    state[base + T_STATUS] = READY;
    state[base + T_OP] = OP_TURN;
    if (byTime) state[base + T_TIMEOUTS]++;
    return true;
  }

  /** The chooser decides whether the thread continues. */
  protected noteChoice(thread: number): void {
    const base = this.layout.thread(thread);
    this.state[base + T_CHOSEN] = this.state[base + T_LOG];
  }

  /** `thread` did something that others can see: its death now leaves a new state. */
  changedBy(thread: number): void {
    this.state[this.layout.thread(thread) + T_DIRTY] = 1;
  }

  /** True if the thread is only to take one more turn of a loop that it spins in. */
  protected goesRound(thread: number): boolean {
    const { spins, waiters } = this;
    if (this.state[this.layout.thread(thread) + T_TIMED] !== 2 || !spins.isSpinning(thread)) {
      return false;
    }
    return waiters.nextEvent(thread) < 0 && (spins.isProbing || spins.isAmidst(thread));
  }

  /** A thread that has ended is represented by its result, not by what it has read. */
  protected forget(thread: number): void {
    const state = this.state;
    const base = this.layout.thread(thread);
    if (state[base + T_FINISHED] === 0 || state[base + T_TIMED] !== 0) return;
    if (this.waiters.hasAny(thread)) return;
    const text = textOfResult(this.results[thread]);
    if (text === undefined) return;
    let a = thread;
    let b = thread;
    for (let i = 0; i < text.length; i++) {
      a = mixA(a, text.charCodeAt(i));
      b = mixB(b, text.charCodeAt(i));
    }
    state[base + T_HASH_A] = a;
    state[base + T_HASH_B] = b;
  }

  /** True if the thread runs on and on, alone or in turn with others. */
  protected isEndless(thread: number): boolean {
    const base = this.layout.thread(thread);
    const length = this.state[base + T_LOG];
    const { steps } = this.limits;
    if (length < steps || this.spins.isProbing) return false;
    return length >= ALONE_FACTOR * steps || this.state[base + T_TURNS] >= steps >> 3;
  }

  protected endless(thread: number): string {
    const base = this.layout.thread(thread);
    const [length, turns] = [this.state[base + T_LOG], this.state[base + T_TURNS]];
    return `${this.threads[thread].name} made ${length} accesses in ${turns} turns, and goes on`;
  }
}
