// SPDX-License-Identifier: MIT
/** References on buffers: acquire, retain, release, send and receive, by plain numbers. */

import { Arena } from '../base/arena.ts';
import { loadAcquire, loadSeqCst, type Words, withdraw } from '../base/atomics.ts';
import { checkInteger, checkMade, checkRange, checkWords, show } from '../base/check.ts';
import { BusbarError } from '../base/errors.ts';
import { ensurePart } from '../base/stack.ts';
import { isWords } from '../base/views.ts';
import { LeakTracker } from './leak-tracker.ts';
import { dataBytesOf, layoutOf } from './pool-blocks.ts';
import {
  ACQUIRES,
  ACQUIRES_HIGH,
  ALONE,
  ATTENTION,
  ATTENTION_CLOSED,
  ATTENTION_DETACHED,
  type BufferId,
  bufferStride,
  CACHE_COUNT,
  DETACHED_WORDS,
  GRANT,
  HEADER_BATCH_SIZE,
  HEADER_BUFFER_SIZE,
  HEADER_DEBUG,
  HEADER_TAG,
  HEADER_TRACK_LEAKS,
  NO_BUFFER,
  OVERFLOWS,
  OWNER,
  POISON,
  type PoolBytes,
  type PoolLayout,
  REFILLS,
  type ThreadSlot,
  TOTAL,
  WAITING,
} from './pool-layout.ts';
import type { BufferPoolHandle } from './pool-options.ts';
import { type Announce, PoolThread } from './pool-thread.ts';
import { throwPlace, throwRegion } from './refusals.ts';
import { adjustShares, openAccount, REFERENCES_MAX, SHARES_KEPT_MAX } from './share-accounts.ts';
import type { TransitLength, TransitMark, TransitOffset, TransitSole } from './transit-layout.ts';
import { WaitQueue } from './waiting.ts';

/** From ACQUIRES to the word that counts how often it ran over. */
const HIGH = ACQUIRES_HIGH - ACQUIRES;

/**
 * The hot side of a {@link BufferPool}: what is done once per message, and its slow paths. A
 * reference is the right to use a buffer. A thread counts its own references in its account; a
 * reference in transit is four words.
 */
export abstract class BufferReferences {
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
  /** This thread's number in the pool: the argument of `reclaim` after its death. */
  readonly threadSlot: ThreadSlot;
  /** Structured-cloneable: hand it to another thread, which calls {@link BufferPool.attach}. */
  readonly handle: BufferPoolHandle;
  /** @internal The bytes, and what is done with many of them. */
  readonly arena: Arena;
  /** @internal Present only while leaks are tracked. */
  readonly leaks: LeakTracker | undefined;
  /** @internal Whether bytes are poisoned that no caller may read any more. */
  readonly isDebug: boolean;

  /** The pool's control words, or DETACHED_WORDS. */
  protected words: Words;
  // Where the words that the hot paths touch stand (pool-layout.ts). Fields of the object:
  // measured, a constant imported from another module costs a load and a check at each use, and
  // three times the whole acquire when a bundler turns it into a `var`.
  private readonly attention: number = ATTENTION;
  private readonly cache: number;
  private readonly acquires: number;
  protected readonly refs: number;
  protected readonly shares: number;
  private readonly cacheLimit: number;
  /** OWNER of buffer 0; the others follow every 32 words. */
  private readonly owners: number;
  private readonly sharesKeptMax: number = SHARES_KEPT_MAX;
  private readonly alone: number = ALONE;
  private readonly stride: number;
  /** High half of the fourth word of this pool's packets in transit; the low half is shares. */
  private readonly tag: number;
  protected readonly layout: PoolLayout;
  protected readonly thread: PoolThread;
  protected readonly waiters: WaitQueue;

  protected constructor(handle: BufferPoolHandle, words: Words, announce?: Announce) {
    checkMade(isWords(words), new.target);
    const layout = layoutOf(words);
    const thread = PoolThread.attach(words, layout, announce);
    this.handle = handle;
    this.arena = new Arena(handle.data, dataBytesOf(words), handle.memory);
    this.bytes = this.arena.bytes;
    this.view = this.arena.view;
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
    this.thread = thread;
    this.waiters = new WaitQueue(thread, (id) => this.release(id));
    this.leaks = words[HEADER_TRACK_LEAKS] === 1 ? new LeakTracker() : undefined;
    this.isDebug = words[HEADER_DEBUG] === 1;
    // For debugging, every last release takes the slow path, which poisons.
    this.cacheLimit = this.isDebug ? 0 : layout.cacheLimit;
  }

  /** @internal Distinguishes this pool from others, in any thread. */
  get identity(): number {
    return this.tag;
  }

