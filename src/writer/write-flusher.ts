// SPDX-License-Identifier: MIT
/** The room between writers and the socket: collects what writers of any thread have flushed. */

import {
  compareExchange,
  exchange,
  fetchOr,
  loadAcquire,
  loadSeqCst,
  storeRelease,
  storeSeqCst,
  type Words,
} from '../base/atomics.ts';
import { checkFunction, checkInteger } from '../base/check.ts';
import { BusbarError } from '../base/errors.ts';
import { afterThis } from '../base/turn.ts';
import { checkPool } from '../pool/check-pool.ts';
import type { BufferId, BufferPool } from '../pool/index.ts';
import {
  ASLEEP,
  FLUSHER_VERSION,
  type FlusherLayout,
  HEAD,
  LANES_USED,
  OWNER,
  OWNER_CLOSED,
  OWNER_NONE,
  RECEIVER,
  STATE,
  STATE_CLOSED,
  STATE_OPEN,
  TAIL,
  WANTED_BY_MANY,
  WANTS_SPACE,
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
import { Lane, releaseUnpublished, takeRegions } from './lane.ts';

/**
 * Takes one region: `length` bytes from `offset` in `pool.bytes`, written by writer `writerId`.
 *
 * **Ownership** the sink holds one reference on `bufferId` and releases it when the bytes are out
 * (for a socket: in the write callback). If it throws, the region counts as delivered: the sink
 * must have released the buffer, or it is lost.
 */
export type RegionSink = (
  writerId: number,
  offset: number,
  length: number,
  bufferId: BufferId,
) => void;

/** Something that wants to be called at the end of this turn of the event loop. */
export interface TurnEnd {
  onTurnEnd(): void;
}

/**
 * Many writers, any threads, one receiver. `create` makes the calling thread the receiver; other
 * threads `attach`.
 *
 * A region is a run of whole messages of one writer, contiguous, ready for one `write`. Regions of
 * one writer come in the order in which they were written.
 */
export class WriteFlusher {
  readonly pool: BufferPool;
  readonly handle: WriteFlusherHandle;
  /** @internal */
  readonly words: Words;
  /** @internal */
  readonly layout: FlusherLayout;
  /**
   * Ready bits that were taken from shared memory but not worked off: paused lanes, or a drain that
   * reached its limit.
   */
  readonly #owed: Int32Array;
  readonly #paused: Int32Array;
  #callback: (() => void) | undefined;
  #onWriterGone: ((writerId: number) => void) | undefined;
  #listening = false;
  #turn: TurnEnd[] = [];
  #turnSpare: TurnEnd[] = [];
  #turnIsDue = false;
  #draining = false;
  /** Lanes below are probably taken. Low ids are preferred: they are what a drain looks at. */
  #laneHint = 0;
  #drainedRegions = 0;
  #drainedBytes = 0;

  private constructor(pool: BufferPool, words: Words) {
    this.pool = pool;
    this.words = words;
    this.layout = flusherLayoutOf(words);
    this.handle = Object.freeze({
      kind: 'busbar/flusher',
      version: FLUSHER_VERSION,
      control: words.buffer as SharedArrayBuffer,
    });
    this.#owed = new Int32Array(this.layout.readyWords);
    this.#paused = new Int32Array(this.layout.readyWords);
  }

  /**
   * Makes a flusher; this thread receives. **Throws** TypeError or RangeError naming the option
   * that is wrong.
   */
  static create(pool: BufferPool, options: WriteFlusherOptions = {}): WriteFlusher {
    checkPool(pool);
    const flusher = new WriteFlusher(pool, createFlusherBlock(pool, options));
    flusher.words[RECEIVER] = pool.threadSlot + 1;
    return flusher;
  }

  /** Joins a flusher from a thread that writes; `pool` is that thread's object of the same pool. */
  static attach(pool: BufferPool, handle: WriteFlusherHandle): WriteFlusher {
    checkPool(pool);
    return new WriteFlusher(pool, openFlusherBlock(pool, handle));
  }

  get closed(): boolean {
    return loadAcquire(this.words, STATE) !== STATE_OPEN;
  }

  /** True if this thread is the one that drains. */
  get isReceiver(): boolean {
    return loadAcquire(this.words, RECEIVER) === this.pool.threadSlot + 1;
  }

  /**
   * Makes this thread the receiver in place of one that has ended. Regions that wait are delivered
   * to it.
   *
   * **Throws** ERR_BUSBAR_FLUSHER_ROLE while the present receiver is not known to be gone.
   */
  becomeReceiver(): void {
    this.pool.checkAttached();
    const present = loadAcquire(this.words, RECEIVER);
    const mine = this.pool.threadSlot + 1;
    // Its own already, or that of a dead thread which had the same slot.
    if (present === mine) {
      this.#takeRole();
      return;
    }
    if (!this.pool.isThreadGone(present - 1)) {
      throw new BusbarError('ERR_BUSBAR_FLUSHER_ROLE', `thread slot ${present - 1}`);
    }
    if (compareExchange(this.words, RECEIVER, present, mine) !== present) {
      throw new BusbarError('ERR_BUSBAR_FLUSHER_ROLE', 'another thread was faster');
    }
    this.#takeRole();
  }

  /**
   * Gives every region that waits to `sink`, up to `countMax` (1 or more); returns how many. With
   * no room for any, do not drain, or {@link pauseWriter}.
   *
   * **Threads** the receiver. **Cost** one exchange per 32 lanes with news, one load and one store
   * per lane, a few plain loads and stores per region. Allocates nothing. What the sink throws is
   * thrown on after the books are closed. **Throws** ERR_BUSBAR_FLUSHER_ROLE, ERR_BUSBAR_DETACHED,
   * TypeError, RangeError; nothing has changed then.
   */
  drain(sink: RegionSink, countMax: number = Infinity): number {
    this.#checkReceiver();
    checkFunction('sink', sink);
    checkCountMax(countMax);
    if (this.#draining || this.closed) return 0;
    this.#draining = true;
    try {
      return this.#drainDue(sink, countMax);
    } finally {
      this.#draining = false;
      this.#listenForMore();
    }
  }

  #drainDue(sink: RegionSink, countMax: number): number {
    const { words, layout } = this;
    let count = 0;
    storeSeqCst(words, ASLEEP, 0);
    for (let index = 0, end = this.#readyWordsUsed; index < end; index++) {
      const at = layout.readyWord(index << 5);
      // SYNC(ready): takes the news of 32 lanes; pairs with publish().
      if (words[at] !== 0) this.#owed[index] |= exchange(words, at, 0);
      let due = this.#owed[index] & ~this.#paused[index];
      while (due !== 0 && count < countMax) {
        const bit = due & -due;
        due ^= bit;
        const lane = (index << 5) + (31 - Math.clz32(bit));
        this.#owed[index] ^= bit;
        if (lane < layout.writerCount) count += this.#drainLane(lane, sink, countMax - count);
      }
    }
    return count;
  }

  /**
   * Calls `callback` on this thread soon after regions have arrived: at the end of the turn if a
   * writer of this thread flushed them, after a ring if another thread did. It normally drains.
   *
   * **Threads** the receiver. Does not keep the event loop alive: a socket or a waiting writer
   * does.
   */
  setReadyCallback(callback: (() => void) | undefined): void {
    if (callback !== undefined) {
      checkFunction('callback', callback);
      this.#checkReceiver();
    }
    this.#callback = callback;
    if (callback !== undefined && !this.#listening && !this.closed) {
      this.#listening = true;
      this.pool.doorbell.listen(this.#onRing);
    }
    if (callback !== undefined) this.#listenForMore();
  }

  /**
   * Calls `callback` when all regions of a closed or dead writer are drained, before its number can
   * be another writer's.
   *
   * @internal
   */
  setGoneCallback(callback: (writerId: number) => void): void {
    this.#onWriterGone = callback;
  }

  /**
   * Leaves a writer's regions where they are until {@link resumeWriter}; its lane fills, which
   * stops the writer.
   */
  pauseWriter(writerId: number): void {
    this.#checkWriter(writerId);
    this.#paused[writerId >>> 5] |= 1 << (writerId & 31);
  }

  /**
   * Undoes {@link pauseWriter}; what waited comes with the next drain, which is asked for if need
   * be.
   */
  resumeWriter(writerId: number): void {
    this.#checkWriter(writerId);
    const bit = 1 << (writerId & 31);
    this.#paused[writerId >>> 5] &= ~bit;
    if ((this.#owed[writerId >>> 5] & bit) !== 0) this.#endTurn();
  }

  /**
   * Gives up what writers of a dead thread had not flushed, and frees their places once their
   * flushed regions are drained. Call it before `pool.reclaim(slot)`. Returns how many writers that
   * were.
   *
   * **Threads** the receiver. **Throws** ERR_BUSBAR_THREAD_ALIVE.
   */
  recover(threadSlot: number): number {
    this.pool.checkAttached();
    checkInteger('threadSlot', threadSlot, 0, this.pool.maxThreads - 1);
    if (!this.pool.isThreadGone(threadSlot)) {
      throw new BusbarError('ERR_BUSBAR_THREAD_ALIVE', `thread slot ${threadSlot}`);
    }
    const { words, layout, pool } = this;
    let count = 0;
    for (let lane = 0; lane < layout.writerCount; lane++) {
      const record = layout.lane(lane);
      if (loadAcquire(words, record + OWNER) !== threadSlot + 1) continue;
      releaseUnpublished(pool, words, layout, lane);
      storeRelease(words, record + OWNER, OWNER_CLOSED);
      fetchOr(words, layout.readyWord(lane), 1 << (lane & 31));
      count++;
    }
    this.announceForDead();
    return count;
  }

  /** Counts what waits. **Cost** two loads per lane. */
  stats(): WriteFlusherStats {
    const { words, layout, closed } = this;
    let writers = 0;
    let waitingRegions = 0;
    for (let lane = 0; lane < layout.writerCount; lane++) {
      const record = layout.lane(lane);
      if (loadAcquire(words, record + OWNER) === OWNER_NONE) continue;
      writers++;
      if (closed) continue;
      waitingRegions += (loadAcquire(words, record + TAIL) - words[record + HEAD]) | 0;
    }
    return {
      closed,
      writers,
      waitingRegions,
      drainedRegions: this.#drainedRegions,
      drainedBytes: this.#drainedBytes,
    };
  }

  /**
   * Ends the flusher: regions that wait are released undelivered, writers' calls fail with
   * ERR_BUSBAR_FLUSHER_CLOSED from their next flush or new buffer on (what they still put into the
   * present one, their close() counts as dropped). Returns the bytes dropped; drain first to lose
   * none. Doing it again does nothing.
   *
   * **Threads** the receiver.
   */
  close(): number {
    if (this.closed) return 0;
    this.#checkReceiver();
    // SYNC(closing): in one order with publish(): either we see its regions below or it sees the
    // flag.
    storeSeqCst(this.words, STATE, STATE_CLOSED);
    let dropped = 0;
    for (let lane = 0; lane < this.layout.writerCount; lane++) {
      dropped += takeRegions(this.pool, this.words, this.layout, lane);
      this.#giveRoom(this.layout.lane(lane));
    }
    this.#callback = undefined;
    this.pool.doorbell.ignore(this.#onRing);
    return dropped;
  }

  // ── For the writers of this thread ────────────────────────────────────────────────────────────

  /** @internal */
  openLane(owner: number): Lane {
    if (this.closed) throw new BusbarError('ERR_BUSBAR_FLUSHER_CLOSED');
    const lane = Lane.open(this.pool, this.words, this.layout, owner, this.#laneHint);
    this.#laneHint = lane.id + 1;
    return lane;
  }

  /** @internal */
  joinLane(id: number): Lane {
    return Lane.join(this.pool, this.words, this.layout, id);
  }

  /**
   * @internal Tells the receiver that there is news: rings it if it sleeps, or asks for the end of
   * this turn.
   */
  announce(): void {
    const { words } = this;
    if (this.#callback !== undefined && this.isReceiver) {
      this.#endTurn();
    } else if (loadSeqCst(words, ASLEEP) !== 0 && exchange(words, ASLEEP, 0) !== 0) {
      // SYNC(asleep, both): only one of many writers rings, and only on the edge from nothing to
      // something.
      this.pool.doorbell.ring(loadAcquire(words, RECEIVER) - 1);
    }
  }

  /**
   * @internal Like {@link announce}, for a thread that may have died between clearing ASLEEP and
   * ringing: whatever ASLEEP says, the receiver looks.
   */
  announceForDead(): void {
    if (this.#callback !== undefined && this.isReceiver) this.#endTurn();
    else this.pool.doorbell.ring(loadAcquire(this.words, RECEIVER) - 1);
  }

  /** @internal Calls `what` once when the present turn of the event loop ends. */
  atTurnEnd(what: TurnEnd): void {
    this.#turn.push(what);
    this.#endTurn();
  }

  // ── Private ───────────────────────────────────────────────────────────────────────────────────

  /** Ready words in which a bit can be set. */
  get #readyWordsUsed(): number {
    return (loadSeqCst(this.words, LANES_USED) + 31) >>> 5;
  }

  #drainLane(lane: number, sink: RegionSink, countMax: number): number {
    const { words, layout, pool } = this;
    const record = layout.lane(lane);
    // SYNC(lane-tail): sees the slots and the bytes published before; pairs with publish().
    const tail = loadAcquire(words, record + TAIL);
    let head = words[record + HEAD];
    let count = 0;
    try {
      while (head !== tail && count < countMax) {
        const slot = layout.slot(lane, head);
        // A receiver that died here had taken the reference already; reclaim() has it.
        if (words[slot + 3] === 0) {
          head = (head + 1) | 0;
          continue;
        }
        const offset = words[slot + 1];
        const length = words[slot + 2];
        const id = pool.receiveFrom(words, slot);
        // Not before: if the pool refuses, the region stays.
        head = (head + 1) | 0;
        count++;
        this.#drainedBytes += length;
        sink(lane, offset, length, id);
        if ((this.#paused[lane >>> 5] & (1 << (lane & 31))) !== 0) break;
      }
    } finally {
      // SYNC(lane-head): lets the writer fill the slots again. In one order with WANTS_SPACE: see
      // wantSpace().
      storeSeqCst(words, record + HEAD, head);
      this.#drainedRegions += count;
      if (head !== tail) this.#owed[lane >>> 5] |= 1 << (lane & 31);
      this.#giveRoom(record);
    }
    if (head === tail) this.#freeIfClosed(lane, record);
    return count;
  }

  /** Rings the writer's thread if it waits for room. */
  #giveRoom(record: number): void {
    // SYNC(space): in one order with wantSpace(): either it sees the new HEAD or we see its wish.
    if (loadSeqCst(this.words, record + WANTS_SPACE) === 0) return;
    const wish = exchange(this.words, record + WANTS_SPACE, 0);
    if (wish > 0) this.pool.doorbell.ring(wish - 1);
    if (wish !== WANTED_BY_MANY) return;
    for (let slot = 0; slot < this.pool.maxThreads; slot++) this.pool.doorbell.ring(slot);
  }

  #freeIfClosed(lane: number, record: number): void {
    // SYNC(lane-owner): sees the writer's last publication, which came before it closed.
    if (loadAcquire(this.words, record + OWNER) !== OWNER_CLOSED) return;
    if (loadAcquire(this.words, record + TAIL) !== this.words[record + HEAD]) return;
    // The next writer of this lane starts unpaused.
    this.#paused[lane >>> 5] &= ~(1 << (lane & 31));
    this.#onWriterGone?.(lane);
    storeRelease(this.words, record + OWNER, OWNER_NONE);
    this.#laneHint = Math.min(this.#laneHint, lane);
  }

  /**
   * Before the receiver rests: says so, then looks once more. Writers look at it after they have
   * published.
   */
  #listenForMore(): void {
    const { words, layout } = this;
    if (this.#callback === undefined) return;
    // SYNC(asleep, both): in one order with publish() and announce().
    storeSeqCst(words, ASLEEP, 1);
    for (let index = 0, end = this.#readyWordsUsed; index < end; index++) {
      const due = this.#owed[index] & ~this.#paused[index];
      // SYNC(ready): either we see the writer's bit here or it sees that we sleep.
      if (due === 0 && loadSeqCst(words, layout.readyWord(index << 5)) === 0) continue;
      this.#endTurn();
      return;
    }
  }

  /**
   * Does not call back from here: what a callback throws must not reach the bell. Listens again
   * also if there is no news: the writer that rang may have come too late, its regions drained
   * already, and has cleared ASLEEP all the same.
   */
  readonly #onRing = (): void => {
    if (!this.#turnIsDue) this.#listenForMore();
  };

  #endTurn(): void {
    if (this.#turnIsDue) return;
    this.#turnIsDue = true;
    afterThis(this.#runTurnEnd);
  }

  /**
   * Flushes the writers that asked for it, then drains: in this order, one drain takes what all of
   * them flushed.
   */
  readonly #runTurnEnd = (): void => {
    const turn = this.#turn;
    this.#turn = this.#turnSpare;
    this.#turnSpare = turn;
    // Not if the thread has left the pool meanwhile: nothing of it is its own any more.
    const { isAttached } = this.pool;
    for (let i = 0; i < turn.length && isAttached; i++) turn[i].onTurnEnd();
    turn.length = 0;
    this.#turnIsDue = false;
    if (isAttached) this.#callback?.();
  };

  #takeRole(): void {
    // Whatever the dead receiver had taken note of is forgotten with it: look at every lane once.
    this.#owed.fill(-1);
    this.#listenForMore();
  }

  #checkReceiver(): void {
    this.pool.checkAttached();
    if (!this.isReceiver) throw new BusbarError('ERR_BUSBAR_FLUSHER_ROLE', 'this thread attached');
  }

  #checkWriter(writerId: number): void {
    checkInteger('writerId', writerId, 0, this.layout.writerCount - 1);
  }
}
