// SPDX-License-Identifier: MIT
/** `Lane`: the producer's end of a writer's ring of regions in a flusher. */

import { assert } from '../base/assert.ts';
import {
  compareExchange,
  exchange,
  fetchOr,
  loadAcquire,
  loadSeqCst,
  publishThenStore,
  storePlain,
  storeRelease,
  storeSeqCst,
  storeThenStore,
  type Words,
} from '../base/atomics.ts';
import { BusbarError } from '../base/errors.ts';
import type { BufferId, BufferPool } from '../pool/index.ts';
import { TRANSIT_LENGTH, TRANSIT_MARK, TRANSIT_WORDS } from '../pool/transit-layout.ts';
import {
  type FlusherLayout,
  HEAD,
  LANES_USED,
  OWNER,
  OWNER_CLOSED,
  OWNER_NONE,
  OWNER_SHARED,
  STATE,
  STATE_OPEN,
  TAIL,
  WANTED_BY_MANY,
  WANTS_SPACE,
} from './flusher-layout.ts';

/** Wakes the receiver after a publication; a `WriteFlusher` does. */
export interface Announcer {
  announce(): void;
}

/**
 * The producer's end of a single-producer single-consumer ring of regions.
 *
 * `append` fills slots that the receiver cannot see yet; `publish` shows all of them with one
 * store. So a flush costs the same for one message as for thousands.
 */
export class Lane {
  readonly id: number;
  readonly #pool: BufferPool;
  readonly #words: Words;
  readonly #layout: FlusherLayout;
  readonly #record: number;
  /** Regions appended; TAIL in shared memory counts the published ones. */
  #tail: number;
  /** Bytes of regions that are appended and not published. */
  #unpublishedBytes = 0;
  /** True from an append until the receiver is notified. */
  #hasNews = false;
  #isClosed = false;
  /** The receiver's HEAD as last read. HEAD only grows, so this never overestimates the space. */
  #headSeen: number;

  private constructor(pool: BufferPool, words: Words, layout: FlusherLayout, id: number) {
    this.id = id;
    this.#pool = pool;
    this.#words = words;
    this.#layout = layout;
    this.#record = layout.lane(id);
    this.#tail = words[this.#record + TAIL];
    this.#headSeen = loadAcquire(words, this.#record + HEAD);
  }

  /** Opens lane `id`, which another thread opened first; the threads append in turns. */
  static join(pool: BufferPool, words: Words, layout: FlusherLayout, id: number): Lane {
    return new Lane(pool, words, layout, id);
  }

  /**
   * Takes a free lane for `owner`, searching from `hint` on. **Throws** ERR_BUSBAR_WRITER_SLOTS if
   * there is none.
   */
  static open(
    pool: BufferPool,
    words: Words,
    layout: FlusherLayout,
    owner: number,
    hint: number,
  ): Lane {
    const count = layout.writerCount;
    for (let i = 0; i < count; i++) {
      const id = (hint + i) % count;
      const at = layout.lane(id) + OWNER;
      // SYNC(lane-owner): sees the lane as the receiver left it when it freed it.
      if (compareExchange(words, at, OWNER_NONE, owner) !== OWNER_NONE) continue;
      try {
        // Before anything can be published there: the receiver reads ready bits up to LANES_USED.
        for (let used = loadSeqCst(words, LANES_USED); used <= id; ) {
          used = compareExchange(words, LANES_USED, used, id + 1);
        }
        return new Lane(pool, words, layout, id);
      } catch (error) {
        storePlain(words, at, OWNER_NONE);
        throw error;
      }
    }
    throw new BusbarError(
      'ERR_BUSBAR_WRITER_SLOTS',
      `writerCount is ${count}; a closed writer's slot is free when its data is drained`,
    );
  }

