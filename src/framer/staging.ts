// SPDX-License-Identifier: MIT
/** The half of a framer that holds bytes: one pool buffer and four cursors. */

import type { Arena } from '../base/arena.ts';
import { assert } from '../base/assert.ts';
import { copyForeign } from '../base/bytes.ts';
import { checkInteger, checkSource } from '../base/check.ts';
import { BusbarError } from '../base/errors.ts';
import type { Bytes } from '../base/views.ts';
import { type BufferId, type BufferPool, NO_BUFFER } from '../pool/index.ts';
import type { BufferAllowance } from './buffer-allowance.ts';
import { BufferSupply } from './buffer-supply.ts';
import type { Codec } from './codec.ts';
import { type FramerOptions, resolveFramerOptions } from './framer-options.ts';
import { frameTooLarge } from './refusals.ts';

/**
 * The longest beginning of a frame that is kept outside the pool: enough for most headers and short
 * lines, and less than an idle socket needs itself.
 */
export const PARKED_BYTES_MAX = 256;

/** In place of the offset of a current frame. */
export const NO_FRAME = -1;

/** What a framer has done so far. */
export interface FramerStats {
  /** Buffers taken from the pool or provided. */
  readonly acquires: number;
  /** Times the framer went back to the beginning of its buffer: it was the only holder. */
  readonly rewinds: number;
  /** Frames whose beginning was moved. Their rest, and all other frames, lie where they arrived. */
  readonly moves: number;
  /** Bytes of the beginnings that were moved. */
  readonly movedBytes: number;
  /** Frames dropped because they were too long, the present one included: see `Codec.tooLong`. */
  readonly skippedFrames: number;
  /** Bytes dropped so far of these frames. */
  readonly skippedBytes: number;
}

/**
 * Takes bytes in, from a socket or from the caller, and keeps those of unfinished frames.
 *
 * The state is one buffer and four cursors in it, absolute offsets in `pool.bytes`:
 *
 * ```text
 *   bufferBegin   frameBegin         scanned         received     lentEnd   bufferEnd
 *        │ delivered  │ the next frame, │ not looked at │ lent out,  │ free     │
 *        │            │ looked at       │ yet           │ filling    │          │
 *
 *   bufferBegin ≤ frameBegin ≤ scanned ≤ received ≤ lentEnd ≤ bufferEnd
 *
 *   lend, tryReserve  lentEnd ──▶
 *   report, commit    received ──▶; lentEnd comes back to it: a loan is reported once
 *   next              frameBegin, scanned ──▶ the frame's end; without one, scanned ──▶ received
 *   finishFrame       frameBegin, scanned ──▶ received
 *   making room       frameBegin goes to the beginning of a buffer, pending bytes are moved there
 * ```
 *
 * Room is made when too little is left for a loan: in the same buffer if the framer is its only
 * holder (a rewind), else in a new one. A frame at the beginning of its buffer has the whole
 * buffer, so no frame is moved twice.
 *
 * **Ownership** One reference on one buffer, on two for the time of a move or after
 * {@link provideBuffer}, and one permit with them.
 */
export abstract class Staging {
  readonly pool: BufferPool;
  readonly maxFrameBytes: number = 0;
  readonly readBytesMin: number = 0;

  /** The buffer in use; the current frame lies in it. @readonly */
  frameBufferId: BufferId = NO_BUFFER;
  /** Where the current frame's payload begins in `pool.bytes`; -1: there is none. @readonly */
  frameOffset: number = NO_FRAME;
  /** Bytes of payload in the current frame. @readonly */
  frameLength: number = 0;

  // Numbers are set at once, so that V8 knows the fields for small integers.
  protected bufferBegin: number = 0;
  protected frameBegin: number = 0;
  protected scanned: number = 0;
  protected received: number = 0;
  protected lentEnd: number = 0;
  protected bufferEnd: number = 0;

