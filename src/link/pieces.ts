// SPDX-License-Identifier: MIT
/** `piecesOf`: reads an iterable that a user wrote, and says what is wrong with it. */

import { show } from '../base/check.ts';

type Step<T> = IteratorResult<T> | Promise<IteratorResult<T>>;

function isObject(value: unknown): boolean {
  return (typeof value === 'object' && value !== null) || typeof value === 'function';
}

/**
 * Takes the iterator at once, and its first piece when the result is read.
 *
 * **Throws** TypeError for anything but an (async) iterable of pieces, such as bytes.
 */
export function piecesOf<T>(source: AsyncIterable<T> | Iterable<T>): AsyncIterable<T> {
  const own = source as Partial<AsyncIterable<T> & Iterable<T>> | null | undefined;
  const isOne = typeof source === 'string' || ArrayBuffer.isView(source);
  const open: unknown = isOne ? undefined : (own?.[Symbol.asyncIterator] ?? own?.[Symbol.iterator]);
  if (typeof open !== 'function') {
    throw new TypeError(`source must be an iterable of pieces, got ${show(source)}`);
  }
  const iterator = open.call(source) as AsyncIterator<T> | Iterator<T>;
  const next: unknown = isObject(iterator) ? iterator.next : undefined;
  if (typeof next !== 'function') {
    throw new TypeError(`the iterator of source must have next(), got ${show(iterator)}`);
  }
  return pieces(iterator, next as () => Step<T>);
}

async function* pieces<T>(
  iterator: AsyncIterator<T> | Iterator<T>,
  next: () => Step<T>,
): AsyncGenerator<T, void, void> {
  // An iterator that has ended or failed is not ended again.
  let isOver = true;
  try {
    for (;;) {
      const step = await next.call(iterator);
      if (!isObject(step)) {
        throw new TypeError(`next() of source must return an object, got ${show(step)}`);
      }
      if (step.done === true) return;
      isOver = false;
      yield await step.value;
      isOver = true;
    }
  } finally {
    if (!isOver) await iterator.return?.();
  }
}
