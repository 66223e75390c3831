// SPDX-License-Identifier: MIT
/** Pool memory for the frames of a bus. */

import { checkPool } from '../pool/check-pool.ts';
import type { BufferId, BufferPool } from '../pool/index.ts';
import { Payloads } from './payloads.ts';
import type { PeerMemory } from './peer/peer-carrier.ts';

/** Pool memory for frames. */
export class FrameMemory extends Payloads implements PeerMemory {
  readonly bufferSize: number;
  readonly bytes: Uint8Array<SharedArrayBuffer>;
  readonly words: Int32Array<SharedArrayBuffer>;
  readonly #pool: BufferPool;

  constructor(pool: BufferPool) {
    checkPool(pool);
    super(pool);
    const { bytes, bufferSize } = pool;
    this.#pool = pool;
    this.bufferSize = bufferSize;
    this.bytes = bytes;
    this.words = new Int32Array(bytes.buffer, bytes.byteOffset, bytes.length >> 2);
  }

  offsetOf(bufferId: BufferId): number {
    return this.#pool.offsetOf(bufferId);
  }

  retain(bufferId: BufferId): void {
    this.#pool.retain(bufferId);
  }

  release(bufferId: BufferId): void {
    this.#pool.release(bufferId);
  }
}
