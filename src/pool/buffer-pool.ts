// SPDX-License-Identifier: MIT
/** The room every packet lives in: a fixed number of fixed-size buffers that all threads share. */

import { addThenStore, loadAcquire, loadSeqCst, withdraw, type Words } from '../base/atomics.ts';
import { checkInteger, checkOptions, checkSignal, checkTimeoutMs, show } from '../base/check.ts';
import { BusbarError } from '../base/errors.ts';
import type { Doorbell } from './doorbell.ts';
import { LeakTracker } from './leak-tracker.ts';
import { isGone, KEPT_BY_QUESTION } from './liveness.ts';
import { createBlocks, layoutOf, openBlocks } from './pool-blocks.ts';
import {
  ACQUIRES,
  ACQUIRES_HIGH,
  ATTENTION,
  ATTENTION_CLOSED,
  ATTENTION_DETACHED,
  type BufferId,
  bufferStride,
  CACHE_COUNT,
  GRANT,
  HEADER_BATCH_SIZE,
  HEADER_BUFFER_SIZE,
  HEADER_TAG,
  HEADER_TRACK_LEAKS,
  NO_BUFFER,
  OVERFLOWS,
  OWNER,
  type PoolLayout,
  REFILLS,
  SHARED,
  STATE,
  THREAD_FREE,
  type ThreadSlot,
  TOTAL,
  WAITING,
} from './pool-layout.ts';
import { type BufferPoolHandle, type BufferPoolOptions, resolvePoolOptions } from './pool-options.ts';
import { outstanding, type PoolReport, type PoolStats, poolStats } from './pool-stats.ts';
import { PoolThread } from './pool-thread.ts';
import { reclaim, reclaimDead } from './reclaim.ts';
import { WaitQueue } from './waiting.ts';

/** How a wait may end before its time. */
export interface WaitOptions {
  /** Ends the wait; the promise rejects with `signal.reason`. */
  readonly signal?: AbortSignal;
  /** Ends the wait with ERR_BUSBAR_TIMEOUT. Milliseconds; default none. */
  readonly timeoutMs?: number;
}

/**
 * Shares that a thread takes at once when it first lends a buffer out: it can send that many
 * packets of the buffer before it has to touch the shared total again. Small enough that 2³¹ shares
 * are out of reach.
 */
const SHARES_GRANT = 64;
/** An account with more shares than this gives the excess back. */
const SHARES_KEPT_MAX = 4 * SHARES_GRANT;
/** A total beyond this means that millions of packets of one buffer are in transit. */
const TOTAL_MAX = 0x7000_0000;

/** Bytes of every buffer of a pool, one after the other. */
export type PoolBytes = Uint8Array<SharedArrayBuffer>;

/**
 * A fixed number of fixed-size buffers in one block of shared memory, with a cache of free ones for
 * each thread.
 *
 * Every buffer that is not free is held by references: `tryAcquire` gives the caller one, `retain`
 * adds one, `release` takes one away, and the buffer is free again when the last one goes.
 * References belong to the thread that took them; `sendInto` and `receiveFrom` carry one to another
 * thread. This is the face of plain numbers; `Packet` is the same with objects.
 *
 * One object per thread: `create` makes the pool and attaches the creating thread, `attach` joins
 * it from another. All methods belong to the thread that made the object.
 */
export class BufferPool {
  /** All buffers' bytes. Offsets everywhere in busbar are offsets into this. */
  readonly bytes: PoolBytes;
  /** The same bytes, for fields. */
  readonly view: DataView<SharedArrayBuffer>;
  /** Bytes a user may fill in one buffer. */
  readonly bufferSize: number;
  readonly bufferCount: number;
  /** Buffers that move between a cache and the shared list at once. */
  readonly batchSize: number;
  readonly maxThreads: number;
  /**
   * This thread's number in the pool. Give it to whoever would reclaim it after this thread's
   * death.
   */
  readonly threadSlot: ThreadSlot;
  /** Structured-cloneable: hand it to another thread, which calls {@link BufferPool.attach}. */
  readonly handle: BufferPoolHandle;
  /** @internal Present only while leaks are tracked. */
  readonly leaks: LeakTracker | undefined;

