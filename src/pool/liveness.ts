// SPDX-License-Identifier: MIT
/**
 * Which threads are attached, and the proof that one has ended, so that its buffers may be
 * reclaimed.
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
import { sharedNowMs } from '../base/clock.ts';
import {
  ASKED_FREELY,
  ASKED_LAST,
  ASKED_SINCE,
  GONE,
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

/**
 * How many waits a thread keeps pending: one for each free question, and 26 for intervals that
 * double, which from 1 ms on is more than a day. Measured, 2026: 0.6 µs each at attach.
 */
const PULSES = 40;

/** Who asks whether a thread has ended. */
export type Asker = typeof BY_TICK | typeof BY_SEARCH | typeof BY_QUESTION;
/** A caller that waits for the thread and checks again now and then. */
export const BY_TICK = 0;
/** A caller that checks every thread. */
export const BY_SEARCH = 1;
/** A caller that checks this thread, and may have a reason. */
export const BY_QUESTION = 2;

/** Free questions: how many each kind of caller may ask at any time while a thread is busy. */
const ASKED_FREELY_MAX: readonly number[] = [0, 5, 14];
/** The least time from one question to the next that is not free, by asker. */
const INTERVAL_MS_MIN: readonly number[] = [40, 1, 1];

/** A thread that never turns its event loop replaces its waits no more often than this. */
const RENEWAL_MS = 10_000;

/** LIFE is never written: it is only waited on. */
const LIFE_VALUE = 0;

/**
 * Keeps asynchronous waits pending on a LIFE word for as long as this thread is attached.
 *
 * An engine forgets the pending waits of a thread that has ended, and only then. So a `notify` that
 * finds no waiter proves that the thread has ended; one that finds a waiter proves that it was
 * there, busy or not. Each proof of life uses up one wait. The thread replaces it on its next turn,
 * or when it blocks or moves a batch of buffers: {@link renew}. PROBES never counts more waits than
 * there are.
 */
export class Pulse {
  readonly #words: Words;
  readonly #thread: number;
  readonly #life: number;
  readonly #probes: number;
  readonly #onAsked: () => void;
  #stopped = false;
  #renewedMs = 0;

  private constructor(words: Words, thread: number, state: number) {
    this.#words = words;
    this.#thread = thread;
    this.#life = thread + LIFE + lifeOf(state);
    this.#probes = thread + PROBES + lifeOf(state);
    this.#onAsked = () => {
      if (!this.#stopped) this.#fill();
    };
  }

