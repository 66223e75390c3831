// SPDX-License-Identifier: MIT
/**
 * The socket's end of the way, in both directions: what can be set on a link, checked and completed
 * in one place.
 */

import {
  checkBoolean,
  checkFunction,
  checkInteger,
  checkOneOf,
  checkOptions,
  checkTimeoutMs,
  show,
} from '../../base/check.ts';
import type { BusbarError } from '../../base/errors.ts';
import type { BufferAllowance } from '../../framer/buffer-allowance.ts';
import { type Codec, Framer } from '../../framer/index.ts';
import { checkPool } from '../../pool/check-pool.ts';
import type { BufferId, BufferPool } from '../../pool/index.ts';
import {
  checkHandlerMembers,
  type ResolvedSharedOptions,
  resolveSharedOptions,
  SHARED_OPTION_KEYS,
  type SharedLinkOptions,
} from '../shared-options.ts';
import { DIRECT_READ_BYTES_MAX, directReadBytesDefault, Intake } from './intake.ts';

/**
 * What a program does with a link of class `L`. All are called on the link's thread, with this
 * object as `this`, never after `onClose`. A plain object has no other members; an instance of a
 * class may.
 *
 * An exception that is not the framer's closes the link and is thrown on, as from any callback of
 * Node.
 */
export interface TcpHandlerOf<L> {
  /**
   * Bytes have arrived: call `link.framer.next()` until it answers false, or call `link.pause()`
   * and leave the rest for after `link.resume()`. The way of programs that count nanoseconds. One
   * of `onFrames` and `onFrame` must be there.
   */
  onFrames?(link: L): void;
  /**
   * A frame has arrived: its payload is `[offset, offset + length)` of `pool.bytes`, borrowed until
   * this returns. Keep it by `link.framer.takePacket()`; or, together with the prefix or delimiter
   * around it, by `pool.retain(bufferId)` and then `Packet.wrap(pool, bufferId, begin, n)`.
   * `link.pause()` makes this the last one for now.
   */
  onFrame?(offset: number, length: number, bufferId: BufferId, link: L): void;
  /**
   * The peer will send no more. With `allowHalfOpen` the link can still write; without, it now
   * closes by itself.
   */
  onEnd?(link: L): void;
  /**
   * No more than `lowWaterBytes` wait for the peer, after `link.writable` was false.
   *
   * A writer may also say "not now" because the pool has no free buffer: `link.writable` is still
   * true then, and this does not come. `await link.writer.reserve(n)` waits for either.
   */
  onDrained?(link: L): void;
  /**
   * The link is gone and holds no buffer any more. `error`: why, unless both sides ended it in good
   * order.
   */
  onClose?(link: L, error: BusbarError | undefined): void;
}

/** What every link of class `L` needs to know, however its socket comes to be. */
export interface TcpLinkOptionsOf<L> extends SharedLinkOptions {
  /**
   * Makes the codec of one link. A codec that keeps no state may be returned again and again. A
   * server calls it once more before it listens, to refuse a codec that does not fit.
   */
  readonly codec: () => Codec;
  /** Makes the handler of one link; called once, before the first byte is read. */
  readonly handler: (link: L) => TcpHandlerOf<L>;
  /** The longest frame accepted, in bytes. Default: the pool's buffer size. */
  readonly maxFrameBytes?: number;
  /**
   * 'direct' (the default) reads into the pool where the socket allows it; 'copy' never does.
   * `link.ingest` says what came of it.
   */
  readonly ingest?: 'direct' | 'copy';
  /**
   * A read that brings more bytes makes the next one direct, with a buffer held for it; after one
   * that has emptied the socket the link holds none, unless a frame has begun. 0 … 4096; default
   * 4096, or a quarter of a smaller buffer: up to that the copy costs less than a tenth of the
   * read. 0: from the second on all reads are direct, and the link always holds a buffer.
   */
  readonly directReadBytes?: number;
  /**
   * How long a peer may take from a frame's first bytes to its last: then the link closes with
   * ERR_BUSBAR_TIMEOUT, up to 200 ms late. Time does not count while the link is paused, waits for
   * a buffer, or the event loop stands. Default 60000, as servers of HTTP do: a frame that has
   * begun may hold a buffer that others wait for. Infinity: for ever.
   */
  readonly frameTimeoutMs?: number;
  /** Whether the link may write after the peer has ended. Default false. */
  readonly allowHalfOpen?: boolean;
  /**
   * Send without waiting for more (TCP_NODELAY). Default true: batching is the writers' business.
   */
  readonly noDelay?: boolean;
  /** Probe the peer after so many milliseconds of silence (SO_KEEPALIVE). Default: do not. */
  readonly keepAliveMs?: number;
}