  /** Length of the next frame if it is known and not all there, else 0. */
  protected awaited: number = 0;
  /** Bytes of the next frame that are gone: skipped, or delivered in parts. */
  protected past: number = 0;
  protected skippedFrames: number = 0;
  protected skippedBytes: number = 0;
  /** What made the framer fail; undefined: it has not. */
  protected failure: unknown;

  protected readonly bytes: Bytes;
  private readonly arena: Arena;
  /** Bytes of the frame begun that lie in `parked`; then the framer holds no buffer. */
  protected parkedBytes: number = 0;
  /** Outside of the pool; made when it is first needed. */
  private parked: Bytes | undefined;
  private readonly supply: BufferSupply;
  /** True if pending bytes may hold whole frames that only `next()` can find. */
  private readonly scans: boolean;
  /** The most bytes that may be pending when they are written by hand. */
  private readonly pendingBytesMax: number = 0;

  private acquires: number = 0;
  private rewinds: number = 0;
  private moves: number = 0;
  private movedBytes: number = 0;

  protected constructor(pool: BufferPool, codec: Codec | null, options: FramerOptions) {
    const { maxFrameBytes, readBytesMin } = resolveFramerOptions(pool.bufferSize, codec, options);
    const scans = codec !== null;
    this.pool = pool;
    this.maxFrameBytes = maxFrameBytes;
    this.readBytesMin = readBytesMin;
    this.bytes = pool.bytes;
    this.arena = pool.arena;
    this.supply = new BufferSupply(pool);
    this.scans = scans;
    this.pendingBytesMax = scans ? pool.bufferSize : maxFrameBytes;
  }

  /**
   * Bytes that belong to no delivered frame; at the end of a stream, those of an incomplete one.
   * All bytes of a frame that is being skipped, or delivered in parts, count.
   */
  get pendingBytes(): number {
    return this.received - this.frameBegin + this.parkedBytes + this.past;
  }

  /** @internal Bytes of it that the framer keeps: in its buffer, or parked. */
  get keptBytes(): number {
    return this.received - this.frameBegin + this.parkedBytes;
  }

  /** Length of the space that is lent at the moment. */
  get lentBytes(): number {
    return this.lentEnd - this.received;
  }

  /**
   * Lends space for bytes to arrive in: `[offset, offset + lentBytes)` of `pool.bytes`.
   *
   * Returns the offset, or -1: not now. Then either the pool has no buffer (release packets and
   * try again; nothing is lost), or this buffer is full of frames that were not taken yet (call
   * `next()` until it returns false). A loan that is not reported is lent again at the same place:
   * bytes that may be written now must not move.
   *
   * **Cost** One for all frames that arrive in it. May move a frame that was begun.
   * **Throws** The framer's failure; ERR_BUSBAR_FRAMER_CLOSED; ERR_BUSBAR_POOL_CLOSED.
   */
  lend(): number {
    if (this.failure !== undefined) throw this.failure;
    this.frameOffset = NO_FRAME;
    if (this.lentEnd === this.received) {
      if (this.wantsRoom()) this.makeRoom();
      if (this.received === this.bufferEnd) {
        this.releaseIdle(); // a full buffer with nothing pending is of no use while we wait
        return -1;
      }
    }
    this.lentEnd = this.bufferEnd;
    this.invariants();
    return this.received;
  }

  /**
   * Reports that `count` bytes have arrived at the lent offset, and ends the loan; 0 gives it back.
   *
   * **Throws** RangeError: more than was lent.
   */
  report(count: number): void {
    const received = this.received;
    if ((count | 0) !== count || count < 0 || count > this.lentEnd - received) {
      this.refuseCount(count);
    }
    this.received = received + count;
    this.lentEnd = received + count;
  }

