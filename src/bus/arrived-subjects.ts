// SPDX-License-Identifier: MIT
/** Subjects of messages that come from peers, found by their words; no string is made. */

import { readText } from '../base/text.ts';
import type { PreparedSubject } from './prepared-subject.ts';
import { type Bytes, mixSubjectWord } from './subject.ts';
import type { Indexed } from './token-tree.ts';

/** Two subjects in one slot displace each other. */
const SLOT_COUNT = 1024;

export class ArrivedSubjects<S extends Indexed, Beyond> {
  readonly #bytes: Bytes;
  readonly #words: Int32Array<ArrayBufferLike>;
  readonly #prepare: (text: string) => PreparedSubject<S, Beyond>;
  readonly #slots: (PreparedSubject<S, Beyond> | undefined)[] = new Array(SLOT_COUNT);

  constructor(
    bytes: Bytes,
    words: Int32Array<ArrayBufferLike>,
    prepare: (text: string) => PreparedSubject<S, Beyond>,
  ) {
    this.#bytes = bytes;
    this.#words = words;
    this.#prepare = prepare;
    this.#slots.fill(undefined);
  }

  /** The subject of `byteLength` bytes at offset `at`, filled up with zeros. */
  lookup(at: number, byteLength: number): PreparedSubject<S, Beyond> {
    const words = this.#words;
    const begin = at >>> 2;
    const count = (byteLength + 3) >> 2;
    let hash = byteLength;
    for (let i = 0; i < count; i++) hash = mixSubjectWord(hash, words[begin + i]);
    const slot = hash & (SLOT_COUNT - 1);
    const known = this.#slots[slot];
    if (known !== undefined && known.byteLength === byteLength) {
      const own = known.words;
      let i = 0;
      while (i < count && own[i] === words[begin + i]) i++;
      if (i === count) return known;
    }
    const found = this.#prepare(readText(this.#bytes, at, at + byteLength));
    this.#slots[slot] = found;
    return found;
  }
}
