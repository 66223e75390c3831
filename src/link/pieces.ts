// SPDX-License-Identifier: MIT
/** `piecesOf`: reads an iterable of the program's, and checks what it yields. */

import { show } from '../base/check.ts';

type Step<T> = IteratorResult<T> | Promise<IteratorResult<T>>;

function isObject(value: unknown): boolean {
  return (typeof value === 'object' && value !== null) || typeof value === 'function';
}

/** The pieces of a source, one after the other. */
class Pieces<T> {
  readonly #iterator: AsyncIterator<T> | Iterator<T>;
  readonly #next: () => Step<T>;
  /** True from the first read until the iterator ends, fails or is closed. */
  #isOpen = false;
  #refused: { readonly reason: unknown } | undefined;
  #reject: ((reason: unknown) => void) | undefined;

  constructor(iterator: AsyncIterator<T> | Iterator<T>, next: () => Step<T>) {
    this.#iterator = iterator;
    this.#next = next;
  }

  /** The next piece, or the end. Rejects after {@link refuse}, whatever the source does. */
  next(): Promise<IteratorResult<T, undefined>> {
    return new Promise((resolve, reject) => {
      if (this.#refused !== undefined) throw this.#refused.reason;
      this.#reject = reject;
      this.#read().then(resolve, reject);
    });
  }

  /** Ends the wait for a piece, and each later one, with this reason. The first reason counts. */
  refuse(reason: unknown): void {
    this.#refused ??= { reason };
    this.#reject?.(reason);
  }

  /** Ends an iterator that has not ended by itself; does not wait for that. */
  close(): void {
    if (!this.#isOpen) return;
    this.#isOpen = false;
    (async () => this.#iterator.return?.())().catch(() => {});
  }

  async #read(): Promise<IteratorResult<T, undefined>> {
    this.#isOpen = true;
    let step: IteratorResult<T>;
    try {
      step = await this.#next.call(this.#iterator);
      if (!isObject(step)) {
        throw new TypeError(`next() of source must return an object, got ${show(step)}`);
      }
    } catch (error) {
      this.#isOpen = false;
      throw error;
    }
    if (step.done !== true) return { done: false, value: await step.value };
    this.#isOpen = false;
    return { done: true, value: undefined };
  }
}

/**
 * Takes the iterator at once, and its first piece with the first `next()`.
 *
 * **Throws** TypeError for anything but an (async) iterable of pieces, such as bytes.
 */
export function piecesOf<T>(source: AsyncIterable<T> | Iterable<T>): Pieces<T> {
  const own = source as Partial<AsyncIterable<T> & Iterable<T>> | null | undefined;
  const isOnePiece = typeof source === 'string' || ArrayBuffer.isView(source);
  const open: unknown = isOnePiece
    ? undefined
    : (own?.[Symbol.asyncIterator] ?? own?.[Symbol.iterator]);
  if (typeof open !== 'function') {
    throw new TypeError(`source must be an iterable of pieces, got ${show(source)}`);
  }
  const iterator = open.call(source) as AsyncIterator<T> | Iterator<T>;
  const next: unknown = isObject(iterator) ? iterator.next : undefined;
  if (typeof next !== 'function') {
    throw new TypeError(`the iterator of source must have next(), got ${show(iterator)}`);
  }
  return new Pieces(iterator, next as () => Step<T>);
}