  /** The pool's control words, or {@link DETACHED_WORDS}. */
  private words: Words;
  // Where the words that the hot paths touch stand (pool-layout.ts). Fields of the object:
  // measured, a constant imported from another module costs a load and a check at each use, and
  // three times the whole acquire when a bundler turns it into a `var`.
  private readonly attention: number = ATTENTION;
  private readonly cache: number;
  private readonly acquires: number;
  private readonly refs: number;
  private readonly shares: number;
  private readonly cacheLimit: number;
  /** OWNER of buffer 0; the others follow every 32 words. */
  private readonly owners: number;
  private readonly sharesKeptMax: number = SHARES_KEPT_MAX;
  private readonly stride: number;
  /**
   * High half of the fourth word of this pool's packets in transit; the shares fill the low half.
   */
  private readonly tag: number;
  private readonly layout: PoolLayout;
  private readonly thread: PoolThread;
  private readonly waiters: WaitQueue;

  private constructor(handle: BufferPoolHandle, words: Words) {
    const layout = layoutOf(words);
    const thread = PoolThread.attach(words, layout);
    this.handle = handle;
    this.bytes = new Uint8Array(handle.data);
    this.view = new DataView(handle.data);
    this.bufferSize = words[HEADER_BUFFER_SIZE];
    this.bufferCount = layout.bufferCount;
    this.batchSize = words[HEADER_BATCH_SIZE];
    this.maxThreads = layout.maxThreads;
    this.threadSlot = thread.slot;
    this.words = words;
    this.layout = layout;
    this.cache = thread.record + CACHE_COUNT;
    this.acquires = thread.record + ACQUIRES;
    this.refs = layout.refs(thread.slot);
    this.shares = layout.shares(thread.slot);
    this.owners = layout.buffers + OWNER;
    this.stride = bufferStride(this.bufferSize);
    this.tag = words[HEADER_TAG];
    this.cacheLimit = layout.cacheLimit;
    this.thread = thread;
    this.waiters = new WaitQueue(
      thread,
      (id) => this.holdNew(id),
      (id) => this.release(id),
    );
    this.leaks = words[HEADER_TRACK_LEAKS] === 1 ? new LeakTracker() : undefined;
  }

  /**
   * Makes a pool and attaches this thread to it.
   *
   * **Cost** all memory is reserved at once: bufferSize × bufferCount (rounded up to 64 bytes a
   * buffer) plus 128 bytes per buffer and 8 bytes per buffer and thread. The system provides pages
   * as they are first touched.
   * **Throws** TypeError or RangeError naming the option that is wrong.
   */
  static create(options: BufferPoolOptions): BufferPool {
    const { handle, words } = createBlocks(resolvePoolOptions(options));
    return new BufferPool(handle, words);
  }

  /**
   * Joins a pool from the thread that received its handle.
   *
   * **Throws** ERR_BUSBAR_BAD_HANDLE, ERR_BUSBAR_POOL_CLOSED, ERR_BUSBAR_THREAD_SLOTS.
   */
  static attach(handle: BufferPoolHandle): BufferPool {
    const words = openBlocks(handle);
    if ((loadAcquire(words, ATTENTION) & ATTENTION_CLOSED) !== 0) {
      throw new BusbarError('ERR_BUSBAR_POOL_CLOSED');
    }
    return new BufferPool(handle, words);
  }

  /**
   * Takes a free buffer, or answers NO_BUFFER: "not now". Its bytes are whatever the last user
   * left.
   *
   * **Ownership** the caller holds one reference. **Cost** a few plain loads and stores; one batch
   * operation every `batchSize` calls at worst. **Throws** ERR_BUSBAR_POOL_CLOSED,
   * ERR_BUSBAR_DETACHED.
   */
  tryAcquire(): BufferId {
    const words = this.words;
    // A hint, read without ordering: a waiter that this load misses asks again (waiting.ts,
    // SWEEP_MS).
    if (words[this.attention] !== 0) return this.acquireUnderPressure();
    const cache = this.cache;
    const count = words[cache];
    if (count === 0) return this.refill();
    const id = words[cache + count];
    words[cache] = count - 1;
    words[this.refs + id] = 1;
    const acquires = (words[this.acquires] + 1) | 0;
    words[this.acquires] = acquires;
    if (acquires === 0) this.countHigh();
    return id as BufferId;
  }

