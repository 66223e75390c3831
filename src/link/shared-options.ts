// SPDX-License-Identifier: MIT
/** Options that TCP and UDP links share: checks them and applies the defaults. */

import {
  checkFunction,
  checkInteger,
  checkOptions,
  checkSignal,
  checkTimeoutMs,
  show,
} from '../base/check.ts';
import { checkName } from '../pool/holders.ts';
import type { BufferPool } from '../pool/index.ts';
import { WriteFlusher, type WriterOptions } from '../writer/index.ts';
import { resolveWriterOptions } from '../writer/writer-options.ts';

/** Options of every link. */
export interface SharedLinkOptions {
  /** Shown in reports such as `pool.who()`: up to 31 bytes. Default: 'link ' and a number. */
  readonly name?: string;
  /**
   * The flusher of the link's writer. Once a link uses it, only links may drain it. Default: one
   * flusher for all links of the pool on this thread, with room for 4096 writers (one for each
   * link, and for each `UdpLink.writerTo`). A link for which no slot is free fails with
   * ERR_BUSBAR_WRITER_SLOTS; for more, pass `WriteFlusher.create(pool, { writerCount })`.
   */
  readonly flusher?: WriteFlusher;
  /** Options of the link's writer. Default: flushed at the end of each turn of the event loop. */
  readonly writer?: WriterOptions;
  /**
   * Once this many bytes wait, the link takes no more from its writers: they return "not now" as
   * soon as their lanes are full. Default 262144: enough for a fast network's round trip, little
   * enough for a thousand slow peers.
   */
  readonly highWaterBytes?: number;
  /**
   * The same for the buffers in which they wait: a region of a few bytes holds its buffer. Default:
   * a fair share, what the links of this thread leave of half of the pool, and at least 2. So one
   * peer that does not read holds a quarter of the pool, and however many they are, half is left.
   * Writers continue once half as many are held. 1 … the pool's buffers.
   */
  readonly highWaterBuffers?: number;
  /** Once at most this many bytes wait, writers continue. Default: half of `highWaterBytes`. */
  readonly lowWaterBytes?: number;
  /**
   * How long `close()` waits until the rest is sent and, on a stream, the peer has ended; also how
   * long a stream may take to close after its peer's end. Default 5000.
   */
  readonly closeDeadlineMs?: number;
  /** Destroys the link when it aborts. */
  readonly signal?: AbortSignal;
}

/** The names of these options. */
export const SHARED_OPTION_KEYS: readonly string[] = [
  'name',
  'flusher',
  'writer',
  'highWaterBytes',
  'highWaterBuffers',
  'lowWaterBytes',
  'closeDeadlineMs',
  'signal',
];

/** Options with every default applied. */
export interface ResolvedSharedOptions {
  readonly name: string;
  readonly flusher: WriteFlusher | undefined;
  readonly writer: WriterOptions;
  readonly highWaterBytes: number;
  readonly highWaterBuffers: number | undefined;
  readonly lowWaterBytes: number;
  readonly closeDeadlineMs: number;
  readonly signal: AbortSignal | undefined;
}

const HIGH_WATER_BYTES_DEFAULT = 256 * 1024;
const CLOSE_DEADLINE_MS_DEFAULT = 5000;
const WATER_BYTES_MAX = 2 ** 31 - 1;

/** Checks the options and applies the defaults. */
export function resolveSharedOptions(
  pool: BufferPool,
  options: SharedLinkOptions,
): ResolvedSharedOptions {
  const highWaterBytes = checkInteger(
    'highWaterBytes',
    options.highWaterBytes ?? HIGH_WATER_BYTES_DEFAULT,
    1,
    WATER_BYTES_MAX,
  );
  const lowWaterBytes = options.lowWaterBytes ?? highWaterBytes >>> 1;
  const { highWaterBuffers } = options;
  if (highWaterBuffers !== undefined) {
    checkInteger('highWaterBuffers', highWaterBuffers, 1, pool.bufferCount);
  }
  return {
    name: checkName(options.name),
    flusher: checkFlusher(pool, options.flusher),
    writer: checkWriter(pool, options.writer ?? { flush: 'turn' }),
    highWaterBytes,
    highWaterBuffers,
    lowWaterBytes: checkInteger('lowWaterBytes', lowWaterBytes, 0, highWaterBytes),
    closeDeadlineMs: checkTimeoutMs(
      'closeDeadlineMs',
      options.closeDeadlineMs ?? CLOSE_DEADLINE_MS_DEFAULT,
    ),
    signal: checkSignal('signal', options.signal),
  };
}

function checkFlusher(pool: BufferPool, flusher: unknown): WriteFlusher | undefined {
  if (flusher === undefined) return undefined;
  if (!(flusher instanceof WriteFlusher) || flusher.pool !== pool) {
    throw new TypeError(`flusher must be a WriteFlusher of the same pool, got ${show(flusher)}`);
  }
  return flusher;
}

/** Checks before there is a link, so that a server does not listen with unusable options. */
function checkWriter(pool: BufferPool, writer: WriterOptions): WriterOptions {
  if (typeof writer !== 'object') {
    throw new TypeError(`writer must be an object, got ${show(writer)}`);
  }
  resolveWriterOptions(pool, writer);
  return writer;
}

/** The default of `handler`: the program reads the link itself. */
export function noHandler(): undefined {
  return undefined;
}

/**
 * Checks a handler. It must have exactly one of the members `ways`. A plain object may have no
 * unknown members, which would be misspelled names; an instance of a class may.
 */
export function checkHandlerMembers<T extends object>(
  handler: T,
  ways: readonly (keyof T & string)[],
  others: readonly (keyof T & string)[],
): T {
  if (ways.filter((name) => handler?.[name] !== undefined).length !== 1) {
    throw new TypeError(`handler must return an object with either ${ways.join(' or ')}`);
  }
  const known = [...ways, ...others];
  for (const name of known) {
    if (handler[name] !== undefined) checkFunction(`handler.${name}`, handler[name]);
  }
  const prototype: unknown = Object.getPrototypeOf(handler);
  if (prototype === Object.prototype || prototype === null) checkOptions('handler', handler, known);
  return handler;
}
