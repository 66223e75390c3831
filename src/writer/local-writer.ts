// SPDX-License-Identifier: MIT
/** `LocalWriter`: batches messages of one thread into regions and hands them to a flusher. */

import { assert } from '../base/assert.ts';
import { checkInteger, checkRealSource, checkSource, OR_STRING } from '../base/check.ts';
import { describeAs } from '../base/description.ts';
import { BusbarError } from '../base/errors.ts';
import { ensureStep } from '../base/stack.ts';
import { Packet } from '../packet/index.ts';
import { type BufferId, type BufferPool, NO_BUFFER, type WaitOptions } from '../pool/index.ts';
import type { Lane } from './lane.ts';
import { PolicyFlush } from './policy-flush.ts';
import { SpaceWait } from './space-wait.ts';
import { SpanQueue } from './span-queue.ts';
import { SpanSettling } from './span-settling.ts';
import { WaitingWriter } from './waiting-writer.ts';
import type { WriteFlusher } from './write-flusher.ts';
import { tryWriteText } from './write-text.ts';
import { badReservation, checkFlusher, checkMessageLength, checkOpen } from './writer-checks.ts';
import {
  type ResolvedWriterOptions,
  resolveWriterOptions,
  type WriterOptions,
} from './writer-options.ts';

const NONE = -1; // returned by `tryReserve`: not now; as an offset: no reservation is open
// FAST ◀──all spans settled / a second reservation──▶ SPANS; from both: close ▸ CLOSING ▸ CLOSED
const FAST = 0; // at most one reservation is open, in the writer's buffer
const SPANS = 1; // reservations and committed regions are kept in order in `spans`
const CLOSING = 2; // releasing its buffers; after an exception the next `close` continues
const CLOSED = 3;
type Mode = typeof FAST | typeof SPANS | typeof CLOSING | typeof CLOSED;

/**
 * Writes messages into pool memory and hands them to a flusher, many at once.
 *
 *   buffer  ├headroom┤▒▒▒▒▒▒▒▒▒▒▒▒▒▒▒▒▒▒▒▒▒▒▒▒▒▒▒▒┤··········┤              ├tailroom┤
 *                    regionBegin              committed     cursor         limit
 *                    └──── goes with the next flush ───┘└ reserved ┘└ free ┘
 *
 *   regionBegin ≤ committed ≤ cursor ≤ limit; all are 0 without a buffer
 *
 * While at most one reservation is open, reserve moves `cursor` and commit moves `committed`: five
 * plain stores. Once a second one opens, a SpanQueue keeps all of them in order until all have
 * ended. No call blocks; messages after an open reservation are flushed once that has ended.
 *
 * **Threads** the one that created it.
 */
export class LocalWriter extends WaitingWriter {
  readonly pool: BufferPool;
  readonly flusher: WriteFlusher;
  /** The `writerId` passed to the flusher's sink. Unique among the flusher's open writers. */
  readonly id: number;
  private readonly lane: Lane;
  private readonly options: ResolvedWriterOptions;
  /** @internal */
  readonly spans: SpanQueue;
  /** @internal */
  protected readonly waiting: SpaceWait;
  private readonly settling: SpanSettling;
  private readonly policy: PolicyFlush;
  // The current buffer, on which the writer holds one reference.
  private bufferId: BufferId = NO_BUFFER;
  private regionBegin = 0;
  private committed = 0;
  private cursor = 0;
  private limit = 0;
  /** `limit` in mode FAST, else 0: fast paths check mode and space in one comparison. */
  private fastLimit = 0;
  private mode: Mode = FAST;
  private openAt: number = NONE; // begin of the one reservation open on the fast path
  private readonly countsBytes: boolean;
  private budget: number;
  /** True if a flush by policy may have left messages that follow an open reservation. */
  private isHeldUp = false;