  /**
   * Copies in as much of `source[begin, end)` as there is space for: for sources that cannot write
   * into lent space. Returns how much it took; 0 where `lend()` returns -1.
   */
  feed(source: Bytes, begin: number = 0, end: number = source?.length): number {
    checkSource(source, begin, end);
    const offset = this.lend();
    if (offset < 0) return 0;
    const lentEnd = this.lentEnd;
    const count = Math.min(end - begin, lentEnd - offset);
    // Nothing is lent if the copy throws.
    this.lentEnd = offset;
    this.arena.write(offset, source, begin, begin + count);
    this.lentEnd = lentEnd;
    this.report(count);
    return count;
  }

  /**
   * Makes room for `length` more bytes of the frame begun, to be written in place.
   *
   * Returns their offset in `pool.bytes`, or -1 as `lend()` does. One `commit` may follow; the
   * next reservation replaces this one. Moves the frame begun if its buffer cannot
   * hold it.
   *
   * **Throws** ERR_BUSBAR_FRAME_TOO_LARGE if the frame would exceed `maxFrameBytes` (with a codec,
   * which cuts by itself: the buffer); the framer goes on. RangeError: not a length.
   */
  tryReserve(length: number): number {
    const received = this.received;
    if (
      (length | 0) !== length ||
      length <= 0 ||
      length > this.bufferEnd - received ||
      length > this.pendingBytesMax - received + this.frameBegin ||
      this.failure !== undefined
    ) {
      return this.reserveSlowly(length);
    }
    this.lentEnd = received + length;
    return received;
  }

  /** Reports that the first `count` bytes of the reservation are written, like {@link report}. */
  commit(count: number): void {
    this.report(count);
  }

  /**
   * Reserves, copies `source[begin, end)` and commits. Returns false, and changes nothing, if it
   * does not fit.
   */
  tryWrite(source: Bytes, begin: number = 0, end: number = source?.length): boolean {
    checkSource(source, begin, end);
    const count = end - begin;
    let offset = this.received;
    // What tryReserve asks, less what has been checked: V8 inlines only so much into a caller.
    if (
      count === 0 ||
      offset + count > this.bufferEnd ||
      offset + count > this.frameBegin + this.pendingBytesMax ||
      this.failure !== undefined
    ) {
      offset = this.reserveSlowly(count);
      if (offset < 0) return false;
    }
    // Nothing is lent if the copy throws.
    this.lentEnd = offset;
    this.arena.write(offset, source, begin, end);
    this.received = this.lentEnd = offset + count;
    return true;
  }

  /**
   * Moves the frame begun, if any, to the beginning of a buffer, so that it has a whole one.
   *
   * Returns true also if it is there already; false means "not now", as for `lend()`.
   */
  nextBuffer(): boolean {
    if (this.failure !== undefined) throw this.failure;
    this.frameOffset = NO_FRAME;
    this.lentEnd = this.received;
    return this.makeRoom();
  }

  /**
   * Provides a buffer for the next time that room is needed: for callers that got -1 and then
   * waited with `pool.acquire()`, so that no other caller takes the buffer.
   *
   * **Ownership** The caller's reference is the framer's, unless this throws; a buffer that the
   * framer does not need goes back to the pool. **Throws** RangeError if others hold the buffer
   * too; ERR_BUSBAR_NOT_HELD.
   */
  provideBuffer(bufferId: BufferId): void {
    if (!this.pool.isSoleHolder(bufferId) || bufferId === this.frameBufferId) {
      throw new RangeError(`bufferId must be a buffer without another holder, got ${bufferId}`);
    }
    if (this.failure === undefined && this.supply.provide(bufferId)) return;
    this.pool.release(bufferId);
  }

  /** @internal Takes buffers only with permits of `allowance`; before the first one. */
  limitTo(allowance: BufferAllowance): void {
    assert(this.frameBufferId === NO_BUFFER, 'no buffer is held yet');
    this.supply.limitTo(allowance);
  }

  /** @internal Counts as part of that holder; before the first buffer. */
  holdAs(holder: number): void {
    this.supply.holdAs(holder);
  }

