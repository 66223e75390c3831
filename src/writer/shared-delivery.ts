// SPDX-License-Identifier: MIT
/**
 * A writer for many threads, the way out: one thread at a time carries what all have committed to
 * the lane.
 */

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
  BUFFER,
  CLAIM,
  CLAIM_AGAIN,
  DELIVERED,
  DELIVERED_AT,
  ENTRY_ABORTED,
  ENTRY_COMMITTED,
  ENTRY_HELD_UP,
  ENTRY_OPEN,
  ENTRY_VALUE,
  FILL,
  FREED,
  type SharedWriterLayout,
  STATE,
  TOLD,
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
  resumeEpoch: number;
  resumeAt: number;
}

/** Whether a thread is inside a delivery, of whatever writer. */
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
 * gives segments back.
 *
 * Progress is DELIVERED, which is written straight after the lane's TAIL: a claimant that does not
 * come to its end has delivered and noted a run, or neither. Whoever has the claim next releases
 * what was appended beyond TAIL, and simply does it again.
 */
export class SharedDelivery {
  readonly #flusher: WriteFlusher;
  readonly #pool: BufferPool;
  readonly #words: Words;
  readonly #layout: SharedWriterLayout;
  readonly #lane: Lane;
  readonly #ring: SegmentRing;
  readonly #headroom: number;
  readonly #hasRooms: boolean;
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
    this.#hasRooms = options.headroom + options.tailroom > 0;
    this.#byPolicy = options.policy !== 'manual';
    this.#mine = flusher.pool.badge;
    this.#presence = presenceOf(flusher.pool);
  }

  /** Delivers, or asks the thread that is at it to look once more. False: something had to stay. */
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

  /** True if an exception left the claim with this thread, or an earlier one of its slot died. */
  #isLeftBehind(claim: number): boolean {
    const holder = claim & ~CLAIM_AGAIN;
    if (holder === this.#mine) return !this.#presence.isDelivering;
    return slotOf(holder) === this.#pool.threadSlot;
  }

  /** Takes the claim from whoever will not go on with it, with what was asked of him. */
  takeClaim(claim: number): boolean {
    const mine = this.#mine | (claim & CLAIM_AGAIN);
    // SYNC(claim): of several that want it one gets it, and sees what the last holder did.
    return compareExchange(this.#words, CLAIM, claim, mine) === claim;
  }

  /** Finishes what the last holder of the claim, which this thread has taken, had begun. */
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
      // If this throws, too, the claim stays, and the next run() goes on with it.
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

  /** Tells the receiver of what was published, by this claimant or by one who was cut short. */
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

  /** Takes entries of one segment into the run, as far as they go, and says what stopped it. */
  #step(walk: Walk): 'break' | 'end' | 'stop' | 'later' {
    const words = this.#words;
    const layout = this.#layout;
    // Round the ring: there stands a segment that was delivered just now, and not yet freed.
    if (walk.epoch === layout.after(words[FREED], layout.segmentCount)) return 'stop';
    // SYNC(segment): sees the entries cleared before it was opened.
    const fill = loadAcquire(words, layout.segment(walk.epoch) + FILL);
    const count = layout.entriesOf(fill);
    const first = layout.entry(walk.epoch, 0);
    const committed = ENTRY_COMMITTED;
    const finished = ENTRY_COMMITTED | ENTRY_ABORTED;
    const value = ENTRY_VALUE;
    let { entry, offset, regionBegin, regionEnd } = walk;
    let answer: 'break' | 'end' | 'stop' | 'held' = layout.isSealed(fill) ? 'end' : 'stop';
    for (; entry < count; entry++) {
      const at = first + (entry << 1);
      // SYNC(entry): sees the message that was committed.
      const state = loadAcquire(words, at);
      if ((state & finished) === 0) {
        answer = 'held';
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
    return answer === 'held' ? this.#whyHeld(first + (entry << 1)) : answer;
  }

  /**
   * 'stop' at an open reservation, whose holder will flush what is behind it. 'later' if somebody
   * is between taking the entry and marking it, and cannot be told that he is waited for.
   */
  #whyHeld(entry: number): 'stop' | 'later' {
    const words = this.#words;
    for (;;) {
      const state = loadSeqCst(words, entry + STATE);
      if ((state & ENTRY_OPEN) === 0) return 'later';
      if (!this.#byPolicy || (state & ENTRY_HELD_UP) !== 0) return 'stop';
      const marked = state | ENTRY_HELD_UP;
      // SYNC(entry): whoever ends the reservation sees the mark.
      if (compareExchange(words, entry + STATE, state, marked) === state) return 'stop';
    }
  }

  /**
   * Appends the run to the lane. False: no room, or no buffer for a copy; the walk resumes before
   * it.
   */
  #handOver(walk: Walk, isLast: boolean): boolean {
    const { regionBegin, regionEnd } = walk;
    if (regionEnd > regionBegin) {
      if (!this.#lane.hasSpace) return false;
      const segment = this.#layout.segment(walk.epoch);
      const id = (this.#words[segment + BUFFER] - 1) as BufferId;
      const from = this.#pool.offsetOf(id) + regionBegin;
      const length = regionEnd - regionBegin;
      if (!this.#hasRooms || (isLast && regionBegin === this.#headroom)) {
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
   * Its neighbours' bytes stand where headroom and tailroom should be, and packets may still read
   * them.
   */
  #appendCopy(from: number, length: number): boolean {
    const pool = this.#pool;
    const copy = pool.tryAcquire();
    if (copy === NO_BUFFER) return false;
    const to = pool.offsetOf(copy) + this.#headroom;
    pool.bytes.copyWithin(to, from, from + length);
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

  /** Nobody uses the writer any more: counts the committed bytes that were not delivered. */
  undelivered(): number {
    const words = this.#words;
    const layout = this.#layout;
    let bytes = 0;
    let entry = layout.entriesOf(words[DELIVERED_AT]);
    for (let i = 0; i < layout.segmentCount; i++, entry = 0) {
      const epoch = layout.after(words[DELIVERED], i);
      const count = layout.entriesOf(words[layout.segment(epoch) + FILL]);
      for (; entry < count; entry++) {
        const state = words[layout.entry(epoch, entry) + STATE];
        if ((state & ENTRY_COMMITTED) !== 0) bytes += state & ENTRY_VALUE;
      }
    }
    return bytes;
  }
}
