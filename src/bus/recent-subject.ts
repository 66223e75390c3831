// SPDX-License-Identifier: MIT
/** The last subject that a connection has published to, in a text protocol. */

import { hashSubject, mixSubjectWord } from './subject.ts';

const SPACE = 0x20;
const WORD_COUNT_MAX = 32;
/** Longest subject that is kept. */
const LENGTH_MAX = WORD_COUNT_MAX * 4 - 1;

/**
 * The last subject of a connection whose protocol has a space after it. Most publishers keep a
 * subject for a while, and comparing it costs less than reading it again.
 *
 * Works on words of four bytes, so three bytes after the given range must be readable.
 *
 * **Cost** a comparison for each four bytes of the subject; no garbage.
 */
export class RecentSubject {
  /** Length of the subject; 0: none is kept. @readonly */
  length: number = 0;
  /** Its hash, for `Publisher.tryFind`. @readonly */
  hash: number = 0;
  /** True once a message with this subject has come; before, only the beginning of a line. */
  isPublished: boolean = false;
  readonly #words: Int32Array = new Int32Array(WORD_COUNT_MAX);
  /** The last 0 to 3 bytes and the space after the subject. */
  #tail: number = 0;
  #tailMask: number = 0;

  forget(): void {
    this.length = 0;
    this.isPublished = false;
  }

  /** Keeps none, but has the hash of the subject `[begin, end)`, which was read otherwise. */
  skip(view: DataView<ArrayBufferLike>, begin: number, end: number): void {
    this.forget();
    this.hash = hashSubject(view, begin, end);
  }

  /** Whether `[begin, end)` begins with this subject and a space. */
  isAt(view: DataView<ArrayBufferLike>, begin: number, end: number): boolean {
    const length = this.length;
    const tailBegin = begin + (length & ~3);
    if (length === 0 || tailBegin + 4 > end) return false;
    const words = this.#words;
    let at = begin;
    for (let i = 0; at < tailBegin; i++, at += 4) {
      if (view.getInt32(at, true) !== words[i]) return false;
    }
    return (view.getInt32(at, true) & this.#tailMask) === this.#tail;
  }

  /**
   * Reads and keeps the subject at `begin`. False: it is empty or too long, it does not end before
   * `end`, or not with a space; then none is kept.
   */
  read(view: DataView<ArrayBufferLike>, begin: number, end: number): boolean {
    this.forget();
    const words = this.#words;
    const last = Math.min(end - 4, begin + LENGTH_MAX);
    let hash = 0;
    for (let i = 0, at = begin; at <= last; i++, at += 4) {
      const word = view.getInt32(at, true);
      // Not 0 if a byte is a space or less; its lowest set bit marks the first such byte.
      const stops = (word - 0x21212121) & ~word & 0x80808080;
      if (stops === 0) {
        words[i] = word;
        hash = mixSubjectWord(hash, word);
        continue;
      }
      const highest = stops & -stops;
      const below = (highest >>> 7) - 1;
      const length = at - begin + ((31 - Math.clz32(highest)) >>> 3);
      if (((word ^ (SPACE * 0x01010101)) & (highest | (highest - 1)) & ~below) !== 0) return false;
      this.#tailMask = below | (highest | (highest - 1));
      this.#tail = word & this.#tailMask;
      this.hash = mixSubjectWord(hash, word & below);
      this.length = length;
      return length > 0;
    }
    return false;
  }
}
