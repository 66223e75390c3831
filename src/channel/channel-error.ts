// SPDX-License-Identifier: MIT
/** Errors of channels, with the channel's name. */

import type { Words } from '../base/atomics.ts';
import { BusbarError, type BusbarErrorCode } from '../base/errors.ts';
import { readName } from '../pool/holders.ts';
import { HEADER_NAME } from './channel-layout.ts';

/** `channel "jobs"`; '' if it has no name. */
export function labelOf(words: Words): string {
  // Without a name all its words are 0.
  return words[HEADER_NAME] === 0 ? '' : `channel "${readName(words, HEADER_NAME)}"`;
}

export function channelError(
  words: Words,
  code: BusbarErrorCode,
  detail: string = '',
): BusbarError {
  const text = [detail, labelOf(words)].filter((part) => part !== '').join('; ');
  return new BusbarError(code, text === '' ? undefined : text);
}
