// SPDX-License-Identifier: MIT
/** The errors for arguments of `moveInto` that name no region or no four words. */

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

export function throwPlace(target: unknown, index: unknown): never {
  if (!isWords(target)) {
    throw new TypeError(`target must be an Int32Array, got ${show(target)}`);
  }
  throw new RangeError(`index must be an integer that leaves 4 words, got ${show(index)}`);
}
