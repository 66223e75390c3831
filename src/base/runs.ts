// SPDX-License-Identifier: MIT
/** Runs: an async iterator that waits once for many values. */

import { nextTurn } from './turn.ts';

/** After this many values that were there at once, timers and sockets have a turn. */
export const RUN_MAX = 1024;

/**
 * Yields what `tryNext` returns, and waits by `wait` while that is undefined. When that returns
 * undefined, too, it ends.
 *
 * **Cost** for a value that is there: one settled promise. Measured, a promise that is reused saves
 * nothing.
 */
export class Runs<T> implements AsyncIterableIterator<T, void, undefined> {
  readonly #tryNext: () => T | undefined;
  readonly #wait: () => Promise<T | undefined>;
  readonly #onReturn: (() => void) | undefined;
  #left: number = RUN_MAX;
  #isOver = false;

  /** `onReturn` is called when a loop is left before its end. */
  constructor(
    tryNext: () => T | undefined,
    wait: () => Promise<T | undefined>,
    onReturn?: () => void,
  ) {
    this.#tryNext = tryNext;
    this.#wait = wait;
    this.#onReturn = onReturn;
  }

  next(): Promise<IteratorResult<T, void>> {
    if (!this.#isOver && this.#left > 0) {
      let value: T | undefined;
      try {
        value = this.#tryNext();
      } catch (error) {
        return Promise.reject(error);
      }
      if (value !== undefined) {
        this.#left--;
        return Promise.resolve({ done: false, value });
      }
    }
    return this.#waitForNext();
  }

  /** Ends this loop. What it reads from is not closed. */
  return(): Promise<IteratorResult<T, void>> {
    this.#isOver = true;
    this.#onReturn?.();
    return Promise.resolve({ done: true, value: undefined });
  }

  [Symbol.asyncIterator](): this {
    return this;
  }

  async #waitForNext(): Promise<IteratorResult<T, void>> {
    if (!this.#isOver && this.#left === 0) await nextTurn();
    this.#left = RUN_MAX;
    const value = this.#isOver ? undefined : await this.#wait();
    return value === undefined ? { done: true, value: undefined } : { done: false, value };
  }
}
