// SPDX-License-Identifier: MIT
/**
 * The door out of a shared writer: one thread at a time carries what all have committed to the
 * lane.
 */

import {
  addThenStore,
  compareExchange,
  loadAcquire,
  loadSeqCst,
  storeRelease,
  storeThenPublish,
  type Words,
  withdraw,
} from '../base/atomics.ts';
import { BusbarError } from '../base/errors.ts';
import { type BufferId, type BufferPool, NO_BUFFER } from '../pool/index.ts';
import type { Lane } from './lane.ts';
import {
  BUFFER,
  CLAIM,
  CLAIM_AGAIN,
  CURSOR,
  DELIVERED,
  ENDED,
  ENTRY_ABORTED,
  ENTRY_COMMITTED,
  ENTRY_HANDED,
  ENTRY_HELD_UP,
  ENTRY_OPEN,
  ENTRY_VALUE,
  MEMBERS,
  REFERENCE,
  SEGMENTS,
  SHUT,
  SHUT_DONE,
  type SharedWriterLayout,
  STATE,
} from './shared-writer-layout.ts';
import type { WriteFlusher } from './write-flusher.ts';
import type { ResolvedWriterOptions } from './writer-options.ts';

/**
 * Where a walk stands, and the committed run that it is extending. All offsets are relative to the
 * buffer.
 */
interface Walk {
  epoch: number;
  entry: number;
  offset: number;
  regionBegin: number;
  regionEnd: number;
  /** Where the walk must begin again if the region cannot be handed over. */
  resume: number;
}

/**
 * The claimant's side of a shared writer: walks the entries, appends committed runs to the lane,
 * gives segments back.
 *
 * Progress is the word DELIVERED. It is written together with the lane's TAIL, in one compound
 * step: a claimant that dies has delivered and noted a run, or neither, and recover() simply does
 * it again.
 */
export class SharedDelivery {
  readonly #flusher: WriteFlusher;
  readonly #pool: BufferPool;
  readonly #words: Words;
  readonly #layout: SharedWriterLayout;
  readonly #lane: Lane;
  readonly #headroom: number;
  readonly #hasRooms: boolean;
  readonly #byPolicy: boolean;
  readonly #mine: number;

  constructor(
    flusher: WriteFlusher,
    words: Words,
    layout: SharedWriterLayout,
    lane: Lane,
    options: ResolvedWriterOptions,
  ) {
    this.#flusher = flusher;
    this.#pool = flusher.pool;
    this.#words = words;
    this.#layout = layout;
    this.#lane = lane;
    this.#headroom = options.headroom;
    this.#hasRooms = options.headroom + options.tailroom > 0;
    this.#byPolicy = options.policy !== 'manual';
    this.#mine = flusher.pool.threadSlot + 1;
  }

  /** Sets the words of a new writer. */
  static begin(words: Words, layout: SharedWriterLayout, headroom: number): void {
    words[CURSOR] = layout.position(0, 0, headroom);
    words[DELIVERED] = layout.position(0, 0, headroom);
  }

