// SPDX-License-Identifier: MIT
/**
 * The room every packet lives in: proof that a thread is gone, so that what it held may be taken
 * back.
 */

import {
  type AsyncWait,
  compareExchange,
  fetchAdd,
  loadAcquire,
  moveIn,
  moveOut,
  notify,
  type Place,
  type Words,
  waitAsync,
} from '../base/atomics.ts';
import { LIFE, PROBES, STATE, TIMES } from './pool-layout.ts';

/**
 * How many waits a thread keeps pending on its LIFE word: so many probes it can answer in one turn.
 */
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
/**
 * Left by whoever reclaims one thread: one wait, because a prober that was interrupted while the
 * slot changed hands may have used up one without saying so.
 */
export const KEPT_BY_CLAIM = 1;

/** LIFE is never written: it is only waited on. */
const LIFE_VALUE = 0;

/**
 * Keeps asynchronous waits pending on this thread's LIFE word for as long as it is attached.
 *
 * An engine forgets the pending waits of a thread that has ended, and only then. So a `notify` that
 * finds nobody proves that the thread is gone; one that finds somebody proves that it was there,
 * busy or not. Each proof of life uses up one wait, which the thread replaces on its next turn.
 * PROBES never counts more waits than there are.
 */
export class Pulse {
  readonly #words: Words;
  readonly #place: Place;
  #stopped = false;

  private constructor(words: Words, place: Place, waits: readonly AsyncWait[]) {
    this.#words = words;
    this.#place = place;
    for (const wait of waits) this.#follow(wait);
    for (let i = waits.length; i < PULSES; i++) this.#beat();
  }

  /**
   * Takes the thread slot whose record begins at `thread`, if it is free, and shows life there from
   * the first moment on.
   */
  static start(words: Words, thread: number): Pulse | undefined {
    const place: Place = {
      state: thread + STATE,
      times: thread + TIMES,
      life: thread + LIFE,
      waits: thread + PROBES,
    };
    // SYNC(slot-state): sees the record as its last thread, or reclaim(), left it.
    const waits = moveIn(words, place);
    return waits === undefined ? undefined : new Pulse(words, place, waits);
  }

  /** Frees the slot for another thread. */
  leave(): void {
    this.stop();
    // SYNC(slot-state): publishes the record; pairs with start().
    moveOut(this.#words, this.#place);
  }

  /** Replaces no more waits. */
  stop(): void {
    this.#stopped = true;
  }

  #beat(): void {
    this.#follow(waitAsync(this.#words, this.#place.life, LIFE_VALUE));
    fetchAdd(this.#words, this.#place.waits, 1);
  }

  #follow(wait: AsyncWait): void {
    if (!wait.async) return;
    wait.value.then(() => {
      if (!this.#stopped) this.#beat();
    });
  }
}

/**
 * True if the thread whose record begins at `thread` has ended; false if it lives, or if it could
 * answer no more than `kept` probes before its next turn.
 */
export function isGone(words: Words, thread: number, kept: number): boolean {
  for (;;) {
    const probes = loadAcquire(words, thread + PROBES);
    if (probes <= kept) return false;
    if (compareExchange(words, thread + PROBES, probes, probes - 1) === probes) break;
  }
  if (notify(words, thread + LIFE, 1) > 0) return false;
  fetchAdd(words, thread + PROBES, 1);
  return true;
}
