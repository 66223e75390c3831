// SPDX-License-Identifier: MIT
/** The two shared blocks of a pool: their creation, and the handle that names them. */

import { arenaNote, createBlock, memoryBlock } from '../base/arena.ts';
import type { Words } from '../base/atomics.ts';
import { show } from '../base/check.ts';
import { BusbarError } from '../base/errors.ts';
import { arbitrarySeed } from '../base/random.ts';
import { wordsOf } from '../base/views.ts';
import { writeName } from './holders.ts';
import { drawIdentity, hasIdentity, noteIdentity } from './pool-identity.ts';
import {
  bufferStride,
  GRANT,
  HEADER_BATCH_SIZE,
  HEADER_BUFFER_COUNT,
  HEADER_BUFFER_SIZE,
  HEADER_DEBUG,
  HEADER_MAGIC,
  HEADER_MAX_THREADS,
  HEADER_NAME,
  HEADER_TAG,
  HEADER_TRACK_LEAKS,
  HEADER_VERSION,
  inStripe,
  NEXT,
  NOT_WAITING,
  OWNER,
  POOL_MAGIC,
  POOL_VERSION,
  PoolLayout,
  STRIPE_COUNT,
} from './pool-layout.ts';
import type { BufferPoolHandle, ResolvedPoolOptions } from './pool-options.ts';

/** The tag of a pool fills the high half of a word and keeps its sign positive. */
const TAG_SHIFT = 16;
const TAG_MASK = 0x7fff;

/** Creates and fills both blocks. No other thread knows them yet, so plain stores suffice. */
export function createBlocks(options: ResolvedPoolOptions): {
  handle: BufferPoolHandle;
  words: Words;
} {
  const layout = new PoolLayout(
    options.bufferCount,
    options.maxThreads,
    options.batchSize,
    options.trackLeaks,
  );
  const control = new SharedArrayBuffer(layout.wordCount * Int32Array.BYTES_PER_ELEMENT);
  const dataBytes = bufferStride(options.bufferSize) * options.bufferCount;
  const { block: data, memory } = createBlock(dataBytes, options.memory === 'auto');
  const words = new Int32Array(control);
  words[HEADER_MAGIC] = POOL_MAGIC;
  words[HEADER_VERSION] = POOL_VERSION;
  words[HEADER_BUFFER_SIZE] = options.bufferSize;
  words[HEADER_BUFFER_COUNT] = options.bufferCount;
  words[HEADER_BATCH_SIZE] = options.batchSize;
  words[HEADER_MAX_THREADS] = options.maxThreads;
  words[HEADER_TAG] = ((arbitrarySeed() & TAG_MASK) | 1) << TAG_SHIFT;
  drawIdentity(words);
  words[HEADER_TRACK_LEAKS] = Number(options.trackLeaks);
  words[HEADER_DEBUG] = Number(options.debug);
  writeName(words, HEADER_NAME, options.name);
  for (let slot = 0; slot < options.maxThreads; slot++) {
    words[layout.thread(slot) + GRANT] = NOT_WAITING;
  }
  fillStripes(words, layout);
  const handle = { kind: 'busbar/pool', version: POOL_VERSION, control, data, memory } as const;
  if (memory !== undefined) noteIdentity({ handle }, arenaNote(data, dataBytes), 0);
  return { handle: Object.freeze(handle), words };
}

/** Deals the buffers out to the stripes in contiguous runs, lowest id first in each. */
function fillStripes(words: Words, layout: PoolLayout): void {
  const perStripe = Math.ceil(layout.bufferCount / layout.maxThreads);
  for (let id = layout.bufferCount - 1; id >= 0; id--) {
    const stripe = Math.floor(id / perStripe);
    const at = layout.stripe(stripe);
    words[layout.buffer(id) + NEXT] = words[at] - 1;
    words[layout.buffer(id) + OWNER] = inStripe(stripe);
    words[at] = id + 1;
    words[at + STRIPE_COUNT]++;
  }
}

/**
 * Checks a handle, which may come from anywhere, and opens its control block. Each of its fields is
 * read once: the handle returned has what was checked.
 */
export function openBlocks(handle: BufferPoolHandle): {
  handle: BufferPoolHandle;
  words: Words;
} {
  const { kind, version, control, data, memory } = (handle ?? {}) as Partial<BufferPoolHandle>;
  if (kind !== 'busbar/pool') {
    throw new BusbarError('ERR_BUSBAR_BAD_HANDLE', `expected pool.handle, got ${show(handle)}`);
  }
  if (version !== POOL_VERSION) {
    throw new BusbarError(
      'ERR_BUSBAR_BAD_HANDLE',
      `pool layout version ${show(version)}, this busbar knows ${POOL_VERSION}`,
    );
  }
  const words = wordsOf(control);
  if (words === undefined || wordsOf(data) === undefined) {
    throw new BusbarError('ERR_BUSBAR_BAD_HANDLE', 'its blocks are not SharedArrayBuffers');
  }
  const isPool = words[HEADER_MAGIC] === POOL_MAGIC && words[HEADER_VERSION] === POOL_VERSION;
  if (words.length <= HEADER_NAME || !isPool) {
    throw new BusbarError('ERR_BUSBAR_BAD_HANDLE', 'its control block is not that of a pool');
  }
  const layout = layoutOf(words);
  const own = { kind, version, control, data, memory } as BufferPoolHandle;
  const block = layout.wordCount === words.length ? dataBlock(own, words) : undefined;
  if (block === undefined || !(words[HEADER_BATCH_SIZE] > 0)) {
    throw new BusbarError('ERR_BUSBAR_BAD_HANDLE', 'its two blocks do not belong together');
  }
  return { handle: Object.freeze({ ...own, data: block }), words };
}

/**
 * The data block of a handle: the buffer of its memory if it has one, whatever its `data` is.
 * Undefined: it is not that of the control block.
 */
function dataBlock(own: BufferPoolHandle, words: Words): SharedArrayBuffer | undefined {
  const bytes = dataBytesOf(words);
  // What follows looks behind the bytes.
  if (!(bytes > 0)) return undefined;
  if (own.memory === undefined) return own.data.byteLength === bytes ? own.data : undefined;
  const block = memoryBlock(own.memory, bytes);
  if (block === undefined || block.byteLength !== own.data.byteLength) return undefined;
  return hasIdentity({ handle: own }, arenaNote(block, bytes), 0) ? block : undefined;
}

/** Bytes of all buffers. */
export function dataBytesOf(words: Words): number {
  return bufferStride(words[HEADER_BUFFER_SIZE]) * words[HEADER_BUFFER_COUNT];
}

/** The layout of a pool whose header is `words`. */
export function layoutOf(words: Words): PoolLayout {
  return new PoolLayout(
    words[HEADER_BUFFER_COUNT],
    words[HEADER_MAX_THREADS],
    words[HEADER_BATCH_SIZE],
    words[HEADER_TRACK_LEAKS] === 1,
  );
}
