// SPDX-License-Identifier: MIT
/** The writing thread of the ringbuf.js baselines, and what both of its ends agree on. */

import { RingBuffer } from 'ringbuf.js';
import { NOTHING } from './control.ts';
import { MESSAGE_BYTES, nextNumber, writeMessage } from './message.ts';
import type { Role } from './role.ts';

/** As many messages as the channels of the other cases hold. */
export const RING_MESSAGES = 1024;

export interface RingData {
  readonly storage: SharedArrayBuffer;
  /** Messages per push. */
  readonly batch: number;
  /** Elements of four bytes instead of one. */
  readonly words: boolean;
}

export function createStorage(words: boolean): SharedArrayBuffer {
  const type = elementType(words);
  const elements = (RING_MESSAGES * MESSAGE_BYTES) / type.BYTES_PER_ELEMENT;
  return RingBuffer.getStorageForCapacity(elements, type);
}

/** One end of the ring, and a piece of memory for one batch. */
export class RingEnd {
  readonly view: DataView;
  private readonly ring: RingBuffer;
  private readonly batch: Uint8Array | Int32Array;

  constructor({ storage, batch, words }: RingData) {
    const type = elementType(words);
    const bytes = new ArrayBuffer(batch * MESSAGE_BYTES);
    this.view = new DataView(bytes);
    this.batch = new type(bytes);
    this.ring = new RingBuffer(storage, type);
  }

  /** Pushes the batch; the ring may take it in pieces. */
  push(): void {
    const { ring, batch } = this;
    for (let done = ring.push(batch); done < batch.length; ) {
      done += ring.push(batch, batch.length - done, done);
    }
  }

  /** Pops a batch; the ring may give it in pieces. `idle` is called when it is empty. */
  pop(idle: () => void): void {
    const { ring, batch } = this;
    for (let done = ring.pop(batch); done < batch.length; ) {
      const count = ring.pop(batch, batch.length - done, done);
      if (count === 0) idle();
      done += count;
    }
  }
}

export function createRingSource(data: RingData): Role {
  const end = new RingEnd(data);
  const { batch } = data;
  return {
    run(ops) {
      let number = 0;
      for (let i = 0; i < ops; i += batch) {
        for (let k = 0; k < batch; k++, number = nextNumber(number)) {
          writeMessage(end.view, k * MESSAGE_BYTES, number);
        }
        end.push();
      }
      return NOTHING;
    },
    close() {},
  };
}

function elementType(words: boolean): Uint8ArrayConstructor | Int32ArrayConstructor {
  return words ? Int32Array : Uint8Array;
}
