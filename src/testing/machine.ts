// SPDX-License-Identifier: MIT
/**
 * Model checker: runs several threads in one, each up to its next shared access and no further than
 * it is told.
 *
 * A thread cannot be suspended in JavaScript; it is thrown out of (PAUSE) and run again from its
 * beginning when its turn comes. On the way it is given the values that it read before, its writes
 * have no effect, and so it arrives at the same place with the same variables: what a thread is, is
 * a function of the values it has read. As long as the same thread stays chosen, nothing is thrown.
 */

import { Agent } from './agent.ts';
import { Contention } from './contention.ts';
import { drainMicrotasks } from './globals.ts';
import type { BareThread, Chooser, MachineLimits, MachineThread } from './machine-contract.ts';
import {
  ABSENT,
  BLOCKED,
  DEAD,
  G_EXCEPTIONS,
  G_HASH_A,
  G_HASH_B,
  G_KILLS,
  G_STARTS,
  IDLE,
  isWrite,
  OP_EVENT,
  OP_EXCEPTION,
  OP_LIMIT,
  OP_NAMES,
  OP_PLAIN_LOAD,
  OP_START,
  OP_TIMER,
  OP_TURN,
  READY,
  StateLayout,
  T_CALLS,
  T_CELL,
  T_DIRTY,
  T_FINISHED,
  T_LOG,
  T_OP,
  T_STATUS,
  T_TIMED,
  T_TIMEOUTS,
  W_NUMBER,
} from './machine-layout.ts';
import { ModelMemory } from './memory.ts';
import { Moment, STOP } from './moment.ts';
import { SchedulePath } from './path.ts';
import { RaceClocks } from './race-clocks.ts';
import type { FailureKind } from './scenario.ts';
import { SpinWatch } from './spins.ts';
import { ThreadLog } from './thread-log.ts';
import { messageOf, PAUSE, stackOverflow } from './thrown.ts';
import type { Access } from './trace-recorder.ts';
import { WaiterTable } from './waiters.ts';

const NOT_RESUMING = -1;

export class Machine {
  readonly memory: ModelMemory;
  readonly layout: StateLayout;
  readonly state: Int32Array;
  readonly waiters: WaiterTable;
  readonly clocks: RaceClocks;
  readonly contention: Contention;
  readonly spins: SpinWatch;
  readonly path: SchedulePath;
  readonly limits: MachineLimits;
  readonly results: unknown[] = [];
  readonly published: unknown[][] = [];
  threads: readonly MachineThread[] = [];
  chooser: Chooser | undefined;
  agent: Agent = new Agent();
  /** The thread whose code runs now, or −1. */
  current = -1;
  /** True while no call of that thread throws: it is not deep in a recursion, or has looked. */
  hasRoom = true;
  /** True while setup or check runs: accesses happen at once. */
  direct = true;
  /** True while a thread is being thrown out of: every access throws again. */
  unwinding = false;
  next: number = STOP;
  failure: { kind: FailureKind; message: string; error?: unknown; cell?: number } | undefined;
  /** Every access is a decision and a place to die: for replay. */
  everyStep = false;
  recorder: ((step: Access) => void) | undefined;
  readonly moment: Moment;
  #cursor = 0;
  #replayEnd = 0;
  #resuming: number = NOT_RESUMING;
  #prepares = false;
  /** Calls since the last access that is logged. */
  #calls = 0;
  readonly #log: ThreadLog;
  #root: Int32Array = new Int32Array(0);

  constructor(threadCount: number, limits: MachineLimits) {
    this.limits = limits;
    this.layout = new StateLayout(threadCount);
    this.state = new Int32Array(this.layout.size);
    this.memory = new ModelMemory(threadCount);
    this.contention = new Contention(this.memory);
    this.waiters = new WaiterTable(this.state, this.layout);
    this.clocks = new RaceClocks(this.memory, this.state, this.layout);
    this.spins = new SpinWatch(this.memory, this.state, this.layout, limits.spins);
    this.#log = new ThreadLog(this.state, this.layout, limits.steps + limits.exceptions);
    this.path = new SchedulePath(this.state, this.layout);
    this.moment = new Moment(this);
    for (let thread = 0; thread < threadCount; thread++) {
      this.published.push([]);
      this.results.push(undefined);
    }
  }