  /**
   * Takes a free buffer, waiting for one if there is none. First come, first served, across all
   * threads.
   *
   * **Ownership** the caller holds one reference on success, nothing on failure; a wait that ends
   * early never keeps a buffer. Keeps the event loop alive while it waits.
   * **Throws** (rejects) ERR_BUSBAR_TIMEOUT, `signal.reason`, ERR_BUSBAR_POOL_CLOSED,
   * ERR_BUSBAR_DETACHED.
   */
  async acquire(options?: WaitOptions): Promise<BufferId> {
    let timeoutMs = Infinity;
    let signal: AbortSignal | undefined;
    if (options !== undefined) {
      checkOptions('options', options, ['signal', 'timeoutMs']);
      signal = checkSignal('signal', options.signal);
      timeoutMs = checkTimeoutMs('timeoutMs', options.timeoutMs ?? Infinity);
      signal?.throwIfAborted();
    }
    if (this.waiters.count === 0) {
      const id = this.tryAcquire();
      if (id !== NO_BUFFER) return id;
    } else {
      this.checkUsable();
    }
    return this.waiters.wait(timeoutMs, signal);
  }

  /**
   * Takes a free buffer, blocking this thread (its event loop too) until there is one.
   *
   * **Ownership** the caller holds one reference.
   * **Throws** ERR_BUSBAR_TIMEOUT after `timeoutMs`, ERR_BUSBAR_POOL_CLOSED, ERR_BUSBAR_DETACHED.
   */
  acquireSync(timeoutMs: number = Infinity): BufferId {
    checkTimeoutMs('timeoutMs', timeoutMs);
    if (this.waiters.count === 0) {
      const id = this.tryAcquire();
      if (id !== NO_BUFFER) return id;
    }
    this.checkUsable();
    const id = this.waiters.waitSync(timeoutMs);
    if (id === NO_BUFFER) {
      throw new BusbarError('ERR_BUSBAR_TIMEOUT', `acquireSync, ${timeoutMs} ms`);
    }
    return id;
  }

  /**
   * Adds a reference to a buffer on which this thread holds one already.
   *
   * **Cost** one load, one store; nothing atomic, also when other threads hold the buffer too.
   * **Throws** ERR_BUSBAR_NOT_HELD.
   */
  retain(id: BufferId): void {
    const words = this.words;
    const at = this.refs + id;
    const refs = words[at];
    if ((id | 0) !== id || id >>> 0 >= this.bufferCount || !(refs > 0)) this.throwNotHeld(id);
    words[at] = refs + 1;
  }

  /**
   * Gives one reference up; the last one frees the buffer.
   *
   * **Cost** a few plain loads and stores; one read-modify-write if the buffer was shared with
   * another thread and this was this thread's last reference. Works on a closed pool. **Throws**
   * ERR_BUSBAR_NOT_HELD; nothing has changed then.
   */
  release(id: BufferId): void {
    const words = this.words;
    const at = this.refs + id;
    const refs = words[at];
    if ((id | 0) !== id || id >>> 0 >= this.bufferCount || !(refs > 0)) this.throwNotHeld(id);
    words[at] = refs - 1;
    if (refs > 1) return;
    // Whoever holds a shared buffer has shares of it; no shares, no sharing.
    if (words[this.shares + id] !== 0 && !this.withdraw(id)) return;
    // A hint, read without ordering: a waiter that this load misses asks again (waiting.ts,
    // SWEEP_MS).
    if (words[this.attention] !== 0) {
      this.releaseUnderPressure(id);
      return;
    }
    const cache = this.cache;
    const count = words[cache] + 1;
    words[cache + count] = id;
    words[cache] = count;
    if (count >= this.cacheLimit) this.overflow();
  }

  /** Where the buffer begins in {@link bytes}. */
  offsetOf(id: BufferId): number {
    return id * this.stride;
  }

  /** The buffer that an offset into {@link bytes} lies in. */
  bufferAt(offset: number): BufferId {
    return ((offset / this.stride) | 0) as BufferId;
  }

  /**
   * True if the caller's reference is the only one in all threads, so that it may overwrite the
   * bytes.
   *
   * **Cost** two loads; one atomic load if the buffer has been shared. **Throws**
   * ERR_BUSBAR_NOT_HELD.
   */
  isSoleHolder(id: BufferId): boolean {
    const words = this.words;
    const refs = words[this.refs + id];
    if ((id | 0) !== id || id >>> 0 >= this.bufferCount || !(refs > 0)) this.throwNotHeld(id);
    if (refs > 1) return false;
    const account = this.shares + id;
    if (words[account] === 0) return true;
    const buffer = this.layout.buffer(id);
    // SYNC(shares, both): sees the last accesses of every holder that withdrew before.
    if (loadAcquire(words, buffer + TOTAL) !== words[account]) return false;
    const slot = this.threadSlot;
    words[buffer + OWNER] = slot;
    words[account] = 0;
    return true;
  }