  constructor(flusher: WriteFlusher, options: WriterOptions = {}) {
    super();
    this.pool = checkFlusher(flusher).pool;
    this.flusher = flusher;
    this.options = resolveWriterOptions(flusher.pool, options);
    ensureStep();
    this.lane = flusher.openLane();
    this.id = this.lane.id;
    this.countsBytes = this.options.policy === 'bytes';
    this.budget = this.options.budget;
    this.spans = new SpanQueue(flusher.pool);
    const flush = (): boolean => this.flush();
    this.policy = new PolicyFlush(flusher, this.lane, this.options, flush);
    this.waiting = new SpaceWait(flusher, this.lane, flush);
    this.settling = new SpanSettling(this.lane, this.spans, this.waiting, this.options);
  }

  /** The longest message that fits. */
  get messageBytesMax(): number {
    return this.pool.bufferSize - this.options.headroom - this.options.tailroom;
  }

  /** Bytes committed and not yet handed to the flusher. */
  get bufferedBytes(): number {
    const bytes = this.committed - this.regionBegin + this.lane.unpublishedBytes;
    return this.spans.isEmpty ? bytes : bytes + this.spans.committedBytes;
  }

  /** Bytes flushed that the receiver has not taken yet. **Cost** O(regions). */
  get flushedBytes(): number {
    return this.closed ? 0 : this.lane.publishedBytes;
  }

  /** @internal Whether the receiver has taken everything that was committed. */
  get isTaken(): boolean {
    return this.mode === FAST && this.committed === this.regionBegin && this.lane.isEmpty;
  }

  /**
   * Reserves `length` bytes; returns their absolute offset in `pool.bytes`, or −1: not now (no
   * buffer is free, or the flusher is full). The caller writes the message there and calls {@link
   * commit} or {@link abort}.
   *
   * Reservations may be held across an await and ended in any order. One of more than half a buffer
   * gets its own buffer if the current one lacks the space.
   *
   * **Cost** a few loads, two stores. **Throws** ERR_BUSBAR_MESSAGE_TOO_LARGE,
   * ERR_BUSBAR_WRITER_CLOSED, RangeError.
   */
  tryReserve(length: number): number {
    const at = this.cursor;
    const end = at + length;
    if (!(end <= this.fastLimit && end > at) || this.openAt !== NONE || length >>> 0 !== length) {
      return this.reserveSlow(length);
    }
    this.cursor = end;
    this.openAt = at;
    return at;
  }

  /**
   * Ends the reservation that begins at `offset`: its first `length` bytes are a message and will
   * be flushed.
   *
   * **Cost** a few loads, four stores. **Throws** ERR_BUSBAR_BAD_RESERVATION, RangeError, without
   * any change.
   */
  commit(offset: number, length: number): void {
    const end = offset + length;
    // NONE is also tryReserve's "not now": a caller that ignored it must not pass here.
    if (
      offset !== this.openAt ||
      offset === NONE ||
      !(end <= this.cursor) ||
      length >>> 0 !== length
    ) {
      this.commitSlow(offset, length);
    } else {
      this.openAt = NONE;
      this.committed = end;
      this.cursor = end;
    }
    const left = this.budget - (this.countsBytes ? length : 1);
    this.budget = left;
    if (left < 0) this.budget = this.policy.spend();
  }

  /** {@link commit} that also returns a packet of the same bytes, which the caller releases. */
  commitPacket(offset: number, length: number): Packet {
    const isFast = offset === this.openAt && offset !== NONE;
    if (!isFast && this.spans.lengthOf(offset) < 0) throw badReservation(offset);
    // First: the commit may flush, and the receiver may release before it returns.
    const packet = Packet.sharing(this.pool, this.pool.bufferAt(offset), offset, length);
    try {
      this.commit(offset, length);
    } catch (error) {
      packet.release();
      throw error;
    }
    return packet;
  }

  /** Ends the reservation without a message. **Throws** ERR_BUSBAR_BAD_RESERVATION. */
  abort(offset: number): void {
    if (offset === this.openAt && offset !== NONE) {
      this.cursor = offset;
      this.openAt = NONE;
      return;
    }
    if (this.closed) throw new BusbarError('ERR_BUSBAR_WRITER_CLOSED');
    if (this.spans.lengthOf(offset) < 0) throw badReservation(offset);
    this.spans.abort(offset);
    this.afterEnd();
  }

