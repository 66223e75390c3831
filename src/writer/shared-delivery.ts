// SPDX-License-Identifier: MIT
/** Delivery of a SharedWriter: one thread at a time moves all committed messages into the lane. */

import {
  compareExchange,
  loadAcquire,
  loadSeqCst,
  storeRelease,
  type Words,
} from '../base/atomics.ts';
import { BusbarError } from '../base/errors.ts';
import { ensureStep } from '../base/stack.ts';
import { type BufferId, type BufferPool, NO_BUFFER } from '../pool/index.ts';
import { slotOf } from '../pool/pool-layout.ts';
import type { Lane } from './lane.ts';
import type { SegmentRing } from './segment-ring.ts';
import {
  BEGIN,
  BUFFER,
  CLAIM,
  CLAIM_AGAIN,
  DELIVERED,
  DELIVERED_AT,
  ENTRY_ABORTED,
  ENTRY_COMMITTED,
  ENTRY_CUT,
  ENTRY_HELD_UP,
  ENTRY_OPEN,
  ENTRY_VALUE,
  ENTRY_WORDS,
  FILL,
  FREED,
  RUN_END,
  type SharedWriterLayout,
  STATE,
  TOLD,
} from './shared-writer-layout.ts';
import type { WriteFlusher } from './write-flusher.ts';
import type { ResolvedWriterOptions } from './writer-options.ts';

/**
 * Position of a walk over the entries, and the committed run that it extends. Offsets are relative
 * to the buffer.
 */
interface Walk {
  epoch: number;
  entry: number;
  offset: number;
  regionBegin: number;
  regionEnd: number;
  /** Where the next walk begins if the region cannot be handed over. */
  resumeEpoch: number;
  resumeAt: number;
}

/** One per thread: whether it is inside a delivery, of any writer. */
interface Presence {
  isDelivering: boolean;
}

const presences = new WeakMap<BufferPool, Presence>();

function presenceOf(pool: BufferPool): Presence {
  let presence = presences.get(pool);
  if (presence === undefined) {
    presence = { isDelivering: false };
    presences.set(pool, presence);
  }
  return presence;
}

/**
 * The claimant's side of a shared writer: walks the entries, appends committed runs to the lane,
 * frees segments.
 *
 * DELIVERED records the progress. It is written in one indivisible step with the lane's TAIL, so an
 * interrupted claimant has published and recorded a run, or neither. The next claimant releases
 * regions appended beyond TAIL and repeats the walk.
 */
export class SharedDelivery {
  readonly #flusher: WriteFlusher;
  readonly #pool: BufferPool;
  readonly #words: Words;
  readonly #layout: SharedWriterLayout;
  readonly #lane: Lane;
  readonly #ring: SegmentRing;
  readonly #headroom: number;
  readonly #hasMargins: boolean;
  readonly #byPolicy: boolean;
  readonly #mine: number;
  readonly #presence: Presence;

  constructor(
    flusher: WriteFlusher,
    words: Words,
    layout: SharedWriterLayout,
    lane: Lane,
    ring: SegmentRing,
    options: ResolvedWriterOptions,
  ) {
    this.#flusher = flusher;
    this.#pool = flusher.pool;
    this.#words = words;
    this.#layout = layout;
    this.#lane = lane;
    this.#ring = ring;
    this.#headroom = options.headroom;
    this.#hasMargins = options.headroom + options.tailroom > 0;
    this.#byPolicy = options.policy !== 'manual';
    this.#mine = flusher.pool.badge;
    this.#presence = presenceOf(flusher.pool);
  }

