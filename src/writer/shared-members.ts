// SPDX-License-Identifier: MIT
/** A writer for many threads: who uses it, who died, and who is the last. */

import {
  addThenStore,
  compareExchange,
  compareExchangeThenStore,
  exchange,
  loadAcquire,
  loadSeqCst,
  storeRelease,
  storeSeqCst,
  type Words,
  withdraw,
} from '../base/atomics.ts';
import { BusbarError } from '../base/errors.ts';
import { ensureStack } from '../base/stack.ts';
import type { BufferPool } from '../pool/index.ts';
import { slotOf } from '../pool/pool-layout.ts';
import { TRANSIT_MARK } from '../pool/transit-layout.ts';
import type { Lane } from './lane.ts';
import type { PolicyFlush } from './policy-flush.ts';
import type { SegmentRing } from './segment-ring.ts';
import type { SharedDelivery } from './shared-delivery.ts';
import {
  CLAIM,
  CLAIM_AGAIN,
  ENTRY_ABORTED,
  ENTRY_HANDED,
  ENTRY_HELD_UP,
  ENTRY_OPEN,
  MEMBERS,
  OWED,
  SHUT,
  SHUT_DONE,
  type SharedWriterLayout,
  STATE,
} from './shared-writer-layout.ts';
import type { WriteFlusher } from './write-flusher.ts';

/** The record of slot `of`, and what its BADGE said before it was locked. */
interface LockedRecord {
  readonly of: number;
  readonly present: number;
  isLocked: boolean;
}

/** No thread. */
const NOBODY = 0;

/** One object's membership in a shared writer, and what it does for members that died. */
export class SharedMembers {
  readonly #flusher: WriteFlusher;
  readonly #pool: BufferPool;
  readonly #words: Words;
  readonly #layout: SharedWriterLayout;
  readonly #lane: Lane;
  readonly #ring: SegmentRing;
  readonly #delivery: SharedDelivery;
  readonly #slot: number;
  readonly #mine: number;
  readonly #policy: PolicyFlush;
  /** False again once this object no longer counts. */
  #isIn = false;
  /** True if this object ends the writer. */
  #ends = false;

  constructor(
    flusher: WriteFlusher,
    words: Words,
    layout: SharedWriterLayout,
    lane: Lane,
    ring: SegmentRing,
    delivery: SharedDelivery,
    policy: PolicyFlush,
  ) {
    this.#flusher = flusher;
    this.#pool = flusher.pool;
    this.#words = words;
    this.#layout = layout;
    this.#lane = lane;
    this.#ring = ring;
    this.#delivery = delivery;
    this.#policy = policy;
    this.#slot = flusher.pool.threadSlot;
    this.#mine = flusher.pool.badge;
  }

  /** The first object of a new writer: nobody else knows of it yet. */
  found(): void {
    this.#words[this.#layout.badge(this.#slot)] = this.#mine;
    this.#words[this.#layout.joined(this.#slot)] = 1;
    this.#words[MEMBERS] = 1;
    this.#isIn = true;
    this.#pool.doorbell.listen(this.#onRing);
  }

