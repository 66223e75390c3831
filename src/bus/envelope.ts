// SPDX-License-Identifier: MIT
/** Reply subject and headers of a message. */

import { checkOptions, show } from '../base/check.ts';

/** Extra lines of a message: names and values. They are copied when it is published. */
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
  return { reply, headers: headers === undefined ? undefined : copyHeaders(headers) };
}

/**
 * Headers of their own: each property is read once, so that what was checked is what is sent.
 * **Throws** TypeError.
 */
export function copyHeaders(headers: unknown): Headers {
  if (typeof headers !== 'object' || headers === null) {
    throw new TypeError(`headers must be an object of strings, got ${show(headers)}`);
  }
  const lines: [string, string][] = Object.entries(headers);
  for (const [name, value] of lines) {
    const isHeader = /^[!-9;-~]+$/.test(name) && typeof value === 'string' && !/[\r\n]/.test(value);
    if (!isHeader) {
      throw new TypeError(
        `headers must have printable names without ':' and values of one line, got ` +
          `${show(name)}: ${show(value)}`,
      );
    }
  }
  return Object.fromEntries(lines);
}
