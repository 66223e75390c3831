// SPDX-License-Identifier: MIT
/** `Waiters`: the threads that wait for a primitive, in order; cleans up after dead threads. */

import {
  compareExchange,
  fetchAdd,
  loadAcquire,
  loadSeqCst,
  storeRelease,
  storeSeqCst,
  type Words,
} from '../base/atomics.ts';
import { ensureStack } from '../base/stack.ts';
import type { BufferPool } from '../pool/index.ts';
import { type Asker, BY_QUESTION } from '../pool/liveness.ts';
import {
  HELD,
  HOLDER,
  MEMBERS,
  NEXT_TICKET,
  NO_HOLDER,
  NOT_WAITING,
  recoveredBy,
  seatAt,
  TICKET_STEP,
  WAITING,
  WANTED,
} from './sync-layout.ts';

/** Which of the waiting threads is the first, which is rung. */
export type WakeOrder = 'first come' | 'last come';

/** Every thread's seat at one primitive, seen from one thread. */
export class Waiters {
  readonly #pool: BufferPool;
  readonly #words: Words;
  readonly #badge: number;
  readonly #slot: number;
  readonly #count: number;
  readonly #isLastFirst: boolean;
  /** Gives back what a dead thread held. */
  readonly #inherit: (seat: number) => void;
  /** First word of this thread's seat. */
  readonly seat: number;
  #hasJoined = false;
  /** The first waiter's ticket if, at the last tick, none of those before this one took theirs. */
  #idler = NOT_WAITING;
  /** Ticks in a row at which it was so. */
  #idleTicks = 0;
  /**
   * That ticket, while this object passes over the threads before it. Each attempt ends with
   * NOT_WAITING: the next one passes over no thread, unless it follows a tick. A field: a call
   * after a successful attempt might find the stack full, and the caller would not learn that it
   * has the lock.
   */
  passed: number = NOT_WAITING;

