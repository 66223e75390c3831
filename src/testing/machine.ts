// SPDX-License-Identifier: MIT
/**
 * Model checker: runs the threads of a scenario in one real thread, each up to its next shared
 * access.
 *
 * JavaScript cannot suspend a thread. So an exception (PAUSE) unwinds its stack, and it runs again
 * from its beginning when its turn comes. Its reads then return the values that they returned
 * before, its writes have no effect, and so it arrives at the same point with the same variables: a
 * thread's state is a function of the values it has read. As long as the same thread stays chosen,
 * nothing is thrown.
 */

import { Agent } from './agent.ts';
import { bareThread } from './bare-thread.ts';
import { type Chooser, type MachineLimits, PROBE, PROBER, STOP } from './machine-contract.ts';
import {
  ABSENT,
  BLOCKED,
  DEAD,
  G_DECISIONS,
  G_EXCEPTIONS,
  G_KILLS,
  IDLE,
  OP_CLOCK,
  OP_EVENT,
  OP_EXCEPTION,
  OP_LIMIT,
  OP_NAMES,
  OP_PLAIN_LOAD,
  OP_START,
  OP_TIMER,
  OP_TURN,
  READY,
  T_CALLS,
  T_CELL,
  T_CHOSEN,
  T_DIRTY,
  T_FINISHED,
  T_LOG,
  T_OP,
  T_STATUS,
  T_TIMED,
  T_TIMEOUTS,
  T_TURNS,
  W_NUMBER,
} from './machine-layout.ts';
import { MachineState, RUNS, UNWINDS } from './machine-state.ts';
import { drainMicrotasks } from './microtasks.ts';
import { placesNow, placeText } from './places.ts';
import { ReplayCursor } from './replay-cursor.ts';
import type { FailureKind } from './scenario.ts';
import { ThreadClock } from './thread-clock.ts';
import { Escape, failureOf, PAUSE, stackOverflow } from './thrown.ts';
import { WeakMemory } from './weak-memory.ts';

const NOT_RESUMING = -1;

/** Accesses without a choice after which other threads may run. */
const ALONE = 4000;

export class Machine extends MachineState {
  chooser: Chooser | undefined;
  agent: Agent = new Agent();
  readonly clock: ThreadClock = new ThreadClock(this);
  /** Racy words by ECMAScript's memory model, if the limits say so. */
  readonly weak: WeakMemory | undefined;
  /** The thread whose code runs now, or −1. */
  current = -1;
  /** Its free stack: 0 for no call, as much as a check of `base/stack.ts` finds, or 4. */
  room = 4;
  /** True until the thread calls `begin()`, if it is one that prepares. */
  preparing = false;
  next: number = STOP;
  #resuming: number = NOT_RESUMING;
  /** The thread that was running when the chooser was last asked. */
  #asked = -1;
  /** The value that the thread's next read returns, by number; −1: not chosen yet. */
  #choice = -1;
  readonly #escape = new Escape();
  readonly #cursor: ReplayCursor;

  constructor(threadCount: number, limits: MachineLimits) {
    super(threadCount, limits);
    this.#cursor = new ReplayCursor(this.log, this.state, this.layout);
    this.weak = limits.memory === 'es' ? new WeakMemory(this) : undefined;
  }

  // ── Running threads ───────────────────────────────────────────────────────────────────────────

  /** Asks for the next transition, while `current` is the thread that would go on. */
  ask(current: number): number {
    this.#asked = current;
    if (current >= 0) this.noteChoice(current);
    return (this.chooser as Chooser).choose(current);
  }

  /** Carries transitions out until there is none. */
  run(first: number): void {
    let transition = first;
    while (transition !== STOP) {
      transition = transition === PROBE ? this.#probe() : this.resume(transition);
    }
  }

