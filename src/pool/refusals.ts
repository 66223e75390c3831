// SPDX-License-Identifier: MIT
/** The errors for arguments of `moveInto` that name no region or no four words, and of `new`. */

import type { Words } from '../base/atomics.ts';
import { show } from '../base/check.ts';
import { isWords } from '../base/views.ts';

/** The region must lie in `[begin, end)`, the bytes of buffer `id`. */
export function throwRegion(
  id: number,
  begin: number,
  end: number,
  offset: unknown,
  length: unknown,
): never {
  throw new RangeError(
    `offset and length must lie in buffer ${id}, [${begin}, ${end}), ` +
      `got offset ${show(offset)}, length ${show(length)}`,
  );
}

/** The words of a pool that `BufferPool.create` or `attach` made; a program's `new` has none. */
export function checkMade(words: Words): Words {
  if (isWords(words)) return words;
  throw new TypeError('new BufferPool makes no pool: use BufferPool.create or BufferPool.attach');
}

export function throwPlace(target: unknown, index: unknown): never {
  if (!isWords(target)) {
    throw new TypeError(`target must be an Int32Array, got ${show(target)}`);
  }
  throw new RangeError(`index must be an integer that leaves 4 words, got ${show(index)}`);
}