  /** Counts this object in. **Throws** ERR_BUSBAR_WRITER_CLOSED: the last one has left already. */
  join(): void {
    ensureStack();
    const words = this.#words;
    const joined = this.#layout.joined(this.#slot);
    const badge = this.#layout.badge(this.#slot);
    const isHeir = this.#takeRecord();
    // An earlier thread of this slot counts no longer.
    const older = isHeir ? words[joined] : 0;
    for (;;) {
      const count = loadSeqCst(words, MEMBERS);
      if (count === 0) {
        if (words[joined] === 0) storeRelease(words, badge, NOBODY);
        throw new BusbarError('ERR_BUSBAR_WRITER_CLOSED');
      }
      const more = words[joined] + 1 - older;
      const next = count + 1 - older;
      // SYNC(members, both): whoever brings it to 0 is alone, now and for ever. Straight on, the
      // record says that this thread counts.
      if (compareExchangeThenStore(words, MEMBERS, count, next, joined, more) !== count) continue;
      this.#isIn = true;
      break;
    }
    this.#pool.doorbell.listen(this.#onRing);
    if (!isHeir) return;
    storeRelease(words, badge, this.#mine);
    this.#deliverFor(() => false);
  }

  /**
   * Makes this slot's record this thread's. True if an earlier thread of the slot died and was not
   * recovered: its reservations are aborted, it is still counted, and the record is locked.
   */
  #takeRecord(): boolean {
    const words = this.#words;
    const badge = this.#layout.badge(this.#slot);
    for (;;) {
      // SYNC(member): sees what whoever had the record before left there.
      const present = loadAcquire(words, badge);
      if (present === this.#mine) return false;
      if (present === NOBODY) {
        if (compareExchange(words, badge, NOBODY, this.#mine) === NOBODY) return false;
        continue;
      }
      // Another thread is recovering it, and soon done.
      if (present < NOBODY && present !== -this.#mine && !this.#isGone(-present)) continue;
      if (compareExchange(words, badge, present, -this.#mine) !== present) continue;
      this.#endReservations(this.#slot);
      return true;
    }
  }

  /**
   * This object is done, its flushing included; if that was not complete, another member goes on
   * with it. If nobody is left, ends the writer. Returns the bytes that could not be handed over.
   * If it throws, it can be called again.
   */
  leave(isComplete: boolean): number {
    ensureStack();
    // SYNC(owed): before this object leaves; pairs with the look of whoever leaves after it.
    if (!isComplete) storeSeqCst(this.#words, OWED, 1);
    const dropped = this.#leave();
    this.#pool.doorbell.ignore(this.#onRing);
    // SYNC(owed): after this object has left.
    if (loadSeqCst(this.#words, OWED) !== 0) this.#ringAll();
    return dropped;
  }

  /** Something had to stay, and this object flushes no more: a member that is rung does. */
  owe(): void {
    // SYNC(owed): pairs with the look of whoever is rung, or leaves.
    storeSeqCst(this.#words, OWED, 1);
    this.#ringAll();
  }

  #ringAll(): void {
    for (let slot = 0; slot < this.#pool.maxThreads; slot++) {
      const badge = loadSeqCst(this.#words, this.#layout.badge(slot));
      if (badge > NOBODY) this.#pool.doorbell.ringBadge(badge);
    }
  }

  /** One of those who are rung flushes what somebody left with. */
  readonly #onRing = (): void => {
    // SYNC(owed): sees what was committed by those who left.
    if (loadAcquire(this.#words, OWED) === 0 || exchange(this.#words, OWED, 0) === 0) return;
    this.#policy.flushLater();
  };

  #leave(): number {
    const words = this.#words;
    const joined = this.#layout.joined(this.#slot);
    if (this.#isIn) {
      const count = words[joined];
      if (count > 1) {
        addThenStore(words, MEMBERS, -1, joined, count - 1);
        this.#isIn = false;
        return 0;
      }
      // SYNC(members, both): sees what all the others did, who have left.
      const left = withdraw(words, joined, MEMBERS, SHUT, this.#mine);
      this.#isIn = false;
      this.#ends = left === 0;
    }
    // SYNC(member): leaves the record to the next thread of this slot.
    if (words[joined] === 0) storeRelease(words, this.#layout.badge(this.#slot), NOBODY);
    return this.#ends ? this.#finish() : 0;
  }

  /** Nobody is left who could reserve or flush, and nobody can join: this thread is alone. */
  #finish(): number {
    const words = this.#words;
    let dropped = 0;
    if (words[SHUT] !== SHUT_DONE) {
      this.#ring.freeDelivered();
      dropped = this.#delivery.undelivered();
      this.#ring.empty();
      if (this.#flusher.closed) this.#lane.takeBack();
      this.#lane.closeThen(words, SHUT, SHUT_DONE);
    }
    this.#lane.setReady();
    this.#flusher.announce();
    this.#ends = false;
    return dropped;
  }

  /**
   * Finishes what threads of that slot, which have died, had begun: see SharedWriter.recover.
   * False: something had to stay, and nobody else knows of it.
   */
  recover(slot: number): boolean {
    ensureStack();
    const words = this.#words;
    const isVacant = this.#pool.isThreadGone(slot);
    const isGone = (badge: number): boolean =>
      badge > NOBODY && slotOf(badge) === slot && (isVacant || this.#pool.isBadgeGone(badge));
    const records: LockedRecord[] = [];
    let complete: boolean;
    let done = 0;
    try {
      this.#lockRecords(records, slot, isVacant, isGone);
      const isMember = records.length > 0 || isGone(loadAcquire(words, CLAIM) & ~CLAIM_AGAIN);
      if (!isVacant && !isMember && !isGone(loadAcquire(words, SHUT))) {
        throw new BusbarError('ERR_BUSBAR_THREAD_ALIVE', `thread slot ${slot}`);
      }
      for (const { of } of records) this.#endReservations(of);
      complete = this.#deliverFor(isGone);
      for (const { of } of records) {
        this.#dismiss(of);
        done++;
      }
    } catch (error) {
      // Not done: whoever recovers that thread next finds them as they were.
      for (; done < records.length; done++) {
        const { of, present, isLocked } = records[done];
        if (isLocked) words[this.#layout.badge(of)] = present;
      }
      throw error;
    }
    const shut = loadAcquire(words, SHUT);
    if (shut === this.#mine) this.#ends = true;
    // SYNC(members): of several that would end the writer in its place one does.
    else if (isGone(shut)) this.#ends = compareExchange(words, SHUT, shut, this.#mine) === shut;
    if (this.#ends) this.#finish();
    // It may have died between its publication, or its close(), and the ready bit, or the bell.
    this.#lane.setReady();
    this.#flusher.announceForDead();
    return complete;
  }

  /** Locks the records of dead members of that slot, and those that one of them was recovering. */
  #lockRecords(
    records: LockedRecord[],
    slot: number,
    isVacant: boolean,
    isGone: (badge: number) => boolean,
  ): void {
    const words = this.#words;
    for (let of = 0; of < this.#pool.maxThreads; of++) {
      const at = this.#layout.badge(of);
      const present = loadAcquire(words, at);
      const isLeft =
        present === NOBODY
          ? of === slot && isVacant && words[this.#layout.pending(of) + TRANSIT_MARK] !== 0
          : isGone(Math.abs(present));
      if (!isLeft) continue;
      // First the note: if the lock throws, it is not locked, and to put it back changes nothing.
      const record = { of, present, isLocked: false };
      records.push(record);
      // SYNC(member): of several one recovers it, and sees what it had left.
      record.isLocked = compareExchange(words, at, present, -this.#mine) === present;
      if (!record.isLocked) records.pop();
    }
  }

  /** A dead member, whose record is locked, counts no longer. */
  #dismiss(of: number): void {
    const words = this.#words;
    this.#ring.dropOf(of);
    const joined = this.#layout.joined(of);
    if (words[joined] !== 0) {
      // SYNC(members, both): sees what all the others did, who have left.
      const left = withdraw(words, joined, MEMBERS, SHUT, this.#mine);
      this.#ends = left === 0 || this.#ends;
    }
    // SYNC(member): leaves the record to the next thread of its slot.
    storeRelease(words, this.#layout.badge(of), NOBODY);
  }

  /** Aborts what a thread has open that is dead, and whose record is locked. */
  #endReservations(slot: number): void {
    const words = this.#words;
    const layout = this.#layout;
    const marks = ENTRY_HELD_UP | ENTRY_HANDED;
    for (let place = 0; place < layout.segmentCount; place++) {
      for (let entry = 0; entry < layout.entryCount; entry++) {
        const at = layout.entry(place, entry) + STATE;
        for (let state = loadAcquire(words, at); (state & ~marks) === (ENTRY_OPEN | slot); ) {
          // Again if a claimant has just marked it, or somebody taken it over.
          const seen = compareExchange(words, at, state, ENTRY_ABORTED);
          if (seen === state) break;
          state = seen;
        }
      }
    }
  }

  /** Delivers what the dead thread was delivering, and what it held up. */
  #deliverFor(isGone: (badge: number) => boolean): boolean {
    try {
      for (;;) {
        const claim = loadSeqCst(this.#words, CLAIM);
        if (!isGone(claim & ~CLAIM_AGAIN)) return this.#flusher.closed || this.#delivery.run();
        if (this.#delivery.takeClaim(claim)) return this.#delivery.finishClaim();
      }
    } catch (error) {
      // The flusher or the pool is closed: whoever leaves last drops what is left.
      if (error instanceof BusbarError) return true;
      throw error;
    }
  }

  #isGone(badge: number): boolean {
    return this.#pool.isThreadGone(slotOf(badge)) || this.#pool.isBadgeGone(badge);
  }
}