  /** After setup: what the memory and the waiters are now is where every schedule begins. */
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
    this.direct = false;
    this.save();
    this.#root = this.state.slice();
  }

  /** Goes back to the beginning. */
  reset(): void {
    this.restore(this.#root, 0, 0);
  }

  /** Before the state block is copied. */
  save(): void {
    this.state[G_HASH_A] = this.memory.hashA;
    this.state[G_HASH_B] = this.memory.hashB;
  }

  /** Goes back to a moment whose state block was copied to `source` at `begin`. */
  restore(source: Int32Array, begin: number, undoMark: number): void {
    const state = this.state;
    for (let i = 0; i < state.length; i++) state[i] = source[begin + i];
    this.memory.undoTo(undoMark);
    this.memory.hashA = state[G_HASH_A];
    this.memory.hashB = state[G_HASH_B];
    this.failure = undefined;
  }

  // ── Running threads ───────────────────────────────────────────────────────────────────────────

  /**
   * Carries a transition out and whatever is chosen after it, until another thread is chosen:
   * returns that.
   */
  resume(transition: number): number {
    const thread = transition >> 1;
    const base = this.layout.thread(thread);
    const state = this.state;
    this.next = STOP;
    this.current = thread;
    this.unwinding = false;
    this.#cursor = 0;
    this.#replayEnd = state[base + T_LOG];
    const op = state[base + T_STATUS] === READY ? state[base + T_OP] : OP_TURN;
    // It has no access before it yet, or has been thrown at and goes on from there.
    const isUnderWay = op === OP_START || op === OP_EXCEPTION;
    if (isUnderWay) state[base + T_OP] = OP_TURN;
    this.#resuming = isUnderWay ? NOT_RESUMING : transition & 1;
    this.#calls = 0;
    this.hasRoom = true;
    this.#prepares = this.threads[thread].prepares;
    const agent = new Agent();
    this.agent = agent;
    this.published[thread] = agent.published;
    this.#start(thread, agent, op === OP_START);
    do drainMicrotasks();
    while (!this.#hasStopped(thread) && this.#turn(thread));
    // What a paused turn has queued must not run in the next thread's time.
    if (this.unwinding) drainMicrotasks();
    this.current = -1;
    return this.next;
  }

  #start(thread: number, agent: Agent, isFirst: boolean): void {
    const self: BareThread = {
      name: this.threads[thread].name,
      begin: () => {
        this.#prepares = false;
      },
      deeply: (step) => {
        const before = this.hasRoom;
        this.hasRoom = false;
        try {
          return step();
        } finally {
          this.hasRoom = before;
        }
      },
      publish: (value) => {
        this.#log.publish(thread, agent.published.push(value));
      },
    };
    try {
      if (isFirst && !this.#prepares && this.#dies(thread)) throw PAUSE;
      agent.follow(this.threads[thread].run(self), () => this.unwinding);
    } catch (error) {
      if (!this.unwinding) agent.fail(error);
    }
  }

  /** After a turn of the thread's event loop: true if it was paused or has failed. */
  #hasStopped(thread: number): boolean {
    if (this.unwinding) return true;
    const agent = this.agent;
    if (agent.failed) {
      this.failure = { kind: 'assertion', message: messageOf(agent.error), error: agent.error };
      this.next = STOP;
      return true;
    }
    const base = this.layout.thread(thread);
    if (agent.settled && this.#cursor >= this.#replayEnd) {
      this.state[base + T_FINISHED] = 1;
      this.results[thread] = agent.result;
    }
    return false;
  }

  /**
   * The thread's event loop has nothing to run at once: takes its next event. False if it stays
   * idle.
   */
  #turn(thread: number): boolean {
    const state = this.state;
    const base = this.layout.thread(thread);
    if (this.#cursor < this.#replayEnd) {
      const signature = this.#log.signature(thread, this.#cursor++);
      this.#calls = 0;
      this.#deliver(signature % OP_LIMIT, Math.floor(signature / OP_LIMIT));
      return !this.unwinding;
    }
    let variant = this.#resuming;
    this.#resuming = NOT_RESUMING;
    if (variant === NOT_RESUMING) {
      state[base + T_STATUS] = IDLE;
      state[base + T_TIMED] =
        (this.agent.timers.length > 0 ? 1 : 0) | (this.agent.turns.length > 0 ? 2 : 0);
      if (this.#dies(thread)) return false;
      const next = (this.chooser as Chooser).choose(thread);
      if (next >> 1 !== thread) {
        this.next = next;
        return false;
      }
      variant = next & 1;
    }
    state[base + T_STATUS] = READY;
    state[base + T_OP] = OP_TURN;
    const event = variant === 1 ? -1 : this.waiters.nextEvent(thread);
    if (event >= 0) {
      const number = state[event + W_NUMBER];
      this.waiters.remove(event);
      this.append(OP_EVENT, number, 0);
      this.recorder?.({ thread, op: OP_EVENT, cell: -1, a: 0, b: 0, value: 0 });
      this.#deliver(OP_EVENT, number);
    } else {
      const timer = variant === 1 ? this.agent.nextTimer() : this.agent.turns[0];
      const op = variant === 1 ? OP_TIMER : OP_TURN;
      if (variant === 1) state[base + T_TIMEOUTS]++;
      this.append(op, timer?.id ?? 0, 0);
      this.recorder?.({ thread, op, cell: -1, a: 0, b: 0, value: 0 });
      this.#deliver(op, timer?.id ?? 0);
    }
    state[base + T_DIRTY] = 1;
    return !this.unwinding;
  }

  #deliver(op: number, number: number): void {
    const agent = this.agent;
    try {
      if (op === OP_EVENT) {
        const resolve = agent.resolvers[number];
        agent.resolvers[number] = undefined;
        if (resolve === undefined) this.fail('not deterministic', 'an event came for no waiter');
        resolve?.('ok');
      } else if (op === OP_TIMER || op === OP_TURN) {
        const timer = agent.timer(number);
        if (timer === undefined) this.fail('not deterministic', 'a timer fired that was not set');
        else agent.fire(timer);
      } else {
        this.fail('not deterministic', `stopped before its next access, ${OP_NAMES[op]}`);
      }
    } catch (error) {
      if (!this.unwinding) agent.fail(error);
    }
  }

  get preparing(): boolean {
    return this.#prepares;
  }

  // ── At a shared access ────────────────────────────────────────────────────────────────────────

  /** What {@link replays} has found. */
  replayed = 0;

  /** True if an earlier run of this thread made the access: its value is {@link replayed}. */
  replays(op: number, cell: number): boolean {
    if (this.unwinding) throw PAUSE;
    if (op < OP_PLAIN_LOAD) this.#countCall();
    const cursor = this.#cursor;
    if (cursor >= this.#replayEnd) return false;
    this.#cursor = cursor + 1;
    this.#calls = 0;
    if (this.#log.signature(this.current, cursor) !== op + OP_LIMIT * cell) {
      this.fail('not deterministic', `${OP_NAMES[op]} where another access was before`);
    }
    this.replayed = this.#log.value(this.current, cursor);
    return true;
  }

  /** The thread has come to an access that is new. Throws if another thread is to go first. */
  arrive(op: number, cell: number, schedules: boolean): void {
    const state = this.state;
    const thread = this.current;
    const base = this.layout.thread(thread);
    if (this.#resuming !== NOT_RESUMING) {
      this.#resuming = NOT_RESUMING;
      if (state[base + T_OP] !== op || state[base + T_CELL] !== cell) {
        this.fail('not deterministic', `${OP_NAMES[op]} where another access was announced`);
      }
      return;
    }
    if (state[base + T_LOG] >= this.limits.steps) {
      this.fail('livelock', `${this.threads[thread].name} made ${this.limits.steps} accesses`);
    }
    if (this.#prepares) return;
    if (op < OP_PLAIN_LOAD) this.#atCall();
    else if (this.limits.deaths === 'anywhere' && this.#dies(thread)) throw PAUSE;
    if (schedules) this.contention.note(thread, op, cell);
    const isNews = isWrite(op) || !this.spins.goesInCircles(thread, cell);
    const decides = schedules && this.contention.at(cell) && isNews;
    if (decides || this.everyStep || this.spins.isStuck(thread)) {
      state[base + T_STATUS] = READY;
      state[base + T_OP] = op;
      state[base + T_CELL] = cell;
      this.#yieldTo((this.chooser as Chooser).choose(thread), thread);
    }
  }

  /**
   * A sync wait has begun. Returns if the same thread is chosen to go on, its wait ended by time;
   * else throws.
   */
  block(timed: boolean): void {
    const base = this.layout.thread(this.current);
    this.state[base + T_STATUS] = BLOCKED;
    this.state[base + T_TIMED] = timed ? 1 : 0;
    this.#yieldTo((this.chooser as Chooser).choose(this.current), this.current);
  }

  /** The thread's sync wait is over; true if by time. */
  unblock(): boolean {
    const state = this.state;
    const base = this.layout.thread(this.current);
    const byTime = this.#resuming === 1;
    this.#resuming = NOT_RESUMING;
    const waiter = this.waiters.syncWaiter(this.current);
    if (state[base + T_STATUS] !== BLOCKED || waiter < 0) {
      this.fail('not deterministic', 'a wait ended that had not begun');
    }
    this.waiters.remove(waiter);
    state[base + T_STATUS] = READY;
    state[base + T_OP] = OP_TURN;
    if (byTime) state[base + T_TIMEOUTS]++;
    return byTime;
  }

  #yieldTo(next: number, thread: number): void {
    if (next >> 1 === thread && next !== STOP) {
      if ((next & 1) === 1) this.#resuming = 1;
      return;
    }
    this.next = next;
    this.unwinding = true;
    throw PAUSE;
  }

  /** Logs an access that was carried out. */
  append(op: number, cell: number, value: number): void {
    const end = this.#log.append(this.current, op, cell, value);
    this.#cursor = end;
    this.#replayEnd = end;
    this.#calls = 0;
  }

  /** Others can see that something was done: from now on it matters whether the thread dies. */
  changed(): void {
    this.state[this.layout.thread(this.current) + T_DIRTY] = 1;
  }

  fail(kind: FailureKind, message: string, cell?: number): never {
    this.failure = { kind, message, ...(cell === undefined ? {} : { cell }) };
    this.next = STOP;
    this.unwinding = true;
    throw PAUSE;
  }

  // ── At a call: deaths and exceptions ──────────────────────────────────────────────────────────

  /**
   * The thread calls something, or comes to the back edge of a loop: an engine could end it here,
   * or find no room on its stack.
   */
  calls(): void {
    if (this.current < 0) return;
    if (this.unwinding) throw PAUSE;
    this.#countCall();
    if (this.#cursor < this.#replayEnd || this.#resuming !== NOT_RESUMING) return;
    if (!this.#prepares) this.#atCall();
  }

  /** Throws if an earlier run of the thread was thrown at here. */
  #countCall(): void {
    const calls = ++this.#calls;
    const cursor = this.#cursor;
    if (cursor >= this.#replayEnd) return;
    if (this.#log.signature(this.current, cursor) !== OP_EXCEPTION + OP_LIMIT * calls) return;
    this.#cursor = cursor + 1;
    this.#calls = 0;
    throw stackOverflow();
  }

  #atCall(): void {
    const thread = this.current;
    if (this.#dies(thread)) throw PAUSE;
    const state = this.state;
    if (state[G_EXCEPTIONS] >= this.limits.exceptions || this.hasRoom) return;
    state[this.layout.thread(thread) + T_CALLS] = this.#calls;
    if (!(this.chooser as Chooser).throwAt(thread)) return;
    this.throwAt(thread);
    this.#cursor = this.#replayEnd = state[this.layout.thread(thread) + T_LOG];
    this.#calls = 0;
    throw stackOverflow();
  }

  /** The call that the thread is about to make throws; it goes on from there. */
  throwAt(thread: number): void {
    const state = this.state;
    const base = this.layout.thread(thread);
    const calls = state[base + T_CALLS];
    const starts = state[G_STARTS];
    this.path.throwAt(thread, calls);
    this.#log.append(thread, OP_EXCEPTION, calls, 0);
    this.path.take(2 * thread, false);
    state[G_STARTS] = starts;
    state[base + T_STATUS] = READY;
    state[base + T_OP] = OP_EXCEPTION;
    state[G_EXCEPTIONS]++;
    this.recorder?.({ thread, op: OP_EXCEPTION, cell: -1, a: calls, b: 0, value: 0 });
  }

  #dies(thread: number): boolean {
    const state = this.state;
    const base = this.layout.thread(thread);
    if (!this.threads[thread].killable || state[G_KILLS] >= this.limits.kills) return false;
    if (!this.everyStep) {
      if (state[base + T_DIRTY] === 0) return false;
      state[base + T_DIRTY] = 0;
    }
    const chooser = this.chooser as Chooser;
    if (!chooser.kill(thread)) return false;
    this.kill(thread);
    this.unwinding = true;
    this.next = chooser.choose(-1);
    return true;
  }

  /** Ends a thread where it is; its supervisor begins. */
  kill(thread: number): void {
    const state = this.state;
    this.path.kill(thread);
    state[this.layout.thread(thread) + T_STATUS] = DEAD;
    state[G_KILLS]++;
    this.waiters.bury(thread);
    this.threads.forEach((other, i) => {
      if (other.supervises !== thread) return;
      state[this.layout.thread(i) + T_STATUS] = READY;
      this.clocks.join(i, thread);
    });
  }
}
