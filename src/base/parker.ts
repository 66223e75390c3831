// SPDX-License-Identifier: MIT
/** Parker: how a thread waits, and how another thread wakes it. */

import { assert } from './assert.ts';
import { compareExchange, exchange, notify, type Words, waitAsync, waitSync } from './atomics.ts';

/**
 *   EMPTY ──owner: park──▶ PARKED ──anyone: unpark──▶ NOTIFIED ──owner: consume──▶ EMPTY
 *     └──────────────────anyone: unpark──────────────────▲
 *
 * One word per thread. A ring that comes while the owner is awake stays in the word as NOTIFIED, so
 * a check followed by a park never misses it.
 */
const EMPTY = 0;
const PARKED = 1;
const NOTIFIED = 2;

/**
 * Wakes the thread that owns the word, or lets its next park return at once.
 *
 * **Threads** any. **Cost** one read-modify-write; a wake-up only if the owner sleeps. A ringer
 * that dies may leave the owner asleep until the next ring.
 */
export function unpark(words: Words, index: number): void {
  // SYNC(parker): publishes what this thread wrote before; pairs with the exchange in parkSync()
  // and #ring().
  const before = exchange(words, index, NOTIFIED);
  // One thread may wait on its word both ways at once (listening, then blocking): wake every
  // waiter. NOTIFIED may have been written by a thread that died before it reached this line.
  if (before !== EMPTY) notify(words, index);
}

/** No ring is being handled. */
const IDLE = 0;
/** `onRing` runs. */
const RINGING = 1;
/** `onRing` runs, and in it {@link Parker.parkSync} took a ring that may have been for others. */
const SWALLOWED = 2;
/** The word may be another thread's. */
const CLOSED = 3;
type ParkerState = typeof IDLE | typeof RINGING | typeof SWALLOWED | typeof CLOSED;

/**
 * The owner's side of one thread's word: blocks on it, or listens to it between turns of the event
 * loop.
 *
 *   IDLE ──a ring──▶ RINGING ──parkSync takes another──▶ SWALLOWED; from both: `onRing` returns ▸
 *   IDLE; from any: close ▸ CLOSED
 */
export class Parker {
  readonly #words: Words;
  readonly #index: number;
  readonly #onRing: () => void;
  /** True while a `waitAsync` hangs on the word. It is reused: there is never more than one. */
  #hanging = false;
  #state: ParkerState = IDLE;

  /**
   * `onRing` runs on this thread after every ring that arrives while it {@link listen}s. It must
   * not throw.
   */
  constructor(words: Words, index: number, onRing: () => void) {
    this.#words = words;
    this.#index = index;
    this.#onRing = onRing;
  }

  /**
   * Listens for rings without blocking, until {@link close}.
   *
   * Does not keep the event loop alive; callers that wait hold a timer of their own.
   */
  listen(): void {
    if (this.#state === CLOSED) return;
    const before = compareExchange(this.#words, this.#index, EMPTY, PARKED);
    if (before === NOTIFIED) {
      queueMicrotask(() => this.#ring());
      return;
    }
    if (this.#hanging) return;
    const wait = waitAsync(this.#words, this.#index, PARKED);
    if (wait.async) {
      this.#hanging = true;
      wait.value.then(() => {
        this.#hanging = false;
        this.#ring();
      });
    } else {
      queueMicrotask(() => this.#ring());
    }
  }

  /**
   * Blocks this thread until a ring comes, or for `timeoutMs`. May return early: callers check
   * their condition again.
   *
   * A ring that came since the last park returns at once. The caller reads its condition *before*
   * the park; the ringer changes it before {@link unpark}; so either the caller sees the change or
   * the word says NOTIFIED.
   */
  parkSync(timeoutMs: number): void {
    const before = compareExchange(this.#words, this.#index, EMPTY, PARKED);
    if (before !== NOTIFIED) waitSync(this.#words, this.#index, PARKED, timeoutMs);
    // SYNC(parker): sees what the ringer wrote before unpark().
    const after = exchange(this.#words, this.#index, EMPTY);
    if (!this.#hanging) {
      const wasRung = before === NOTIFIED || after === NOTIFIED;
      if (wasRung && this.#state === RINGING) this.#state = SWALLOWED;
      return;
    }
    // Listen again. A ring between these two accesses found the word EMPTY and woke no waiter.
    const rung = compareExchange(this.#words, this.#index, EMPTY, PARKED) === NOTIFIED;
    if (rung) queueMicrotask(() => this.#ring());
  }

  /** Stops listening. The word may then be given to another thread. */
  close(): void {
    this.#state = CLOSED;
    exchange(this.#words, this.#index, EMPTY);
    notify(this.#words, this.#index);
  }

  #ring(): void {
    if (this.#state === CLOSED) return;
    assert(this.#state === IDLE, 'rings are handled one after another');
    // SYNC(parker): sees what the ringer wrote before unpark().
    exchange(this.#words, this.#index, EMPTY);
    this.#state = RINGING;
    try {
      this.#onRing();
    } finally {
      // `onRing` may have changed it. First, and without a call, which might throw again.
      const state = this.#state as ParkerState;
      if (state !== CLOSED) this.#state = IDLE;
      if (state === SWALLOWED) queueMicrotask(() => this.#ring());
      else this.listen();
    }
  }
}
