// SPDX-License-Identifier: MIT
/** Doorbell: wakes the thread at the other end of a hand-over. */

import { loadAcquire, type Words } from '../base/atomics.ts';
import { Parker, unpark } from '../base/parker.ts';
import type { Pulse } from './liveness.ts';
import { PARKER, type PoolLayout, STATE, slotOf, THREAD_FREE } from './pool-layout.ts';

/**
 * One thread's doorbell in a pool. Every thread can ring it; code on its own thread that waits for
 * something listens.
 *
 * A ring carries no message: every listener checks again what it waits for. An error that a
 * listener throws is an unhandled rejection; the other listeners are still called.
 */
export class Doorbell {
  readonly #words: Words;
  readonly #layout: PoolLayout;
  readonly #parker: Parker;
  readonly #pulse: Pulse;
  readonly #listeners: (() => void)[] = [];
  /** Resolved: its callbacks run in a microtask. */
  readonly #soon: Promise<void> = Promise.resolve();
  #isRinging = false;
  readonly #onHere = (): void => {
    this.#isRinging = false;
    this.#callAll();
  };

  constructor(words: Words, layout: PoolLayout, slot: number, pulse: Pulse) {
    this.#pulse = pulse;
    this.#words = words;
    this.#layout = layout;
    this.#parker = new Parker(words, layout.thread(slot) + PARKER, () => this.#callAll());
    this.#parker.listen();
  }

  /** Calls `listener` on this thread after each ring. Does not keep the event loop alive. */
  listen(listener: () => void): void {
    this.#listeners.push(listener);
  }

  /** Undoes {@link listen}. */
  ignore(listener: () => void): void {
    const index = this.#listeners.indexOf(listener);
    // Not splice(), which makes two arrays.
    if (index >= 0) this.#listeners.copyWithin(index, index + 1).pop();
  }

  /**
   * Rings another thread; nothing happens if no thread is attached at the slot. **Threads** any.
   */
  ring(slot: number): void {
    const record = this.#layout.thread(slot);
    if (loadAcquire(this.#words, record + STATE) !== THREAD_FREE) {
      unpark(this.#words, record + PARKER);
    }
  }

  /**
   * Calls the listeners of this thread soon, as after a ring, in a microtask: a ring would take a
   * turn of the event loop. A thread that blocks first is not woken by it. **Threads** its own.
   */
  ringHere(): void {
    if (this.#isRinging) return;
    // First: if the call throws because the stack is full, the next ring tries it again.
    this.#soon.then(this.#onHere);
    this.#isRinging = true;
  }

  /** Rings the thread with that badge, or the one that has its slot now. **Threads** any. */
  ringBadge(badge: number): void {
    this.ring(slotOf(badge));
  }

  /**
   * Blocks this thread until it is rung, or for `timeoutMs`; may return early. Listeners are not
   * called.
   */
  parkSync(timeoutMs: number): void {
    this.#pulse.renew();
    this.#parker.parkSync(timeoutMs);
  }

  /** The thread leaves the pool. */
  close(): void {
    this.#listeners.length = 0;
    this.#parker.close();
  }

  #callAll(): void {
    const failures: unknown[] = [];
    // A copy: a listener may stop listening, and the next one must still be called.
    for (const listener of this.#listeners.slice()) {
      try {
        listener();
      } catch (error) {
        failures.push(error);
      }
    }
    if (failures.length > 0) throw failures[0];
  }
}