  /** @internal Gives it a permit that was waited for. */
  providePermit(): void {
    this.supply.providePermit();
  }

  /**
   * Gives the buffer back if nothing is pending and nothing lent; the next loan takes a new one.
   * For idle connections. Returns true if the framer holds no buffer now.
   */
  releaseIdle(): boolean {
    if (this.received > this.frameBegin || this.lentEnd > this.received) return false;
    this.releaseAll();
    return true;
  }

  /**
   * @internal Keeps the frame begun outside of the pool if it has {@link PARKED_BYTES_MAX} bytes or
   * fewer, and gives the buffer back; the next room that is made holds it again. Returns whether
   * the framer holds no buffer now.
   */
  park(): boolean {
    const begin = this.frameBegin;
    const pending = this.received - begin;
    // A loan must not move; and bytes that are not scanned may be whole frames.
    if (this.lentEnd > this.received || this.scanned < this.received) return false;
    if (pending > PARKED_BYTES_MAX) return false;
    if (pending > 0) {
      this.parked ??= new Uint8Array(PARKED_BYTES_MAX);
      copyForeign(this.parked, 0, this.bytes, begin, begin + pending);
      this.parkedBytes = pending;
    }
    this.releaseAll();
    return true;
  }

  /** @internal Moves parked bytes into a buffer. False: not now, as for {@link lend}. */
  unpark(): boolean {
    return this.parkedBytes === 0 || this.makeRoom();
  }

  /** @internal True if the framer has failed with this value. */
  failedWith(error: unknown): boolean {
    return this.failure !== undefined && this.failure === error;
  }

  /** What the framer has done so far. */
  stats(): FramerStats {
    const { acquires, rewinds, moves, movedBytes, skippedFrames, skippedBytes } = this;
    return { acquires, rewinds, moves, movedBytes, skippedFrames, skippedBytes };
  }

  /**
   * Gives the buffer back and drops pending bytes. Packets stay valid. May be called again.
   *
   * Nothing may write into lent space any more.
   */
  close(): void {
    this.failure = new BusbarError('ERR_BUSBAR_FRAMER_CLOSED');
    this.parkedBytes = 0;
    this.past = 0;
    this.releaseAll();
  }

  [Symbol.dispose](): void {
    this.close();
  }

  /** @internal Asserts the chain of the class comment. It holds between any two calls. */
  invariants(): void {
    const bytes = this.frameBufferId === NO_BUFFER ? 0 : this.pool.bufferSize;
    assert(this.bufferEnd - this.bufferBegin === bytes, 'the cursors stand in one buffer or none');
    assert(this.bufferBegin <= this.frameBegin, 'bufferBegin ≤ frameBegin');
    assert(this.frameBegin <= this.scanned, 'frameBegin ≤ scanned');
    assert(this.scanned <= this.received, 'scanned ≤ received');
    assert(this.received <= this.lentEnd, 'received ≤ lentEnd');
    assert(this.lentEnd <= this.bufferEnd, 'lentEnd ≤ bufferEnd');
    assert(bytes === 0 || this.parkedBytes === 0, 'an unfinished frame is in a buffer or parked');
    assert(this.awaited <= this.maxFrameBytes, 'awaited ≤ maxFrameBytes');
    assert(this.frameOffset <= this.frameBegin, 'the current frame is before the next one');
  }

  /**
   * Makes the framer fail. A value that is not an object is wrapped in an error: failures are
   * recognised by identity, which undefined and NaN do not have.
   */
  protected fail(error: unknown): never {
    const isObject = typeof error === 'object' && error !== null;
    this.failure = isObject
      ? error
      : new BusbarError('ERR_BUSBAR_FRAME_MALFORMED', undefined, { cause: error });
    this.frameOffset = NO_FRAME;
    throw this.failure;
  }

