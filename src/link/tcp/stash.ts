// SPDX-License-Identifier: MIT
/** `Stash`: received bytes that are not in the framer yet. */

import { assert } from '../../base/assert.ts';
import type { Framer } from '../../framer/index.ts';

/**
 * Usually holds at most the bytes of one read, since a paused socket delivers nothing.
 *
 * **Ownership** the bytes are borrowed until {@link keep}.
 */
export class Stash {
  #bytes: Uint8Array | undefined;
  /** The bytes before this are in the framer. */
  #begin = 0;

  get isEmpty(): boolean {
    return this.#bytes === undefined;
  }

  /** Bytes that wait. */
  get length(): number {
    return this.#bytes === undefined ? 0 : this.#bytes.length - this.#begin;
  }

  /** Appends bytes. **Cost** no copy, unless others wait. */
  push(bytes: Uint8Array): void {
    const before = this.#bytes;
    if (before === undefined) {
      this.#bytes = bytes;
    } else {
      const waiting = before.length - this.#begin;
      this.#bytes = new Uint8Array(waiting + bytes.length);
      this.#bytes.set(before.subarray(this.#begin));
      this.#bytes.set(bytes, waiting);
    }
    this.#begin = 0;
  }

  /** Moves bytes into the framer; returns how many it took. **Throws** what `feed` throws. */
  feedInto(framer: Framer): number {
    const bytes = this.#bytes;
    assert(bytes !== undefined, 'an empty stash feeds nothing');
    assert(this.#begin < bytes.length, 'an empty stash has no bytes');
    const taken = framer.feed(bytes, this.#begin, bytes.length);
    this.#begin += taken;
    if (this.#begin === bytes.length) this.clear();
    return taken;
  }

  /** Copies the waiting bytes if they lie in `memory`, which will be reused. */
  keep(memory: ArrayBufferLike): void {
    const bytes = this.#bytes;
    if (bytes === undefined || bytes.buffer !== memory) return;
    this.#bytes = bytes.slice(this.#begin);
    this.#begin = 0;
  }

  clear(): void {
    this.#bytes = undefined;
    this.#begin = 0;
  }
}
