// SPDX-License-Identifier: MIT
/** Which threads are on each side of a channel, which of them wait, and which have died. */

import {
  compareExchange,
  loadAcquire,
  loadSeqCst,
  storeRelease,
  storeSeqCst,
  type Words,
} from '../base/atomics.ts';
import type { BufferPool } from '../pool/index.ts';
import { type Asker, BY_QUESTION } from '../pool/liveness.ts';
import { channelError } from './channel-error.ts';
import {
  CHANNEL_KINDS,
  DEAD,
  HEADER_KIND,
  HOLDER,
  MEMBERS,
  PASSED,
  PASSED_HIGH,
  REFUSED,
  recoveredBy,
  VACANT,
  WAITING,
  WAITS,
} from './channel-layout.ts';

/** Counters of one side of a channel. */
export interface SideCounts {
  /** Threads on it; a dead one counts until its seat is recovered or taken over. */
  threads: number;
  messages: number;
  refused: number;
  waits: number;
}

/** The seats of one side: one per thread, or one in all if the side allows a single thread. */
export class Seats {
  readonly #pool: BufferPool;
  readonly #words: Words;
  readonly #at: (seat: number) => number;
  readonly count: number;
  /** True if the side has one seat; otherwise a seat's number is its thread's pool slot. */
  readonly #isSingle: boolean;

  constructor(
    pool: BufferPool,
    words: Words,
    count: number,
    isSingle: boolean,
    at: (seat: number) => number,
  ) {
    this.#pool = pool;
    this.#words = words;
    this.#at = at;
    this.count = count;
    this.#isSingle = isSingle;
  }

  /** First word of a seat's record. */
  at(seat: number): number {
    return this.#at(seat);
  }

  /**
   * Takes this thread's seat. If a dead thread held it, calls `inherit` with the seat's number at
   * once, to finish or undo what that thread had begun.
   *
   * **Throws** ERR_BUSBAR_CHANNEL_ROLE if the side has one seat and a living thread holds it.
   */
  join(side: string, inherit: (seat: number) => void): number {
    const words = this.#words;
    const seat = this.#isSingle ? 0 : this.#pool.threadSlot;
    const at = this.#at(seat);
    const badge = this.#pool.badge;
    for (;;) {
      // SYNC(seat): sees what the last holder left.
      const holder = loadAcquire(words, at + HOLDER);
      if (holder === badge && !this.#isSingle) {
        words[at + MEMBERS]++;
        return seat;
      }
      const isVacant = holder === VACANT || holder === DEAD;
      if (!isVacant && !this.#isGone(holder, BY_QUESTION)) {
        // Another thread's recover() ends soon. With many seats, no other thread can hold this one.
        if (holder < DEAD) continue;
        const detail = `kind '${CHANNEL_KINDS[words[HEADER_KIND]]}' allows one ${side}`;
        throw channelError(words, 'ERR_BUSBAR_CHANNEL_ROLE', detail);
      }
      if (compareExchange(words, at + HOLDER, holder, badge) !== holder) continue;
      if (!isVacant) inherit(seat);
      storeSeqCst(words, at + WAITING, 0);
      words[at + MEMBERS] = 1;
      return seat;
    }
  }

  /** True if the thread that HOLDER names, a holder or a recoverer, has ended. */
  #isGone(holder: number, asker: Asker): boolean {
    return this.#pool.isBadgeGone(holder < DEAD ? recoveredBy(holder) : holder, asker);
  }

  /**
   * Gives up the seat, or this object's part of it. The caller then reads {@link isEmpty}: if two
   * threads leave at once, at least one finds the side empty.
   */
  vacate(seat: number): void {
    const words = this.#words;
    const at = this.#at(seat);
    if (words[at + MEMBERS] > 1) {
      words[at + MEMBERS]--;
      return;
    }
    storeSeqCst(words, at + WAITING, 0);
    // SYNC(seat): publishes what this thread leaves.
    storeSeqCst(words, at + HOLDER, VACANT);
  }

  /** True if every seat is vacant, or its dead holder was recovered. */
  get isEmpty(): boolean {
    for (let seat = 0; seat < this.count; seat++) {
      const holder = loadSeqCst(this.#words, this.#at(seat) + HOLDER);
      if (holder !== VACANT && holder !== DEAD) return false;
    }
    return true;
  }

  /**
   * True if threads were on this side and all of them died. Call {@link recover} first: this only
   * reads what it found.
   */
  get isDead(): boolean {
    let found = false;
    for (let seat = 0; seat < this.count; seat++) {
      const holder = loadAcquire(this.#words, this.#at(seat) + HOLDER);
      if (holder === VACANT) continue;
      if (holder !== DEAD) return false;
      found = true;
    }
    return found;
  }

  /**
   * Frees the seats of dead threads, after `inherit` has cleaned up for each. Returns the number of
   * seats freed.
   */
  recover(inherit: (seat: number) => void, asker: Asker): number {
    const words = this.#words;
    const badge = this.#pool.badge;
    let freed = 0;
    for (let seat = 0; seat < this.count; seat++) {
      const at = this.#at(seat);
      const holder = loadAcquire(words, at + HOLDER);
      if (holder === VACANT || holder === DEAD || holder === badge) continue;
      if (!this.#isGone(holder, asker)) continue;
      // Our badge in HOLDER keeps other recoverers away, and shows if we die meanwhile.
      if (compareExchange(words, at + HOLDER, holder, recoveredBy(badge)) !== holder) continue;
      inherit(seat);
      storeRelease(words, at + HOLDER, DEAD);
      freed++;
    }
    return freed;
  }

  /** Counts one more (`change` 1) or one less (−1) waiting object of this thread. */
  changeWaiting(seat: number, change: number): void {
    const words = this.#words;
    const at = this.#at(seat);
    // SYNC(waiting): before the ring is read, so that either this thread sees the change, or the
    // thread that made it sees that this one waits; pairs with ring().
    storeSeqCst(words, at + WAITING, words[at + WAITING] + change);
    if (change > 0) words[at + WAITS]++;
  }

  /**
   * Wakes every thread on this side that waits.
   *
   * The change that it announces cannot be undone. So if this throws although the stack was checked
   * (the engine compiles the function now and lacks the space), the caller chains {@link ringLater}
   * to {@link soon}.
   */
  ring(): void {
    const words = this.#words;
    for (let seat = 0; seat < this.count; seat++) {
      const at = this.#at(seat);
      // SYNC(waiting): after the change that a waiter waits for; pairs with changeWaiting().
      if (loadSeqCst(words, at + WAITING) === 0) continue;
      const holder = loadAcquire(words, at + HOLDER);
      if (holder > VACANT) this.#pool.doorbell.ringBadge(holder);
    }
  }

  /** A settled promise: a callback chained to it runs in a microtask, on an empty stack. */
  readonly soon: Promise<void> = Promise.resolve();
  /** {@link ring} as a callback of {@link soon}. */
  readonly ringLater = (): void => this.ring();

  counts(): SideCounts {
    const words = this.#words;
    const sum: SideCounts = { threads: 0, messages: 0, refused: 0, waits: 0 };
    for (let seat = 0; seat < this.count; seat++) {
      const at = this.#at(seat);
      const holder = loadAcquire(words, at + HOLDER);
      if (holder !== VACANT && holder !== DEAD) sum.threads++;
      sum.messages += words[at + PASSED_HIGH] * 2 ** 32 + (words[at + PASSED] >>> 0);
      sum.refused += words[at + REFUSED] >>> 0;
      sum.waits += words[at + WAITS] >>> 0;
    }
    return sum;
  }
}
