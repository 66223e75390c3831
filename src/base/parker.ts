// SPDX-License-Identifier: MIT
/** Parker: how a thread waits, and how another thread wakes it. */

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

/**
 * The owner's side of one thread's word: blocks on it, or listens to it between turns of the event
 * loop.
 */
export class Parker {
  readonly #words: Words;
  readonly #index: number;
  readonly #onRing: () => void;
  /** True while a `waitAsync` hangs on the word. It is reused: there is never more than one. */
  #hanging = false;
  #closed = false;
  /** True if, inside `onRing`, {@link parkSync} took a ring that may have been meant for others. */
  #swallowed = false;

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
    if (this.#closed) return;
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
      if (before === NOTIFIED || after === NOTIFIED) this.#swallowed = true;
      return;
    }
    // Listen again. A ring between these two accesses found the word EMPTY and woke no waiter.
    const rung = compareExchange(this.#words, this.#index, EMPTY, PARKED) === NOTIFIED;
    if (rung) queueMicrotask(() => this.#ring());
  }

  /** Stops listening. The word may then be given to another thread. */
  close(): void {
    this.#closed = true;
    exchange(this.#words, this.#index, EMPTY);
    notify(this.#words, this.#index);
  }

  #ring(): void {
    if (this.#closed) return;
    // SYNC(parker): sees what the ringer wrote before unpark().
    exchange(this.#words, this.#index, EMPTY);
    this.#swallowed = false;
    try {
      this.#onRing();
    } finally {
      if (this.#swallowed) queueMicrotask(() => this.#ring());
      else this.listen();
    }
  }
}