  /**
   * Copies a message, bytes or a string, into the buffer. False: not now; nothing has changed.
   * **Throws** as {@link tryReserve}, and TypeError.
   *
   * A closed flusher is noticed at the next flush or new buffer; until then this returns true, and
   * {@link close} counts the bytes as dropped.
   */
  tryWrite(source: Uint8Array | string, begin: number = 0, end: number = source?.length): boolean {
    if (typeof source === 'string') return tryWriteText(this, source, begin, end);
    checkSource(source, begin, end, OR_STRING);
    const at = this.cursor;
    const length = end - begin;
    const next = at + length;
    if (!(next <= this.fastLimit && next > at) || this.openAt !== NONE) {
      return this.writeSlow(source, begin, end);
    }
    // The copy first: if it throws, nothing has changed.
    this.pool.arena.write(at, source, begin, end);
    this.committed = next;
    this.cursor = next;
    const left = this.budget - (this.countsBytes ? length : 1);
    this.budget = left;
    if (left < 0) this.budget = this.policy.spend();
    return true;
  }

  /**
   * Hands everything committed before the first open reservation to the flusher.
   *
   * Returns false if some of it did not fit now; a later flush takes the rest, in order. **Cost**
   * one store and one read-modify-write, for any number of messages. **Throws**
   * ERR_BUSBAR_FLUSHER_CLOSED, ERR_BUSBAR_WRITER_CLOSED.
   */
  flush(): boolean {
    checkOpen(this.closed, this.flusher);
    this.invariants();
    this.budget = this.options.budget;
    const { headroom, tailroom } = this.options;
    if (this.openAt !== NONE && headroom + tailroom > 0) this.enterSpans();
    const complete = this.spans.isEmpty ? this.cutRegion() : this.settle();
    this.isHeldUp = this.options.policy !== 'manual' && !this.spans.isEmpty;
    if (this.lane.hasNews && !this.lane.publish(this.flusher)) {
      this.lane.takeBack();
      throw new BusbarError('ERR_BUSBAR_FLUSHER_CLOSED');
    }
    return complete;
  }

  /** Waits until {@link flush} has handed over everything. **Throws** (rejects) as `reserve`. */
  async drained(options: WaitOptions = {}): Promise<void> {
    await this.waiting.until(() => (this.flush() ? 0 : NONE), options);
  }

  /**
   * Releases the writer's buffer if everything in it was flushed; the next reservation takes a new
   * one. For writers that may be idle for long. Returns true if the writer holds no buffer.
   */
  releaseIdle(): boolean {
    if (!this.isIdle) return false;
    if (this.bufferId !== NO_BUFFER) this.releaseBuffer();
    return true;
  }

  /**
   * Aborts open reservations, flushes as much as it can, releases the buffers. Returns the bytes
   * that could not be handed over: 0 unless the flusher is full or closed. Idempotent.
   */
  close(): number {
    if (this.mode === CLOSED) return 0;
    ensureStep();
    this.invariants();
    this.abortOpen();
    let dropped = 0;
    try {
      if (!this.closed) this.flush();
    } catch (error) {
      if (!(error instanceof BusbarError)) throw error;
      // A closed flusher: its closer may take regions, too. A closed pool: those to copy stay here.
      const bytes = this.lane.unpublishedBytes;
      if (!this.lane.publish(this.flusher)) {
        dropped += bytes;
        this.lane.takeBack();
      }
    }
    dropped += this.bufferedBytes;
    this.become(CLOSING);
    this.policy.close();
    this.spans.clear();
    if (this.bufferId !== NO_BUFFER) this.releaseBuffer();
    this.waiting.close();
    this.lane.close();
    this.flusher.announce();
    this.mode = CLOSED;
    return dropped;
  }