  /** Finds out whether a thread spins for ever, and undoes what it did; then chooses again. */
  #probe(): number {
    const { chooser, recorder, spins } = this;
    const thread = this.moment.unknownSpin();
    const asked = this.#asked;
    const copy = this.save();
    const undoMark = this.memory.undoTop;
    this.chooser = PROBER;
    this.recorder = undefined;
    spins.beginProbe(thread);
    for (let again = true; again; this.restore(copy, 0, copy.length, undoMark)) {
      this.resume(2 * thread);
      again = spins.endProbe();
    }
    this.chooser = chooser;
    this.recorder = recorder;
    return this.ask(asked);
  }

  /**
   * Carries a transition out and whatever is chosen after it, until another thread is chosen:
   * returns that.
   */
  resume(transition: number): number {
    const thread = transition >> 1;
    const base = this.layout.thread(thread);
    const state = this.state;
    const agent = this.#enter(thread);
    state[base + T_TURNS]++;
    this.effort += state[base + T_LOG];
    const op = state[base + T_STATUS] === READY ? state[base + T_OP] : OP_TURN;
    // No access is pending yet, or its call has thrown and it continues from there.
    const isUnderWay = op === OP_START || op === OP_EXCEPTION;
    const spins = state[base + T_STATUS] === READY && (transition & 1) === 1;
    if (isUnderWay) state[base + T_OP] = OP_TURN;
    if (spins) this.clock.pass(thread);
    this.#resuming = isUnderWay ? NOT_RESUMING : spins ? 0 : transition & 1;
    this.#start(thread, agent, op === OP_START);
    do drainMicrotasks();
    while (!this.#hasStopped(thread) && this.#turn(thread));
    // What a paused turn has queued must not run in the next thread's time.
    if (this.unwinding) drainMicrotasks();
    this.current = -1;
    return this.next;
  }

  /** From here on the thread runs, from its beginning along its log. */
  #enter(thread: number): Agent {
    const agent = new Agent();
    this.next = STOP;
    this.current = thread;
    this.mode = RUNS;
    this.#escape.begin();
    this.#cursor.begin(thread);
    this.room = 4;
    this.preparing = this.threads[thread].prepares;
    this.agent = agent;
    this.published[thread] = agent.published;
    return agent;
  }

  /**
   * Runs each thread once more to the end of its log, so that what it keeps on the JavaScript heap
   * is there, such as its result. False if a thread no longer follows its log.
   */
  rerun(): boolean {
    const [copy, mark] = [this.save(), this.memory.undoTop];
    let fits = true;
    this.chooser = PROBER;
    for (let thread = 0; thread < this.threads.length && fits; thread++) {
      if (copy[this.layout.thread(thread) + T_STATUS] === ABSENT) continue;
      this.#resuming = NOT_RESUMING;
      this.#start(thread, this.#enter(thread), false);
      do drainMicrotasks();
      while (!this.#hasStopped(thread) && this.#cursor.isBehind && this.#turn(thread));
      if (this.unwinding) drainMicrotasks();
      fits = !this.#cursor.isBehind && this.failure?.kind !== 'not deterministic';
      this.restore(copy, 0, copy.length, mark);
    }
    this.current = -1;
    return fits;
  }

  #start(thread: number, agent: Agent, isFirst: boolean): void {
    const self = bareThread(this, thread, agent.published);
    try {
      if (isFirst && !this.preparing && this.#dies(thread)) throw PAUSE;
      agent.follow(this.threads[thread].run(self), () => this.unwinding);
    } catch (error) {
      if (!this.unwinding) agent.fail(error);
    }
  }

  /** After a turn of the thread's event loop: true if it was paused or has failed. */
  #hasStopped(thread: number): boolean {
    if (this.unwinding) return true;
    const agent = this.agent;
    const base = this.layout.thread(thread);
    if (agent.failed) {
      const failure = failureOf(agent.error);
      if (this.weak?.defers(failure)) {
        this.state[base + T_STATUS] = DEAD;
        this.next = this.ask(-1);
        return true;
      }
      this.failure = failure;
      this.next = STOP;
      return true;
    }
    if (agent.settled && !this.#cursor.isBehind) {
      if (this.preparing) {
        const { name } = this.threads[thread];
        this.failure = { kind: 'misuse', message: `${name} prepares, but never calls begin()` };
        return true;
      }
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
    if (this.#cursor.isBehind) {
      const signature = this.#cursor.next();
      this.#deliver(signature % OP_LIMIT, Math.floor(signature / OP_LIMIT));
      return !this.unwinding;
    }
    let variant = this.#resuming;
    this.#resuming = NOT_RESUMING;
    if (variant === NOT_RESUMING) {
      state[base + T_STATUS] = IDLE;
      const turns = this.agent.turns.length > 0;
      const isKept = turns || state[base + T_FINISHED] === 0 || this.waiters.hasAny(thread);
      state[base + T_TIMED] = (this.agent.mayFire(isKept) ? 1 : 0) | (turns ? 2 : 0);
      if (this.goesRound(thread)) {
        if (this.spins.isProbing && this.spins.isEnough) return false;
      } else {
        if (this.#dies(thread)) return false;
        this.forget(thread);
        const next = this.ask(thread);
        if (next >> 1 !== thread) {
          this.next = next;
          return false;
        }
        variant = next & 1;
      }
    }
    if (variant === 1 && (state[base + T_TIMED] & 1) === 0) {
      this.clock.pass(thread);
      variant = 0;
    }
    if (this.isEndless(thread)) {
      if (this.weak?.isOpen) return false;
      this.failure = { kind: 'livelock', message: this.endless(thread) };
      return false;
    }
    state[base + T_STATUS] = READY;
    state[base + T_OP] = OP_TURN;
    const event = variant === 1 ? -1 : this.waiters.nextEvent(thread);
    if (event >= 0) {
      const number = state[event + W_NUMBER];
      this.waiters.remove(event);
      this.append(OP_EVENT, number, 0, 0);
      this.recorder?.({ thread, op: OP_EVENT, cell: -1, a: 0, b: 0, value: 0 });
      state[base + T_DIRTY] = 1;
      // The event is taken from the table, and the thread has not begun to act on it.
      if (this.#dies(thread)) return false;
      this.#deliver(OP_EVENT, number);
    } else {
      const timer = variant === 1 ? this.agent.nextTimer() : this.agent.turns[0];
      const op = variant === 1 ? OP_TIMER : OP_TURN;
      if (variant === 1) state[base + T_TIMEOUTS]++;
      this.append(op, timer?.id ?? 0, 0, 0);
      this.recorder?.({ thread, op, cell: -1, a: 0, b: 0, value: 0 });
      this.#deliver(op, timer?.id ?? 0);
    }
    state[base + T_DIRTY] = 1;
    return !this.unwinding;
  }

  #deliver(op: number, number: number): void {
    const agent = this.agent;
    try {
      const problem = agent.deliver(op, number);
      if (problem !== undefined) this.fail('not deterministic', problem);
    } catch (error) {
      if (!this.unwinding) agent.fail(error);
    }
  }

  // ── At a shared access ────────────────────────────────────────────────────────────────────────

  /** What {@link replays} has found. */
  replayed = 0;

  /**
   * True if an earlier run of this thread made the access: its value is {@link replayed}.
   * `operands` is a hash of what else the thread gives.
   */
  replays(op: number, cell: number, operands: number): boolean {
    if (this.unwinding) {
      this.replayed = this.#escape.next();
      return true;
    }
    if (op < OP_PLAIN_LOAD) if (this.#cursor.countCall()) throw stackOverflow();
    if (!this.#cursor.isBehind) return false;
    const difference = this.#cursor.differs(op, cell, operands);
    if (difference !== undefined) this.fail('not deterministic', difference);
    this.replayed = this.#cursor.value;
    return true;
  }

  /**
   * The thread has come to an access that is new. Throws if another thread is to go first.
   * `changes`: other threads could see it in this state. `schedules`: it is a scheduling point.
   */
  arrive(op: number, cell: number, schedules: boolean, changes: boolean): void {
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
    const repeats = !changes && schedules && this.spins.repeats(thread, cell);
    if (this.spins.isProbing) {
      if (repeats) this.spins.noteRepeat();
      if ((repeats || !schedules) && !this.spins.isEnough) return;
      this.#yieldTo(STOP, thread);
    }
    if (this.isEndless(thread)) this.fail('livelock', this.endless(thread));
    if (this.preparing) return;
    if (schedules) this.contention.note(thread, op, cell);
    if (op !== OP_CLOCK && this.weak?.goesOn(op, schedules)) return;
    const meets = schedules && this.contention.at(cell);
    if (repeats && this.spins.isAmidst(thread) && this.recorder === undefined) {
      if (meets) this.leftOut.add('rounds');
      return;
    }
    if (op < OP_PLAIN_LOAD) this.#atCall();
    else if (this.limits.deaths === 'anywhere' && this.#dies(thread)) throw PAUSE;
    const isAlone = !meets && state[base + T_LOG] - state[base + T_CHOSEN] >= ALONE;
    if (isAlone) state[G_DECISIONS] += this.moment.passesMax;
    const isLong = repeats && (this.spins.length(thread) & 127) === 127;
    if (meets || isLong || isAlone || this.recorder !== undefined) {
      this.announce(thread, op, cell);
      const next = this.ask(thread);
      if (next === 2 * thread + 1) this.clock.pass(thread);
      else this.#yieldTo(next, thread);
    }
  }

  /**
   * The thread reads a word that may return one of `count` values: which one. −1: one that the
   * chooser knows of.
   */
  chooseRead(op: number, cell: number, count: number): number {
    const choice = this.#choice;
    this.#choice = -1;
    if (choice >= 0) return choice;
    this.announce(this.current, op, cell);
    return (this.chooser as Chooser).read(this.current, count);
  }

  /** When it is resumed, the thread's next read returns this one of its values. */
  readNext(choice: number): void {
    this.#choice = choice;
  }

  /**
   * A sync wait has begun. Returns if the same thread is chosen to go on, its wait ended by time;
   * else throws.
   */
  block(timed: boolean): void {
    const base = this.layout.thread(this.current);
    this.state[base + T_STATUS] = BLOCKED;
    this.state[base + T_TIMED] = timed ? 1 : 0;
    this.#yieldTo(this.ask(this.current), this.current);
  }

  /** The thread's sync wait is over; true if by time. */
  unblock(): boolean {
    const byTime = this.#resuming === 1;
    this.#resuming = NOT_RESUMING;
    if (!this.endWait(this.current, byTime)) {
      this.fail('not deterministic', 'a wait ended that had not begun');
    }
    return byTime;
  }

  #yieldTo(next: number, thread: number): void {
    if (next >> 1 === thread && next !== STOP) {
      if ((next & 1) === 1) this.#resuming = 1;
      return;
    }
    this.next = next;
    this.mode = UNWINDS;
    throw PAUSE;
  }

  /** After a wait has ended: the thread may die before it continues. */
  woken(): void {
    if (this.#dies(this.current)) throw PAUSE;
  }

  /** Logs an access that was carried out. */
  append(op: number, cell: number, operands: number, value: number): void {
    if (op !== OP_CLOCK) this.accesses++;
    this.effort++;
    this.log.append(this.current, op, cell, operands, value);
    if (!this.spins.isProbing) this.observer?.(this.current, op, cell);
    this.#cursor.skip();
  }

  /** The thread did something that others can see: its death now leaves a new state. */
  changed(): void {
    this.changedBy(this.current);
  }

  fail(kind: FailureKind, message: string, cell?: number): never {
    // It is not known yet whether the schedule is possible.
    if (this.weak?.isOpen && kind === 'livelock') return this.drop();
    const where = kind === 'not deterministic' ? placeText(placesNow()[0]) : '';
    const what = where === '' ? message : `${message}, at ${where}`;
    this.failure = { kind, message: what, ...(cell === undefined ? {} : { cell }) };
    return this.drop();
  }

  /** The schedule ends here. */
  drop(): never {
    this.next = STOP;
    this.mode = UNWINDS;
    throw PAUSE;
  }

  /** Something was asked for that the checker cannot do: that fails even if it is caught. */
  complain(message: string): never {
    if (this.unwinding) throw PAUSE;
    if (!this.direct && this.current >= 0) this.fail('misuse', message);
    this.complaint ??= message;
    throw new Error(message);
  }

  // ── At a call: deaths and exceptions ──────────────────────────────────────────────────────────

  /**
   * The thread calls something, or comes to the back edge of a loop: an engine could end it here,
   * or find no room on its stack.
   */
  calls(): void {
    if (this.current < 0 || this.direct) return;
    if (this.unwinding) {
      this.#escape.next();
      return;
    }
    if (this.#cursor.countCall()) throw stackOverflow();
    if (this.#cursor.isBehind || this.#resuming !== NOT_RESUMING) return;
    if (this.preparing || this.spins.isProbing || this.spins.isAmidst(this.current)) return;
    this.#atCall();
  }

  #atCall(): void {
    const thread = this.current;
    if (this.#dies(thread)) throw PAUSE;
    if (this.state[G_EXCEPTIONS] >= this.limits.exceptions || this.room > 0) return;
    this.state[this.layout.thread(thread) + T_CALLS] = this.#cursor.calls;
    if (!(this.chooser as Chooser).throwAt(thread)) return;
    this.throwAt(thread);
    this.#cursor.skip();
    throw stackOverflow();
  }

  #dies(thread: number): boolean {
    const state = this.state;
    const base = this.layout.thread(thread);
    if (!this.threads[thread].killable || state[G_KILLS] >= this.limits.kills) return false;
    if (this.recorder === undefined) {
      if (state[base + T_DIRTY] === 0) return false;
      state[base + T_DIRTY] = 0;
    }
    if (!(this.chooser as Chooser).kill(thread)) return false;
    this.kill(thread);
    this.mode = UNWINDS;
    this.next = this.ask(-1);
    return true;
  }
}
