// SPDX-License-Identifier: MIT
/**
 * Numbers of whole buffers through the barest queue there is, in batches: the least that a queue of
 * buffers beside the channels could cost. No thread sleeps, closes or dies; no reference is
 * counted; there is no pool: a second ring brings the numbers back.
 */

import { BATCH } from './channel-packets.ts';
import { NOTHING } from './control.ts';
import { nextNumber, writeMessage } from './message.ts';
import type { Role } from './role.ts';

export const BUFFER_BYTES = 16_384;
export const SLOTS = 256;
// Words apart from each other.
const TAIL = 0;
const HEAD = 64;
const IDS = 128;

export interface IdRingData {
  readonly there: Int32Array;
  readonly back: Int32Array;
  readonly memory: SharedArrayBuffer;
}

export function createIdRings(): IdRingData {
  const create = () => new Int32Array(new SharedArrayBuffer((IDS + SLOTS) * 4));
  const back = create();
  for (let i = 0; i < SLOTS; i++) back[IDS + i] = i;
  back[TAIL] = SLOTS;
  return { there: create(), back, memory: new SharedArrayBuffer(SLOTS * BUFFER_BYTES) };
}

/** One end of a ring: a load and a store for a whole batch. */
export class IdRingEnd {
  private readonly words: Int32Array;
  private position: number;

  constructor(words: Int32Array, position: number = 0) {
    this.words = words;
    this.position = position;
  }

  tryPush(ids: Int32Array): boolean {
    const { words, position } = this;
    if (((position + BATCH - Atomics.load(words, HEAD)) | 0) > SLOTS) return false;
    this.position = (position + BATCH) | 0;
    for (let k = 0; k < BATCH; k++) words[IDS + ((position + k) & (SLOTS - 1))] = ids[k];
    Atomics.store(words, TAIL, this.position);
    return true;
  }

  tryPop(ids: Int32Array): boolean {
    const { words, position } = this;
    if (((Atomics.load(words, TAIL) - position) | 0) < BATCH) return false;
    this.position = (position + BATCH) | 0;
    for (let k = 0; k < BATCH; k++) ids[k] = words[IDS + ((position + k) & (SLOTS - 1))];
    Atomics.store(words, HEAD, this.position);
    return true;
  }
}

/** A thread that fills `ops` buffers a turn and sends their numbers. */
export function createIdRingSource(data: IdRingData): Role {
  const there = new IdRingEnd(data.there);
  const back = new IdRingEnd(data.back);
  const view = new DataView(data.memory);
  const ids = new Int32Array(BATCH);
  return {
    run(ops) {
      let number = 0;
      for (let i = 0; i < ops; i += BATCH) {
        while (!back.tryPop(ids));
        for (let k = 0; k < BATCH; k++, number = nextNumber(number)) {
          writeMessage(view, ids[k] * BUFFER_BYTES, number);
        }
        while (!there.tryPush(ids));
      }
      return NOTHING;
    },
    close() {},
  };
}