  /** @internal Aborts open reservations; messages committed after them go with the next flush. */
  abortOpen(): void {
    if (this.openAt !== NONE) this.abort(this.openAt);
    this.spans.abortAll();
  }

  get closed(): boolean {
    return this.mode >= CLOSING;
  }

  [Symbol.dispose](): void {
    this.close();
  }

  /** @internal Asserts the chain of the class comment, which holds between any two calls. */
  invariants(): void {
    const { regionBegin, committed, cursor, limit } = this;
    assert(regionBegin <= committed, 'a region must begin before what is committed');
    assert(committed <= cursor, 'what is committed must lie before the cursor');
    assert(cursor <= limit, 'the cursor must lie within the buffer');
    assert(this.fastLimit === (this.mode === FAST ? limit : 0), 'only mode FAST has a fast path');
  }

  // ── Slow paths ────────────────────────────────────────────────────────────────────────────────

  private writeSlow(source: Uint8Array, begin: number, end: number): boolean {
    checkRealSource(source, begin, end, OR_STRING);
    const at = this.tryReserve(end - begin);
    if (at < 0) return false;
    try {
      this.pool.arena.write(at, source, begin, end);
      this.commit(at, end - begin);
    } catch (error) {
      // No caller knows of the reservation.
      if (this.spans.lengthOf(at) >= 0) this.spans.abort(at);
      else if (at === this.openAt) {
        this.cursor = at;
        this.openAt = NONE;
      }
      throw error;
    }
    return true;
  }

  /** Reserves if a new buffer is due, a reservation is open, or `length` is 0 or invalid. */
  private reserveSlow(length: number): number {
    checkOpen(this.closed, this.flusher);
    this.invariants();
    checkMessageLength(length, this.messageBytesMax);
    // While others are open an empty one takes a byte, so that no two begin at the same offset.
    const space = Math.max(length, 1);
    const isShort = this.limit - Math.max(this.cursor, this.openAt + 1) < space;
    if (isShort && space > this.pool.bufferSize >>> 1) return this.reserveOwnBuffer(length);
    if (isShort && !this.switchBuffer()) return NONE;
    const isAlone = this.openAt === NONE && this.spans.isEmpty;
    if (!isAlone) this.enterSpans();
    const at = this.cursor;
    this.openAt = at;
    this.cursor = at + length;
    if (!isAlone) this.enterSpans();
    return at;
  }

  /** Reserves in a new buffer for this message alone; later ones continue in the current one. */
  private reserveOwnBuffer(length: number): number {
    if (!this.lane.hasSpace) return NONE;
    const id = this.waiting.tryAcquire();
    if (id === NO_BUFFER) return NONE;
    this.enterSpans();
    const at = this.pool.offsetOf(id) + this.options.headroom;
    this.spans.pushOpen(id, at, at + length, true);
    this.waiting.atHand = NO_BUFFER;
    return at;
  }

  /** Moves the region so far, then the open reservation, into `spans`, which keeps the order. */
  private enterSpans(): void {
    ensureStep();
    this.become(SPANS);
    if (this.committed > this.regionBegin) {
      this.pool.retain(this.bufferId);
      this.spans.pushCommitted(this.bufferId, this.regionBegin, this.committed);
    }
    if (this.openAt !== NONE) {
      this.pool.retain(this.bufferId);
      this.spans.pushOpen(this.bufferId, this.openAt, this.cursor, false);
      this.cursor = Math.max(this.cursor, this.openAt + 1);
      this.openAt = NONE;
    }
    this.regionBegin = this.committed = this.cursor;
  }

  /** Begin of the next region in the current buffer, after tailroom and headroom. */
  private nextBegin(end: number): number {
    const begin = end + this.options.tailroom + this.options.headroom;
    return Math.max(end, Math.min(begin, this.limit));
  }

