// SPDX-License-Identifier: MIT
/** `WriteFlusher`: collects the regions of many writers, of any thread, for one receiver. */

import { assert } from '../base/assert.ts';
import {
  exchange,
  loadAcquire,
  loadSeqCst,
  storeRelease,
  storeSeqCst,
  type Words,
} from '../base/atomics.ts';
import { checkFunction, checkInteger, checkMade } from '../base/check.ts';
import { describeAs } from '../base/description.ts';
import { BusbarError } from '../base/errors.ts';
import { ensureStack, ensureStep } from '../base/stack.ts';
import { isWords } from '../base/views.ts';
import type { WaitOptions } from '../base/wait-guard.ts';
import { checkPool } from '../pool/check-pool.ts';
import type { BufferId, BufferPool } from '../pool/index.ts';
import { slotOf } from '../pool/pool-layout.ts';
import type { TransitLength, TransitMark, TransitOffset } from '../pool/transit-layout.ts';
import {
  FLUSHER_VERSION,
  type FlusherLayout,
  HEAD,
  LANES_USED,
  OWNER,
  OWNER_CLOSED,
  OWNER_NONE,
  OWNER_SHARED,
  RECEIVER,
  STATE,
  STATE_CLOSED,
  STATE_OPEN,
  TAIL,
} from './flusher-layout.ts';
import {
  checkCountMax,
  createFlusherBlock,
  flusherLayoutOf,
  openFlusherBlock,
  type WriteFlusherHandle,
  type WriteFlusherOptions,
  type WriteFlusherStats,
} from './flusher-options.ts';
import { checkTail, giveRoom, Lane, releaseUnpublished, takeRegions } from './lane.ts';
import { pipeInto, type WritableSink } from './pipe-to.ts';
import { ReceiverBell } from './receiver-bell.ts';
import type { TurnEnd } from './turn-ends.ts';
import { WaitingRegions } from './waiting-regions.ts';
import { flusherTransits } from './writer-transits.ts';

/**
 * Receives one region: `length` bytes from `offset` in `pool.bytes`, written by writer `writerId`.
 *
 * **Ownership** the sink has one reference on `bufferId` and releases it when the bytes are sent
 * (for a socket: in the write callback). If it throws, the region counts as delivered: unless the
 * sink has released the buffer, the buffer is lost.
 */
export type RegionSink = (
  writerId: number,
  offset: number,
  length: number,
  bufferId: BufferId,
) => void;

/**
 * Collects regions of many writers, of any thread, for one receiver. `create` makes the calling
 * thread the receiver; other threads `attach`.
 *
 * A region is a contiguous run of whole messages of one writer, ready for one `write`. Regions of
 * one writer arrive in the order in which they were written.
 */
export class WriteFlusher {
  readonly pool: BufferPool;
  readonly handle: WriteFlusherHandle;
  /** @internal */
  readonly words: Words;
  /** @internal */
  readonly layout: FlusherLayout;
  /** Ready bits taken and not served yet: paused lanes, or a drain that reached its limit. */
  readonly #owed: Int32Array;
  readonly #paused: Int32Array;
  // biome-ignore lint/correctness/noUnusedPrivateClassMembers: the pool knows it weakly
  readonly #transits: object;
  #onWriterGone: ((writerId: number) => void) | undefined;
  readonly #bell: ReceiverBell;
  readonly #waiting: WaitingRegions;
  #draining = false;
  /** Identifies this thread in the lanes it opens. */
  readonly #badge: number;
  /** The lane at which the next drain begins. */
  #drainNext = 0;
  /** Lanes below are probably taken. Low ids are preferred, since a drain visits them first. */
  #laneHint = 0;
  #drainedRegions = 0;
  #drainedBytes = 0;

