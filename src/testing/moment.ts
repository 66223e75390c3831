// SPDX-License-Identifier: MIT
/**
 * Model checker: what can happen next at one moment of a run, and what is wrong if nothing can.
 */

import { type MachineFailure, type MachineParts, STOP } from './machine-contract.ts';
import {
  ABSENT,
  BLOCKED,
  DEAD,
  G_DECISIONS,
  IDLE,
  OP_START,
  READY,
  type StateLayout,
  T_FINISHED,
  T_OP,
  T_SINCE,
  T_STATUS,
  T_TIMED,
  T_TIMEOUTS,
  W_STATE,
  WAITER_NOTIFIED,
} from './machine-layout.ts';

/** Decisions in which a thread that could run may be passed over: at first, and once it was. */
export const PASSES_MAX = 1000;
export const PASSES_FEW = 50;

/**
 * Questions about the present state of a machine. A transition is 2 · thread, or 2 · thread + 1 if
 * its wait or timer ends by time.
 */
export class Moment {
  /** The answer of {@link enabled}. */
  readonly transitions: Int32Array;
  passesMax: number = PASSES_MAX;
  readonly #parts: MachineParts;
  readonly #state: Int32Array;
  readonly #layout: StateLayout;

  constructor(parts: MachineParts) {
    this.#parts = parts;
    this.#state = parts.state;
    this.#layout = parts.layout;
    this.transitions = new Int32Array(2 * parts.layout.threadCount);
  }