  /** True if {@link append} would succeed. */
  get hasSpace(): boolean {
    if (((this.#tail - this.#headSeen) | 0) < this.#layout.regionCount) return true;
    // SYNC(lane-head): sees that the receiver has emptied the slots before HEAD.
    this.#headSeen = loadAcquire(this.#words, this.#record + HEAD);
    return ((this.#tail - this.#headSeen) | 0) < this.#layout.regionCount;
  }

  /** True if the receiver has taken all regions. */
  get isEmpty(): boolean {
    if (this.#headSeen === this.#tail) return true;
    this.#headSeen = loadAcquire(this.#words, this.#record + HEAD);
    return this.#headSeen === this.#tail;
  }

  /** Bytes appended since the last {@link publish}. */
  get unpublishedBytes(): number {
    return this.#unpublishedBytes;
  }

  /** Bytes published that the receiver has not taken yet. **Cost** O(regions). */
  get publishedBytes(): number {
    const words = this.#words;
    // SYNC(lane-head): the receiver has taken the slots before HEAD. It may take more meanwhile.
    const head = loadAcquire(words, this.#record + HEAD);
    let bytes = 0;
    for (let i = head; i !== this.#tail; i = (i + 1) | 0) {
      bytes += words[this.#layout.slot(this.id, i) + TRANSIT_LENGTH];
    }
    return bytes - this.#unpublishedBytes;
  }

  /** True if regions were appended and the receiver was not notified of them. */
  get hasNews(): boolean {
    return this.#hasNews;
  }

  /**
   * Moves a region and one of this thread's references into the ring, not yet visible to the
   * receiver. False: the ring is full.
   *
   * **Ownership** the ring's on success; the caller's if it returns false or throws.
   */
  append(id: BufferId, offset: number, length: number): boolean {
    if (!this.hasSpace) return false;
    const slot = this.#layout.slot(this.id, this.#tail);
    this.#pool.moveInto(id, offset, length, this.#words, slot);
    // No call from here on.
    this.#tail = (this.#tail + 1) | 0;
    this.#unpublishedBytes += length;
    this.#hasNews = true;
    return true;
  }

  /** {@link append} when there is space. **Ownership** takes the reference, also if it throws. */
  appendOrRelease(id: BufferId, offset: number, length: number): void {
    try {
      assert(this.hasSpace, 'the lane must have space');
      // The last call: nothing throws after it.
      this.append(id, offset, length);
    } catch (error) {
      this.#pool.release(id);
      throw error;
    }
  }

  /**
   * Publishes all appended regions and notifies the receiver. False if the flusher is closed. If it
   * throws, it can be called again.
   */
  publish(announcer: Announcer): boolean {
    const words = this.#words;
    // SYNC(lane-tail): publishes the slots and the bytes of their regions; pairs with Drain's load.
    // SYNC(closing): in one order with the load of STATE: either close() sees these regions, or we
    // see CLOSED.
    storeSeqCst(words, this.#record + TAIL, this.#tail);
    this.#unpublishedBytes = 0;
    if (!this.#tell(announcer)) return false;
    this.#hasNews = false;
    return true;
  }

  /**
   * Reads TAIL again, in a lane to which several threads append, one at a time under a claim.
   */
  reload(): void {
    // SYNC(lane-tail): sees the slots that the last claimant published.
    this.#tail = loadAcquire(this.#words, this.#record + TAIL);
    this.#unpublishedBytes = 0;
  }

  /**
   * Publishes all appended regions and writes two words of progress, in one indivisible step: a
   * thread that dies has done both or neither. {@link tell} comes afterwards.
   */
  publishThen(progress: Words, index: number, first: number, second: number): void {
    // SYNC(lane-tail): publishes the slots and the bytes of their regions; pairs with the drain's
    // load.
    // SYNC(closing): in one order with the load of STATE in tell().
    const at = this.#record + TAIL;
    publishThenStore(this.#words, at, this.#tail, progress, index, first, second);
    this.#unpublishedBytes = 0;
  }

  /**
   * Notifies the receiver, unless `told[index]`, a word of the claimants, shows that it knows of
   * everything published. False if the flusher is closed.
   */
  tell(told: Words, index: number, announcer: Announcer): boolean {
    if (told[index] === this.#tail) return true;
    if (!this.#tell(announcer)) return false;
    told[index] = this.#tail;
    return true;
  }

  #tell(announcer: Announcer): boolean {
    if (loadSeqCst(this.#words, STATE) !== STATE_OPEN) return false;
    this.setReady();
    announcer.announce();
    return true;
  }

  /** Sets the ready bit: the next drain visits this lane. */
  setReady(): void {
    // SYNC(ready): in one order with the receiver's loads of the ready words and ASLEEP.
    fetchOr(this.#words, this.#layout.readyWord(this.id), 1 << (this.id & 31));
  }

  /** Releases regions that an interrupted claimant appended and did not publish. */
  releaseUnpublished(): void {
    releaseUnpublished(this.#pool, this.#words, this.#layout, this.id);
  }

  /**
   * Asks the receiver for a ring when it has made room. Check {@link hasSpace} again afterwards.
   */
  wantSpace(): void {
    // SYNC(space): in one order with the receiver's HEAD: either it sees the wish, or we see the
    // room.
    const at = this.#record + WANTS_SPACE;
    const mine = this.#pool.threadSlot + 1;
    for (;;) {
      const before = loadSeqCst(this.#words, at);
      const after = before === 0 || before === mine ? mine : WANTED_BY_MANY;
      if (compareExchange(this.#words, at, before, after) === before) return;
    }
  }

  /**
   * Releases regions that a closed flusher will not deliver. Returns the bytes dropped.
   *
   * After close() both ends may do this; each region goes to one of them.
   */
  takeBack(): number {
    return takeRegions(this.#pool, this.#words, this.#layout, this.id);
  }

  /**
   * Ends the lane; the receiver frees it once it has taken all regions. If it throws, it can be
   * called again.
   */
  close(): void {
    if (!this.#isClosed) {
      // SYNC(lane-owner): publishes the lane's last state to its next owner, through the receiver.
      storeRelease(this.#words, this.#record + OWNER, OWNER_CLOSED);
      // No call in between: the lane may soon be another writer's.
      this.#isClosed = true;
    }
    this.setReady();
  }

  /**
   * {@link close}, and a word of progress in one indivisible step: a thread that dies has done both
   * or neither. {@link setReady} comes afterwards.
   */
  closeThen(progress: Words, index: number, value: number): void {
    storeThenStore(this.#words, this.#record + OWNER, OWNER_CLOSED, progress, index, value);
  }

  /** Makes the lane that of a SharedWriter. */
  share(): void {
    storeRelease(this.#words, this.#record + OWNER, OWNER_SHARED);
  }
}

/** Rings the threads that wait for space in the lane at `record`, after HEAD has moved. */
export function giveRoom(pool: BufferPool, words: Words, record: number): void {
  const at = record + WANTS_SPACE;
  // SYNC(space): in one order with wantSpace(): either it sees the new HEAD, or we see its wish.
  if (loadSeqCst(words, at) === 0) return;
  const wish = exchange(words, at, 0);
  try {
    if (wish > 0) pool.doorbell.ring(wish - 1);
    if (wish !== WANTED_BY_MANY) return;
    for (let slot = 0; slot < pool.maxThreads; slot++) pool.doorbell.ring(slot);
  } catch (error) {
    // Some thread was not rung: the next drain rings all.
    storePlain(words, at, WANTED_BY_MANY);
    throw error;
  }
}

/** Asserts that a lane holds 0 to `regionCount` regions, before it is walked. */
export function checkTail(head: number, tail: number, regionCount: number): void {
  assert((tail - head) >>> 0 <= regionCount, 'a lane must hold 0 to regionCount regions');
}

/**
 * Releases every published region of a lane of a closed flusher; returns their bytes.
 *
 * HEAD stays, so that the writer finds no space. The exchange gives each reference to one taker.
 */
export function takeRegions(
  pool: BufferPool,
  words: Words,
  layout: FlusherLayout,
  lane: number,
): number {
  const record = layout.lane(lane);
  const region: Words = new Int32Array(TRANSIT_WORDS);
  let bytes = 0;
  // SYNC(lane-tail): sees the regions published before.
  const tail = loadAcquire(words, record + TAIL);
  const head = loadAcquire(words, record + HEAD);
  checkTail(head, tail, layout.regionCount);
  for (let i = head; i !== tail; i = (i + 1) | 0) {
    const slot = layout.slot(lane, i);
    region.set(words.subarray(slot, slot + TRANSIT_WORDS));
    region[TRANSIT_MARK] = exchange(words, slot + TRANSIT_MARK, 0);
    if (region[TRANSIT_MARK] === 0) continue;
    bytes += region[TRANSIT_LENGTH];
    pool.release(pool.moveFromWords(region, 0));
  }
  return bytes;
}

/** Releases every region of a lane that its writer appended and did not publish. */
export function releaseUnpublished(
  pool: BufferPool,
  words: Words,
  layout: FlusherLayout,
  lane: number,
): void {
  const record = layout.lane(lane);
  const tail = loadAcquire(words, record + TAIL);
  const end = (loadAcquire(words, record + HEAD) + layout.regionCount) | 0;
  for (let i = tail; i !== end; i = (i + 1) | 0) {
    const slot = layout.slot(lane, i);
    if (words[slot + TRANSIT_MARK] !== 0) pool.release(pool.moveFromWords(words, slot));
  }
}