/** The options' names, for those who accept more. */
export const TCP_OPTION_KEYS: readonly string[] = [
  'codec',
  'handler',
  'maxFrameBytes',
  'ingest',
  'directReadBytes',
  'frameTimeoutMs',
  'allowHalfOpen',
  'noDelay',
  'keepAliveMs',
  ...SHARED_OPTION_KEYS,
];

/** Options with every default applied. */
export interface ResolvedTcpOptions<L> extends ResolvedSharedOptions {
  readonly codec: () => Codec;
  readonly handler: (link: L) => TcpHandlerOf<L>;
  readonly maxFrameBytes: number;
  readonly ingest: 'direct' | 'copy';
  readonly directReadBytes: number;
  readonly frameTimeoutMs: number;
  readonly allowHalfOpen: boolean;
  readonly noDelay: boolean;
  readonly keepAliveMs: number | undefined;
}

const FRAME_TIMEOUT_MS_DEFAULT = 60_000;
const KEEP_ALIVE_MS_MAX = 2 ** 31 - 1;

/**
 * A copy of options, each of them read once: what is checked is what is used. **Throws** TypeError:
 * no object, or an option that there is not.
 */
export function readTcpOptions<T extends object>(options: T, extraKeys: readonly string[]): T {
  return checkOptions('options', options, [...TCP_OPTION_KEYS, ...extraKeys]);
}

/** Checks the options and applies the defaults; `extraKeys` are known to the caller. */
export function resolveTcpOptions<L>(
  pool: BufferPool,
  options: TcpLinkOptionsOf<L>,
  extraKeys: readonly string[] = [],
): ResolvedTcpOptions<L> {
  checkPool(pool);
  const own = readTcpOptions(options, extraKeys);
  const { bufferSize } = pool;
  const directReadBytes = own.directReadBytes ?? directReadBytesDefault(bufferSize);
  const directReadBytesMax = Math.min(DIRECT_READ_BYTES_MAX, bufferSize);
  const keepAliveMs = own.keepAliveMs;
  const codec: () => Codec = checkFunction('codec', own.codec);
  return Object.freeze({
    ...resolveSharedOptions(pool, own),
    codec,
    handler: checkFunction('handler', own.handler),
    maxFrameBytes: checkInteger('maxFrameBytes', own.maxFrameBytes ?? bufferSize, 1, bufferSize),
    ingest: checkOneOf('ingest', own.ingest ?? 'direct', ['direct', 'copy'] as const),
    directReadBytes: checkInteger('directReadBytes', directReadBytes, 0, directReadBytesMax),
    frameTimeoutMs: checkTimeoutMs(
      'frameTimeoutMs',
      own.frameTimeoutMs ?? FRAME_TIMEOUT_MS_DEFAULT,
    ),
    allowHalfOpen: checkBoolean('allowHalfOpen', own.allowHalfOpen ?? false),
    noDelay: checkBoolean('noDelay', own.noDelay ?? true),
    keepAliveMs:
      keepAliveMs === undefined
        ? undefined
        : checkInteger('keepAliveMs', keepAliveMs, 0, KEEP_ALIVE_MS_MAX),
  });
}

/**
 * Tries the codec before there is a link, so that one that cannot work is refused early. What the
 * function `codec` itself throws is for the link that it is called for.
 *
 * **Throws** TypeError, RangeError.
 */
export function tryCodec<L>(pool: BufferPool, options: ResolvedTcpOptions<L>): void {
  let codec: Codec;
  try {
    codec = options.codec();
  } catch {
    return;
  }
  const { maxFrameBytes } = options;
  new Framer(pool, checkCodec(codec), { maxFrameBytes }).close();
}

/** What comes in by a link with these options; `allowance`: what it shares with others. */
export function makeIntake<L>(
  pool: BufferPool,
  options: ResolvedTcpOptions<L>,
  allowance?: BufferAllowance,
): Intake {
  const { maxFrameBytes, directReadBytes, frameTimeoutMs } = options;
  const framer = new Framer(pool, checkCodec(options.codec()), { maxFrameBytes });
  return new Intake(pool, framer, directReadBytes, frameTimeoutMs, allowance);
}

/** A framer does without one; the frames of a link are found by nobody else. */
function checkCodec(codec: Codec): Codec {
  if (typeof codec?.measure === 'function') return codec;
  throw new TypeError(`codec must return a Codec, got ${show(codec)}`);
}

/** The handler must take frames in one way or the other. */
export function checkHandler<L>(handler: TcpHandlerOf<L>): TcpHandlerOf<L> {
  return checkHandlerMembers(handler, ['onFrames', 'onFrame'], ['onEnd', 'onDrained', 'onClose']);
}
