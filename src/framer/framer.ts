// SPDX-License-Identifier: MIT
/** Framer: bytes arrive in a pool buffer, and frames are found where they lie. */

import { checkInteger } from '../base/check.ts';
import { describeAs } from '../base/description.ts';
import { BusbarError } from '../base/errors.ts';
import { Packet } from '../packet/index.ts';
import { checkPool } from '../pool/check-pool.ts';
import { type BufferPool, NO_BUFFER } from '../pool/index.ts';
import type { Codec } from './codec.ts';
import { checkCodecFits, type FramerOptions } from './framer-options.ts';
import { LargeFrame, UNKNOWN } from './large-frame.ts';
import { LengthPrefixCodec } from './length-prefix.ts';
import { frameTooLarge, noEnd, refuseMeasure } from './refusals.ts';
import { NO_FRAME, Staging } from './staging.ts';

/**
 * Cuts a stream of bytes into frames, in the buffers that the bytes arrive in.
 *
 * There are two ways to use it; both work on the state that {@link Staging} draws. *Lend and
 * report*, for sockets and kernels: `lend()` provides space, `report(n)` reports how much has
 * arrived there (`feed` copies instead), `next()` finds the frames with the codec. *By hand*, for
 * callers that know where frames end: `tryReserve` and `commit`, or `tryWrite`, add bytes,
 * `finishFrame()` ends the frame; the codec is null then.
 *
 * **The current frame** is the payload at `frameBufferId`, `frameOffset`, `frameLength`, borrowed.
 * The numbers are valid until the next `next()` or `finishFrame()`; the bytes until the framer
 * makes room, which may happen in `lend`, `feed`, `tryReserve`, `tryWrite`, `nextBuffer`,
 * `releaseIdle` and `close`. To keep the frame, call `takePacket()` or
 * `pool.retain(framer.frameBufferId)` before.
 *
 * **Frames longer than a buffer**, if `maxFrameBytes` allows them, come in parts, in order: each is
 * the current frame for once, as much of the payload as has arrived. {@link framePosition} bytes of
 * the frame were before it, {@link frameRest} come after it. Frames that fit a buffer come whole.
 *
 * **Failure** is final: malformed bytes cannot be skipped. The frames before them are delivered;
 * from then on every call that needs more throws the same error. `report`, `releaseIdle`, `stats`
 * and `close` still work.
 *
 * **Threads** One. **Ownership** One buffer, from the first loan to `close()` or `releaseIdle()`: a
 * pool needs at least one for each framer, one for a move, and those that packets keep.
 *
 * @example Numbers only: no object per frame.
 * ```ts
 * import { BufferPool } from 'busbar/pool';
 * import { Framer, LengthPrefixCodec } from 'busbar/framer';
 *
 * const pool = BufferPool.create({ bufferSize: 65536, bufferCount: 16 });
 * const framer = new Framer(pool, new LengthPrefixCodec('u16'), { maxFrameBytes: 4096 });
 *
 * const offset = framer.lend();
 * if (offset >= 0) {
 *   pool.bytes.set([0, 2, 0x68, 0x69], offset); // the kernel's part, of at most framer.lentBytes
 *   framer.report(4);
 * }
 * while (framer.next()) console.log(framer.frameLength, pool.bytes[framer.frameOffset]); // 2 104
 * framer.close();
 * ```
 */
export class Framer extends Staging {
  /** Null: only `finishFrame()` ends frames. */
  readonly codec: Codec | null;

  // 1: the codec is a u32 prefix, which next() reads itself. 0: it is another codec, or a frame is
  // delivered in parts.
  private u32: number = 0;
  private readonly littleEndian: number = 0;
  private readonly prefixIncluded: number = 0;
  private readonly payloadBytesMax: number = 0;
  // 1: a frame that is too long is dropped (its mark has this many bytes), or delivered in parts.
  private readonly special: number = 0;
  private readonly markBytes: number = 0;
  private readonly view: DataView<ArrayBufferLike>;

  /** Where the payload of the awaited frame lies. */
  private awaitedSkip: number = 0;
  private awaitedTrim: number = 0;
  /** If frames may be longer than a buffer: the one that is delivered in parts. */
  private readonly large: LargeFrame | undefined;

