// SPDX-License-Identifier: MIT
/**
 * The room every packet lives in: who is attached, and proof that a thread is gone, so that what it
 * held may be taken back.
 */

import {
  compareExchange,
  fetchAdd,
  loadAcquire,
  notify,
  storeRelease,
  type Words,
  waitAsync,
} from '../base/atomics.ts';
import {
  isVacant,
  LIFE,
  lifeOf,
  movedIn,
  movingIn,
  PROBES,
  STATE,
  THREAD_FREE,
  TIMES,
} from './pool-layout.ts';

/** How many waits a thread keeps pending: so many probes it can answer between two turns. */
const PULSES = 10;

/**
 * How many of the probes that a thread can still answer a prober must leave to those with more
 * right: {@link KEPT_BY_SEARCH} ≥ {@link KEPT_BY_QUESTION} ≥ {@link KEPT_BY_CLAIM}.
 *
 * A thread that is busy for long answers no probe twice. If it used up its waits on those who are
 * merely curious, nothing could prove its death later.
 */
export const KEPT_BY_SEARCH = 6;
/** Left by whoever asks about one thread and can go on without an answer. */
export const KEPT_BY_QUESTION = 3;
/** Left by whoever reclaims one thread. */
export const KEPT_BY_CLAIM = 1;

/** LIFE is never written: it is only waited on. */
const LIFE_VALUE = 0;

/**
 * Keeps asynchronous waits pending on a LIFE word for as long as this thread is attached.
 *
 * An engine forgets the pending waits of a thread that has ended, and only then. So a `notify` that
 * finds nobody proves that the thread is gone; one that finds somebody proves that it was there,
 * busy or not. Each proof of life uses up one wait, which the thread replaces on its next turn.
 * PROBES never counts more waits than there are.
 */
export class Pulse {
  readonly #words: Words;
  readonly #thread: number;
  readonly #life: number;
  readonly #probes: number;
  #stopped = false;

  private constructor(words: Words, thread: number, state: number) {
    this.#words = words;
    this.#thread = thread;
    this.#life = thread + LIFE + lifeOf(state);
    this.#probes = thread + PROBES + lifeOf(state);
  }

  /**
   * Takes the thread slot whose record begins at `thread` if its STATE is `expected`, FREE or
   * MOVING; undefined if it is not, or if another took it away meanwhile.
   *
   * The waits hang before the slot shows as attached, so nobody can take the thread for dead. Until
   * then it has nothing that could be lost: if it dies, or just takes long, another has the slot.
   */
  static start(words: Words, thread: number, expected: number): Pulse | undefined {
    const moving = movingIn(fetchAdd(words, thread + TIMES, 1) + 1);
    const at = thread + STATE;
    // SYNC(slot-state): sees the record as its last thread, or reclaim(), left it.
    if (compareExchange(words, at, expected, moving) !== expected) return undefined;
    const pulse = new Pulse(words, thread, moving);
    for (let i = 0; i < PULSES; i++) pulse.#wait();
    storeRelease(words, pulse.#probes, PULSES);
    if (compareExchange(words, at, moving, movedIn(moving)) === moving) return pulse;
    pulse.stop();
    return undefined;
  }

  /** Frees the slot for another thread. */
  leave(): void {
    // SYNC(slot-state): publishes the record; pairs with start().
    storeRelease(this.#words, this.#thread + STATE, THREAD_FREE);
    this.stop();
  }

  /** Ends all waits. */
  stop(): void {
    this.#stopped = true;
    storeRelease(this.#words, this.#probes, 0);
    notify(this.#words, this.#life);
  }

  #wait(): void {
    const wait = waitAsync(this.#words, this.#life, LIFE_VALUE);
    if (!wait.async) return;
    wait.value.then(() => {
      if (this.#stopped) return;
      this.#wait();
      fetchAdd(this.#words, this.#probes, 1);
    });
  }
}

/**
 * True if the thread whose slot has that STATE, and whose record begins at `thread`, has ended or
 * left; false if it lives, or if it could answer no more than `kept` probes before its next turn.
 */
export function isGone(words: Words, thread: number, state: number, kept: number): boolean {
  if (isVacant(state)) return true;
  const at = thread + PROBES + lifeOf(state);
  for (;;) {
    const probes = loadAcquire(words, at);
    if (probes <= kept) return false;
    if (compareExchange(words, at, probes, probes - 1) !== probes) continue;
    if (notify(words, thread + LIFE + lifeOf(state), 1) > 0) return false;
    compareExchange(words, at, probes - 1, probes);
    return true;
  }
}
