// SPDX-License-Identifier: MIT
/** Finds the packets that an executor had in hand when it died, from its lanes and its account. */

import type { PayloadTag } from '../channel/channel-layout.ts';
import type { PacketChannel } from '../channel/index.ts';
import { Packet } from '../packet/index.ts';
import type { HeldByDead } from '../pool/adopt.ts';
import { type BufferId, type BufferPool, NO_BUFFER } from '../pool/index.ts';
import {
  TRANSIT_LENGTH,
  TRANSIT_MARK,
  TRANSIT_OFFSET,
  TRANSIT_WORDS,
} from '../pool/transit-layout.ts';

/** A packet that an executor had taken out of its mailbox and not released when it died. */
export interface InHand {
  /** The sender's index, or the group's `count` for the host. */
  readonly from: number;
  readonly packet: Packet;
}

interface Region {
  readonly offset: number;
  readonly length: number;
}

/** A region that an executor had taken, in a buffer on which it still held a reference. */
export interface TakenRegion extends Region {
  readonly from: number;
  readonly bufferId: BufferId;
  /** What came after it in its lane. Its buffer may be another's by now. */
  readonly next: Region | undefined;
}

/**
 * Finds the packets of a dead thread, while its account is being reclaimed.
 *
 * The slots of its lanes still show them: after a packet was taken out, its words stay in the slot
 * until the sender comes round to it. So a living thread need not record anything. A packet that
 * was taken out a whole lap of its lane ago is not found. The sender may be writing to slots
 * meanwhile: what is read there is checked, and counts only if the dead thread held that buffer.
 */
export class Hand {
  /** Buffers on which the thread held references. */
  held = 0;
  readonly #pool: BufferPool;
  readonly #regions: (Region & { from: number; tag: number })[] = [];
  readonly #taken: TakenRegion[] = [];
  #ids = new Int32Array(0);

  constructor(pool: BufferPool) {
    this.#pool = pool;
  }

  /** Returns the buffers to take over, one for each packet found; `lanes` by sender. */
  choose(lanes: readonly (PacketChannel | undefined)[], held: HeldByDead): Int32Array<ArrayBuffer> {
    const pool = this.#pool;
    const left = new Map<number, number>();
    for (let id = 0; id < pool.bufferCount; id++) {
      if (held(id) > 0) left.set(id, held(id));
    }
    this.held = left.size;
    const ids: number[] = [];
    for (const [from, lane] of lanes.entries()) {
      let newer: Region | undefined;
      lane?.eachTaken((words, at) => {
        const next = newer;
        // In this order: the sender writes the tag last.
        const tag = words[at + (TRANSIT_WORDS satisfies PayloadTag)];
        const offset = words[at + TRANSIT_OFFSET];
        const length = words[at + TRANSIT_LENGTH];
        newer = { offset, length };
        const id = words[at];
        const references = left.get(id);
        const begin = offset - pool.offsetOf(id as BufferId);
        // A slot that was never used looks like an empty packet.
        if (references === undefined || words[at + TRANSIT_MARK] !== 0 || offset + length === 0)
          return;
        if (begin < 0 || length < 0 || begin + length > pool.bufferSize) return;
        const bufferId = id as BufferId;
        this.#taken.unshift({ from, bufferId, offset, length, next });
        if (references === 0) return;
        left.set(id, references - 1);
        ids.unshift(id);
        this.#regions.unshift({ from, offset, length, tag });
      });
    }
    this.#ids = Int32Array.from(ids);
    return this.#ids;
  }

  /** The packets whose references were taken over: of each sender, in order. */
  packets(): InHand[] {
    return this.#regions.flatMap(({ from, offset, length, tag }, i) => {
      const id = this.#ids[i] as BufferId;
      const packet = (): Packet => Packet.within(this.#pool, id, offset, length, tag);
      return id === NO_BUFFER ? [] : [{ from, packet: packet() }];
    });
  }

  /**
   * All that may have been in hand: of each sender, in order. The thread held a reference on each
   * of their buffers, but may have been done with some of the regions in it. **Ownership** the
   * references are those of {@link packets}.
   */
  taken(): TakenRegion[] {
    const ids = new Set(this.#ids);
    return this.#taken.filter(({ bufferId }) => ids.has(bufferId));
  }
}
