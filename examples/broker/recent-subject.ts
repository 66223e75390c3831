// SPDX-License-Identifier: MIT
/**
 * Example broker: the subject of the last message of a connection. Most publishers stay with a
 * subject for a while, and to see that costs less than to read it anew.
 */

import { mixSubjectWord } from './subject.ts';

const SPACE = 0x20;
const WORD_COUNT_MAX = 32;
/** Longer subjects are not remembered. */
const LENGTH_MAX = WORD_COUNT_MAX * 4 - 1;

/** Works on words of four bytes; so three bytes beyond what it is asked about must be readable. */
export class RecentSubject {
  /** 0: nothing is remembered. */
  length: number = 0;
  /** As `hashSubject` would have it. */
  hash: number = 0;
  /** A message with this subject has come; before, only a line may have begun with it. */
  isPublished: boolean = false;
  readonly #words: Int32Array = new Int32Array(WORD_COUNT_MAX);
  /** The last 0 to 3 bytes and the space behind the subject. */
  #tail: number = 0;
  #tailMask: number = 0;

  forget(): void {
    this.length = 0;
    this.isPublished = false;
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
   * Reads and remembers the subject at `begin`. False: it is empty or too long, it does not end
   * before `end`, or something else than a space ends it; then nothing is remembered.
   */
  read(view: DataView<ArrayBufferLike>, begin: number, end: number): boolean {
    this.forget();
    const words = this.#words;
    const last = Math.min(end - 4, begin + LENGTH_MAX);
    let hash = 0;
    for (let i = 0, at = begin; at <= last; i++, at += 4) {
      const word = view.getInt32(at, true);
      // Not 0 if a byte is a space or less; then its lowest bit is the highest of the first such.
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