  /**
   * Moves one of this thread's references into four words that another thread will read: buffer,
   * offset, length, contribution (the pool's tag and the shares that travel along).
   *
   * The words are written without ordering: the carrier (channel slot, message, mailbox) publishes
   * them. From here on the reference belongs to whoever owns the words. `[offset, offset + length)`
   * are absolute and must lie in the buffer.
   *
   * **Ownership** the reference is in the words on success, still the caller's if this throws.
   * **Cost** plain stores; one read-modify-write every 64 sends of the same buffer while this
   * thread keeps references of its own.
   * **Throws** ERR_BUSBAR_NOT_HELD, ERR_BUSBAR_REFERENCES, RangeError.
   */
  sendInto(id: BufferId, offset: number, length: number, target: Words, index: number): void {
    const words = this.words;
    const at = this.refs + id;
    const refs = words[at];
    if ((id | 0) !== id || id >>> 0 >= this.bufferCount || !(refs > 0)) this.throwNotHeld(id);
    if (!this.isRegion(id, offset, length)) this.throwRegion(id, offset, length);
    if ((index | 0) !== index || index < 0 || index + 4 > target.length) this.throwIndex(index);
    const account = this.shares + id;
    let shares = words[account];
    if (shares === 0) shares = this.openAccount(id, refs);
    if (refs > 1 && shares < 2) shares = this.adjustShares(id, shares);
    const given = refs === 1 ? shares : 1;
    // From here to the end there is no call: the reference is either still here or in the target
    // words.
    words[at] = refs - 1;
    words[account] = shares - given;
    target[index] = id;
    target[index + 1] = offset;
    target[index + 2] = length;
    target[index + 3] = this.tag | given;
  }

  /**
   * Moves the reference out of four words that {@link sendInto} wrote; `[index + 1]` and `[index +
   * 2]` stay readable as offset and length. The caller has seen the carrier's publication.
   *
   * **Ownership** this thread holds the reference on success; the words hold none any more, so they
   * cannot be received twice.
   * **Cost** plain loads and stores; one read-modify-write every 192 receipts of the same buffer
   * while this thread keeps references of its own. **Throws** ERR_BUSBAR_BAD_SEND_PACKET; the words
   * are unchanged then.
   */
  receiveFrom(source: Words, index: number): BufferId {
    const words = this.words;
    const id = source[index] as BufferId;
    const mark = source[index + 3];
    const given = mark & 0xffff;
    if (
      id >>> 0 >= this.bufferCount ||
      given === 0 ||
      mark - given !== this.tag ||
      words[this.owners + (id << 5)] !== -1 ||
      !this.isRegion(id, source[index + 1], source[index + 2])
    ) {
      this.throwBadWords(id);
    }
    const account = this.shares + id;
    // From here to the end there is no call: the reference is either still in the source words or
    // here.
    const shares = words[account] + given;
    source[index + 3] = 0;
    words[account] = shares;
    words[this.refs + id]++;
    // Done. Without this, shares would pile up where references of one buffer come and go for ever.
    if (shares > this.sharesKeptMax) this.adjustShares(id, shares);
    return id;
  }

  /**
   * Leaves the pool; the thread's cache goes back to the shared list and its slot is free for
   * another thread. Waiters of this thread are refused. Doing it again does nothing.
   *
   * **Throws** ERR_BUSBAR_BUFFERS_HELD if this thread still holds references; nothing has changed
   * then.
   */
  detach(): void {
    if (this.words === DETACHED_WORDS) return;
    const held = outstanding(this.thread, this.threadSlot);
    if (held > 0) {
      throw new BusbarError(
        'ERR_BUSBAR_BUFFERS_HELD',
        `${held} buffers; release their packets before detach()${this.leaks?.summary() ?? ''}`,
      );
    }
    this.waiters.detach();
    this.thread.doorbell.close();
    this.thread.giveBack();
    this.thread.serve();
    this.words = DETACHED_WORDS;
    this.leaks?.stop();
    this.thread.leave();
  }