  /** Takes no buffer yet. */
  constructor(pool: BufferPool, codec: Codec | null, options: FramerOptions = {}) {
    checkPool(pool);
    if (codec !== null && typeof codec?.measure !== 'function') {
      throw new TypeError('codec must be a Codec or null');
    }
    super(pool, codec, options);
    checkCodecFits(codec, this.maxFrameBytes);
    this.codec = codec;
    this.view = pool.view;
    const plain = codec instanceof LengthPrefixCodec && codec.constructor === LengthPrefixCodec;
    // With `debug` each frame takes the slow path, which poisons the frame before it.
    if (plain && codec.payloadSkip === 4 && !pool.isDebug) {
      this.u32 = 1;
      this.littleEndian = codec.littleEndian ? 1 : 0;
      this.prefixIncluded = codec.inclusive ? 4 : 0;
      this.payloadBytesMax = Math.min(this.maxFrameBytes, pool.bufferSize) - 4;
    }
    if (this.maxFrameBytes > pool.bufferSize) {
      this.special = 1;
      this.large = new LargeFrame(this.u32);
    }
    if (codec?.tooLong === 'skip') {
      this.special = 1;
      this.markBytes = checkInteger('codec.payloadTrim', codec.payloadTrim, 1, this.maxFrameBytes);
    }
  }

  /**
   * Goes to the next frame. Returns false if the bytes that have arrived hold no further frame.
   *
   * **Ownership** The frame is borrowed, see the class. **Cost** Some plain loads and stores, and
   * the codec; allocates nothing, makes no view, moves nothing. In a process that uses more than
   * four classes of codecs, their calls cost three times as much (V8 no longer inlines them); a u32
   * length prefix is read without a call.
   * **Throws** ERR_BUSBAR_FRAME_TOO_LARGE as soon as the length is known, or once `maxFrameBytes`
   * have arrived without an end, unless the codec has such frames skipped; whatever the codec
   * throws, or ERR_BUSBAR_FRAME_MALFORMED with it as cause if that is not an object;
   * ERR_BUSBAR_FRAMER_CLOSED. All of these are failures.
   */
  next(): boolean {
    const begin = this.frameBegin;
    const received = this.received;
    if (this.u32 === 1 && received - begin >= 4) {
      // 2³¹ and more turn out negative, and, read as unsigned again, beyond every limit.
      const length = this.view.getInt32(begin, this.littleEndian === 1) - this.prefixIncluded;
      const end = begin + 4 + length;
      if (length >>> 0 <= this.payloadBytesMax && end <= received) {
        this.frameOffset = begin + 4;
        this.frameLength = length;
        this.frameBegin = end;
        this.scanned = end;
        this.awaited = 0;
        return true;
      }
    }
    return this.measureNext(begin, received - begin);
  }

  /** Bytes of the current frame's payload in the parts before this one; 0: this is the first. */
  get framePosition(): number {
    return this.large === undefined ? 0 : this.large.position;
  }

  /**
   * Bytes of the current frame's payload in the parts after this one. 0: this is the last, or the
   * whole frame; −1: unknown until an end mark comes, before which the last part may be empty.
   */
  get frameRest(): number {
    return this.large === undefined ? 0 : this.large.rest;
  }

  /**
   * Goes to the next frame and returns a packet of it, or undefined if there is no further one.
   *
   * **Ownership** The packet is the caller's. **Cost** `next()`, one object, one plain count.
   */
  tryReceive(): Packet | undefined {
    return this.next() ? this.takePacket() : undefined;
  }

  /**
   * A packet of the current frame. May be called more than once.
   *
   * **Ownership** Each packet holds a reference of its own. **Throws** ERR_BUSBAR_NO_FRAME.
   */
  takePacket(): Packet {
    const offset = this.frameOffset;
    if (offset === NO_FRAME) throw new BusbarError('ERR_BUSBAR_NO_FRAME');
    return Packet.sharing(this.pool, this.frameBufferId, offset, this.frameLength);
  }

  /**
   * Makes all pending bytes the current frame, without calling the codec.
   *
   * With a codec it delivers the rest of a stream that ended without a last delimiter. Returns
   * false if nothing is pending (by hand there are no empty frames), or the rest of a frame that is
   * being skipped, which ends here.
   *
   * **Throws** the framer's failure, which is ERR_BUSBAR_POOL_EXHAUSTED if a link keeps the bytes
   * outside of the pool and no buffer is free for them (never in `onEnd`, which waits for one).
   */
  finishFrame(): boolean {
    const begin = this.frameBegin;
    const end = this.received;
    const isUsual = this.failure === undefined && this.special === 0;
    return isUsual && begin !== end ? this.deliverAll(begin, end) : this.finishSpecially();
  }