  /**
   * Takes the thread slot whose record begins at `thread` if its STATE is `expected`, FREE or
   * MOVING; undefined if it is not, or if another took it away meanwhile. `announce` gets the STATE
   * that the slot will have, before it has it.
   *
   * The waits are pending before the slot shows as attached, so no thread can take this one for
   * dead. Until then it holds nothing: if it dies, or just takes long, another thread gets the
   * slot.
   */
  static start(
    words: Words,
    thread: number,
    expected: number,
    announce?: (state: number) => void,
  ): Pulse | undefined {
    const moving = movingIn(fetchAdd(words, thread + TIMES, 1) + 1);
    const at = thread + STATE;
    // SYNC(slot-state): sees the record as its last thread, or reclaim(), left it.
    if (compareExchange(words, at, expected, moving) !== expected) return undefined;
    const pulse = new Pulse(words, thread, moving);
    for (let i = 0; i < PULSES; i++) pulse.#wait();
    storeRelease(words, pulse.#probes, PULSES);
    announce?.(movedIn(moving));
    if (compareExchange(words, at, moving, movedIn(moving)) === moving) return pulse;
    pulse.close();
    return undefined;
  }

  /** Frees the slot for another thread. */
  release(): void {
    // SYNC(slot-state): publishes the record; pairs with start().
    storeRelease(this.#words, this.#thread + STATE, THREAD_FREE);
    this.close();
  }

  /** Ends all waits. */
  close(): void {
    this.#stopped = true;
    storeRelease(this.#words, this.#probes, 0);
    notify(this.#words, this.#life);
  }

  /**
   * Replaces used waits, for code that does not turn its event loop. The engine keeps a remnant of
   * each used wait until the thread does turn: therefore not too often.
   *
   * **Cost** one atomic load if no thread has checked.
   */
  renew(): void {
    // If the thread is stopped here nothing is lost: PROBES is 0, or another life has set it.
    if (loadAcquire(this.#words, this.#probes) === PULSES || this.#stopped) return;
    const nowMs = sharedNowMs();
    if (nowMs - this.#renewedMs < RENEWAL_MS) return;
    this.#renewedMs = nowMs;
    this.#fill();
  }

  /**
   * A prober counts PROBES down before it notifies, this thread counts up after it waits. Bounded:
   * a prober that never stops must not keep it here.
   */
  #fill(): void {
    const missing = PULSES - loadAcquire(this.#words, this.#probes);
    for (let i = 0; i < missing; i++) {
      this.#wait();
      fetchAdd(this.#words, this.#probes, 1);
    }
  }

  #wait(): void {
    const wait = waitAsync(this.#words, this.#life, LIFE_VALUE);
    if (wait.async) void wait.value.then(this.#onAsked);
  }
}

/**
 * True if the thread whose slot has that STATE, and whose record begins at `thread`, has ended or
 * left; false if it lives, or if it was alive a short time ago.
 *
 * The first questions are free. After them, one is asked only when the time since the first has
 * doubled, so that 26 proofs last for a day, however many threads ask however often. A caller that
 * keeps asking learns of a death no later than the thread had been busy before. Once proven, the
 * end stays known: GONE.
 */
export function isGone(words: Words, thread: number, state: number, asker: Asker): boolean {
  if (isVacant(state)) return true;
  // Read before STATE would have changed: marking a later thread changes it, too.
  const gone = loadAcquire(words, thread + GONE);
  if (gone === state) return true;
  const probes = loadAcquire(words, thread + PROBES + lifeOf(state));
  if (!mayAsk(words, thread, probes, asker)) return false;
  return ask(words, thread, state, gone) === 'gone';
}

/**
 * Marks the thread as gone because a caller has seen it end. False if it is alive: that takes a
 * proof, so a wrong declaration does no harm until all proofs are used up.
 */
export function declareGone(words: Words, thread: number, state: number): boolean {
  if (isVacant(state)) return true;
  const gone = loadAcquire(words, thread + GONE);
  if (gone === state) return true;
  if (ask(words, thread, state, gone) === 'alive') return false;
  compareExchange(words, thread + GONE, gone, state);
  return true;
}

/** Uses up a proof, if one is left. */
function ask(
  words: Words,
  thread: number,
  state: number,
  gone: number,
): 'alive' | 'gone' | 'unknown' {
  const at = thread + PROBES + lifeOf(state);
  for (;;) {
    const probes = loadAcquire(words, at);
    if (probes <= 0) return 'unknown';
    if (compareExchange(words, at, probes, probes - 1) === probes) break;
  }
  if (notify(words, thread + LIFE + lifeOf(state), 1) > 0) return 'alive';
  // Unless a later thread of the slot has been marked meanwhile.
  compareExchange(words, thread + GONE, gone, state);
  return 'gone';
}

/** True if another question is due; records that it is asked. */
function mayAsk(words: Words, thread: number, probes: number, asker: Asker): boolean {
  const nowMs = sharedNowMs() | 0;
  const lastMs = loadAcquire(words, thread + ASKED_LAST);
  const waitedMs = (nowMs - lastMs) | 0;
  if (probes === PULSES) {
    // It has replaced its waits since the last question: another stretch of work begins.
    if (asker === BY_TICK && waitedMs >= 0 && waitedMs < INTERVAL_MS_MIN[asker]) return false;
    storeRelease(words, thread + ASKED_SINCE, nowMs);
    storeRelease(words, thread + ASKED_FREELY, 0);
  } else if (loadAcquire(words, thread + ASKED_FREELY) < ASKED_FREELY_MAX[asker]) {
    fetchAdd(words, thread + ASKED_FREELY, 1);
  } else {
    const sinceMs = loadAcquire(words, thread + ASKED_SINCE);
    const intervalMs = Math.max((lastMs - sinceMs) | 0, INTERVAL_MS_MIN[asker]);
    if (waitedMs < intervalMs) return false;
    // Of those who find that it is time, one asks.
    return compareExchange(words, thread + ASKED_LAST, lastMs, nowMs) === lastMs;
  }
  storeRelease(words, thread + ASKED_LAST, nowMs);
  return true;
}
