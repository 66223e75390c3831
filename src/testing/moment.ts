// SPDX-License-Identifier: MIT
/**
 * Model checker: what can happen next at one moment of a run, and whether the moment is one that
 * was seen before.
 */

import type { Machine } from './machine.ts';
import {
  ABSENT,
  BLOCKED,
  DEAD,
  G_EXCEPTIONS,
  G_KILLS,
  G_WAITERS_A,
  G_WAITERS_B,
  IDLE,
  OP_START,
  READY,
  type StateLayout,
  T_CELL,
  T_FINISHED,
  T_HASH_A,
  T_HASH_B,
  T_OP,
  T_PUBLISHED,
  T_PUBLISHED_A,
  T_PUBLISHED_B,
  T_STATUS,
  T_TIMED,
  T_TIMEOUTS,
  W_STATE,
  WAITER_NOTIFIED,
} from './machine-layout.ts';
import { mixA, mixB } from './memory.ts';

/** "No transition": nothing can move, or nothing should. */
export const STOP = -1;

/**
 * Questions about the present state of a machine. A transition is 2 · thread, or 2 · thread + 1 if
 * its wait or timer ends by time.
 */
export class Moment {
  /** The answer of {@link enabled}. */
  readonly transitions: Int32Array;
  /** The answer of {@link computeKey}. */
  keyA = 0;
  keyB = 0;
  readonly #machine: Machine;
  readonly #state: Int32Array;
  readonly #layout: StateLayout;

  constructor(machine: Machine) {
    this.#machine = machine;
    this.#state = machine.state;
    this.#layout = machine.layout;
    this.transitions = new Int32Array(2 * machine.layout.threadCount);
  }

