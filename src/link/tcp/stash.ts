// SPDX-License-Identifier: MIT
/** Received bytes that are not in the framer yet. */

import { assert } from '../../base/assert.ts';
import type { Framer } from '../../framer/index.ts';

/**
 * At most one read, as a rule: a socket that is paused delivers nothing.
 *
 * **Ownership** The bytes are borrowed until {@link keep}.
 */
export class Stash {
  #bytes: Uint8Array | undefined;
  /** The framer has those before it. */
  #begin = 0;

  get isEmpty(): boolean {
    return this.#bytes === undefined;
  }

  /** Bytes that wait. */
  get length(): number {
    return this.#bytes === undefined ? 0 : this.#bytes.length - this.#begin;
  }

  /** Adds bytes after those that wait. **Cost** nothing is copied unless some wait. */
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

  /** Moves as much into the framer as it takes now. Returns how much. **Throws** as its `feed`. */
  feedInto(framer: Framer): number {
    const bytes = this.#bytes;
    assert(bytes !== undefined, 'an empty stash feeds nothing');
    assert(this.#begin < bytes.length, 'a stash that is used up is empty');
    const taken = framer.feed(bytes, this.#begin, bytes.length);
    this.#begin += taken;
    if (this.#begin === bytes.length) this.clear();
    return taken;
  }

  /** Copies what waits if it lies in `memory`, which is about to be used again. */
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