  private constructor(pool: BufferPool, words: Words) {
    checkMade(isWords(words), new.target);
    this.pool = pool;
    this.words = words;
    this.layout = flusherLayoutOf(words);
    this.#badge = pool.badge;
    this.#bell = new ReceiverBell(pool, words, () => this.#hasDue());
    this.#waiting = new WaitingRegions(words, this.layout);
    this.handle = Object.freeze({
      kind: 'busbar/flusher',
      version: FLUSHER_VERSION,
      control: words.buffer as SharedArrayBuffer,
    });
    this.#owed = new Int32Array(this.layout.readyWords);
    this.#paused = new Int32Array(this.layout.readyWords);
    this.#transits = flusherTransits(pool, words, this.layout);
  }

  /**
   * Creates a flusher with this thread as receiver. **Throws** TypeError or RangeError naming the
   * option.
   */
  static create(pool: BufferPool, options: WriteFlusherOptions = {}): WriteFlusher {
    checkPool(pool);
    const flusher = new WriteFlusher(pool, createFlusherBlock(pool, options));
    flusher.words[RECEIVER] = flusher.#badge;
    return flusher;
  }

  /** Joins a flusher from another thread; `pool` is that thread's object of the same pool. */
  static attach(pool: BufferPool, handle: WriteFlusherHandle): WriteFlusher {
    checkPool(pool);
    return new WriteFlusher(pool, openFlusherBlock(pool, handle));
  }

  get closed(): boolean {
    return loadAcquire(this.words, STATE) !== STATE_OPEN;
  }

  /** @internal {@link closed} for the receiver, which closes it: a plain load. */
  get closedHere(): boolean {
    return this.words[STATE] !== STATE_OPEN;
  }

  /** True if this thread is the receiver. */
  get isReceiver(): boolean {
    return this.#bell.isReceiver;
  }

  /**
   * Makes this thread the receiver in place of one that has ended; it then drains the waiting
   * regions.
   *
   * **Throws** ERR_BUSBAR_FLUSHER_ROLE unless the current receiver is known to have ended.
   */
  becomeReceiver(): void {
    this.pool.checkAttached();
    this.#bell.takeRole();
    // The dead receiver's `#owed` is lost.
    this.#lookAtAll();
    this.#bell.listen();
  }

  /**
   * Passes every waiting region to `sink`, up to `countMax` (1 or more); returns their number. If a
   * drain reached its limit, the next begins with the writer after the last one served. If there is
   * no room for any region, do not drain, or {@link pauseWriter}.
   *
   * **Threads** the receiver. **Cost** one exchange per 32 lanes with news, one load and one store
   * per lane, a few plain loads and stores per region. No allocation. **Throws**
   * ERR_BUSBAR_FLUSHER_ROLE, ERR_BUSBAR_DETACHED, TypeError, RangeError, without any change; and
   * the sink's errors, after the regions delivered so far were accounted for.
   */
  drain(sink: RegionSink, countMax: number = Infinity): number {
    this.#checkReceiver();
    checkFunction('sink', sink);
    checkCountMax(countMax);
    if (this.#draining || this.closed) return 0;
    this.invariants();
    this.#draining = true;
    try {
      return this.#drainDue(sink, countMax);
    } finally {
      this.#draining = false;
      this.#bell.listen();
      this.#waiting.advance();
    }
  }

  /** Visits each lane once, beginning with {@link #drainNext}. */
  #drainDue(sink: RegionSink, countMax: number): number {
    const { words, layout } = this;
    const end = this.#readyWordsUsed;
    const first = this.#drainNext;
    this.#drainNext = 0;
    const below = (1 << (first & 31)) - 1;
    let count = 0;
    this.#bell.wake();
    // The word with the first lane comes twice: first its lanes from there on, last those before.
    for (let i = 0, index = first >>> 5; i <= end; i++, index++) {
      if (index >= end) index = 0;
      const at = layout.readyWord(index << 5);
      // SYNC(ready): takes the news of 32 lanes; pairs with publish().
      if (words[at] !== 0) this.#owed[index] |= exchange(words, at, 0);
      let due = this.#owed[index] & ~this.#paused[index];
      if (i === 0) due &= ~below;
      else if (i === end) due &= below;
      while (due !== 0) {
        // A received region must reach the sink.
        if (count === 0) ensureStep();
        const bit = due & -due;
        due ^= bit;
        const lane = (index << 5) + (31 - Math.clz32(bit));
        if (lane < layout.writerCount) count += this.#drainLane(lane, sink, countMax - count);
        else this.#owed[index] &= ~bit;
        if (count < countMax) continue;
        this.#drainNext = lane + 1 < layout.writerCount ? lane + 1 : 0;
        return count;
      }
    }
    return count;
  }

