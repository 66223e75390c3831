// SPDX-License-Identifier: MIT
/** A subject to publish to, checked once, with the subscriptions that it matches. */

import { encodeText } from '../base/bytes.ts';
import { checkText, show } from '../base/check.ts';
import { BusbarError } from '../base/errors.ts';
import { MatchSet } from './match-set.ts';
import {
  type Bytes,
  classifySubject,
  countTokens,
  SUBJECT_INVALID,
  SUBJECT_LITERAL,
} from './subject.ts';
import type { SubscriptionIndex } from './subscription-index.ts';
import type { Indexed } from './token-tree.ts';

/** Subjects for replies begin with it. */
export const INBOX = '_INBOX.';

/** Limits of a subject. */
export interface SubjectLimits {
  readonly subjectBytesMax: number;
  readonly tokensMax: number;
}

/** Bytes that subjects may not contain: controls and space. */
const PRINTABLE_MIN = 0x21;
const DELETE = 0x7f;

/**
 * The UTF-8 bytes of a subject: tokens separated by dots, of any characters but spaces, controls
 * and dots. A `pattern` may have the wildcards `*` (one token) and `>` (the rest).
 *
 * **Throws** TypeError if it is not a string; ERR_BUSBAR_BAD_SUBJECT.
 */
export function subjectBytes(text: string, limits: SubjectLimits, isPattern: boolean): Bytes {
  checkText('subject', text);
  // A character has a byte or more: what is too long is not copied.
  const bytes = encodeText(text.slice(0, limits.subjectBytesMax + 1));
  const { length } = bytes;
  if (length > limits.subjectBytesMax) {
    throw new BusbarError(
      'ERR_BUSBAR_BAD_SUBJECT',
      `${show(text)} has more than ${limits.subjectBytesMax} bytes`,
    );
  }
  const kind = classifySubject(bytes, 0, length);
  const isPrintable = bytes.every((byte) => byte >= PRINTABLE_MIN && byte !== DELETE);
  if (kind === SUBJECT_INVALID || !isPrintable) {
    throw new BusbarError(
      'ERR_BUSBAR_BAD_SUBJECT',
      `${show(text)} is not tokens with dots between`,
    );
  }
  if (!isPattern && kind !== SUBJECT_LITERAL) {
    throw new BusbarError(
      'ERR_BUSBAR_BAD_SUBJECT',
      `${show(text)}: only subscribers use wildcards`,
    );
  }
  const tokens = countTokens(bytes, 0, length);
  if (tokens > limits.tokensMax) {
    throw new BusbarError(
      'ERR_BUSBAR_BAD_SUBJECT',
      `${tokens} tokens are more than ${limits.tokensMax}`,
    );
  }
  return bytes;
}

export class PreparedSubject<S extends Indexed, Beyond = undefined> {
  readonly text: string;
  readonly byteLength: number;
  /** Whether it is for replies. */
  readonly isInbox: boolean;
  readonly #bytes: Bytes;
  readonly #index: SubscriptionIndex<S, Beyond>;
  #words: Int32Array<ArrayBufferLike> | undefined = undefined;
  #found: MatchSet<S, Beyond> = new MatchSet();
  /** The index's count of changes when `#found` was filled. */
  #version: number = -1;

  constructor(text: string, bytes: Bytes, index: SubscriptionIndex<S, Beyond>) {
    this.text = text;
    this.byteLength = bytes.length;
    this.isInbox = text.startsWith(INBOX);
    this.#bytes = bytes;
    this.#index = index;
  }

  /** Its bytes as words, and zeros. */
  get words(): Int32Array<ArrayBufferLike> {
    if (this.#words === undefined) {
      this.#words = new Int32Array((this.byteLength + 3) >> 2);
      new Uint8Array(this.#words.buffer).set(this.#bytes);
    }
    return this.#words;
  }

  /**
   * The subscriptions that match now. **Ownership** read only; the index's until something
   * subscribes. **Cost** two loads, and a walk of the index after any change of it.
   */
  matches(): MatchSet<S, Beyond> {
    const { version } = this.#index;
    if (this.#version !== version) {
      this.#index.match(this.#bytes, 0, this.#bytes.length, this.#found);
      this.#version = version;
    }
    return this.#found;
  }
}
