// SPDX-License-Identifier: MIT
/** The syntax of subjects, read from bytes; no string is made. */

export type Bytes = Uint8Array<ArrayBufferLike>;

export const DOT = 0x2e;
export const STAR = 0x2a;
export const REST = 0x3e;

/** What a subject may be used for. */
export const SUBJECT_INVALID = 0;
/** A valid subject without wildcards. */
export const SUBJECT_LITERAL = 1;
/** A valid subject with wildcards. */
export const SUBJECT_WILDCARD = 2;

/**
 * Classifies the subject in `bytes[begin, end)`: tokens are separated by dots, none is empty; `*`
 * alone stands for any one token, `>` alone and last for one or more. Inside a longer token both
 * are ordinary characters.
 */
export function classifySubject(bytes: Bytes, begin: number, end: number): number {
  if (begin >= end) return SUBJECT_INVALID;
  let kind = SUBJECT_LITERAL;
  let tokenBegin = begin;
  while (tokenBegin <= end) {
    const tokenEnd = endOfToken(bytes, tokenBegin, end);
    if (tokenEnd === tokenBegin) return SUBJECT_INVALID;
    if (tokenEnd === tokenBegin + 1) {
      const byte = bytes[tokenBegin];
      if (byte === STAR) kind = SUBJECT_WILDCARD;
      if (byte === REST) {
        if (tokenEnd !== end) return SUBJECT_INVALID;
        kind = SUBJECT_WILDCARD;
      }
    }
    tokenBegin = tokenEnd + 1;
  }
  return kind;
}

/** The number of tokens of a subject. */
export function countTokens(bytes: Bytes, begin: number, end: number): number {
  let count = 1;
  for (let at = begin; at < end; at++) if (bytes[at] === DOT) count++;
  return count;
}

/** The index of the dot that ends the token at `begin`, or `end`. */
export function endOfToken(bytes: Bytes, begin: number, end: number): number {
  let at = begin;
  while (at < end && bytes[at] !== DOT) at++;
  return at;
}

/** `KEEP_LOW[n]` keeps the first n bytes of a little-endian word. */
const KEEP_LOW: readonly number[] = [0, 0xff, 0xffff, 0xffffff];

/**
 * The hash of the subject `[begin, end)`, over its words; three bytes after `end` must be readable.
 */
export function hashSubject(view: DataView<ArrayBufferLike>, begin: number, end: number): number {
  let hash = 0;
  let at = begin;
  for (; at + 4 <= end; at += 4) hash = mixSubjectWord(hash, view.getInt32(at, true));
  return mixSubjectWord(hash, tailWord(view, at, end));
}

/** The same hash for a subject in an array of its own. */
export function hashSubjectBytes(subject: Bytes): number {
  const { length } = subject;
  let hash = 0;
  let at = 0;
  for (; at + 4 <= length; at += 4) {
    const word =
      subject[at] | (subject[at + 1] << 8) | (subject[at + 2] << 16) | (subject[at + 3] << 24);
    hash = mixSubjectWord(hash, word);
  }
  let tail = 0;
  for (let i = at; i < length; i++) tail |= subject[i] << (8 * (i - at));
  return mixSubjectWord(hash, tail);
}

/** The last word of a subject: its last 0 to 3 bytes, and zeros. */
export function tailWord(view: DataView<ArrayBufferLike>, begin: number, end: number): number {
  return view.getInt32(begin, true) & KEEP_LOW[end - begin];
}

/** One step of the hash of a subject. */
export function mixSubjectWord(hash: number, word: number): number {
  const product = Math.imul(hash ^ word, 0x9e3779b1);
  return product ^ (product >>> 15);
}