  /**
   * Takes a free buffer, or returns NO_BUFFER: "not now". Its bytes are what the last user left.
   *
   * **Ownership** the caller holds one reference. **Cost** a few plain loads and stores; one batch
   * operation every `batchSize` calls at worst. **Throws** ERR_BUSBAR_POOL_CLOSED,
   * ERR_BUSBAR_DETACHED.
   */
  tryAcquire(): BufferId {
    const words = this.words;
    // A hint, read without ordering: a waiter that it misses looks again (SWEEP_MS, waiting.ts).
    if (words[this.attention] !== 0) return this.acquireUnderPressure();
    const cache = this.cache;
    const count = words[cache];
    if (count === 0) return this.refill();
    const id = words[cache + count];
    words[cache] = count - 1;
    words[this.refs + id] = 1;
    const acquires = (words[this.acquires] + 1) | 0;
    words[this.acquires] = acquires;
    if (acquires === 0) words[this.acquires + HIGH]++;
    return id as BufferId;
  }

  /**
   * Adds a reference to a buffer on which this thread holds one already.
   *
   * **Cost** one load, one store; nothing atomic, also when other threads hold the buffer too.
   * **Throws** ERR_BUSBAR_NOT_HELD, ERR_BUSBAR_REFERENCES.
   */
  retain(id: BufferId): void {
    const words = this.words;
    const at = this.refs + id;
    const refs = (words[at] + 1) | 0; // negative beyond the last that a word can count
    if ((id | 0) !== id || id >>> 0 >= this.bufferCount || !(refs > 1)) this.throwNotHeld(id);
    words[at] = refs;
  }

  /**
   * Throws what {@link retain} would throw, and changes nothing.
   *
   * **Cost** one load. **Throws** ERR_BUSBAR_NOT_HELD, ERR_BUSBAR_REFERENCES.
   */
  checkHeld(id: BufferId): void {
    const refs = (this.words[this.refs + id] + 1) | 0;
    if ((id | 0) !== id || id >>> 0 >= this.bufferCount || !(refs > 1)) this.throwNotHeld(id);
  }

  /**
   * Releases one reference; the last one frees the buffer.
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
    if (refs > 1) words[at] = refs - 1;
    else this.releaseLast(id, at);
  }

  /** A method of its own, so that callers can inline {@link release}. */
  private releaseLast(id: BufferId, at: number): void {
    const words = this.words;
    const cache = this.cache;
    const count = words[cache] + 1;
    // A hint, read without ordering: a waiter that it misses looks again (SWEEP_MS, waiting.ts).
    if (words[this.attention] !== 0 || count >= this.cacheLimit) {
      this.releaseSlowly(id);
      return;
    }
    // A thread that holds a shared buffer has shares of it; no shares, not shared.
    const isFree = words[this.shares + id] === 0 || this.withdraw(id);
    // No call from here on: the last one could throw, and would have changed nothing.
    words[at] = 0;
    if (!isFree) return;
    words[cache + count] = id;
    words[cache] = count;
  }

  /** Where the buffer begins in {@link bytes}. */
  offsetOf(id: BufferId): number {
    return id * this.stride;
  }