  /**
   * Frees everything that a dead thread held: its cache, its references, its place among the
   * waiters. Returns how many buffers became free; 0 if nobody is attached at the slot, so doing it
   * twice does no harm.
   *
   * Packets that the thread had sent are not touched: they belong to whoever receives them. Call it
   * after the worker's `exit` event. **Threads** any other than the dead one. **Cost** a few loads
   * per buffer of the pool.
   * **Throws** ERR_BUSBAR_THREAD_ALIVE if the thread still runs, or was asked about nine
   * times since the last turn of its event loop.
   */
  reclaim(threadSlot: ThreadSlot | number): number {
    this.checkAttached();
    return reclaim(this.thread, threadSlot);
  }

  /**
   * {@link reclaim}s every thread that is found to have ended without detaching; returns their
   * slots and what each gave back. One that had long been busy when it ended may be missed:
   * `reclaim` of its slot finds it.
   */
  reclaimDead(): { slot: number; freed: number }[] {
    this.checkAttached();
    return reclaimDead(this.thread);
  }

  /**
   * Counts everything, stopping nobody: numbers that other threads change meanwhile are each true
   * at some moment.
   */
  stats(): PoolStats {
    this.checkAttached();
    return poolStats(this.thread);
  }

  /**
   * Closes the pool for all threads: waiters are refused, acquiring fails; releasing still works.
   * Returns what is still out. Doing it again only reports.
   */
  close(): PoolReport {
    this.checkAttached();
    this.thread.close();
    this.waiters.pump();
    const stats = poolStats(this.thread);
    return {
      heldByThreads: stats.threads.reduce((sum, thread) => sum + thread.held, 0),
      inTransit: stats.inTransit,
      leaks: this.leaks?.report() ?? [],
    };
  }

  [Symbol.dispose](): void {
    if (this.words !== DETACHED_WORDS) this.close();
  }

  /**
   * @internal Takes a reference on a buffer of which the caller knows that somebody's shares keep it meanwhile: those in the words of
   * a carrier that it has claimed. **Cost** one read-modify-write, none if this thread holds the buffer already.
   */
  adopt(id: BufferId): void {
    const words = this.words;
    const account = this.shares + id;
    if (words[account] === 0) {
      addThenStore(words, this.layout.buffer(id) + TOTAL, SHARES_GRANT, account, SHARES_GRANT);
    }
    words[this.refs + id]++;
  }

  /** @internal The bell of this thread, for other rooms that wait or wake. */
  get doorbell(): Doorbell {
    return this.thread.doorbell;
  }

  /** @internal True if the thread at the slot has ended without detaching, or never attached. */
  isThreadGone(slot: number): boolean {
    const record = this.layout.thread(slot);
    if (loadAcquire(this.words, record + STATE) === THREAD_FREE) return true;
    return slot !== this.threadSlot && isGone(this.words, record, KEPT_BY_QUESTION);
  }

  // ── The slow side of the hot paths, kept apart so that those stay small ────────────────────────────────

  private holdNew(id: BufferId): void {
    const words = this.words;
    words[this.refs + id] = 1;
    const acquires = (words[this.acquires] + 1) | 0;
    words[this.acquires] = acquires;
    if (acquires === 0) this.countHigh();
  }

  private countHigh(): void {
    this.words[this.thread.record + ACQUIRES_HIGH]++;
  }

  /** The cache is empty: takes a batch from the shared list. */
  private refill(): BufferId {
    const words = this.words;
    const cache = this.cache;
    const count = this.thread.freeList.take(this.batchSize, words, cache + 1);
    if (count === 0) return NO_BUFFER;
    words[this.thread.record + REFILLS]++;
    const id = words[cache + count] as BufferId;
    words[cache] = count - 1;
    this.holdNew(id);
    // SYNC(attention): a waiter may have found the stripe claimed by us; give it what is left
    // there.
    if (loadSeqCst(words, ATTENTION) !== 0) this.relieve();
    return id;
  }

  /**
   * The cache is one and a half batches long: puts the batch that has been there longest into the
   * shared list.
   */
  private overflow(): void {
    const words = this.words;
    const cache = this.cache;
    const begin = cache + 1;
    const end = begin + this.batchSize;
    this.thread.freeList.put(words, begin, end);
    words.copyWithin(begin, end, begin + words[cache]);
    words[cache] -= this.batchSize;
    words[this.thread.record + OVERFLOWS]++;
    // SYNC(attention): pairs with a waiter's registration, which comes before its look at the
    // stripes.
    if (loadSeqCst(words, ATTENTION) !== 0) this.relieve();
  }