  /**
   * Sets the callback that runs soon after regions have arrived: at the end of the turn if a writer
   * of this thread flushed them, after a ring if another thread did. It normally drains.
   *
   * **Threads** the receiver. Does not keep the event loop alive; a socket or a waiting writer
   * does.
   */
  setReadyCallback(callback: (() => void) | undefined): void {
    if (callback !== undefined) {
      checkFunction('callback', callback);
      this.#checkReceiver();
    }
    if (callback === undefined || !this.closed) this.#bell.setCallback(callback);
  }

  /** @internal */
  get readyCallback(): (() => void) | undefined {
    return this.#bell.callback;
  }

  /**
   * Writes every region, from now on, to a writable stream of Node (a file, a socket), and waits
   * while the stream is full. The stream stays the caller's, which ends it and handles its errors;
   * once it has ended or failed, regions are released undelivered. Ends with another `pipeTo`, or
   * {@link setReadyCallback}. Its `write` must not use the bytes after it has called back; a stream
   * that can be read, too, gets copies, except a socket.
   *
   * **Threads** the receiver. **Throws** as {@link setReadyCallback}.
   */
  pipeTo(writable: WritableSink): void {
    pipeInto(this, writable);
  }

  /**
   * Waits until every region that was flushed before this call is drained: with {@link pipeTo}, is
   * the stream's. Messages that a writer has not flushed do not count.
   *
   * **Threads** the receiver. Does not keep the event loop alive. **Throws** (rejects)
   * ERR_BUSBAR_FLUSHER_ROLE, ERR_BUSBAR_FLUSHER_CLOSED, ERR_BUSBAR_TIMEOUT, `signal.reason`.
   */
  async drained(options?: WaitOptions): Promise<void> {
    this.#checkReceiver();
    if (this.closed) throw new BusbarError('ERR_BUSBAR_FLUSHER_CLOSED');
    // A ring of another thread comes later, if the event loop is still alive then.
    this.#bell.request();
    await this.#waiting.untilTaken(options);
  }

  /**
   * Sets the callback that runs when all regions of a closed or dead writer are drained, before
   * another writer can get its id.
   *
   * @internal
   */
  setGoneCallback(callback: (writerId: number) => void): void {
    this.#onWriterGone = callback;
  }

  /**
   * Stops draining a writer's regions until {@link resumeWriter}. Its lane fills, which stops the
   * writer. **Threads** the receiver. **Throws** RangeError, TypeError.
   */
  pauseWriter(writerId: number): void {
    this.#checkWriter(writerId);
    this.#paused[writerId >>> 5] |= 1 << (writerId & 31);
  }

