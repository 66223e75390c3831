// SPDX-License-Identifier: MIT
/** What handlers may return: nothing while bytes are borrowed, or a promise where they are kept. */

import { show } from '../base/check.ts';
import { BusbarError } from '../base/errors.ts';

/** Whether a value is a promise, or looks like one. */
export function isThenable(value: unknown): value is PromiseLike<unknown> {
  return typeof (value as { then?: unknown } | null | undefined)?.then === 'function';
}

/** **Throws** ERR_BUSBAR_HANDLER_RESULT: a handler of borrowed bytes returned something. */
export function refuseResult(name: string, result: unknown): never {
  const what = isThenable(result) ? 'a promise' : show(result);
  // Otherwise Node would also report the promise as an unhandled rejection.
  if (isThenable(result)) result.then(undefined, () => {});
  throw new BusbarError(
    'ERR_BUSBAR_HANDLER_RESULT',
    `${name} returned ${what}; to await, read with "for await (const packet of link)" or ` +
      'link.handle(async (packet) => …), which keep the bytes',
  );
}
