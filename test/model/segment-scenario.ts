// SPDX-License-Identifier: MIT
/**
 * Model checker: the ring of a shared writer's segments, without its entries and its lane. A thread
 * stops after it has read a segment while another opens it, fills it and, as the claimant, frees
 * it; or it stops after it has sealed one, while the other goes round the ring.
 */

import type { Scenario } from 'busbar/testing';
import { BufferPool } from '../../src/pool/index.ts';
import { TRANSIT_MARK } from '../../src/pool/transit-layout.ts';
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
import type { Part } from './coverage.ts';
import { makePool, type PoolShared, poolWordName } from './pool-words.ts';

/** The parts of the modules that the scenarios use. */
export interface SegmentModule {
  readonly BufferPool: typeof BufferPool;
  readonly SegmentRing: typeof SegmentRing;
}

export interface RoundModule {
  readonly SegmentRing: typeof SegmentRing;
  readonly SharedWriterLayout: typeof SharedWriterLayout;
}

const BUFFERS = 3;
const LAYOUT = new SharedWriterLayout(16, 2, { segmentBits: 2, epochBits: 8, runAfter: 4 });
/** Bytes of a message: a segment has room for one. */
const MESSAGE = 10;

/** A thread's ring over the scenario's words. */
function ringOf(
  module: SegmentModule,
  pool: BufferPool,
  { words }: PoolShared,
  layout: SharedWriterLayout,
): SegmentRing {
  const waiting = {
    atHand: -1 as number,
    tryAcquire(): number {
      waiting.atHand = pool.tryAcquire();
      return waiting.atHand;
    },
  };
  const space = { headroom: 0, limit: 16 };
  return new module.SegmentRing(pool, words, layout, space, waiting as unknown as SpaceWait);
}

function setUp(module: SegmentModule, layout: SharedWriterLayout): PoolShared {
  const shape = { bufferCount: BUFFERS, batchSize: 1, maxThreads: 2 };
  const shared = makePool(module as never, shape, layout.wordCount);
  for (let place = 0; place < layout.segmentCount; place++) {
    shared.words[layout.segment(place) + FILL] = layout.free(place);
  }
  return shared;
}

function checkBuffers(shared: PoolShared, layout: SharedWriterLayout): void {
  const pool = BufferPool.attach(shared.handle);
  let count = 0;
  while (pool.tryAcquire() >= 0) count++;
  for (let place = 0; place < layout.segmentCount; place++) {
    if (shared.words[layout.segment(place) + BUFFER] !== 0) count++;
  }
  if (count !== BUFFERS) throw new Error(`${count} of ${BUFFERS} buffers are left`);
}

export function segmentScenario(module: SegmentModule): Scenario<PoolShared> {
  return {
    name: 'segments: one is freed while a thread looks at it',
    setup: () => setUp(module, LAYOUT),
    threads: {
      looks: (shared, self) => {
        const pool = module.BufferPool.attach(shared.handle);
        const ring = ringOf(module, pool, shared, LAYOUT);
        self.begin();
        ring.makeRoom(MESSAGE);
        ring.close();
        pool.detach();
      },
      claims: (shared, self) => {
        const pool = module.BufferPool.attach(shared.handle);
        const ring = ringOf(module, pool, shared, LAYOUT);
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
    check: (shared) => checkBuffers(shared, LAYOUT),
  };
}

/** Segments through which one thread moves while the other stands still. */
const ROUNDS = 5;

/** The words of the writer alone: events of a pool would multiply the schedules. */
interface RoundShared {
  readonly words: Int32Array;
}

/** What a ring needs of a pool, for one thread; buffers are numbers. */
function numbersAsPool(slot: number): BufferPool {
  const identity = 1 << 16;
  const pool = {
    identity,
    threadSlot: slot,
    offsetOf: (): number => 0,
    isSoleHolder: (): boolean => false,
    moveInto(id: number, _offset: number, length: number, words: Int32Array, at: number): void {
      words.set([id, 0, length, identity | 1], at);
    },
    moveFromWords(words: Int32Array, at: number): number {
      words[at + TRANSIT_MARK] = 0;
      return words[at];
    },
    release(): void {},
  };
  return pool as unknown as BufferPool;
}

/**
 * One thread stands still between SEALED and EPOCH while the other moves through `ROUNDS` segments,
 * of which the ring has two: with epochs of two bits it would then find the EPOCH that it has seen.
 */
function roundScenario(module: RoundModule): Scenario<RoundShared> {
  const layout = new module.SharedWriterLayout(16, 2, {
    segmentBits: 1,
    epochBits: 4,
    runAfter: 4,
  });
  const reserve = (words: Int32Array): void => {
    const fill = layout.segment(Atomics.load(words, EPOCH)) + FILL;
    Atomics.compareExchange(words, fill, layout.open(0, 0), layout.open(1, MESSAGE));
  };
  const ringFor = (slot: number, words: Int32Array): SegmentRing => {
    let id = 100 * slot;
    const space = { headroom: 0, limit: 16 };
    const waiting = { atHand: -1, tryAcquire: () => id++ } as unknown as SpaceWait;
    return new module.SegmentRing(numbersAsPool(slot), words, layout, space, waiting);
  };
  return {
    name: 'segments: round the ring while another stands still',
    setup: () => {
      const words = new Int32Array(new SharedArrayBuffer(4 * layout.wordCount));
      for (let place = 0; place < layout.segmentCount; place++) {
        words[layout.segment(place) + FILL] = layout.free(place);
      }
      return { words };
    },
    threads: {
      seals: ({ words }) => {
        const ring = ringFor(0, words);
        ring.makeRoom(MESSAGE);
        reserve(words);
        ring.makeRoom(MESSAGE);
      },
      goes: ({ words }) => {
        const ring = ringFor(1, words);
        for (let i = 0; i < ROUNDS; i++) {
          ring.makeRoom(MESSAGE);
          reserve(words);
          while (layout.isSealed(Atomics.load(words, layout.segment(words[DELIVERED]) + FILL))) {
            words[DELIVERED] = layout.after(words[DELIVERED], 1);
            ring.freeDelivered();
          }
        }
      },
    },
    racy: () => (_, word) => isWriterHint(layout, word),
    nameWord: () => (_, word) => segmentWordName(word),
    check: ({ words }) => {
      for (let place = 0; place < layout.segmentCount; place++) {
        if (words[layout.segment(place) + FILL] < 0) continue;
        if (layout.segment(words[EPOCH]) === layout.segment(place)) continue;
        throw new Error(`segment ${place} is open, and EPOCH has left it`);
      }
    },
  };
}

export function roundParts(module: RoundModule): Part<RoundShared>[] {
  return [
    {
      name: 'segments: few bits',
      operations: 'makeRoom, freeDelivered',
      cases: [
        {
          scenario: roundScenario(module),
          quick: { preemptions: 1 },
          long: { preemptions: 2 },
        },
      ],
    },
  ];
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
