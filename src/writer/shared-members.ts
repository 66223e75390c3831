// SPDX-License-Identifier: MIT
/** Membership of threads in a SharedWriter: joining, leaving, recovery of the dead, the end. */

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

/** The record of thread slot `slot`, and its BADGE before it was locked. */
interface LockedRecord {
  readonly slot: number;
  readonly badge: number;
  isLocked: boolean;
}

/** No thread. */
const NO_BADGE = 0;

/** One object's membership in a shared writer, and recovery of members that died. */
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
  /** True while MEMBERS counts this object. */
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

  /** Joins as the first object of a new writer, which no other thread knows yet. */
  joinFirst(): void {
    this.#words[this.#layout.badge(this.#slot)] = this.#mine;
    this.#words[this.#layout.joined(this.#slot)] = 1;
    this.#words[MEMBERS] = 1;
    this.#isIn = true;
    this.#pool.doorbell.listen(this.#onRing);
  }

  /** Joins. **Throws** ERR_BUSBAR_WRITER_CLOSED if the last member has left already. */
  join(): void {
    ensureStack();
    const words = this.#words;
    const joined = this.#layout.joined(this.#slot);
    const badge = this.#layout.badge(this.#slot);
    const isHeir = this.#takeRecord();
    // Replaces the objects of an earlier thread of this slot.
    const older = isHeir ? words[joined] : 0;
    for (;;) {
      const count = loadSeqCst(words, MEMBERS);
      if (count === 0) {
        if (words[joined] === 0) storeRelease(words, badge, NO_BADGE);
        throw new BusbarError('ERR_BUSBAR_WRITER_CLOSED');
      }
      const more = words[joined] + 1 - older;
      const next = count + 1 - older;
      // SYNC(members, both): the thread that brings it to 0 is alone from then on. JOINED is
      // written in the same step.
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
   * Takes this slot's record for this thread. True if an earlier thread of the slot died and was
   * not recovered: its reservations are aborted, MEMBERS still counts it, the record is locked.
   */
  #takeRecord(): boolean {
    const words = this.#words;
    const badge = this.#layout.badge(this.#slot);
    for (;;) {
      // SYNC(member): sees the record as its last owner left it.
      const present = loadAcquire(words, badge);
      if (present === this.#mine) return false;
      if (present === NO_BADGE) {
        if (compareExchange(words, badge, NO_BADGE, this.#mine) === NO_BADGE) return false;
        continue;
      }
      // Another thread is recovering it, and will end soon.
      if (present < NO_BADGE && present !== -this.#mine && !this.#isGone(-present)) continue;
      if (compareExchange(words, badge, present, -this.#mine) !== present) continue;
      this.#endReservations(this.#slot);
      return true;
    }
  }

  /**
   * Leaves, after this object's last flush; if that was incomplete, another member flushes the
   * rest. The last member ends the writer. Returns the bytes that could not be handed over. If it
   * throws, it can be called again.
   */
  close(isComplete: boolean): number {
    ensureStack();
    // SYNC(owed): before this object leaves; pairs with the load of members that leave later.
    if (!isComplete) storeSeqCst(this.#words, OWED, 1);
    const dropped = this.#detach();
    this.#pool.doorbell.ignore(this.#onRing);
    // SYNC(owed): after this object has left.
    if (loadSeqCst(this.#words, OWED) !== 0) this.#ringAll();
    return dropped;
  }

  /** Leaves an incomplete flush to a member that is rung. */
  owe(): void {
    // SYNC(owed): pairs with the load of members that are rung, or leave.
    storeSeqCst(this.#words, OWED, 1);
    this.#ringAll();
  }

  #ringAll(): void {
    for (let slot = 0; slot < this.#pool.maxThreads; slot++) {
      const badge = loadSeqCst(this.#words, this.#layout.badge(slot));
      if (badge > NO_BADGE) this.#pool.doorbell.ringBadge(badge);
    }
  }

  /** Flushes what a leaving member could not; one of the members that are rung does it. */
  readonly #onRing = (): void => {
    // SYNC(owed): sees what the member that left had committed.
    if (loadAcquire(this.#words, OWED) === 0 || exchange(this.#words, OWED, 0) === 0) return;
    this.#policy.flushLater();
  };

  #detach(): number {
    const words = this.#words;
    const joined = this.#layout.joined(this.#slot);
    if (this.#isIn) {
      const count = words[joined];
      if (count > 1) {
        addThenStore(words, MEMBERS, -1, joined, count - 1);
        this.#isIn = false;
        return 0;
      }
      // SYNC(members, both): sees what all members that have left did.
      const left = withdraw(words, joined, MEMBERS, SHUT, this.#mine);
      this.#isIn = false;
      this.#ends = left === 0;
    }
    // SYNC(member): hands the record to the next thread of this slot.
    if (words[joined] === 0) storeRelease(words, this.#layout.badge(this.#slot), NO_BADGE);
    return this.#ends ? this.#finish() : 0;
  }

  /** Ends the writer. No member is left and none can join: this thread is alone. */
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
   * Cleans up after dead threads of a slot: see SharedWriter.recover. False: the delivery is
   * incomplete, and the caller must continue it.
   */
  recover(slot: number): boolean {
    ensureStack();
    const words = this.#words;
    const isVacant = this.#pool.isThreadGone(slot);
    const isGone = (badge: number): boolean =>
      badge > NO_BADGE && slotOf(badge) === slot && (isVacant || this.#pool.isBadgeGone(badge));
    const records: LockedRecord[] = [];
    let complete: boolean;
    let done = 0;
    try {
      this.#lockRecords(records, slot, isVacant, isGone);
      const isMember = records.length > 0 || isGone(loadAcquire(words, CLAIM) & ~CLAIM_AGAIN);
      if (!isVacant && !isMember && !isGone(loadAcquire(words, SHUT))) {
        throw new BusbarError('ERR_BUSBAR_THREAD_ALIVE', `thread slot ${slot}`);
      }
      for (const each of records) this.#endReservations(each.slot);
      complete = !this.#countIn(records, isGone) || this.#deliverFor(isGone);
      if (!complete && !this.#isIn) {
        // Members flush the rest: this thread may not, once none is counted for it.
        storeSeqCst(words, OWED, 1);
        complete = true;
      }
      for (const each of records) {
        this.#detachDead(each.slot);
        done++;
      }
    } catch (error) {
      // Unlock the rest, so that the next recover() finds them as they were.
      for (; done < records.length; done++) {
        const { slot: locked, badge, isLocked } = records[done];
        if (isLocked) words[this.#layout.badge(locked)] = badge;
      }
      throw error;
    }
    const shut = loadAcquire(words, SHUT);
    if (shut === this.#mine) this.#ends = true;
    // SYNC(members): of several threads one ends the writer in its place.
    else if (isGone(shut)) this.#ends = compareExchange(words, SHUT, shut, this.#mine) === shut;
    if (this.#ends) this.#finish();
    // The thread may have died after it published or closed, and before the ready bit or the ring;
    // or before it rang for what it owed.
    if (loadSeqCst(words, OWED) !== 0) this.#ringAll();
    this.#lane.setReady();
    this.#flusher.announceForDead();
    return complete;
  }

  /** Locks the records of dead members of a slot, and records that one of them was recovering. */
  #lockRecords(
    records: LockedRecord[],
    slot: number,
    isVacant: boolean,
    isGone: (badge: number) => boolean,
  ): void {
    const words = this.#words;
    for (let member = 0; member < this.#pool.maxThreads; member++) {
      const at = this.#layout.badge(member);
      const badge = loadAcquire(words, at);
      const isLeft =
        badge === NO_BADGE
          ? member === slot && isVacant && words[this.#layout.pending(member) + TRANSIT_MARK] !== 0
          : isGone(Math.abs(badge));
      if (!isLeft) continue;
      // Recorded first: if the compare-exchange throws, the record is not locked.
      const record = { slot: member, badge, isLocked: false };
      records.push(record);
      // SYNC(member): of several threads one recovers it, and sees what it had left.
      record.isLocked = compareExchange(words, at, badge, -this.#mine) === badge;
      if (!record.isLocked) records.pop();
    }
  }

  /**
   * Makes sure that MEMBERS counts this object, or one of the dead, until it has delivered: else
   * the last member could end the writer meanwhile. False: it does, or there is nothing to deliver.
   *
   * A dead member that had left is counted again. If this thread dies, too, it is found so by the
   * next recover(), in a record that this thread has locked.
   */
  #countIn(records: readonly LockedRecord[], isGone: (badge: number) => boolean): boolean {
    const words = this.#words;
    const layout = this.#layout;
    const isCounted = records.some((each) => words[layout.joined(each.slot)] !== 0);
    if (this.#isIn || isCounted) return true;
    if (records.length === 0) return isGone(loadAcquire(words, CLAIM) & ~CLAIM_AGAIN);
    const joined = layout.joined(records[0].slot);
    for (;;) {
      const count = loadSeqCst(words, MEMBERS);
      if (count === 0) return false;
      // SYNC(members, both): as when a member joins.
      if (compareExchangeThenStore(words, MEMBERS, count, count + 1, joined, 1) === count)
        return true;
    }
  }

  /** Removes a dead member, whose record is locked, from MEMBERS. */
  #detachDead(slot: number): void {
    const words = this.#words;
    this.#ring.dropOf(slot);
    const joined = this.#layout.joined(slot);
    if (words[joined] !== 0) {
      // SYNC(members, both): sees what all members that have left did.
      const left = withdraw(words, joined, MEMBERS, SHUT, this.#mine);
      this.#ends = left === 0 || this.#ends;
    }
    // SYNC(member): hands the record to the next thread of its slot.
    storeRelease(words, this.#layout.badge(slot), NO_BADGE);
  }

  /** Aborts the open reservations of a dead thread whose record is locked. */
  #endReservations(slot: number): void {
    const words = this.#words;
    const layout = this.#layout;
    const marks = ENTRY_HELD_UP | ENTRY_HANDED;
    for (let place = 0; place < layout.segmentCount; place++) {
      for (let entry = 0; entry < layout.entryCount; entry++) {
        const at = layout.entry(place, entry) + STATE;
        for (let state = loadAcquire(words, at); (state & ~marks) === (ENTRY_OPEN | slot); ) {
          // Again if a claimant has marked it, or another thread has taken it over.
          const seen = compareExchange(words, at, state, ENTRY_ABORTED);
          if (seen === state) break;
          state = seen;
        }
      }
    }
  }

  /** Continues the dead thread's delivery, and delivers what its reservations held up. */
  #deliverFor(isGone: (badge: number) => boolean): boolean {
    try {
      for (;;) {
        const claim = loadSeqCst(this.#words, CLAIM);
        if (!isGone(claim & ~CLAIM_AGAIN)) return this.#flusher.closed || this.#delivery.run();
        if (this.#delivery.takeClaim(claim)) return this.#delivery.finishClaim();
      }
    } catch (error) {
      // The flusher or the pool is closed: the last member to leave drops what is left.
      if (error instanceof BusbarError) return true;
      throw error;
    }
  }

  #isGone(badge: number): boolean {
    return this.#pool.isThreadGone(slotOf(badge)) || this.#pool.isBadgeGone(badge);
  }
}