  /** Fills `transitions` with what is possible now; returns how many. */
  enabled(): number {
    const state = this.#state;
    const list = this.transitions;
    let count = 0;
    for (let thread = 0; thread < this.#layout.threadCount; thread++) {
      const base = this.#layout.thread(thread);
      const status = state[base + T_STATUS];
      if (status === READY) {
        if (!this.#machine.spins.isStuck(thread)) list[count++] = 2 * thread;
      } else if (status === BLOCKED || status === IDLE) {
        if (this.#isCalled(thread)) list[count++] = 2 * thread;
        if (this.#mayTimeOut(thread) && state[base + T_TIMEOUTS] < this.#machine.limits.timeouts) {
          list[count++] = 2 * thread + 1;
        }
      }
    }
    return count > 0 ? count : this.#lastResorts();
  }

  /** A thread that has waited for a notification or a turn of its event loop, and got it. */
  #isCalled(thread: number): boolean {
    const base = this.#layout.thread(thread);
    if (this.#state[base + T_STATUS] === BLOCKED) {
      return this.#state[this.#machine.waiters.syncWaiter(thread) + W_STATE] === WAITER_NOTIFIED;
    }
    return (this.#state[base + T_TIMED] & 2) !== 0 || this.#machine.waiters.nextEvent(thread) >= 0;
  }

  #mayTimeOut(thread: number): boolean {
    const base = this.#layout.thread(thread);
    if ((this.#state[base + T_TIMED] & 1) === 0) return false;
    if (this.#state[base + T_STATUS] === BLOCKED) return !this.#isCalled(thread);
    return this.#state[base + T_FINISHED] === 0;
  }

  /** Nothing else can move: time passes. */
  #lastResorts(): number {
    const state = this.#state;
    const list = this.transitions;
    const most = this.#machine.limits.timeouts + this.#machine.limits.polls;
    let count = 0;
    for (let thread = 0; thread < this.#layout.threadCount; thread++) {
      const base = this.#layout.thread(thread);
      const status = state[base + T_STATUS];
      if (status !== BLOCKED && status !== IDLE) continue;
      if (this.#mayTimeOut(thread) && state[base + T_TIMEOUTS] < most)
        list[count++] = 2 * thread + 1;
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

  /** True if the thread could make its next access now. */
  canContinue(thread: number): boolean {
    if (thread < 0 || this.#machine.spins.isStuck(thread)) return false;
    return this.#state[this.#layout.thread(thread) + T_STATUS] === READY;
  }

  /**
   * True if taking the transition is a preemption of this thread: it could go on, and not only in
   * circles.
   */
  isInterruptedBy(transition: number, thread: number): boolean {
    if (transition >> 1 === thread) return false;
    return this.canContinue(thread) && !this.#machine.spins.isSpinning(thread);
  }

  /** True if the thread has spun for long at words where others were let in before. */
  hasSpunEnough(thread: number): boolean {
    if (thread < 0 || !this.#machine.spins.isStuck(thread)) return false;
    const base = this.#layout.thread(thread);
    return (
      this.#state[base + T_STATUS] === READY &&
      this.#machine.contention.at(this.#state[base + T_CELL])
    );
  }

  /** True if one of the first `count` transitions belongs to a thread that does not spin. */
  someoneWorks(count: number): boolean {
    for (let i = 0; i < count; i++) {
      const thread = this.transitions[i] >> 1;
      const ready = this.#state[this.#layout.thread(thread) + T_STATUS] === READY;
      if (!ready || !this.#machine.spins.isSpinning(thread)) return true;
    }
    return false;
  }

  /**
   * Threads that have not come to their end, though nothing can move; reports them as a failure.
   */
  checkAllFinished(): void {
    const stuck: string[] = [];
    let missed = false;
    let spins = false;
    for (let thread = 0; thread < this.#layout.threadCount; thread++) {
      const base = this.#layout.thread(thread);
      const status = this.#state[base + T_STATUS];
      if (status === ABSENT || status === DEAD) continue;
      if (status === IDLE && this.#state[base + T_FINISHED] === 1) continue;
      if (status !== READY && this.#machine.threads[thread].mayWait) continue;
      stuck.push(this.#machine.threads[thread].name);
      if (status === READY) spins = true;
      if (this.#machine.waiters.missedChange(thread, this.#machine.memory.heap)) missed = true;
    }
    if (stuck.length === 0) return;
    if (spins) {
      this.#machine.failure = {
        kind: 'livelock',
        message: `spin or wait for ever: ${stuck.join(', ')}`,
      };
      return;
    }
    this.#machine.failure = missed
      ? { kind: 'lost wake-up', message: `waits on a word that has changed: ${stuck.join(', ')}` }
      : { kind: 'deadlock', message: `wait for ever: ${stuck.join(', ')}` };
  }

  /** Computes `keyA`, `keyB`: equal for two moments whose futures are the same. */
  computeKey(current: number): void {
    const state = this.#state;
    const n = this.#layout.threadCount;
    const hits = state[G_KILLS] + 32 * state[G_EXCEPTIONS];
    let a = this.#machine.memory.hashA ^ mixA(current + 1, hits);
    let b = this.#machine.memory.hashB ^ mixB(current + 1, hits);
    for (let thread = 0; thread < n; thread++) {
      const base = this.#layout.thread(thread);
      const brief =
        state[base + T_STATUS] |
        (state[base + T_FINISHED] << 3) |
        (state[base + T_TIMED] << 4) |
        (state[base + T_TIMEOUTS] << 8);
      // Of what a dead thread knew, only what it had left for its supervisor counts.
      const isDead = state[base + T_STATUS] === DEAD;
      const told = isDead ? DEAD | (state[base + T_PUBLISHED] << 4) : brief;
      a = mixA(a ^ state[base + (isDead ? T_PUBLISHED_A : T_HASH_A)], told);
      b = mixB(b ^ state[base + (isDead ? T_PUBLISHED_B : T_HASH_B)], told);
      if (!this.#machine.limits.races) continue;
      const clock = this.#layout.clock(thread);
      for (let u = 0; u < n; u++) {
        a = mixA(a, state[clock + u]);
        b = mixB(b, state[clock + u]);
      }
    }
    this.keyA = mixA(a, state[G_WAITERS_A]);
    this.keyB = mixB(b, state[G_WAITERS_B]);
  }
}