  /** True if `lend()` should make room first. */
  private wantsRoom(): boolean {
    const bufferId = this.frameBufferId;
    const begin = this.frameBegin;
    if (bufferId === NO_BUFFER) return true;
    if (begin === this.bufferBegin) return false;
    const free = this.bufferEnd - this.received;
    if (this.awaited > 0) return this.awaited > this.bufferEnd - begin;
    if (free < this.readBytesMin) return true;
    return begin === this.received && this.pool.isSoleHolder(bufferId);
  }

  /**
   * Moves `frameBegin` to the beginning of a buffer. False: not now, and nothing has changed.
   *
   * ```text
   *   before   │ delivered │ begun ░░░░░░│ free │      and, in a rewind, the same buffer
   *   after    │ begun ░░░░░░│ free            │      or else a new one
   * ```
   */
  protected makeRoom(): boolean {
    const source = this.frameBufferId;
    const begin = this.frameBegin;
    const parked = this.parkedBytes;
    const pending = this.received - begin + parked;
    if (source !== NO_BUFFER && begin === this.bufferBegin) return true;
    // Whole frames may be waiting. They stay: a complete frame is never moved.
    if (this.scans && this.scanned < this.received) return false;
    assert(this.lentEnd === this.received, 'nothing moves under a writer');
    const pool = this.pool;
    let target = source;
    if (source !== NO_BUFFER && pool.isSoleHolder(source)) {
      this.supply.releaseSpare();
      this.rewinds++;
    } else {
      target = this.supply.tryAcquire(source !== NO_BUFFER);
      if (target === NO_BUFFER) return false;
      this.acquires++;
    }
    const targetBegin = pool.offsetOf(target);
    if (parked > 0) {
      copyForeign(this.bytes, targetBegin, this.parked as Bytes, 0, parked);
      this.parkedBytes = 0;
    } else if (pending > 0) {
      pool.arena.copy(targetBegin, begin, pending);
    }
    if (pending > 0) {
      this.moves++;
      this.movedBytes += pending;
    }
    const scanned = this.scanned - begin + parked;
    if (source !== target) this.releaseBuffer();
    this.frameBufferId = target;
    this.frameOffset = NO_FRAME;
    this.bufferBegin = targetBegin;
    this.frameBegin = targetBegin;
    this.scanned = targetBegin + scanned;
    this.received = targetBegin + pending;
    this.lentEnd = targetBegin + pending;
    this.bufferEnd = targetBegin + pool.bufferSize;
    this.invariants();
    return true;
  }

  private reserveSlowly(length: number): number {
    if (this.failure !== undefined) throw this.failure;
    checkInteger('length', length, 0, 0x7fffffff);
    const pending = this.received - this.frameBegin + this.parkedBytes;
    if (pending + length > this.pendingBytesMax) {
      // Waiting frames may make room once they are taken.
      if (this.scans && this.scanned < this.received) return -1;
      throw frameTooLarge(pending + length, this.pendingBytesMax);
    }
    this.lentEnd = this.received;
    const fits = this.frameBufferId !== NO_BUFFER && length <= this.bufferEnd - this.received;
    if (!fits && !this.makeRoom()) return -1;
    this.lentEnd = this.received + length;
    this.invariants();
    return this.received;
  }

  private releaseAll(): void {
    this.releaseBuffer();
    this.supply.finish();
  }

  private releaseBuffer(): void {
    const bufferId = this.frameBufferId;
    this.frameBufferId = NO_BUFFER;
    this.frameOffset = NO_FRAME;
    this.bufferBegin = 0;
    this.frameBegin = 0;
    this.scanned = 0;
    this.received = 0;
    this.lentEnd = 0;
    this.bufferEnd = 0;
    if (bufferId !== NO_BUFFER) this.supply.release(bufferId);
  }

  private refuseCount(count: number): never {
    if (this.frameBufferId === NO_BUFFER && this.failure !== undefined) throw this.failure;
    checkInteger('count', count, 0, this.lentEnd - this.received);
    throw new RangeError('count must be an integer');
  }
}