  /**
   * Undoes {@link pauseWriter}, with the same errors. If regions wait, requests the ready callback
   * for the end of this turn. **Threads** the receiver.
   */
  resumeWriter(writerId: number): void {
    this.#checkWriter(writerId);
    const bit = 1 << (writerId & 31);
    this.#paused[writerId >>> 5] &= ~bit;
    if ((this.#owed[writerId >>> 5] & bit) !== 0) this.#bell.request();
  }

  /**
   * Releases what writers of a dead thread had not flushed, and frees their lanes once their
   * flushed regions are drained. Call it before `pool.reclaim(slot)`. Returns the number of
   * writers.
   *
   * **Threads** the receiver. **Throws** ERR_BUSBAR_THREAD_ALIVE, ERR_BUSBAR_FLUSHER_ROLE.
   */
  recover(threadSlot: number): number {
    checkInteger('threadSlot', threadSlot, 0, this.pool.maxThreads - 1);
    this.#checkReceiver();
    ensureStack();
    const isGone = this.pool.isThreadGone(threadSlot);
    let count = 0;
    for (let lane = 0; lane < this.layout.writerCount; lane++) {
      const owner = loadAcquire(this.words, this.layout.lane(lane) + OWNER);
      const isTheirs = owner > OWNER_NONE && owner !== OWNER_SHARED && slotOf(owner) === threadSlot;
      // An earlier thread of the slot has ended in any case.
      if (!isTheirs || !(isGone || this.pool.isBadgeGone(owner))) continue;
      releaseUnpublished(this.pool, this.words, this.layout, lane);
      storeRelease(this.words, this.layout.lane(lane) + OWNER, OWNER_CLOSED);
      count++;
    }
    if (!isGone && count === 0) {
      throw new BusbarError('ERR_BUSBAR_THREAD_ALIVE', `thread slot ${threadSlot}`);
    }
    // The thread may have died before it set a ready bit.
    this.#lookAtAll();
    this.announceForDead();
    return count;
  }

  /** Counters and waiting regions. **Cost** two loads per lane. */
  stats(): WriteFlusherStats {
    const { closed } = this;
    return {
      closed,
      ...this.#waiting.count(closed),
      drainedRegions: this.#drainedRegions,
      drainedBytes: this.#drainedBytes,
    };
  }

  /**
   * Ends the flusher. Waiting regions are released undelivered; drain first to lose none. Writers'
   * calls throw ERR_BUSBAR_FLUSHER_CLOSED from their next flush or new buffer on; messages written
   * until then are dropped, and their close() counts them. Returns the bytes dropped. Idempotent.
   *
   * **Threads** the receiver. **Throws** ERR_BUSBAR_FLUSHER_ROLE.
   */
  close(): number {
    if (this.closed) return 0;
    this.#checkReceiver();
    this.invariants();
    ensureStack();
    // SYNC(closing): in one order with publish(): either we see its regions below, or it sees the
    // flag.
    storeSeqCst(this.words, STATE, STATE_CLOSED);
    let dropped = 0;
    for (let lane = 0; lane < this.layout.writerCount; lane++) {
      dropped += takeRegions(this.pool, this.words, this.layout, lane);
      giveRoom(this.pool, this.words, this.layout.lane(lane));
    }
    this.#bell.close();
    this.#waiting.close();
    return dropped;
  }

  /** @internal Asserts what holds between any two calls of the receiver. */
  invariants(): void {
    const { writerCount } = this.layout;
    assert(this.#drainNext < writerCount, 'the next drain begins at a lane');
    assert(this.#laneHint <= writerCount, 'the hint is a lane, or past the last');
    assert(this.#drainedRegions >= 0, 'regions are counted up');
    assert(this.#drainedBytes >= 0, 'bytes are counted up');
  }

  // ── For the writers of this thread ────────────────────────────────────────────────────────────

  /** @internal */
  openLane(): Lane {
    if (this.closed) throw new BusbarError('ERR_BUSBAR_FLUSHER_CLOSED');
    const lane = Lane.open(this.pool, this.words, this.layout, this.#badge, this.#laneHint);
    this.#laneHint = lane.id + 1;
    return lane;
  }

  /** @internal */
  joinLane(id: number): Lane {
    return Lane.join(this.pool, this.words, this.layout, id);
  }

  /**
   * @internal Notifies the receiver of new regions: rings it if it sleeps, or, if this thread is
   * the receiver, requests the ready callback.
   */
  announce(): void {
    this.#bell.announce();
  }

  /**
   * @internal {@link announce} for a thread that may have died between clearing ASLEEP and ringing:
   * rings whatever ASLEEP says.
   */
  announceForDead(): void {
    this.#bell.announceForDead();
  }

  /** @internal Calls `what` once when the current turn of the event loop ends. */
  atTurnEnd(what: TurnEnd): void {
    this.#bell.atTurnEnd(what);
  }

  // ── Private ───────────────────────────────────────────────────────────────────────────────────

  /** Ready words in which a bit can be set. */
  get #readyWordsUsed(): number {
    return (loadSeqCst(this.words, LANES_USED) + 31) >>> 5;
  }

  #drainLane(lane: number, sink: RegionSink, countMax: number): number {
    const { words, layout, pool } = this;
    const record = layout.lane(lane);
    const bit = 1 << (lane & 31);
    // SYNC(lane-tail): sees the slots and the bytes published before; pairs with publish().
    const tail = loadAcquire(words, record + TAIL);
    let head = words[record + HEAD];
    let count = 0;
    checkTail(head, tail, layout.regionCount);
    try {
      while (head !== tail && count < countMax) {
        const slot = layout.slot(lane, head);
        // A receiver took the reference and died before it moved HEAD; reclaim() releases it.
        if (words[slot + (3 satisfies TransitMark)] === 0) {
          head = (head + 1) | 0;
          continue;
        }
        const offset = words[slot + (1 satisfies TransitOffset)];
        const length = words[slot + (2 satisfies TransitLength)];
        const id = pool.moveFromWords(words, slot);
        // Not earlier: if the pool throws, the region stays.
        head = (head + 1) | 0;
        count++;
        this.#drainedBytes += length;
        sink(lane, offset, length, id);
        if ((this.#paused[lane >>> 5] & bit) !== 0) break;
      }
    } finally {
      this.#drainedRegions += count;
      // SYNC(lane-head): lets the writer refill the slots. In one order with WANTS_SPACE: see
      // wantSpace().
      storeSeqCst(words, record + HEAD, head);
      giveRoom(pool, words, record);
      if (head === tail) {
        this.#freeIfClosed(lane, record);
        // Last: if anything before this throws, the next drain visits the lane again.
        this.#owed[lane >>> 5] &= ~bit;
      }
    }
    return count;
  }

  #freeIfClosed(lane: number, record: number): void {
    // SYNC(lane-owner): sees the writer's last publication, which came before it closed.
    if (loadAcquire(this.words, record + OWNER) !== OWNER_CLOSED) return;
    if (loadAcquire(this.words, record + TAIL) !== this.words[record + HEAD]) return;
    // The next writer of this lane starts unpaused.
    this.#paused[lane >>> 5] &= ~(1 << (lane & 31));
    this.#onWriterGone?.(lane);
    // SYNC(lane-owner): hands the lane, HEAD and TAIL, to its next owner; pairs with Lane.open().
    storeRelease(this.words, record + OWNER, OWNER_NONE);
    this.#laneHint = Math.min(this.#laneHint, lane);
  }

  /** True if a lane that is not paused has news, whether a drain has taken them or not. */
  #hasDue(): boolean {
    const { words, layout } = this;
    for (let index = 0, end = this.#readyWordsUsed; index < end; index++) {
      const due = this.#owed[index] & ~this.#paused[index];
      // SYNC(ready): either we see the writer's bit here, or it sees ASLEEP.
      if (due !== 0 || loadSeqCst(words, layout.readyWord(index << 5)) !== 0) return true;
    }
    return false;
  }

  /** Makes the next drain visit every lane, whatever its ready bit says. */
  #lookAtAll(): void {
    this.#owed.fill(-1);
  }

  #checkReceiver(): void {
    this.pool.checkAttached();
    if (!this.isReceiver) throw new BusbarError('ERR_BUSBAR_FLUSHER_ROLE', 'this thread attached');
  }

  #checkWriter(writerId: number): void {
    checkInteger('writerId', writerId, 0, this.layout.writerCount - 1);
  }
}

describeAs(WriteFlusher, 'WriteFlusher', (flusher) => flusher.stats());
