// SPDX-License-Identifier: MIT
/** A channel's options and its handle: checks both, and builds or opens the block. */

import type { Words } from '../base/atomics.ts';
import { checkBoolean, checkInteger, checkOneOf, checkOptions, show } from '../base/check.ts';
import { BusbarError } from '../base/errors.ts';
import { wordsOf } from '../base/views.ts';
import { checkPool } from '../pool/check-pool.ts';
import { checkName, writeName } from '../pool/holders.ts';
import type { BufferPool } from '../pool/index.ts';
import { hasIdentity, noteIdentity } from '../pool/pool-identity.ts';
import {
  CAPACITY_MAX,
  CHANNEL_KINDS,
  CHANNEL_LOADS,
  CHANNEL_MAGIC,
  CHANNEL_VERSION,
  type ChannelKind,
  ChannelLayout,
  type ChannelLoad,
  HEADER_CAPACITY,
  HEADER_CARRIES,
  HEADER_KIND,
  HEADER_MAGIC,
  HEADER_NAME,
  HEADER_POOL,
  HEADER_SURVIVES,
  HEADER_THREADS,
  HEADER_VERSION,
} from './channel-layout.ts';

/** Shape of a channel. */
export interface ChannelOptions {
  /** How many threads may send and receive: 'spsc' (one, one), 'mpsc' (many, one), 'mpmc'. */
  readonly kind: ChannelKind;
  /** Messages that fit: a power of two, 1 … 32768. Default 1024. */
  readonly capacity?: number;
  /** Shown in errors and reports: up to 31 bytes. Default: none. */
  readonly name?: string;
  /**
   * Whether the channel outlives its ends: it ends only by `close()` or `destroy()` of the channel.
   * What is queued then waits for the next receiver, senders for room, receivers for the next
   * sender; no end rejects with ERR_BUSBAR_CHANNEL_PEER_DIED. For stages that restart. Default
   * false.
   */
  readonly survives?: boolean;
}

/** Lets another thread attach to a channel. Structured-cloneable. */
export interface ChannelHandle {
  /** Always 'busbar/channel'. */
  readonly kind: 'busbar/channel';
  readonly version: number;
  readonly control: SharedArrayBuffer;
  /** First word of the channel in the pool's block; absent if the channel has its own block. */
  readonly begin?: number;
}

const CAPACITY_DEFAULT = 1024;

/**
 * Creates the block of a channel: of its own, or at word `begin` of the pool's block, where the
 * words must be unused zeros. No other thread knows the block yet, so plain stores suffice.
 */
export function createChannelBlock(
  pool: BufferPool,
  carries: ChannelLoad,
  options: ChannelOptions,
  begin?: number,
): Words {
  checkPool(pool).checkAttached();
  const own = checkOptions('options', options, ['kind', 'capacity', 'name', 'survives']);
  const kind = checkOneOf('kind', own.kind, CHANNEL_KINDS);
  const capacity = checkInteger('capacity', own.capacity ?? CAPACITY_DEFAULT, 1, CAPACITY_MAX);
  if (!isCapacity(capacity)) {
    throw new RangeError(`capacity must be a power of two, got ${capacity}`);
  }
  const name = checkName(own.name);
  const survives = checkBoolean('survives', own.survives ?? false);
  const layout = new ChannelLayout(kind, carries, capacity, pool.maxThreads);
  const words =
    begin === undefined
      ? new Int32Array(new SharedArrayBuffer(layout.wordCount * 4))
      : new Int32Array(pool.handle.control, begin * 4, layout.wordCount);
  words[HEADER_MAGIC] = CHANNEL_MAGIC;
  words[HEADER_VERSION] = CHANNEL_VERSION;
  words[HEADER_KIND] = CHANNEL_KINDS.indexOf(kind);
  words[HEADER_CARRIES] = CHANNEL_LOADS.indexOf(carries);
  words[HEADER_CAPACITY] = capacity;
  noteIdentity(pool, words, HEADER_POOL);
  words[HEADER_THREADS] = pool.maxThreads;
  writeName(words, HEADER_NAME, name);
  words[HEADER_SURVIVES] = Number(survives);
  return words;
}

/** Checks a handle, which may come from any source, and opens its block. */
export function openChannelBlock(
  pool: BufferPool,
  carries: ChannelLoad,
  handle: ChannelHandle,
): Words {
  checkPool(pool).checkAttached();
  const { kind, version, control, begin = 0 } = (handle ?? {}) as Partial<ChannelHandle>;
  if (kind !== 'busbar/channel') {
    throw new BusbarError('ERR_BUSBAR_BAD_HANDLE', `expected channel.handle, got ${show(handle)}`);
  }
  if (version !== CHANNEL_VERSION) {
    throw new BusbarError(
      'ERR_BUSBAR_BAD_HANDLE',
      `channel layout version ${show(version)}, this busbar knows ${CHANNEL_VERSION}`,
    );
  }
  const block = wordsOf(control);
  if (block === undefined) {
    throw new BusbarError('ERR_BUSBAR_BAD_HANDLE', 'its block is not a SharedArrayBuffer of words');
  }
  const all = begin === 0 ? block : new Int32Array(pool.handle.control);
  if (!Number.isInteger(begin) || begin < 0 || begin + HEADER_NAME >= all.length) {
    throw new BusbarError('ERR_BUSBAR_BAD_HANDLE', `its block has no word ${show(begin)}`);
  }
  const rest = all.subarray(begin);
  const words = begin === 0 ? all : rest.subarray(0, layoutOf(rest).wordCount);
  const isChannel =
    words[HEADER_MAGIC] === CHANNEL_MAGIC &&
    words[HEADER_KIND] >>> 0 < CHANNEL_KINDS.length &&
    words[HEADER_VERSION] === CHANNEL_VERSION &&
    words[HEADER_CARRIES] >>> 0 < CHANNEL_LOADS.length &&
    isCapacity(words[HEADER_CAPACITY]) &&
    words[HEADER_THREADS] > 0 &&
    layoutOf(words).wordCount === words.length;
  if (!isChannel) {
    throw new BusbarError('ERR_BUSBAR_BAD_HANDLE', 'its block is not a channel');
  }
  if (!hasIdentity(pool, words, HEADER_POOL) || words[HEADER_THREADS] !== pool.maxThreads) {
    throw new BusbarError('ERR_BUSBAR_BAD_HANDLE', 'the channel belongs to another pool');
  }
  const load = CHANNEL_LOADS[words[HEADER_CARRIES]];
  if (load !== carries) {
    throw new BusbarError('ERR_BUSBAR_BAD_HANDLE', `the channel carries ${load}, not ${carries}`);
  }
  return words;
}

function isCapacity(value: number): boolean {
  return value >= 1 && value <= CAPACITY_MAX && (value & (value - 1)) === 0;
}

/** The layout that a block's header describes. */
export function layoutOf(words: Words): ChannelLayout {
  return new ChannelLayout(
    CHANNEL_KINDS[words[HEADER_KIND]],
    CHANNEL_LOADS[words[HEADER_CARRIES]],
    words[HEADER_CAPACITY],
    words[HEADER_THREADS],
  );
}