  /** Delivers, or asks the thread that is at it to look once more. False: something had to stay. */
  run(): boolean {
    for (;;) {
      const claim = loadSeqCst(this.#words, CLAIM);
      if (claim === 0) {
        // SYNC(claim): sees everything as the last claimant left it.
        if (compareExchange(this.#words, CLAIM, 0, this.#mine) === 0) return this.#deliverAll();
      } else if (compareExchange(this.#words, CLAIM, claim, claim | CLAIM_AGAIN) === claim) {
        return true;
      }
    }
  }

  /**
   * One of this thread's objects is done, its flushing included. If nobody is left, ends the
   * writer. Returns the bytes that could not be handed over.
   */
  leave(): number {
    const words = this.#words;
    const account = this.#layout.members(this.#pool.threadSlot);
    const members = words[account];
    if (members > 1) {
      addThenStore(words, MEMBERS, -1, account, members - 1);
      return 0;
    }
    // SYNC(members, both): sees what all the others did, who have left.
    return withdraw(words, account, MEMBERS, SHUT, this.#mine) === 0 ? this.#finish() : 0;
  }

  /** Nobody is left who could reserve or flush, and nobody can join: this thread is alone. */
  #finish(): number {
    const words = this.#words;
    this.#freeDelivered();
    let dropped = 0;
    for (let epoch = 0; epoch < SEGMENTS; epoch++) dropped += this.#drop(epoch);
    if (this.#flusher.closed) this.#lane.takeBack();
    this.#lane.closeWith(words, SHUT, SHUT_DONE);
    this.#flusher.announce();
    return dropped;
  }

  /** See SharedWriter.recover. False: something had to stay, and nobody else knows of it. */
  recover(slot: number): boolean {
    const words = this.#words;
    const layout = this.#layout;
    const marks = ENTRY_HELD_UP | ENTRY_HANDED;
    for (let epoch = 0; epoch < SEGMENTS; epoch++) {
      for (let entry = 0; entry < layout.entryCount; entry++) {
        const at = layout.entry(epoch, entry) + STATE;
        for (let state = loadAcquire(words, at); (state & ~marks) === (ENTRY_OPEN | slot); ) {
          // Again if a claimant has just marked it, or somebody taken it over.
          const seen = compareExchange(words, at, state, ENTRY_ABORTED);
          if (seen === state) break;
          state = seen;
        }
      }
    }
    this.#finishInstall(slot);
    try {
      return this.#takeOverClaim(slot);
    } finally {
      this.#leaveFor(slot);
      this.#flusher.announceForDead();
    }
  }

  #leaveFor(slot: number): void {
    const words = this.#words;
    const layout = this.#layout;
    if (words[SHUT] === slot + 1) {
      words[SHUT] = this.#mine;
      this.#finish();
    } else if (words[layout.members(slot)] !== 0) {
      // SYNC(members, both): sees what all the others did, who have left.
      const left = withdraw(words, layout.members(slot), MEMBERS, SHUT, this.#mine);
      if (left === 0) this.#finish();
    }
  }

  #takeOverClaim(slot: number): boolean {
    const words = this.#words;
    const claim = loadSeqCst(words, CLAIM);
    if ((claim & ~CLAIM_AGAIN) === slot + 1) {
      // Nobody but a requester can have changed it: keep what it asked for.
      storeRelease(words, CLAIM, this.#mine);
      this.#lane.releaseUnpublished();
      if (!this.#flusher.closed) return this.#deliverAll();
      storeRelease(words, CLAIM, 0);
      return true;
    }
    return this.#flusher.closed || this.run();
  }

  #deliverAll(): boolean {
    let complete: boolean;
    try {
      do {
        complete = this.#deliver();
      } while (!this.#unclaim());
    } catch (error) {
      this.#lane.releaseUnpublished();
      storeRelease(this.#words, CLAIM, 0);
      throw error;
    }
    return complete;
  }

  #unclaim(): boolean {
    // SYNC(claim): publishes DELIVERED and the segments to the next claimant.
    if (compareExchange(this.#words, CLAIM, this.#mine, 0) === this.#mine) return true;
    storeRelease(this.#words, CLAIM, this.#mine);
    return false;
  }

  #deliver(): boolean {
    const words = this.#words;
    this.#lane.reload();
    const begin = words[DELIVERED];
    const walk = this.#walkFrom(begin);
    let complete = true;
    while (complete) {
      const state = this.#step(walk);
      if (state === 'stop') break;
      if (state === 'later') {
        this.#handOver(walk, false);
        complete = false;
        break;
      }
      if (state === 'break') complete = this.#handOver(walk, false);
      else if (state === 'end') complete = this.#handOver(walk, true) && this.#nextSegment(walk);
    }
    if (complete) complete = this.#handOver(walk, false);
    if (walk.resume !== begin) {
      if (!this.#lane.publishWith(words, DELIVERED, walk.resume)) {
        this.#lane.takeBack();
        throw new BusbarError('ERR_BUSBAR_FLUSHER_CLOSED');
      }
      this.#flusher.announce();
    }
    this.#freeDelivered();
    return complete;
  }

  #walkFrom(position: number): Walk {
    const offset = this.#layout.offsetOf(position);
    return {
      epoch: this.#layout.epochOf(position),
      entry: this.#layout.entryOf(position),
      offset,
      regionBegin: offset,
      regionEnd: offset,
      resume: position,
    };
  }

  /** Takes entries of one segment into the run, as far as they go, and says what stopped it. */
  #step(walk: Walk): 'break' | 'end' | 'stop' | 'later' {
    const words = this.#words;
    const segment = this.#layout.segment(walk.epoch);
    if (loadAcquire(words, segment + BUFFER) === 0) return 'stop';
    // SYNC(segment-end): sees where the cursor left the segment.
    const ended = loadAcquire(words, segment + ENDED) - 1;
    const count = ended < 0 ? this.#layout.entryCount : ended;
    const first = this.#layout.entry(walk.epoch, 0);
    const committed = ENTRY_COMMITTED;
    const finished = ENTRY_COMMITTED | ENTRY_ABORTED;
    const value = ENTRY_VALUE;
    let { entry, offset, regionBegin, regionEnd } = walk;
    let answer: 'break' | 'end' | 'stop' | 'later' = ended < 0 ? 'stop' : 'end';
    for (; entry < count; entry++) {
      const at = first + (entry << 1);
      // SYNC(entry): sees the message that was committed.
      const state = loadAcquire(words, at);
      if ((state & finished) === 0) {
        answer = 'stop';
        break;
      }
      const length = (state & committed) === 0 ? 0 : state & value;
      if (length > 0) {
        if (regionEnd === regionBegin) {
          regionBegin = offset;
        } else if (regionEnd !== offset) {
          answer = 'break';
          break;
        }
        regionEnd = offset + length;
      }
      offset += words[at + 1];
    }
    walk.entry = entry;
    walk.offset = offset;
    walk.regionBegin = regionBegin;
    walk.regionEnd = regionEnd;
    return answer === 'stop' ? this.#whyStopped(walk) : answer;
  }

  /**
   * 'stop' if the walk has come to the cursor, or to an open reservation, whose holder will flush
   * what is behind it. 'later' if somebody is between taking an entry and marking it, or between
   * leaving the segment and noting its end, and does not know that he is waited for.
   */
  #whyStopped(walk: Walk): 'stop' | 'later' {
    const words = this.#words;
    const { epoch, entry, offset } = walk;
    const at = this.#layout.entry(epoch, entry) + STATE;
    const position = this.#layout.position(epoch, entry, offset);
    if (loadSeqCst(words, CURSOR) === position) return 'stop';
    if (entry === this.#layout.entryCount) return 'later';
    for (;;) {
      const state = loadSeqCst(words, at);
      if ((state & ENTRY_OPEN) === 0) return 'later';
      if (!this.#byPolicy || (state & ENTRY_HELD_UP) !== 0) return 'stop';
      // SYNC(entry): whoever ends the reservation sees the mark.
      if (compareExchange(words, at, state, state | ENTRY_HELD_UP) === state) return 'stop';
    }
  }

  /**
   * Appends the run to the lane. False: no room, or no buffer for a copy; the walk resumes before
   * it.
   */
  #handOver(walk: Walk, isLast: boolean): boolean {
    const { regionBegin, regionEnd } = walk;
    if (regionEnd > regionBegin) {
      const pool = this.#pool;
      const segment = this.#layout.segment(walk.epoch);
      const id = (this.#words[segment + BUFFER] - 1) as BufferId;
      if (!this.#lane.hasSpace) return false;
      const length = regionEnd - regionBegin;
      const from = pool.offsetOf(id) + regionBegin;
      if (!this.#hasRooms || (isLast && regionBegin === this.#headroom)) {
        pool.adopt(id);
        this.#lane.append(id, from, length);
      } else {
        // Its neighbours' bytes stand where headroom and tailroom should be, and packets may still
        // read them.
        const copy = pool.tryAcquire();
        if (copy === NO_BUFFER) return false;
        const to = pool.offsetOf(copy) + this.#headroom;
        pool.bytes.copyWithin(to, from, from + length);
        this.#lane.append(copy, to, length);
      }
    }
    walk.regionBegin = walk.regionEnd = walk.offset;
    walk.resume = this.#layout.position(walk.epoch, walk.entry, walk.offset);
    return true;
  }

  #nextSegment(walk: Walk): true {
    walk.epoch = this.#layout.nextEpoch(walk.epoch);
    walk.entry = 0;
    walk.offset = walk.regionBegin = walk.regionEnd = this.#headroom;
    walk.resume = this.#layout.position(walk.epoch, 0, this.#headroom);
    return true;
  }

  /** Gives back the buffers of segments that have been delivered to their end. */
  #freeDelivered(): void {
    const words = this.#words;
    const layout = this.#layout;
    const delivered = layout.epochOf(words[DELIVERED]);
    for (let i = 1; i < SEGMENTS; i++) {
      const epoch = (delivered + i) % layout.epochCount;
      const segment = layout.segment(epoch);
      if (loadAcquire(words, segment + ENDED) === 0) continue;
      // Looked at afterwards: an end that the cursor has not passed by now is that of the last lap.
      const current = layout.epochOf(loadAcquire(words, CURSOR));
      if (layout.epochsBetween(delivered, current) > i) continue;
      // Installed, but the installer has not yet got to storing the reference: next time.
      if (loadAcquire(words, segment + REFERENCE + 3) !== 0) this.#free(epoch);
    }
  }

  #free(epoch: number): void {
    const words = this.#words;
    const segment = this.#layout.segment(epoch);
    const reference = segment + REFERENCE;
    const pending = this.#layout.pending(this.#mine - 1);
    const first = this.#layout.entry(epoch, 0);
    const used =
      words[segment + ENDED] === 0 ? this.#layout.entryCount : words[segment + ENDED] - 1;
    words.fill(0, first, first + 2 * used);
    const mark = words[reference + 3];
    words[pending] = words[reference];
    words[pending + 1] = words[reference + 1];
    words[pending + 2] = words[reference + 2];
    // Straight on, without a call: the reference is in one of the two places, and as long as BUFFER
    // names it finishInstall() puts it back.
    words[pending + 3] = mark;
    words[reference + 3] = 0;
    // BUFFER goes first: whoever sees that it has not ended must not find the old buffer there.
    // SYNC(segment): publishes the cleared entries to whoever reserves there next.
    storeThenPublish(words, segment + BUFFER, 0, words, segment + ENDED, 0);
    if (mark !== 0) this.#pool.release(this.#pool.receiveFrom(words, pending));
  }

  /**
   * Ends a segment of a writer that nobody uses any more; returns the committed bytes that it still
   * held.
   */
  #drop(epoch: number): number {
    const words = this.#words;
    const layout = this.#layout;
    const delivered = words[DELIVERED];
    let bytes = 0;
    if (words[layout.segment(epoch) + BUFFER] === 0) return 0;
    const isCurrent = layout.segment(layout.epochOf(delivered)) === layout.segment(epoch);
    for (let i = isCurrent ? layout.entryOf(delivered) : 0; i < layout.entryCount; i++) {
      const state = words[layout.entry(epoch, i) + STATE];
      if ((state & ENTRY_COMMITTED) !== 0) bytes += state & ENTRY_VALUE;
    }
    this.#free(epoch);
    return bytes;
  }

  /**
   * A thread died between acquiring a buffer for a segment and giving its reference to the segment.
   */
  #finishInstall(slot: number): void {
    const words = this.#words;
    const pending = this.#layout.pending(slot);
    if (words[pending + 3] === 0) return;
    for (let epoch = 0; epoch < SEGMENTS; epoch++) {
      const segment = this.#layout.segment(epoch);
      if (loadAcquire(words, segment + BUFFER) !== words[pending] + 1) continue;
      moveReference(words, pending, segment + REFERENCE);
      return;
    }
    this.#pool.release(this.#pool.receiveFrom(words, pending));
  }
}

/** Moves a reference between two places in the writer's words; the fourth word says where it is. */
export function moveReference(words: Words, from: number, to: number): void {
  const mark = words[from + 3];
  words[to] = words[from];
  words[to + 1] = words[from + 1];
  words[to + 2] = words[from + 2];
  // SYNC(segment): publishes the reference to the claimant that will free the segment.
  storeThenPublish(words, from + 3, 0, words, to + 3, mark);
}
