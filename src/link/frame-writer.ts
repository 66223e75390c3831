// SPDX-License-Identifier: MIT
/** `FrameWriter`: puts payloads into frames, as a link's codec says, in the writer's buffer. */

import { encodeText } from '../base/bytes.ts';
import { checkInteger, checkSource, show } from '../base/check.ts';
import { nowMs } from '../base/clock.ts';
import { BusbarError } from '../base/errors.ts';
import { textBytes, writeText } from '../base/text.ts';
import { isBytes, lengthOf as viewLength } from '../base/views.ts';
import { resolveWaitOptions, WaitGuard, type WaitOptions } from '../base/wait-guard.ts';
import type { Codec } from '../framer/index.ts';
import { Packet } from '../packet/index.ts';
import { type LocalWriter, Reservation } from '../writer/index.ts';
import { piecesOf } from './pieces.ts';

/** What becomes one frame: bytes, a string (as UTF-8), or a packet's bytes. They are copied. */
export type Payload = Uint8Array | string | Packet;

/** The payload of one frame in pieces: an (async) iterable, such as a stream of Node. */
export type PayloadSource = AsyncIterable<Payload> | Iterable<Payload>;

const LENGTH_MAX = 0x7fff_ffff;

/** The part of a link that {@link FrameWriter.writeParts} uses. */
interface RoomForParts {
  /** Waits until there is room. */
  room(options: WaitOptions): Promise<void>;
  /** Called when the link ends. */
  onEnd: ((reason: unknown) => void) | undefined;
}

/** Writes frames by a writer; see {@link Codec.encode}. */
export class FrameWriter {
  readonly #writer: LocalWriter;
  readonly #codec: Codec;
  /** True from the head of a frame of {@link writeParts} to its last byte, if that comes. */
  #isInParts = false;

  constructor(writer: LocalWriter, codec: Codec) {
    this.#writer = writer;
    this.#codec = codec;
  }

  /**
   * While it is true, nothing else may be written. After a failure of {@link writeParts} it stays
   * true: the peer has a part of the frame, and would take what follows for the rest.
   */
  get isInParts(): boolean {
    return this.#isInParts;
  }

  /** Whether a payload of this length needs parts, and the codec can write them. */
  needsParts(length: number): boolean {
    const whole = this.#headBytes(length) + length + this.#codec.payloadTrim;
    return whole > this.#writer.messageBytesMax && this.#codec.encodes === 'head';
  }