  /** Delivers, or asks the thread that delivers now to walk once more. False: incomplete. */
  run(): boolean {
    ensureStep();
    for (;;) {
      const claim = loadSeqCst(this.#words, CLAIM);
      if (claim === 0) {
        // SYNC(claim): sees everything as the last claimant left it.
        if (compareExchange(this.#words, CLAIM, 0, this.#mine) === 0) return this.#deliverAll();
      } else if (this.#isLeftBehind(claim)) {
        if (this.takeClaim(claim)) return this.#deliverAfter();
      } else if (compareExchange(this.#words, CLAIM, claim, claim | CLAIM_AGAIN) === claim) {
        return true;
      }
    }
  }

  /** True if an exception left the claim with this thread, or a dead one of its slot holds it. */
  #isLeftBehind(claim: number): boolean {
    const holder = claim & ~CLAIM_AGAIN;
    if (holder === this.#mine) return !this.#presence.isDelivering;
    return slotOf(holder) === this.#pool.threadSlot;
  }

  /** Takes an abandoned claim, with its AGAIN bit. False: another thread was faster. */
  takeClaim(claim: number): boolean {
    const mine = this.#mine | (claim & CLAIM_AGAIN);
    // SYNC(claim): of several threads one gets it, and sees what the last holder did.
    return compareExchange(this.#words, CLAIM, claim, mine) === claim;
  }

  /** Finishes the delivery of a claim that was taken by {@link takeClaim}. */
  finishClaim(): boolean {
    ensureStep();
    return this.#deliverAfter();
  }

  #deliverAfter(): boolean {
    this.#presence.isDelivering = true;
    try {
      this.#lane.releaseUnpublished();
    } finally {
      this.#presence.isDelivering = false;
    }
    return this.#deliverAll();
  }

  #deliverAll(): boolean {
    this.#presence.isDelivering = true;
    let complete: boolean;
    try {
      do {
        complete = this.#deliver();
      } while (!this.#unclaim());
    } catch (error) {
      // If this throws as well, the claim stays, and the next run() continues with it.
      this.#lane.releaseUnpublished();
      // SYNC(claim): as unclaim() does.
      storeRelease(this.#words, CLAIM, 0);
      throw error;
    } finally {
      this.#presence.isDelivering = false;
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
    this.#tell();
    const walk = this.#walkOn();
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
    if (walk.resumeAt !== words[DELIVERED_AT] || walk.resumeEpoch !== words[DELIVERED]) {
      this.#lane.publishThen(words, DELIVERED, walk.resumeEpoch, walk.resumeAt);
      this.#tell();
    }
    this.#ring.freeDelivered();
    return complete;
  }

  /** Notifies the receiver of published regions, this claimant's or an interrupted one's. */
  #tell(): void {
    if (this.#lane.tell(this.#words, TOLD, this.#flusher)) return;
    this.#lane.takeBack();
    throw new BusbarError('ERR_BUSBAR_FLUSHER_CLOSED');
  }

  #walkOn(): Walk {
    const epoch = this.#words[DELIVERED];
    const at = this.#words[DELIVERED_AT];
    const offset = this.#layout.offsetOf(at);
    return {
      epoch,
      entry: this.#layout.entriesOf(at),
      offset,
      regionBegin: offset,
      regionEnd: offset,
      resumeEpoch: epoch,
      resumeAt: at,
    };
  }

  /** Extends the run by entries of one segment; returns what stopped it. */
  #step(walk: Walk): 'break' | 'end' | 'stop' | 'later' {
    const words = this.#words;
    const layout = this.#layout;
    // Once around the ring: the segment there was delivered by this walk and is not freed yet.
    if (walk.epoch === layout.after(words[FREED], layout.segmentCount)) return 'stop';
    // SYNC(segment): sees the entries cleared before it was opened.
    const fill = loadAcquire(words, layout.segment(walk.epoch) + FILL);
    const count = layout.entriesOf(fill);
    const first = layout.entry(walk.epoch, 0);
    const committed = ENTRY_COMMITTED;
    const finished = ENTRY_COMMITTED | ENTRY_ABORTED;
    const value = ENTRY_VALUE;
    const runEnd = RUN_END;
    // In an open segment a thread may append to the last entry if it is a run.
    const last = fill < 0 ? -1 : count - 1;
    let { entry, offset, regionBegin, regionEnd } = walk;
    let outcome: 'break' | 'end' | 'stop' | 'held' = layout.isSealed(fill) ? 'end' : 'stop';
    for (; entry < count; entry++) {
      const at = first + entry * (3 satisfies typeof ENTRY_WORDS);
      // SYNC(entry): sees the message that was committed.
      const state = loadAcquire(words, at);
      let end: number;
      if (state < 0) {
        end = (entry === last ? state : this.#cut(at, state)) & runEnd;
      } else if ((state & finished) === 0) {
        outcome = 'held';
        break;
      } else {
        end =
          (state & committed) === 0 ? 0 : words[at + (1 satisfies typeof BEGIN)] + (state & value);
      }
      // Else the first messages of a run were delivered before.
      const entryBegin = words[at + (1 satisfies typeof BEGIN)];
      const begin = offset > entryBegin ? offset : entryBegin;
      if (end > begin) {
        if (regionEnd === regionBegin) {
          regionBegin = begin;
        } else if (regionEnd !== begin) {
          outcome = 'break';
          break;
        }
        offset = regionEnd = end;
      }
      if (state < 0 && entry === last) break;
    }
    walk.entry = entry;
    walk.offset = offset;
    walk.regionBegin = regionBegin;
    walk.regionEnd = regionEnd;
    return outcome === 'held' ? this.#whyHeld(first + entry * ENTRY_WORDS) : outcome;
  }

  /** Ends a run for its thread. Returns the STATE, which does not change any more. */
  #cut(entry: number, seen: number): number {
    const words = this.#words;
    for (let state = seen; ; ) {
      if ((state & ENTRY_CUT) !== 0) return state;
      const cut = state | ENTRY_CUT;
      // SYNC(entry): sees the messages that were appended; the next append fails.
      const before = compareExchange(words, entry + STATE, state, cut);
      if (before === state) return cut;
      state = before;
    }
  }

  /**
   * 'stop' at an open reservation, whose holder will flush the messages after it. 'later' if its
   * thread has taken the entry and not marked it yet, so that HELD_UP cannot be set.
   */
  #whyHeld(entry: number): 'stop' | 'later' {
    const words = this.#words;
    for (;;) {
      const state = loadSeqCst(words, entry + STATE);
      if (state < 0 || (state & ENTRY_OPEN) === 0) return 'later';
      if (!this.#byPolicy || (state & ENTRY_HELD_UP) !== 0) return 'stop';
      const marked = state | ENTRY_HELD_UP;
      // SYNC(entry): the thread that ends the reservation sees the mark.
      if (compareExchange(words, entry + STATE, state, marked) === state) return 'stop';
    }
  }

  /**
   * Appends the run to the lane. False: no space, or no buffer for a copy; the next walk begins
   * with this run.
   */
  #handOver(walk: Walk, isLast: boolean): boolean {
    const { regionBegin, regionEnd } = walk;
    if (regionEnd > regionBegin) {
      if (!this.#lane.hasSpace) return false;
      const segment = this.#layout.segment(walk.epoch);
      const id = (this.#words[segment + BUFFER] - 1) as BufferId;
      const from = this.#pool.offsetOf(id) + regionBegin;
      const length = regionEnd - regionBegin;
      if (!this.#hasMargins || (isLast && regionBegin === this.#headroom)) {
        this.#pool.retainShared(id);
        this.#lane.appendOrRelease(id, from, length);
      } else if (!this.#appendCopy(from, length)) {
        return false;
      }
    }
    walk.regionBegin = walk.regionEnd = walk.offset;
    walk.resumeEpoch = walk.epoch;
    walk.resumeAt = this.#layout.open(walk.entry, walk.offset);
    return true;
  }

  /**
   * Appends a copy of a run whose headroom and tailroom hold other messages, which packets may
   * still read.
   */
  #appendCopy(from: number, length: number): boolean {
    const pool = this.#pool;
    const copy = pool.tryAcquire();
    if (copy === NO_BUFFER) return false;
    const to = pool.offsetOf(copy) + this.#headroom;
    pool.arena.copy(to, from, length);
    this.#lane.appendOrRelease(copy, to, length);
    return true;
  }

  #nextSegment(walk: Walk): true {
    walk.epoch = this.#layout.after(walk.epoch, 1);
    walk.entry = 0;
    walk.offset = walk.regionBegin = walk.regionEnd = this.#headroom;
    walk.resumeEpoch = walk.epoch;
    walk.resumeAt = this.#layout.open(0, this.#headroom);
    return true;
  }

  /** Committed bytes that were not delivered, once no thread uses the writer. */
  undelivered(): number {
    const words = this.#words;
    const layout = this.#layout;
    let bytes = 0;
    let entry = layout.entriesOf(words[DELIVERED_AT]);
    let offset = layout.offsetOf(words[DELIVERED_AT]);
    for (let i = 0; i < layout.segmentCount; i++) {
      const epoch = layout.after(words[DELIVERED], i);
      const count = layout.entriesOf(words[layout.segment(epoch) + FILL]);
      for (; entry < count; entry++) {
        const at = layout.entry(epoch, entry);
        const state = words[at + STATE];
        if (state < 0) bytes += (state & RUN_END) - Math.max(offset, words[at + BEGIN]);
        else if ((state & ENTRY_COMMITTED) !== 0) bytes += state & ENTRY_VALUE;
      }
      entry = offset = 0;
    }
    return bytes;
  }
}