  /**
   * Copies `length` bytes of {@link bytes} from offset `from` to offset `to`; the two ranges may
   * overlap. Unlike `bytes.copyWithin` it does not go byte by byte: `stats().memory`.
   *
   * **Threads** as for every write: no other thread may use the target. **Throws** RangeError.
   */
  copy(to: number, from: number, length: number): void {
    const { arena } = this;
    if (typeof length !== 'number') checkInteger('length', length, 0, arena.byteLength);
    checkRange(from, from + length, arena.byteLength);
    checkRange(to, to + length, arena.byteLength);
    arena.copy(to, from, length);
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
   * Moves one of this thread's references into four words that another thread will read
   * (buffer, offset, length, contribution).
   *
   * The words are written without ordering: the carrier (channel slot, message, mailbox) publishes
   * them. From here on the reference belongs to the owner of the words. `[offset, offset + length)`
   * are absolute and must lie in the buffer.
   *
   * **Ownership** the reference is in the words on success, still the caller's if this throws.
   * **Cost** plain stores; one read-modify-write every 64 sends of the same buffer while this
   * thread keeps references of its own. **Throws** ERR_BUSBAR_NOT_HELD,
   * ERR_BUSBAR_REFERENCES, RangeError.
   */
  moveInto(id: BufferId, offset: number, length: number, target: Words, index: number): void {
    const words = this.words;
    const at = this.refs + id;
    const refs = words[at];
    if ((id | 0) !== id || id >>> 0 >= this.bufferCount || !(refs > 0)) this.throwNotHeld(id);
    if (!this.isRegion(id, offset, length)) this.throwRegion(id, offset, length);
    // Not `instanceof`, nor `length`: from here on, no code of the caller runs, which could release
    // the buffer. Elements of an Int32Array have neither accessors nor traps.
    if (
      !isWords(target) ||
      (index | 0) !== index ||
      index < 0 ||
      target[index + (3 satisfies TransitMark)] === undefined
    ) {
      throwPlace(target, index);
    }
    const account = this.shares + id;
    let shares = words[account];
    const isSole = shares === 0 && refs === 1;
    if (shares === 0 && !isSole) shares = openAccount(words, account, this.layout.buffer(id));
    if (refs > 1 && shares < 2) {
      shares = adjustShares(words, account, this.layout.buffer(id), id, shares);
    }
    const given = isSole ? (0xffff satisfies TransitSole) : refs === 1 ? shares : 1;
    target[index] = id;
    target[index + (1 satisfies TransitOffset)] = offset;
    target[index + (2 satisfies TransitLength)] = length;
    // No call from here on: the reference is here or in the target.
    target[index + (3 satisfies TransitMark)] = this.tag | given;
    words[at] = refs - 1;
    if (isSole) words[this.owners + (id << 5)] = this.alone;
    else words[account] = shares - given;
  }

  /**
   * Moves the reference out of four words that {@link moveInto} wrote; offset and length stay
   * readable in them. The caller has seen the carrier's publication.
   *
   * **Ownership** this thread holds the reference on success, and the words hold none; still the
   * words' if this throws. **Cost** plain loads and stores; one read-modify-write every 192
   * receipts of a buffer that this thread keeps. **Throws** ERR_BUSBAR_BAD_SEND_PACKET, TypeError.
   */
  moveFrom(source: Words, index: number): BufferId {
    // As in moveInto: a getter or a trap could take the reference meanwhile.
    if (!isWords(source)) checkWords('source', source);
    return this.moveFromWords(source, index);
  }

  /** @internal {@link moveFrom} for words that are known to be an Int32Array. */
  moveFromWords(source: Words, index: number): BufferId {
    const words = this.words;
    const id = source[index] as BufferId;
    const mark = source[index + (3 satisfies TransitMark)];
    const given = mark & 0xffff;
    const owner = given === (0xffff satisfies TransitSole) ? this.alone : -1;
    if (
      (id | 0) !== id ||
      id >>> 0 >= this.bufferCount ||
      given === 0 ||
      mark - given !== this.tag ||
      words[this.refs + id] === REFERENCES_MAX ||
      words[this.owners + (id << 5)] !== owner ||
      !this.isRegion(
        id,
        source[index + (1 satisfies TransitOffset)],
        source[index + (2 satisfies TransitLength)],
      )
    ) {
      this.throwBadWords(id);
    }
    if (owner !== -1) {
      // No call: the reference is either still in the source words or here.
      source[index + (3 satisfies TransitMark)] = 0;
      words[this.owners + (id << 5)] = this.threadSlot;
      words[this.refs + id] = 1;
      return id;
    }
    const account = this.shares + id;
    let shares = words[account] + given;
    // Else shares would pile up where references of one buffer come and go for ever.
    if (shares > this.sharesKeptMax) {
      shares = adjustShares(words, account, this.layout.buffer(id), id, shares);
    }
    // No call from here on: the reference is either still in the source words or here.
    source[index + (3 satisfies TransitMark)] = 0;
    words[account] = shares;
    words[this.refs + id]++;
    return id;
  }

  // ── The slow side of the hot paths, kept apart so that those stay small ────────────────────────

  /** The cache is empty: takes a batch from the shared list. */
  private refill(): BufferId {
    const { words, cache } = this;
    this.thread.pulse.renew();
    const count = this.thread.freeList.take(this.batchSize, words, cache + 1);
    if (count === 0) return NO_BUFFER;
    words[cache] = count;
    words[this.thread.record + REFILLS]++;
    // SYNC(attention): a waiter may have found the stripe claimed by us, and comes first.
    if (loadSeqCst(words, ATTENTION) !== 0) return this.acquireUnderPressure();
    return this.pop();
  }

  /** Takes a buffer out of the cache, which has one. */
  private pop(): BufferId {
    const { words, cache } = this;
    const count = words[cache];
    const id = words[cache + count];
    words[cache] = count - 1;
    words[this.refs + id] = 1;
    const acquires = (words[this.acquires] + 1) | 0;
    words[this.acquires] = acquires;
    if (acquires === 0) words[this.acquires + HIGH]++;
    return id as BufferId;
  }

  /** The cache is nearly one and a half batches long: its oldest one goes to the shared list. */
  private overflow(): void {
    const { words, cache, batchSize } = this;
    this.thread.pulse.renew();
    const begin = cache + 1;
    this.thread.freeList.put(words, begin, begin + batchSize);
    // No call since: the buffers are in one of the two places, whatever is thrown.
    const left = words[cache] - batchSize;
    for (let i = 0; i < left; i++) words[begin + i] = words[begin + batchSize + i];
    words[cache] = left;
    words[this.thread.record + OVERFLOWS]++;
  }

  /** A thread waits, or the pool is closed. */
  private acquireUnderPressure(): BufferId {
    ensurePart();
    this.checkUsable();
    this.relieve();
    if (this.thread.longestWaiting() >= 0) return NO_BUFFER;
    const { words, cache } = this;
    const count = words[cache];
    if (this.thread.freeList.take(1, words, cache + count + 1) === 0) return NO_BUFFER;
    words[cache] = count + 1;
    return this.pop();
  }

  /** The last reference of this thread goes; the cache is full, or a thread waits. */
  private releaseSlowly(id: BufferId): void {
    const { words, cache } = this;
    if (words[cache] + 1 >= this.layout.cacheLimit) this.overflow();
    // SYNC(attention): pairs with a waiter's registration, before its look at the stripes.
    const isAsked = loadSeqCst(words, ATTENTION) !== 0;
    // Waiters are served after the reference is gone: that must not throw.
    if (isAsked) ensurePart();
    const isFree = words[this.shares + id] === 0 || this.withdraw(id);
    if (isFree && this.isDebug) this.arena.fill(this.offsetOf(id), this.stride, POISON);
    words[this.refs + id] = 0;
    if (!isFree) return;
    const count = words[cache] + 1;
    words[cache + count] = id;
    words[cache] = count;
    if (isAsked) this.relieve();
  }

  /** Gives this thread's cache to the waiters, its own callers included. */
  private relieve(): void {
    this.thread.giveBack();
    this.thread.serve();
    if (this.words[this.thread.record + GRANT] > WAITING) this.waiters.pumpChecked();
  }

  /** This thread's last reference on a shared buffer is gone. True if it was the last of all. */
  private withdraw(id: BufferId): boolean {
    const buffer = this.layout.buffer(id);
    // SYNC(shares, both): publishes this thread's last accesses to the bytes, sees those of earlier
    // withdrawals.
    const slot = this.threadSlot;
    return withdraw(this.words, this.shares + id, buffer + TOTAL, buffer + OWNER, slot) === 0;
  }

  private isRegion(id: number, offset: number, length: number): boolean {
    if ((offset | 0) !== offset || (length | 0) !== length) return false;
    const begin = offset - id * this.stride;
    return begin >= 0 && length >= 0 && begin + length <= this.bufferSize;
  }

  protected checkUsable(): void {
    const attention = loadAcquire(this.words, ATTENTION);
    if ((attention & ATTENTION_DETACHED) !== 0) throw new BusbarError('ERR_BUSBAR_DETACHED');
    if ((attention & ATTENTION_CLOSED) !== 0) throw new BusbarError('ERR_BUSBAR_POOL_CLOSED');
  }

  /** @internal Whether this thread has not left the pool by this object. */
  get isAttached(): boolean {
    return this.words !== DETACHED_WORDS;
  }

  /** @internal **Throws** ERR_BUSBAR_DETACHED. */
  checkAttached(): void {
    if (!this.isAttached) throw new BusbarError('ERR_BUSBAR_DETACHED');
  }
  private throwNotHeld(id: unknown): never {
    this.checkAttached();
    this.checkReferences(checkInteger('id', id, 0, this.bufferCount - 1));
    throw new BusbarError(
      'ERR_BUSBAR_NOT_HELD',
      `buffer ${show(id)}, thread slot ${this.threadSlot}; released before, or never acquired here`,
    );
  }

  private checkReferences(id: number): void {
    if (this.words[this.refs + id] !== REFERENCES_MAX) return;
    throw new BusbarError('ERR_BUSBAR_REFERENCES', `buffer ${id}`);
  }

  private throwRegion(id: BufferId, offset: unknown, length: unknown): never {
    const begin = this.offsetOf(id);
    throwRegion(id, begin, begin + this.bufferSize, offset, length);
  }

  private throwBadWords(id: number): never {
    this.checkAttached();
    if (id >>> 0 < this.bufferCount) this.checkReferences(id);
    const why = 'received already, forged, or from another pool';
    throw new BusbarError('ERR_BUSBAR_BAD_SEND_PACKET', `buffer ${show(id)}; ${why}`);
  }
}
