// SPDX-License-Identifier: MIT
/**
 * The socket's end of the way, in both directions: what can be set on links of every kind, checked
 * and completed in one place.
 */

import {
  checkFunction,
  checkInteger,
  checkOptions,
  checkSignal,
  checkTimeoutMs,
  show,
} from '../base/check.ts';
import type { BufferPool } from '../pool/index.ts';
import { WriteFlusher, type WriterOptions } from '../writer/index.ts';
import { resolveWriterOptions } from '../writer/writer-options.ts';

/** What can be set on every link. */
export interface SharedLinkOptions {
  /**
   * Whose regions the link sends. The link's writer is made for it, and it is drained by links from
   * then on. Default: one flusher for all links of the pool on this thread, with room for 4096
   * writers: one for each link, and for each `UdpLink.writerTo`. For more, give one of
   * `WriteFlusher.create(pool, { writerCount })`. When no place is free, links fail with
   * ERR_BUSBAR_WRITER_SLOTS.
   */
  readonly flusher?: WriteFlusher;
  /**
   * Options of the link's own writer. Default: flushed at the end of each turn of the event loop.
   */
  readonly writer?: WriterOptions;
  /**
   * When so many bytes wait, no more are taken from the link's writers: they are told "not now" as
   * soon as their lanes are full. Default 262144: enough for a fast network's round trip, little
   * enough for a thousand slow peers.
   */
  readonly highWaterBytes?: number;
  /** When no more wait again, the writers go on. Default: half of `highWaterBytes`. */
  readonly lowWaterBytes?: number;
  /**
   * How long `close()` waits for the rest to be sent and, as a stream's end does, for the peer's
   * end. Default 5000.
   */
  readonly closeDeadlineMs?: number;
  /** Destroys the link when it aborts. */
  readonly signal?: AbortSignal;
}

/** The options' names. */
export const SHARED_OPTION_KEYS: readonly string[] = [
  'flusher',
  'writer',
  'highWaterBytes',
  'lowWaterBytes',
  'closeDeadlineMs',
  'signal',
];

/** Options with every default applied. */
export interface ResolvedSharedOptions {
  readonly flusher: WriteFlusher | undefined;
  readonly writer: WriterOptions;
  readonly highWaterBytes: number;
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
  return {
    flusher: checkFlusher(pool, options.flusher),
    writer: checkWriter(pool, options.writer ?? { flush: 'turn' }),
    highWaterBytes,
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

/** Here already, so that nobody listens with options of which no link can be made. */
function checkWriter(pool: BufferPool, writer: WriterOptions): WriterOptions {
  if (typeof writer !== 'object') {
    throw new TypeError(`writer must be an object, got ${show(writer)}`);
  }
  resolveWriterOptions(pool, writer);
  return writer;
}

/**
 * A handler takes what arrives in one of two ways. In a plain object a name that nobody calls is
 * misspelt; an instance of a class may have members of its own.
 */
export function checkHandlerMembers<T extends object>(
  handler: T,
  ways: readonly (keyof T & string)[],
  others: readonly (keyof T & string)[],
): T {
  if (ways.filter((name) => handler?.[name] !== undefined).length !== 1) {
    throw new TypeError(`handler must return an object with ${ways.join(' or ')}, one of them`);
  }
  const known = [...ways, ...others];
  for (const name of known) {
    if (handler[name] !== undefined) checkFunction(`handler.${name}`, handler[name]);
  }
  const prototype: unknown = Object.getPrototypeOf(handler);
  if (prototype === Object.prototype || prototype === null) checkOptions('handler', handler, known);
  return handler;
}