  private deliverAll(begin: number, end: number): true {
    this.frameOffset = begin;
    this.frameLength = end - begin;
    this.frameBegin = end;
    this.scanned = end;
    this.awaited = 0;
    return true;
  }

  /** @internal Drops bytes that are kept outside of the pool. */
  dropParked(): void {
    this.parkedBytes = 0;
    this.large?.end();
  }

  /** @internal Besides parked bytes, the end of a frame in parts needs a buffer. */
  override unpark(): boolean {
    return this.isInParts && this.frameBufferId === NO_BUFFER ? this.makeRoom() : super.unpark();
  }

  /** @internal Whether a part was delivered, and more of its frame is to come. */
  get isInParts(): boolean {
    return this.large?.isOpen === true;
  }

  /** {@link next} for every other codec, and for frames that are incomplete or malformed. */
  private measureNext(begin: number, available: number): boolean {
    if (this.pool.isDebug && this.frameOffset !== NO_FRAME) {
      this.pool.poison(this.frameBufferId, this.frameOffset, this.frameLength);
    }
    if (this.special === 0) return this.measureOne(begin, available);
    return this.large === undefined ? this.measurePastLong() : this.measureInParts(this.large);
  }

  /** Drops frames that are too long until there is one that is not. */
  private measurePastLong(): boolean {
    for (;;) {
      if (this.past > 0 && !this.skipOn()) return false;
      const begin = this.frameBegin;
      if (this.measureOne(begin, this.received - begin)) return true;
      if (this.past === 0) return false;
    }
  }

  private measureOne(begin: number, available: number): boolean {
    if (this.failure !== undefined) throw this.failure;
    let total = this.awaited;
    let skip = this.awaitedSkip;
    let trim = this.awaitedTrim;
    if (total > available || available === 0) return this.awaitMore();
    if (total === 0) {
      const codec = this.codec;
      if (codec === null) throw new TypeError('next() needs a codec, this framer has none');
      const max = this.maxFrameBytes;
      // The codec sees at most the longest frame: what is refused must not depend on how bytes
      // arrive.
      const shown = available < max ? available : max;
      try {
        total = codec.measure(this.bytes, begin, begin + shown, this.scanned - begin);
        skip = codec.payloadSkip;
        trim = codec.payloadTrim;
      } catch (error) {
        this.fail(error);
      }
      // A codec that closed the framer gets no frame out of it.
      if (this.failure !== undefined) throw this.failure;
      if (total === 0 && available < max) return this.awaitMore();
      if (total === 0 && this.special === 1) return this.skip();
      const refusal = refuseMeasure(total, skip, trim, max);
      if (refusal !== undefined) this.fail(refusal);
      if (total > available) {
        this.awaited = total;
        this.awaitedSkip = skip;
        this.awaitedTrim = trim;
        return this.awaitMore();
      }
    }
    this.awaited = 0;
    this.frameOffset = begin + skip;
    this.frameLength = total - skip - trim;
    this.frameBegin = begin + total;
    this.scanned = begin + total;
    return true;
  }

  /** The next part, or the next frame, whole or in parts. */
  private measureInParts(large: LargeFrame): boolean {
    if (this.failure !== undefined) throw this.failure;
    if (large.isOpen) return large.rest === UNKNOWN ? this.findMark(large) : this.nextPart(large);
    large.end();
    this.u32 = large.u32;
    const begin = this.frameBegin;
    const available = this.received - begin;
    if (this.measureOne(begin, available)) return true;
    const { bufferSize } = this.pool;
    const total = this.awaited;
    if (total > bufferSize) {
      const skip = this.awaitedSkip;
      const around = skip + this.awaitedTrim;
      if (around >= bufferSize) this.fail(frameTooLarge(around, bufferSize - 1));
      if (available <= skip) return false;
      this.awaited = 0;
      this.u32 = 0;
      this.past = skip;
      this.frameBegin = begin + skip;
      large.begin(total - around, this.awaitedTrim);
      return this.nextPart(large);
    }
    if (total > 0 || available < bufferSize) return false;
    const codec = this.codec as Codec;
    if (codec.hasEndMark !== true) this.fail(noEnd(bufferSize));
    large.begin(UNKNOWN, checkInteger('codec.payloadTrim', codec.payloadTrim, 1, bufferSize));
    return this.findMark(large);
  }