  /** **Throws** as `LocalWriter.tryWrite`; TypeError if the codec only decodes. */
  tryWrite(payload: Payload, begin: number, end: number): boolean {
    const length = end - begin;
    const codec = this.#encoder();
    if (this.#isInParts) return false;
    const head = this.#headBytes(length);
    const writer = this.#writer;
    const at = writer.tryReserve(head + length + codec.payloadTrim);
    if (at < 0) return false;
    try {
      this.#fill(at + head, payload, begin, end);
      codec.encode?.(writer.pool.bytes, at + head, length, head);
    } catch (error) {
      if (!writer.closed) writer.abort(at);
      throw error;
    }
    writer.commit(at, head + length + codec.payloadTrim);
    return true;
  }

  /** Reserves space for one payload. Its commit writes the rest of the frame around it. */
  tryReserve(length: number): Reservation | undefined {
    this.#encoder();
    checkInteger('length', length, 0, LENGTH_MAX);
    if (this.#isInParts) return undefined;
    const head = this.#headBytes(length);
    const at = this.#writer.tryReserve(head + length + this.#codec.payloadTrim);
    return at < 0 ? undefined : this.#reservation(at, head, length);
  }

  /** {@link tryReserve} that waits. */
  async reserve(length: number, options: WaitOptions | undefined): Promise<Reservation> {
    this.#encoder();
    this.#checkWhole();
    checkInteger('length', length, 0, LENGTH_MAX);
    const head = this.#headBytes(length);
    const whole = await this.#writer.reserve(head + length + this.#codec.payloadTrim, options);
    return this.#reservation(whole.offset, head, length);
  }

  /** Writes a payload, waiting for space. */
  async write(payload: Payload, options: WaitOptions | undefined): Promise<void> {
    const length = lengthOf(payload);
    const space = await this.reserve(length, options);
    try {
      this.#fill(space.offset, payload, 0, length);
      space.commit();
    } finally {
      space[Symbol.dispose]();
    }
  }

  /**
   * Writes one frame, whose payload comes in pieces, each once `link` has room.
   */
  async writeParts(
    length: number,
    source: PayloadSource,
    options: WaitOptions,
    link: RoomForParts,
  ): Promise<void> {
    const codec = this.#encoder();
    this.#checkWhole();
    if (codec.encodes !== 'head') throw new TypeError("the codec must have encodes: 'head'");
    checkInteger('length', length, 0, Number.MAX_SAFE_INTEGER);
    const limits = resolveWaitOptions(options);
    const pieces = piecesOf(source);
    const stop = (reason: unknown): void => pieces.refuse(reason);
    // Waits for room and buffers have guards of their own.
    const guard = new WaitGuard(limits, 'write', stop);
    link.onEnd = stop;
    try {
      await this.#writeParts(length, pieces, options, link);
    } finally {
      link.onEnd = undefined;
      guard.end();
      pieces.close();
    }
  }

  async #writeParts(
    length: number,
    pieces: ReturnType<typeof piecesOf<Payload>>,
    { signal, timeoutMs = Infinity }: WaitOptions,
    link: RoomForParts,
  ): Promise<void> {
    const writer = this.#writer;
    const endMs = nowMs() + timeoutMs;
    const rest = (): WaitOptions => {
      const left = timeoutMs === Infinity ? timeoutMs : Math.max(0, endMs - nowMs());
      return signal === undefined ? { timeoutMs: left } : { signal, timeoutMs: left };
    };
    const head = this.#headBytes(length);
    // One byte even without a head: the frame begins once there is a buffer.
    const begin = await writer.reserve(Math.max(head, 1), rest());
    try {
      this.#codec.encode?.(writer.pool.bytes, begin.offset + head, length, head);
    } catch (error) {
      begin[Symbol.dispose]();
      throw error;
    }
    if (head > 0) begin.commit(head);
    else begin.abort();
    this.#isInParts = true;
    let left = length;
    for (;;) {
      const { done, value: piece } = await pieces.next();
      if (done === true) break;
      const bytes = typeof piece === 'string' ? encodeText(piece) : piece;
      const count = lengthOf(bytes);
      if (count > left) throw new RangeError(`the source has more than ${length} bytes`);
      left -= count;
      for (let at = 0; at < count; ) {
        const end = Math.min(count, at + writer.messageBytesMax);
        await link.room(rest());
        const space = await writer.reserve(end - at, rest());
        try {
          this.#fill(space.offset, bytes, at, end);
          space.commit();
        } finally {
          space[Symbol.dispose]();
        }
        at = end;
      }
    }
    if (left > 0) throw new RangeError(`the source has ${left} bytes fewer than ${length}`);
    this.#isInParts = false;
  }

  #reservation(at: number, head: number, reserved: number): Reservation {
    const writer = this.#writer;
    const trim = this.#codec.payloadTrim;
    const frame = (length: number): number => {
      checkInteger('length', length, 0, reserved);
      this.#codec.encode?.(writer.pool.bytes, at + head, length, head);
      return head + length + trim;
    };
    const target = {
      pool: writer.pool,
      get closed() {
        return writer.closed;
      },
      commit: (_at: number, length: number) => writer.commit(at, frame(length)),
      commitPacket: (_at: number, length: number) => writer.commitPacket(at, frame(length)),
      abort: () => writer.abort(at),
    };
    return new Reservation(target, at + head, reserved);
  }

  #fill(at: number, payload: Payload, begin: number, end: number): void {
    const { arena, bytes } = this.#writer.pool;
    if (typeof payload === 'string') writeText(bytes, at, payload, end);
    else if (payload instanceof Packet) {
      const { offset } = payload;
      arena.write(at, payload.pool.bytes, offset + begin, offset + end);
    } else arena.write(at, payload, begin, end);
  }

  #headBytes(length: number): number {
    const codec = this.#codec;
    return codec.headBytes === undefined ? codec.payloadSkip : codec.headBytes(length);
  }

  /** Calls run in turn, so they meet a frame in parts only if an earlier call has given it up. */
  #checkWhole(): void {
    if (this.#isInParts) throw new BusbarError('ERR_BUSBAR_LINK_CLOSED', 'within a frame');
  }

  #encoder(): Codec {
    if (this.#codec.encode !== undefined) return this.#codec;
    throw new TypeError("the link's codec has no encode: write whole frames with link.writer");
  }
}

/** Bytes of a payload. **Throws** TypeError. */
export function lengthOf(payload: Payload): number {
  if (typeof payload === 'string') return textBytes(payload);
  if (payload instanceof Packet) return payload.length;
  // Not `length`, which a subclass may make anything.
  if (isBytes(payload)) return viewLength(payload);
  throw new TypeError(`payload must be bytes, a string or a Packet, got ${show(payload)}`);
}

/** Checks a payload and its part. Strings are written whole. **Throws** TypeError, RangeError. */
export function checkPart(payload: Payload, begin: number, end: number): void {
  if (isBytes(payload)) checkSource(payload, begin, end);
  else if (begin !== 0 || end !== lengthOf(payload)) {
    throw new RangeError('begin and end are for bytes only');
  }
}
