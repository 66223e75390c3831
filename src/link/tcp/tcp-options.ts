// SPDX-License-Identifier: MIT
/** Handler and options of a `TcpLink`: checks them and applies the defaults. */

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
  noHandler,
  type ResolvedSharedOptions,
  resolveSharedOptions,
  SHARED_OPTION_KEYS,
  type SharedLinkOptions,
} from '../shared-options.ts';
import { Intake } from './intake.ts';
import { DIRECT_READ_BYTES_MAX, directReadBytesDefault } from './quiet-space.ts';

/**
 * Callbacks of a link of class `L`. They run on the link's thread, with this object as `this`,
 * never after `onClose`. A plain object may have no other members; an instance of a class may.
 *
 * An exception closes the link and is rethrown, as from any callback of Node. Only an exception of
 * the framer is not rethrown: it becomes the link's `error`.
 */
export interface TcpHandlerOf<L> {
  /**
   * Bytes have arrived: call `link.framer.next()` until it returns false, or call `link.pause()`
   * and take the rest after `link.resume()`. For programs to which nanoseconds matter. Exactly one
   * of `onFrames`, `onFrame` and `onFramePart` is required.
   */
  onFrames?(link: L): void;
  /**
   * A frame has arrived: its payload is `[offset, offset + length)` of `pool.bytes`, borrowed until
   * this returns. To keep it, call `link.framer.takePacket()`; to keep also the prefix or delimiter
   * around it, `pool.retain(bufferId)` and then `Packet.wrap(pool, bufferId, begin, n)`. After
   * `link.pause()` no further frame is delivered until `link.resume()`.
   */
  onFrame?(offset: number, length: number, bufferId: BufferId, link: L): void;
  /**
   * In place of `onFrame`, for frames that may be longer than a buffer (`maxFrameBytes`): a part of
   * a frame's payload has arrived, borrowed like a frame. `position` bytes of it came before, 0:
   * this is its first part; `rest` bytes come after, 0: this is its last, −1: unknown. A frame that
   * fits a buffer is one part. If the link ends within a frame, `onClose` is told.
   */
  onFramePart?(
    offset: number,
    length: number,
    position: number,
    rest: number,
    bufferId: BufferId,
    link: L,
  ): void;
  /**
   * The peer sends no more. With `allowHalfOpen` the link can still write; otherwise it now closes
   * by itself.
   */
  onEnd?(link: L): void;
  /**
   * Writers may continue: after `link.writable` was false, at most `lowWaterBytes` bytes wait now.
   *
   * A writer also returns "not now" if the pool has no free buffer: `link.writable` is then still
   * true, and this is not called. `await link.writer.reserve(n)` waits in both cases.
   */
  onDrained?(link: L): void;
  /**
   * The link has ended and holds no buffer. `error` is the reason; undefined if the link ended in
   * good order, or the program destroyed it.
   */
  onClose?(link: L, error: BusbarError | undefined): void;
}

/** Options of a link of class `L`, connected, accepted or adopted. */
export interface TcpLinkOptionsOf<L> extends SharedLinkOptions {
  /**
   * Returns the codec of a link. A codec without state may be returned for every link. A server
   * calls it once before it listens, to reject an unusable codec.
   */
  readonly codec: () => Codec;
  /**
   * Called once for each link, before the first byte is read. It returns the link's callbacks; or
   * it is an async function, which reads the link itself: by `for await (const packet of link)`, by
   * `link.handle` or `link.receive`. When its promise resolves, the link closes in good order; when
   * it rejects while the link is open, the link closes, and the error is thrown as an uncaught
   * exception. Without `handler` the program reads the link that it was given, in the same ways.
   */
  readonly handler?: (link: L) => TcpHandlerOf<L> | undefined | Promise<void>;
  /**
   * The longest frame that the peer may send, in bytes, prefix and delimiter included: 1 … 2⁵³ − 1.
   * Default: the pool's buffer size. A longer one ends the link with ERR_BUSBAR_FRAME_TOO_LARGE,
   * and resets the peer. Above the buffer size, frames come in parts, to `onFrames`, `onFramePart`
   * or `link.frames()`; the link keeps no more of them than of others. Does not limit `write`.
   */
  readonly maxFrameBytes?: number;
  /**
   * 'direct' (the default) reads into the pool if the socket allows it; 'copy' never does.
   * `link.ingest` is the actual mode.
   */
  readonly ingest?: 'direct' | 'copy';
  /**
   * After a read of more than this many bytes the next read is direct, and the link holds a buffer
   * for it. After a read that emptied the socket it holds none, unless a frame has begun. 0 … 4096.
   * Default 4096, or a quarter of the buffer size if that is less: copying so little costs less
   * than a tenth of the read. 0: all reads but the first are direct, and the link always holds a
   * buffer (a server's link only while half of `readBuffersMax` are free).
   */
  readonly directReadBytes?: number;
  /**
   * Longest time from a frame's first bytes to its last; in parts, from one to the next. If a peer
   * is slower, its link closes with ERR_BUSBAR_TIMEOUT, up to 200 ms late. Time does not count
   * while the link is paused or waits for a buffer, or while the event loop is blocked. Default
   * 60000, as for HTTP servers: an unfinished frame may hold a buffer that others wait for.
   * Infinity: no limit.
   */
  readonly frameTimeoutMs?: number;
  /**
   * Longest time that a peer takes nothing of what waits for it, not a single byte. Then its link
   * closes with ERR_BUSBAR_TIMEOUT, up to 200 ms late; what waited is lost. Time does not count
   * while the event loop is blocked. Default 60000: buffers of the pool wait with the bytes.
   * Infinity: no limit.
   */
  readonly writeTimeoutMs?: number;
  /** Whether the link may write after the peer has ended. Default false. */
  readonly allowHalfOpen?: boolean;
  /**
   * Sends without waiting for more (TCP_NODELAY). Default true, since writers collect messages.
   */
  readonly noDelay?: boolean;
  /** Probes the peer after this many milliseconds of silence (SO_KEEPALIVE). Default: never. */
  readonly keepAliveMs?: number;
}