  /** Somebody waits, or the pool is closed. */
  private acquireUnderPressure(): BufferId {
    this.checkUsable();
    this.relieve();
    if (this.thread.longestWaiting() >= 0) return NO_BUFFER;
    const id = this.thread.takeOne();
    if (id !== NO_BUFFER) this.holdNew(id);
    return id;
  }

  private releaseUnderPressure(id: BufferId): void {
    this.thread.putOne(id);
    this.relieve();
  }

  /** Gives this thread's cache to those who wait, its own callers among them. */
  private relieve(): void {
    this.thread.giveBack();
    this.thread.serve();
    if (this.words[this.thread.record + GRANT] > WAITING) this.waiters.pump();
  }

  /** This thread's last reference on a shared buffer is gone. True if it was the last of all. */
  private withdraw(id: BufferId): boolean {
    const buffer = this.layout.buffer(id);
    // SYNC(shares, both): publishes this thread's last accesses to the bytes, sees those of earlier
    // withdrawals.
    const slot = this.threadSlot;
    return withdraw(this.words, this.shares + id, buffer + TOTAL, buffer + OWNER, slot) === 0;
  }

  /** The first send of a buffer: from here on it is held by shares. Returns this thread's. */
  private openAccount(id: BufferId, refs: number): number {
    const words = this.words;
    const buffer = this.layout.buffer(id);
    const total = refs === 1 ? 1 : SHARES_GRANT;
    words[this.shares + id] = total;
    words[buffer + TOTAL] = total;
    // Last: until here the buffer is wholly this thread's, whatever the account says.
    words[buffer + OWNER] = SHARED;
    return total;
  }

  /** Brings an account that ran low, or grew too long, back to a working stock. */
  private adjustShares(id: BufferId, shares: number): number {
    const words = this.words;
    const total = this.layout.buffer(id) + TOTAL;
    if (shares < SHARES_GRANT && loadAcquire(words, total) > TOTAL_MAX) {
      throw new BusbarError('ERR_BUSBAR_REFERENCES', `buffer ${id}`);
    }
    addThenStore(words, total, SHARES_GRANT - shares, this.shares + id, SHARES_GRANT);
    return SHARES_GRANT;
  }

  private isRegion(id: number, offset: number, length: number): boolean {
    if ((offset | 0) !== offset || (length | 0) !== length) return false;
    const begin = offset - id * this.stride;
    return begin >= 0 && length >= 0 && begin + length <= this.bufferSize;
  }

  private checkUsable(): void {
    const attention = loadAcquire(this.words, ATTENTION);
    if ((attention & ATTENTION_DETACHED) !== 0) throw new BusbarError('ERR_BUSBAR_DETACHED');
    if ((attention & ATTENTION_CLOSED) !== 0) throw new BusbarError('ERR_BUSBAR_POOL_CLOSED');
  }

  private checkAttached(): void {
    if (this.words === DETACHED_WORDS) throw new BusbarError('ERR_BUSBAR_DETACHED');
  }

  private throwNotHeld(id: unknown): never {
    this.checkAttached();
    checkInteger('id', id, 0, this.bufferCount - 1);
    throw new BusbarError(
      'ERR_BUSBAR_NOT_HELD',
      `buffer ${show(id)}, thread slot ${this.threadSlot}; released already, or never acquired here`,
    );
  }

  private throwRegion(id: BufferId, offset: unknown, length: unknown): never {
    const begin = this.offsetOf(id);
    throw new RangeError(
      `offset and length must lie in buffer ${id}, that is in [${begin}, ${begin + this.bufferSize}), ` +
        `got offset ${show(offset)}, length ${show(length)}`,
    );
  }

  private throwIndex(index: unknown): never {
    throw new RangeError(`index must be an integer that leaves 4 words, got ${show(index)}`);
  }

  private throwBadWords(id: unknown): never {
    this.checkAttached();
    throw new BusbarError(
      'ERR_BUSBAR_BAD_SEND_PACKET',
      `buffer ${show(id)}; received already, forged, or from another pool`,
    );
  }
}

/**
 * Stands in for the control words once a thread has detached: every hot path meets the flag, or the
 * `undefined` beyond the end, and goes to the slow side, which throws. The fast paths need no check
 * of their own for it.
 */
const DETACHED_WORDS: Words = new Int32Array(ATTENTION + 1);
DETACHED_WORDS[ATTENTION] = ATTENTION_DETACHED;