  /** Replaces the full buffer by a new one. False: not now; nothing is lost. */
  private switchBuffer(): boolean {
    if (this.isIdle && this.bufferId !== NO_BUFFER) {
      if (this.pool.isSoleHolder(this.bufferId)) return this.beginBuffer(this.bufferId);
      // Others still read it. Release it before taking another: writers that hold one buffer while
      // they wait for the next could deadlock.
      this.releaseIdle();
    }
    if (!this.lane.hasSpace) return false;
    const id = this.waiting.tryAcquire();
    if (id === NO_BUFFER) return false;
    if (this.openAt !== NONE) this.enterSpans();
    const length = this.committed - this.regionBegin;
    if (this.bufferId !== NO_BUFFER) {
      // Space was checked. The writer's reference goes along: the receiver releases it.
      if (length > 0) this.lane.append(this.bufferId, this.regionBegin, length);
      else this.pool.release(this.bufferId);
      // No call from here on: the buffer is no longer the writer's.
      this.bufferId = NO_BUFFER;
      this.limit = this.fastLimit = 0;
      this.regionBegin = this.committed = this.cursor = 0;
    }
    this.beginBuffer(id);
    this.waiting.atHand = NO_BUFFER;
    this.spans.noteOwn(1);
    return true;
  }

  private releaseBuffer(): void {
    this.pool.release(this.bufferId);
    this.bufferId = NO_BUFFER;
    this.limit = this.fastLimit = 0;
    this.regionBegin = this.committed = this.cursor = 0;
    this.spans.noteOwn(0);
  }

  private beginBuffer(id: BufferId): true {
    const begin = this.pool.offsetOf(id);
    // No call from here on: see switchBuffer().
    this.bufferId = id;
    this.cursor = begin + this.options.headroom;
    this.regionBegin = this.committed = this.cursor;
    this.limit = begin + this.pool.bufferSize - this.options.tailroom;
    this.fastLimit = this.mode === FAST ? this.limit : 0;
    return true;
  }

  private become(mode: Mode): void {
    this.mode = mode;
    this.fastLimit = mode === FAST ? this.limit : 0;
  }

  private get isIdle(): boolean {
    return this.openAt === NONE && this.spans.isEmpty && this.committed === this.regionBegin;
  }

  /** Mode FAST: appends the region so far to the lane. False: the lane is full. */
  private cutRegion(): boolean {
    const length = this.committed - this.regionBegin;
    if (length === 0) return true;
    if (!this.lane.hasSpace) return false;
    const next = this.openAt === NONE ? this.nextBegin(this.committed) : this.committed;
    // Nothing may throw between the region's reference and its append.
    ensureStep();
    this.pool.retain(this.bufferId);
    this.lane.appendOrRelease(this.bufferId, this.regionBegin, length);
    // No call from here on: the appended bytes are no longer the writer's.
    this.regionBegin = next;
    if (this.openAt === NONE) this.committed = this.cursor = next;
    return true;
  }

  /** Mode SPANS: appends as much as possible; back to FAST, with a new region, without spans. */
  private settle(): boolean {
    if (!this.settling.settle()) return false;
    if (!this.spans.isEmpty) return true;
    this.become(FAST);
    this.regionBegin = this.committed = this.cursor = this.nextBegin(this.cursor);
    return true;
  }

  /** Called after the end of one of several reservations. */
  private afterEnd(): void {
    if (this.spans.openCount === 0) this.settle();
    // Messages that a flush by policy left because of this reservation are flushed now.
    if (this.isHeldUp && !this.spans.isBlocked) this.budget = this.policy.spend();
  }

  private commitSlow(offset: number, length: number): void {
    checkOpen(this.closed, this.flusher);
    const isFast = offset === this.openAt && offset !== NONE;
    const reserved = isFast ? this.cursor - offset : this.spans.lengthOf(offset);
    if (reserved < 0) throw badReservation(offset);
    checkInteger('length', length, 0, reserved);
    this.spans.commit(offset, length);
    this.afterEnd();
  }
}

describeAs(LocalWriter, 'LocalWriter', ({ id, closed, bufferedBytes }) => ({
  id,
  closed,
  bufferedBytes,
}));
