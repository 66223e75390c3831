// SPDX-License-Identifier: MIT
/** Reply subject and headers of a message. */

import { checkOptions, show } from '../base/check.ts';

/** Extra lines of a message: names and values. The bus passes the object on as it is. */
export type Headers = Readonly<Record<string, string>>;

/** Options of a message. */
export interface PublishOptions {
  /** The subject to which replies go. */
  readonly reply?: string;
  readonly headers?: Headers;
}

/** Reply subject and headers of a message, checked. */
export interface Envelope {
  readonly reply: string | undefined;
  readonly headers: Headers | undefined;
}

export function resolvePublish(options: PublishOptions): Envelope {
  const { reply, headers } = checkOptions('options', options, ['reply', 'headers']);
  if (headers !== undefined) checkHeaders(headers);
  return { reply, headers };
}

/** **Throws** TypeError. */
export function checkHeaders(headers: unknown): void {
  if (typeof headers !== 'object' || headers === null) {
    throw new TypeError(`headers must be an object of strings, got ${show(headers)}`);
  }
  for (const [name, value] of Object.entries(headers)) {
    const isHeader = /^[!-9;-~]+$/.test(name) && typeof value === 'string' && !/[\r\n]/.test(value);
    if (!isHeader) {
      throw new TypeError(
        `headers must have printable names without ':' and values of one line, got ` +
          `${show(name)}: ${show(value)}`,
      );
    }
  }
}
