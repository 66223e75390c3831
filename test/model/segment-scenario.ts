// SPDX-License-Identifier: MIT
/**
 * Model checker: a thread that stops after it has read a segment of a shared writer, while another
 * opens it, fills it and, as the claimant, frees it.
 */

import type { Scenario } from 'busbar/testing';
import { BufferPool } from '../../src/pool/index.ts';
import type { SegmentRing } from '../../src/writer/segment-ring.ts';
import {
  BUFFER,
  DELIVERED,
  EPOCH,
  FILL,
  FREED,
  SharedWriterLayout,
} from '../../src/writer/shared-writer-layout.ts';
import type { SpaceWait } from '../../src/writer/space-wait.ts';
import { isWriterHint } from '../../src/writer/writer-hints.ts';
import { makePool, type PoolShared, poolWordName } from './pool-words.ts';

/** The parts of the modules that the scenario uses. */
export interface SegmentModule {
  readonly BufferPool: typeof BufferPool;
  readonly SegmentRing: typeof SegmentRing;
}

const BUFFERS = 3;
const LAYOUT = new SharedWriterLayout(16, 2, { segmentBits: 2, epochBits: 8 });
/** Bytes of a message: a segment has room for one. */
const MESSAGE = 10;

export function segmentScenario(module: SegmentModule): Scenario<PoolShared> {
  const ringOf = (pool: BufferPool, shared: PoolShared): SegmentRing => {
    const waiting = {
      atHand: -1 as number,
      tryAcquire(): number {
        waiting.atHand = pool.tryAcquire();
        return waiting.atHand;
      },
    };
    const space = { headroom: 0, limit: 16 };
    return new module.SegmentRing(
      pool,
      shared.words,
      LAYOUT,
      space,
      waiting as unknown as SpaceWait,
    );
  };
  return {
    name: 'segments: one is freed while a thread looks at it',
    setup: () => {
      const shape = { bufferCount: BUFFERS, batchSize: 1, maxThreads: 2 };
      const shared = makePool(module as never, shape, LAYOUT.wordCount);
      for (let place = 0; place < LAYOUT.segmentCount; place++) {
        shared.words[LAYOUT.segment(place) + FILL] = LAYOUT.free(place);
      }
      return shared;
    },
    threads: {
      looks: (shared, self) => {
        const pool = module.BufferPool.attach(shared.handle);
        const ring = ringOf(pool, shared);
        self.begin();
        ring.makeRoom(MESSAGE);
        ring.close();
        pool.detach();
      },
      claims: (shared, self) => {
        const pool = module.BufferPool.attach(shared.handle);
        const ring = ringOf(pool, shared);
        const { words } = shared;
        self.begin();
        ring.makeRoom(MESSAGE);
        // Reserves one message, whose entry would be committed and delivered here.
        const first = LAYOUT.segment(0) + FILL;
        const open = LAYOUT.open(0, 0);
        if (Atomics.compareExchange(words, first, open, LAYOUT.open(1, MESSAGE)) === open) {
          // Begins the next segment, and so ends this one.
          ring.makeRoom(MESSAGE);
          words[DELIVERED] = LAYOUT.after(0, 1);
          ring.freeDelivered();
        }
        ring.close();
        pool.detach();
      },
    },
    prepares: ['looks', 'claims'],
    racy: () => (block, word) => block === 2 && isWriterHint(LAYOUT, word),
    nameWord: (shared) => (block, word) =>
      block === 2 ? segmentWordName(word) : poolWordName(shared, block, word),
    check: (shared) => {
      const pool = BufferPool.attach(shared.handle);
      let count = 0;
      while (pool.tryAcquire() >= 0) count++;
      for (let place = 0; place < LAYOUT.segmentCount; place++) {
        if (shared.words[LAYOUT.segment(place) + BUFFER] !== 0) count++;
      }
      if (count !== BUFFERS) throw new Error(`${count} of ${BUFFERS} buffers are left`);
    },
  };
}

function segmentWordName(word: number): string {
  const known = new Map([
    [EPOCH, 'EPOCH'],
    [DELIVERED, 'DELIVERED'],
    [FREED, 'FREED'],
  ]);
  for (let place = 0; place < LAYOUT.segmentCount; place++) {
    known.set(LAYOUT.segment(place) + FILL, `segment ${place} FILL`);
    known.set(LAYOUT.segment(place) + BUFFER, `segment ${place} BUFFER`);
  }
  return known.get(word) ?? `writer [${word}]`;
}
