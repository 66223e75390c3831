// SPDX-License-Identifier: MIT
/** Codec: how a framer finds the end of a frame. */

import type { Bytes } from '../base/views.ts';

/**
 * Finds the end of the next frame. A codec does not deal with buffers, cursors or sockets.
 *
 * The framer calls `measure` once for every arrival of bytes until the length is known, and then
 * never again for that frame: it waits for the rest of a long payload without looking at it. With
 * `scanned` a codec continues where its last call ended. A codec that keeps state between two calls
 * (a position, a parsed field) belongs to one framer; a stateless one may serve many.
 *
 * **Threads** the framer's. **Cost** `measure` is on the hot path of every frame: no closures, no
 * views.
 *
 * @example A text protocol whose length stands inside a line. The line is searched once, the
 * payload never.
 * ```ts
 * import { BusbarError } from 'busbar/errors';
 * import { BufferPool } from 'busbar/pool';
 * import { ByteFinder, type Codec, Framer } from 'busbar/framer';
 *
 * class PutCodec implements Codec {
 *   payloadSkip = 0; // the line with its end; the header of the current frame is found through it
 *   payloadTrim = 2; // the payload's own end of line
 *   readonly #finder = new ByteFinder(0x0a);
 *
 *   measure(bytes: Uint8Array, begin: number, end: number, scanned: number): number {
 *     const lineEnd = this.#finder.find(bytes, begin + scanned, end);
 *     if (lineEnd < 0) return 0;
 *     let length = 0;
 *     let scale = 1;
 *     for (let at = lineEnd - 2; at >= begin && bytes[at] !== 0x20; at--, scale *= 10) {
 *       const digit = (bytes[at] ?? 0) - 0x30;
 *       if (!(digit >= 0 && digit <= 9)) throw new BusbarError('ERR_BUSBAR_FRAME_MALFORMED');
 *       length += digit * scale;
 *     }
 *     this.payloadSkip = lineEnd + 1 - begin;
 *     return this.payloadSkip + length + this.payloadTrim;
 *   }
 * }
 *
 * const pool = BufferPool.create({ bufferSize: 65536, bufferCount: 16 });
 * const framer = new Framer(pool, new PutCodec());
 * framer.feed(new TextEncoder().encode('PUT a 5\r\nhello\r\nPUT b 5\r\nworld\r\n'));
 * for (let packet = framer.tryReceive(); packet !== undefined; packet = framer.tryReceive()) {
 *   console.log(`${packet}`); // hello, world
 *   packet.release();
 * }
 * framer.close();
 * ```
 */
export interface Codec {
  /** Bytes of the measured frame before its payload. Read right after `measure` has returned. */
  readonly payloadSkip: number;
  /** Bytes of the measured frame after its payload. Read right after `measure` has returned. */
  readonly payloadTrim: number;

  /**
   * What happens to a frame without an end within `maxFrameBytes`: 'error', the default, fails the
   * framer; 'skip' drops it, and the framer goes on after its end. For 'skip' `measure` must find
   * the end from any byte of the frame on, by a mark that is always `payloadTrim` bytes long. Read
   * when the framer is made.
   */
  readonly tooLong?: 'error' | 'skip';

  /**
   * Whether `measure` finds the end from any byte of the frame on, by a mark that is always
   * `payloadTrim` bytes long, and `payloadSkip` is 0. Frames longer than a buffer can then be
   * delivered in parts before their end is known; without it, once their length is known.
   */
  readonly hasEndMark?: boolean;

  /**
   * 'head': {@link encode} writes nothing but the head and does not read the payload, and
   * `payloadTrim` is 0. A link can then write frames longer than a buffer. Default 'all'.
   */
  readonly encodes?: 'head' | 'all';

  /**
   * Measures the frame that begins at `begin`.
   *
   * `bytes[begin, end)` is all that has arrived from there on, up to the framer's `maxFrameBytes`;
   * it is never empty. Its first `scanned` bytes were seen by an earlier call, which returned 0.
   *
   * Returns the length of the whole frame in bytes, the bytes around the payload included; it
   * may exceed `end - begin`, then the framer waits for the rest. Returns 0 if the length is not
   * known yet.
   *
   * **Throws** an error that makes the stream unusable, usually `ERR_BUSBAR_FRAME_MALFORMED`. The
   * framer fails with it.
   */
  measure(bytes: Bytes, begin: number, end: number, scanned: number): number;

  /**
   * Optional: makes a frame of a payload, so that a link can `write` payloads. The payload is
   * `bytes[offset, offset + length)`; `head` bytes before it and `payloadTrim` after it are to be
   * written. `head` is what {@link headBytes} returned for this length or a longer one.
   *
   * **Throws** RangeError if this payload cannot be framed.
   */
  encode?(bytes: Bytes, offset: number, length: number, head: number): void;

  /** Bytes before a payload of this length. Default: `payloadSkip`. */
  headBytes?(length: number): number;
}