/** Names of the options, for callers that accept more. */
export const TCP_OPTION_KEYS: readonly string[] = [
  'codec',
  'handler',
  'maxFrameBytes',
  'ingest',
  'directReadBytes',
  'frameTimeoutMs',
  'writeTimeoutMs',
  'allowHalfOpen',
  'noDelay',
  'keepAliveMs',
  ...SHARED_OPTION_KEYS,
];

/** Options with every default applied. */
export interface ResolvedTcpOptions<L> extends ResolvedSharedOptions {
  readonly codec: () => Codec;
  readonly handler: (link: L) => TcpHandlerOf<L> | undefined | Promise<void>;
  readonly maxFrameBytes: number;
  readonly ingest: 'direct' | 'copy';
  readonly directReadBytes: number;
  readonly frameTimeoutMs: number;
  readonly writeTimeoutMs: number;
  readonly allowHalfOpen: boolean;
  readonly noDelay: boolean;
  readonly keepAliveMs: number | undefined;
}

const PEER_MS_DEFAULT = 60_000;
const KEEP_ALIVE_MS_MAX = 2 ** 31 - 1;

/**
 * Returns a copy of the options. Each is read once: the checked values are the ones used.
 * **Throws** TypeError for anything but an object, and for an unknown option.
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
  const longest = Number.MAX_SAFE_INTEGER;
  const keepAliveMs = own.keepAliveMs;
  const codec: () => Codec = checkFunction('codec', own.codec);
  return Object.freeze({
    ...resolveSharedOptions(pool, own),
    codec,
    handler: checkFunction('handler', own.handler ?? noHandler),
    maxFrameBytes: checkInteger('maxFrameBytes', own.maxFrameBytes ?? bufferSize, 1, longest),
    ingest: checkOneOf('ingest', own.ingest ?? 'direct', ['direct', 'copy'] as const),
    directReadBytes: checkInteger('directReadBytes', directReadBytes, 0, directReadBytesMax),
    frameTimeoutMs: checkTimeoutMs('frameTimeoutMs', own.frameTimeoutMs ?? PEER_MS_DEFAULT),
    writeTimeoutMs: checkTimeoutMs('writeTimeoutMs', own.writeTimeoutMs ?? PEER_MS_DEFAULT),
    allowHalfOpen: checkBoolean('allowHalfOpen', own.allowHalfOpen ?? false),
    noDelay: checkBoolean('noDelay', own.noDelay ?? true),
    keepAliveMs:
      keepAliveMs === undefined
        ? undefined
        : checkInteger('keepAliveMs', keepAliveMs, 0, KEEP_ALIVE_MS_MAX),
  });
}

/**
 * Tries the codec before there is a link, so that an unusable one is rejected early. Exceptions of
 * the function `codec` itself are left to the links that call it.
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

/** Creates the reading half of a link; `allowance`: the permits that it shares with other links. */
export function makeIntake<L>(
  pool: BufferPool,
  options: ResolvedTcpOptions<L>,
  allowance?: BufferAllowance,
): Intake {
  const { maxFrameBytes, directReadBytes, frameTimeoutMs } = options;
  const framer = new Framer(pool, checkCodec(options.codec()), { maxFrameBytes });
  return new Intake(pool, framer, directReadBytes, frameTimeoutMs, allowance);
}

/** Checks a link's codec. A framer may do without one; a link cannot. */
function checkCodec(codec: Codec): Codec {
  if (typeof codec?.measure === 'function') return codec;
  throw new TypeError(`codec must return a Codec, got ${show(codec)}`);
}

/** Checks a handler: it takes frames in exactly one way, `inParts` also those beyond a buffer. */
export function checkHandler<L>(handler: TcpHandlerOf<L>, inParts: boolean): TcpHandlerOf<L> {
  const ways = ['onFrames', 'onFrame', 'onFramePart'] as const;
  checkHandlerMembers(handler, ways, ['onEnd', 'onDrained', 'onClose']);
  if (inParts && handler.onFrame !== undefined) {
    throw new TypeError('maxFrameBytes is beyond a buffer: use onFramePart in place of onFrame');
  }
  return handler;
}