  constructor(pool: BufferPool, words: Words, order: WakeOrder, inherit: (seat: number) => void) {
    this.#pool = pool;
    this.#words = words;
    this.#badge = pool.badge;
    this.#slot = pool.threadSlot;
    this.#count = pool.maxThreads;
    this.#isLastFirst = order === 'last come';
    this.#inherit = inherit;
    this.seat = seatAt(this.#slot);
  }

  /** Takes this thread's seat. An earlier thread in the same pool slot may have left data in it. */
  join(): void {
    if (this.#hasJoined) return;
    // The thread that takes the seat must also take over what its last holder left.
    ensureStack();
    const words = this.#words;
    const { seat } = this;
    for (;;) {
      // SYNC(sync-seat): sees what the last holder left.
      const holder = loadAcquire(words, seat + HOLDER);
      if (holder === this.#badge) break;
      // The holder has left the slot. A thread that is recovering the seat is soon done, or dead.
      if (holder < NO_HOLDER && !this.#isAbandoned(holder, BY_QUESTION)) continue;
      if (compareExchange(words, seat + HOLDER, holder, this.#badge) !== holder) continue;
      if (holder !== NO_HOLDER) this.#inherit(seat);
      storeSeqCst(words, seat + WAITING, NOT_WAITING);
      words[seat + MEMBERS] = 0;
      break;
    }
    this.#hasJoined = true;
  }

  /** One more object of this thread waits. */
  beginWait(): void {
    this.join();
    const words = this.#words;
    const { seat } = this;
    if (words[seat + MEMBERS] === 0) this.renew();
    words[seat + MEMBERS]++;
  }

  /** Puts this thread behind all threads that wait. */
  renew(): void {
    const ticket = fetchAdd(this.#words, NEXT_TICKET, TICKET_STEP) | 1;
    // SYNC(sync-waiting): before the look at STATE, so that either this thread sees a change, or
    // the thread that makes the change sees that this one waits; pairs with first().
    storeSeqCst(this.#words, this.seat + WAITING, ticket);
  }

  /** One object of this thread waits no longer. */
  endWait(): void {
    const words = this.#words;
    const at = this.seat + MEMBERS;
    if (words[at] > 1) {
      words[at]--;
      return;
    }
    storeSeqCst(words, this.seat + WAITING, NOT_WAITING);
    words[at] = 0;
  }

  /** The seat number of the thread to ring first, or −1. **Cost** a load per thread of the pool. */
  first(): number {
    const words = this.#words;
    let first = -1;
    let firstTicket = 0;
    for (let seat = 0; seat < this.#count; seat++) {
      // SYNC(sync-waiting): after the change that is waited for; pairs with renew().
      const ticket = loadSeqCst(words, seatAt(seat) + WAITING);
      if (ticket === NOT_WAITING) continue;
      const isLater = ((ticket - firstTicket) | 0) > 0;
      if (first >= 0 && isLater !== this.#isLastFirst) continue;
      first = seat;
      firstTicket = ticket;
    }
    return first;
  }

  get isEmpty(): boolean {
    return this.first() < 0;
  }

  /** True if this object may take what is free: it is in turn, or passes over those before it. */
  isNext(isWaiting: boolean): boolean {
    return isWaiting ? this.passed !== NOT_WAITING || this.first() === this.#slot : this.isEmpty;
  }

  /**
   * A tick of this object, which waits. `units`: how many are free, if that is enough for it; or 0.
   * Returns true if the threads before it have not taken theirs for so long that it passes over
   * them at its next attempt.
   */
  tick(units: number): boolean {
    const ahead = units === 0 ? -1 : this.#countBefore(units);
    const seat = ahead <= 0 ? -1 : this.first();
    const idler = seat < 0 ? NOT_WAITING : loadSeqCst(this.#words, seatAt(seat) + WAITING);
    this.#idleTicks = idler === this.#idler ? this.#idleTicks + 1 : 1;
    this.#idler = idler;
    this.passed = this.#idleTicks > ahead ? idler : NOT_WAITING;
    return this.passed !== NOT_WAITING;
  }

  /** How many threads wait before this one, or −1 if one of them wants more than `units`. */
  #countBefore(units: number): number {
    const words = this.#words;
    const own = words[this.seat + WAITING];
    let count = 0;
    for (let number = 0; number < this.#count; number++) {
      const seat = seatAt(number);
      // SYNC(sync-waiting): before the look at WANTED, which its holder writes first.
      const ticket = loadSeqCst(words, seat + WAITING);
      if (ticket === NOT_WAITING || ((own - ticket) | 0) <= 0) continue;
      if (loadAcquire(words, seat + WANTED) > units) return -1;
      count++;
    }
    return count;
  }

  /** Rings the first thread that waits. */
  ringFirst(): void {
    const seat = this.first();
    if (seat === this.#slot) this.#pool.doorbell.ringHere();
    else if (seat >= 0) this.#pool.doorbell.ring(seat);
  }

  /**
   * {@link ringFirst} for a thread that has already changed STATE, and so must not throw. If the
   * stack is full although it was checked, a microtask rings.
   */
  owe(): void {
    try {
      this.ringFirst();
    } catch {
      this.#soon.then(this.#ringLater);
    }
  }

  /** Rings the thread with that badge, in the way of {@link owe}. */
  oweThread(badge: number): void {
    try {
      this.#pool.doorbell.ringBadge(badge);
    } catch {
      this.#soon.then(this.#ringAllLater);
    }
  }

  /** {@link ringAll} in the way of {@link owe}. */
  oweAll(): void {
    try {
      this.ringAll();
    } catch {
      this.#soon.then(this.#ringAllLater);
    }
  }

  /** Rings every thread that waits. */
  ringAll(): void {
    for (let seat = 0; seat < this.#count; seat++) {
      // SYNC(sync-waiting): after the change that is waited for; pairs with renew().
      const ticket = loadSeqCst(this.#words, seatAt(seat) + WAITING);
      if (ticket !== NOT_WAITING) this.#pool.doorbell.ring(seat);
    }
  }

  /** Calls `note` for each thread whose HELD is not 0. */
  forEachHolder(note: (badge: number, units: number) => void): void {
    for (let number = 0; number < this.#count; number++) {
      const seat = seatAt(number);
      const holder = loadAcquire(this.#words, seat + HOLDER);
      const held = loadAcquire(this.#words, seat + HELD);
      if (holder > NO_HOLDER && held > 0) note(holder, held);
    }
  }

  /** Frees the seats of dead threads after a call of `inherit` for each; returns how many. */
  recover(asker: Asker): number {
    const words = this.#words;
    let freed = 0;
    for (let number = 0; number < this.#count; number++) {
      const seat = seatAt(number);
      const holder = loadAcquire(words, seat + HOLDER);
      if (holder === NO_HOLDER || holder === this.#badge) continue;
      if (!this.#isAbandoned(holder, asker)) continue;
      // The repair may call functions for the first time. If that threw, the seat would stay half
      // repaired, and a thread that joins would wait for it.
      ensureStack();
      // This thread's badge, so that no other thread does the same, and our own death would show.
      if (compareExchange(words, seat + HOLDER, holder, recoveredBy(this.#badge)) !== holder) {
        continue;
      }
      this.#inherit(seat);
      storeSeqCst(words, seat + WAITING, NOT_WAITING);
      // SYNC(sync-seat): publishes that nothing is left in the seat.
      storeRelease(words, seat + HOLDER, NO_HOLDER);
      freed++;
    }
    return freed;
  }

  /** True if the thread that holds the seat, or is recovering it, is gone. */
  #isAbandoned(holder: number, asker: Asker): boolean {
    // An exception interrupted an earlier recovery by this thread.
    if (holder === recoveredBy(this.#badge)) return true;
    return this.#pool.isBadgeGone(Math.abs(holder), asker);
  }

  /** Resolved: its callbacks run in a microtask, when this thread's stack is empty. */
  readonly #soon: Promise<void> = Promise.resolve();
  readonly #ringLater = (): void => this.ringFirst();
  readonly #ringAllLater = (): void => this.ringAll();
}