  /** Fills `transitions` with what is possible now; returns how many. */
  enabled(): number {
    const state = this.#state;
    const list = this.transitions;
    const { limits, spins, leftOut } = this.#parts;
    let count = 0;
    let late = false;
    for (let thread = 0; thread < this.#layout.threadCount; thread++) {
      const base = this.#layout.thread(thread);
      const status = state[base + T_STATUS];
      if (status === READY) {
        if (!spins.isBlocked(thread)) list[count++] = 2 * thread;
      } else if (status === BLOCKED || status === IDLE) {
        if (this.#isCalled(thread)) list[count++] = 2 * thread;
        if (!this.#mayTimeOut(thread)) continue;
        if (state[base + T_TIMEOUTS] < limits.timeouts) list[count++] = 2 * thread + 1;
        else late = true;
      }
    }
    if (count === 0) return this.#lastResorts();
    if (late) leftOut.add('timeouts');
    return count;
  }

  /** A thread that has waited for a notification or a turn of its event loop, and got it. */
  #isCalled(thread: number): boolean {
    const { waiters, spins } = this.#parts;
    const base = this.#layout.thread(thread);
    if (this.#state[base + T_STATUS] === BLOCKED) {
      return this.#state[waiters.syncWaiter(thread) + W_STATE] === WAITER_NOTIFIED;
    }
    if (waiters.nextEvent(thread) >= 0) return true;
    return (this.#state[base + T_TIMED] & 2) !== 0 && !spins.isBlocked(thread);
  }

  #mayTimeOut(thread: number): boolean {
    const base = this.#layout.thread(thread);
    if ((this.#state[base + T_TIMED] & 1) === 0) return false;
    return this.#state[base + T_STATUS] !== BLOCKED || !this.#isCalled(thread);
  }

  /** It spins, and for ever unless the clock moves on, at which it looks. */
  #spinsByTime(thread: number): boolean {
    const base = this.#layout.thread(thread);
    const isIdle = this.#state[base + T_STATUS] === IDLE;
    if (isIdle && (this.#state[base + T_TIMED] & 2) === 0) return false;
    return this.#parts.spins.awaitsTime(thread);
  }

  /** Nothing else can move: time passes. */
  #lastResorts(): number {
    const state = this.#state;
    const list = this.transitions;
    const { limits, leftOut } = this.#parts;
    const most = limits.timeouts + limits.polls;
    let count = 0;
    for (let thread = 0; thread < this.#layout.threadCount; thread++) {
      const base = this.#layout.thread(thread);
      const status = state[base + T_STATUS];
      if (status !== BLOCKED && status !== IDLE && status !== READY) continue;
      const isTimed = status !== READY && this.#mayTimeOut(thread);
      if (!isTimed && (status === BLOCKED || !this.#spinsByTime(thread))) continue;
      if (state[base + T_TIMEOUTS] < most) list[count++] = 2 * thread + 1;
      // A thread whose body has returned would end without notice, although it has work left.
      else if (limits.polls > 0 || state[base + T_FINISHED] === 1) leftOut.add('polls');
    }
    return count;
  }

  /**
   * A transition that commutes with everything, or STOP: threads run to their first shared access
   * at once.
   */
  forced(): number {
    for (let thread = 0; thread < this.#layout.threadCount; thread++) {
      const base = this.#layout.thread(thread);
      if (this.#state[base + T_STATUS] === READY && this.#state[base + T_OP] === OP_START) {
        return 2 * thread;
      }
    }
    return STOP;
  }

  /** A thread that spins, if it is not known whether it does so for ever; or −1. */
  unknownSpin(): number {
    const state = this.#state;
    for (let thread = 0; thread < this.#layout.threadCount; thread++) {
      const base = this.#layout.thread(thread);
      const status = state[base + T_STATUS];
      const turns = status === IDLE && (state[base + T_TIMED] & 2) !== 0;
      if (status !== READY && (!turns || this.#parts.waiters.nextEvent(thread) >= 0)) continue;
      if (this.#parts.spins.isUnknown(thread)) return thread;
    }
    return -1;
  }

  /**
   * Counts a decision among the first `count` transitions. Returns the thread that has waited for
   * longest since it could go on, if that is too long; or −1.
   */
  passedOver(count: number, running: number): number {
    const state = this.#state;
    const now = ++state[G_DECISIONS];
    let able = 0;
    for (let i = 0; i < count; i++) {
      const transition = this.transitions[i];
      if ((transition & 1) === 0) able |= 1 << (transition >> 1);
    }
    let longest = -1;
    let since = now - this.passesMax;
    for (let thread = 0; thread < this.#layout.threadCount; thread++) {
      const base = this.#layout.thread(thread);
      if ((able & (1 << thread)) === 0) state[base + T_SINCE] = now;
      else if (thread !== running && state[base + T_SINCE] < since) {
        longest = thread;
        since = state[base + T_SINCE];
      }
    }
    return longest;
  }

  /** True if the thread could make its next access now. */
  canContinue(thread: number): boolean {
    if (thread < 0 || this.#parts.spins.isBlocked(thread)) return false;
    return this.#state[this.#layout.thread(thread) + T_STATUS] === READY;
  }

  /**
   * True if taking the transition is a preemption of this thread: it could go on, and not only in
   * circles.
   */
  isInterruptedBy(transition: number, thread: number): boolean {
    if (transition >> 1 === thread) return false;
    return this.canContinue(thread) && !this.#parts.spins.isSpinning(thread);
  }

  /** Nothing can move: what is wrong with that, if anything. */
  deadEnd(): MachineFailure | undefined {
    const { threads, waiters, memory } = this.#parts;
    const stuck: string[] = [];
    const outside: string[] = [];
    const missed: { thread: number; cell: number }[] = [];
    let spins = false;
    for (let thread = 0; thread < this.#layout.threadCount; thread++) {
      const base = this.#layout.thread(thread);
      const status = this.#state[base + T_STATUS];
      if (status === ABSENT || status === DEAD) continue;
      const idle = status === IDLE;
      const turns = idle && (this.#state[base + T_TIMED] & 2) !== 0;
      if (idle && this.#state[base + T_FINISHED] === 1 && !turns) continue;
      if (status !== READY && !turns && threads[thread].mayWait) continue;
      stuck.push(threads[thread].name);
      if (status === READY || turns) spins = true;
      else if (idle && this.#state[base + T_TIMED] === 0 && !waiters.hasAny(thread)) {
        outside.push(threads[thread].name);
      }
      const cell = waiters.missedChange(thread, memory.heap);
      if (cell >= 0) missed.push({ thread, cell });
    }
    if (stuck.length === 0) return undefined;
    const who = stuck.join(', ');
    if (spins) return { kind: 'livelock', message: `spin or wait for ever: ${who}` };
    // The words have names that the scenario knows: the message is made where it is known.
    if (missed.length > 0) return { kind: 'lost wake-up', message: '', missed };
    if (outside.length === 0) return { kind: 'deadlock', message: `wait for ever: ${who}` };
    const which = outside.join(', ');
    return {
      kind: 'deadlock',
      message:
        `wait for ever: ${who}; what ${which} awaits is outside of the model ` +
        '(input, output, a port, a timer of another module), or nobody resolves it',
    };
  }
}
