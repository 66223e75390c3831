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
  let detail = `${name} returned ${show(result)}; put braces around an arrow function's body`;
  if (isThenable(result)) {
    // Otherwise Node would also report the promise as an unhandled rejection.
    result.then(undefined, () => {});
    detail =
      `${name} returned a promise; to await, read with "for await (const packet of link)" or ` +
      'link.handle(async (packet) => …), which keep the bytes';
  }
  throw new BusbarError('ERR_BUSBAR_HANDLER_RESULT', detail);
}