  /** Delivers what has arrived of a frame whose length is known. */
  private nextPart(large: LargeFrame): boolean {
    const { rest, trim } = large;
    const available = this.received - this.frameBegin;
    if (available >= rest + trim) return this.deliverPart(large, rest, trim, 0);
    const count = available < rest ? available : rest - 1;
    return count === 0 ? this.awaitMore() : this.deliverPart(large, count, 0, rest - count);
  }

  /** Delivers what has arrived of a frame up to its mark. */
  private findMark(large: LargeFrame): boolean {
    const begin = this.frameBegin;
    const left = this.maxFrameBytes - this.past;
    const available = Math.min(this.received - begin, left);
    let total = 0;
    if (this.scanned < this.received) {
      try {
        total = (this.codec as Codec).measure(
          this.bytes,
          begin,
          begin + available,
          Math.min(this.scanned - begin, available),
        );
      } catch (error) {
        this.fail(error);
      }
      if (this.failure !== undefined) throw this.failure;
    }
    if (total === 0) {
      if (available === left) this.fail(noEnd(this.maxFrameBytes));
      this.scanned = this.received;
      // The last bytes may be the beginning of the mark.
      const count = available - large.trim + 1;
      return count <= 0 ? this.awaitMore() : this.deliverPart(large, count, 0, UNKNOWN);
    }
    const refusal = refuseMeasure(total, 0, large.trim, available);
    if (refusal !== undefined) this.fail(refusal);
    return this.deliverPart(large, total - large.trim, large.trim, 0);
  }

  private deliverPart(large: LargeFrame, count: number, trim: number, rest: number): true {
    large.next(count, rest);
    const begin = this.frameBegin;
    this.frameOffset = begin;
    this.frameLength = count;
    this.frameBegin = begin + count + trim;
    if (rest !== UNKNOWN || this.scanned < this.frameBegin) this.scanned = this.frameBegin;
    this.past = rest === 0 ? 0 : this.past + count;
    return true;
  }

  /** The frame begun is too long: drops its bytes that were scanned. */
  private skip(): false {
    this.skippedFrames++;
    this.drop(this.maxFrameBytes - this.markBytes + 1);
    return false;
  }

  /** Drops up to the end of the frame that is being skipped; false: it has not arrived yet. */
  private skipOn(): boolean {
    if (this.failure !== undefined) throw this.failure;
    const begin = this.frameBegin;
    const received = this.received;
    if (begin === received) return this.awaitMore();
    const codec = this.codec as Codec;
    let total = 0;
    try {
      total = codec.measure(this.bytes, begin, received, this.scanned - begin);
    } catch (error) {
      this.fail(error);
    }
    if (this.failure !== undefined) throw this.failure;
    const available = received - begin;
    if (total === 0) {
      // The last bytes may be the beginning of the mark.
      this.drop(Math.max(0, available - this.markBytes + 1));
      return this.awaitMore();
    }
    const refusal = refuseMeasure(total, 0, this.markBytes, available);
    if (refusal !== undefined) this.fail(refusal);
    this.drop(total);
    this.past = 0;
    return true;
  }

  private drop(count: number): void {
    this.frameOffset = NO_FRAME;
    this.frameBegin += count;
    if (this.scanned < this.frameBegin) this.scanned = this.frameBegin;
    this.past += count;
    this.skippedBytes += count;
  }

  private awaitMore(): false {
    this.frameOffset = NO_FRAME;
    this.scanned = this.received;
    return false;
  }

  private finishSpecially(): boolean {
    if (this.failure !== undefined) throw this.failure;
    const large = this.large;
    if (this.past > 0 && large === undefined) {
      this.skippedBytes += this.parkedBytes;
      this.parkedBytes = 0;
      this.drop(this.received - this.frameBegin);
      this.past = 0;
    }
    if (!this.unpark()) this.fail(new BusbarError('ERR_BUSBAR_POOL_EXHAUSTED'));
    const begin = this.frameBegin;
    const kept = this.received - begin;
    if (large?.isOpen) return this.deliverPart(large, kept, 0, 0);
    large?.end();
    if (kept > 0) return this.deliverAll(begin, begin + kept);
    this.frameOffset = NO_FRAME;
    return false;
  }
}

describeAs(Framer, 'Framer', (framer) => ({
  pendingBytes: framer.pendingBytes,
  ...framer.stats(),
}));
