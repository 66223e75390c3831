// SPDX-License-Identifier: MIT
/** A flusher's options and its handle: checks both, and builds or opens the block. */

import type { Words } from '../base/atomics.ts';
import { checkInteger, checkOptions, show } from '../base/check.ts';
import { BusbarError } from '../base/errors.ts';
import { arbitrarySeed } from '../base/random.ts';
import { wordsOf } from '../base/views.ts';
import type { BufferPool } from '../pool/index.ts';
import { hasIdentity, noteIdentity } from '../pool/pool-identity.ts';
import {
  FLUSHER_MAGIC,
  FLUSHER_VERSION,
  FlusherLayout,
  HEADER_ID,
  HEADER_MAGIC,
  HEADER_POOL,
  HEADER_REGIONS,
  HEADER_VERSION,
  HEADER_WRITERS,
  REGIONS_MAX,
  WRITERS_MAX,
} from './flusher-layout.ts';

/** The shape of a flusher. */
export interface WriteFlusherOptions {
  /**
   * Writers open at the same time: 1 … 65 536. Default 64. Each costs 256 bytes and its ring. Count
   * one for each link, those of other threads, and some that are closed and not drained yet.
   */
  readonly writerCount?: number;
  /**
   * Regions per writer that may wait for the receiver: a power of two, 2 … 65 536. Default 64: many
   * more than one flush makes, few enough that back-pressure sets in early. 16 bytes each.
   */
  readonly regionCount?: number;
}

/** Lets another thread attach to a flusher. Structured-cloneable. */
export interface WriteFlusherHandle {
  /** Always 'busbar/flusher'. */
  readonly kind: 'busbar/flusher';
  readonly version: number;
  readonly control: SharedArrayBuffer;
}

/** A flusher's counters, as seen by one thread. */
export interface WriteFlusherStats {
  readonly closed: boolean;
  /** Writers that are open, or closed with regions still waiting. */
  readonly writers: number;
  /** Regions flushed and not yet drained. */
  readonly waitingRegions: number;
  /** Regions and bytes that this object has drained. */
  readonly drainedRegions: number;
  readonly drainedBytes: number;
}

const WRITER_COUNT_DEFAULT = 64;
const REGION_COUNT_DEFAULT = 64;

/** Checks the options and makes the block. */
export function createFlusherBlock(pool: BufferPool, options: WriteFlusherOptions): Words {
  const own = checkOptions('options', options, ['writerCount', 'regionCount']);
  const writers = own.writerCount ?? WRITER_COUNT_DEFAULT;
  const regions = own.regionCount ?? REGION_COUNT_DEFAULT;
  checkInteger('writerCount', writers, 1, WRITERS_MAX);
  checkInteger('regionCount', regions, 2, REGIONS_MAX);
  if ((regions & (regions - 1)) !== 0) {
    throw new RangeError(`regionCount must be a power of two, got ${regions}`);
  }
  const layout = new FlusherLayout(writers, regions);
  if (!layout.fits) {
    throw new RangeError(`writerCount × regionCount is too large: ${writers} × ${regions}`);
  }
  const bytes = layout.wordCount * Int32Array.BYTES_PER_ELEMENT;
  const words = new Int32Array(new SharedArrayBuffer(bytes));
  words[HEADER_MAGIC] = FLUSHER_MAGIC;
  words[HEADER_VERSION] = FLUSHER_VERSION;
  words[HEADER_WRITERS] = writers;
  words[HEADER_REGIONS] = regions;
  words[HEADER_ID] = arbitrarySeed();
  noteIdentity(pool, words, HEADER_POOL);
  return words;
}

/** Checks a handle, which may come from any source, and opens its block. */
export function openFlusherBlock(pool: BufferPool, handle: WriteFlusherHandle): Words {
  const { kind, version, control } = (handle ?? {}) as Partial<WriteFlusherHandle>;
  const words = wordsOf(control);
  if (kind !== 'busbar/flusher' || words === undefined) {
    throw new BusbarError('ERR_BUSBAR_BAD_HANDLE', `expected flusher.handle, got ${show(handle)}`);
  }
  const regions = words[HEADER_REGIONS];
  const known =
    version === FLUSHER_VERSION &&
    words[HEADER_VERSION] === FLUSHER_VERSION &&
    words[HEADER_MAGIC] === FLUSHER_MAGIC &&
    isWithin(words[HEADER_WRITERS], 1, WRITERS_MAX) &&
    isWithin(regions, 2, REGIONS_MAX) &&
    (regions & (regions - 1)) === 0;
  if (!known || flusherLayoutOf(words).wordCount !== words.length) {
    throw new BusbarError('ERR_BUSBAR_BAD_HANDLE', 'its block is not a flusher of this version');
  }
  if (!hasIdentity(pool, words, HEADER_POOL)) {
    throw new BusbarError('ERR_BUSBAR_BAD_HANDLE', 'the flusher belongs to another pool');
  }
  return words;
}

function isWithin(value: number, min: number, max: number): boolean {
  return value >= min && value <= max;
}

/** The layout that a block's header describes. */
export function flusherLayoutOf(words: Words): FlusherLayout {
  return new FlusherLayout(words[HEADER_WRITERS], words[HEADER_REGIONS]);
}

/** Checks the limit of a drain in regions: 1 or more, or Infinity. */
export function checkCountMax(value: unknown): void {
  if (value !== Infinity) checkInteger('countMax', value, 1, Number.MAX_SAFE_INTEGER);
}
