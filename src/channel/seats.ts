// SPDX-License-Identifier: MIT
/** The room between threads: who is on a side of a channel, who of them waits, and who has died. */

import {
  compareExchange,
  loadAcquire,
  loadSeqCst,
  storeRelease,
  storeSeqCst,
  type Words,
} from '../base/atomics.ts';
import { BusbarError } from '../base/errors.ts';
import type { BufferPool } from '../pool/index.ts';
import { type Asker, BY_QUESTION } from '../pool/liveness.ts';
import {
  DEAD,
  HOLDER,
  MEMBERS,
  NOBODY,
  PASSED,
  PASSED_HIGH,
  REFUSED,
  recoveredBy,
  WAITING,
  WAITS,
} from './channel-layout.ts';

/** What a side of a channel has counted. */
export interface SideCounts {
  /** Threads on it, the dead ones too until somebody takes their seat or `recover` frees it. */
  threads: number;
  messages: number;
  refused: number;
  waits: number;
}

/** The seats of one side. */
export class Seats {
  readonly #pool: BufferPool;
  readonly #words: Words;
  readonly #at: (seat: number) => number;
  readonly count: number;
  /** True if one seat stands for the whole side; else a seat's number is its thread's pool slot. */
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
   * Takes this thread's seat. `inherit` is called first thing if a dead thread had it, with the
   * seat's number: what that thread had begun must be finished or undone.
   *
   * **Throws** ERR_BUSBAR_CHANNEL_ROLE if the side is one living thread's.
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
      const isVacant = holder === NOBODY || holder === DEAD;
      if (!isVacant && !this.#isGone(holder, BY_QUESTION)) {
        // recover() of another thread is soon done. On a side of many, nobody else can be here.
        if (holder < DEAD) continue;
        throw new BusbarError('ERR_BUSBAR_CHANNEL_ROLE', `there is a ${side} already`);
      }
      if (compareExchange(words, at + HOLDER, holder, badge) !== holder) continue;
      if (!isVacant) inherit(seat);
      storeSeqCst(words, at + WAITING, 0);
      words[at + MEMBERS] = 1;
      return seat;
    }
  }

  /** True if whoever HOLDER names, holder of the seat or recoverer of it, is gone. */
  #isGone(holder: number, asker: Asker): boolean {
    return this.#pool.isBadgeGone(holder < DEAD ? recoveredBy(holder) : holder, asker);
  }

  /**
   * Gives up the seat, or this object's part of it. The caller then looks at {@link isEmpty}: of
   * two that leave at once, the later one at least sees an empty seat.
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
    storeSeqCst(words, at + HOLDER, NOBODY);
  }

  /** True if nobody is on this side, or only dead threads that were seen to. */
  get isEmpty(): boolean {
    for (let seat = 0; seat < this.count; seat++) {
      const holder = loadSeqCst(this.#words, this.#at(seat) + HOLDER);
      if (holder !== NOBODY && holder !== DEAD) return false;
    }
    return true;
  }

  /**
   * True if there was somebody on this side, and {@link recover} has seen to all of them. Asks
   * nobody: call that before.
   */
  get isDead(): boolean {
    let found = false;
    for (let seat = 0; seat < this.count; seat++) {
      const holder = loadAcquire(this.#words, this.#at(seat) + HOLDER);
      if (holder === NOBODY) continue;
      if (holder !== DEAD) return false;
      found = true;
    }
    return found;
  }

  /**
   * Frees the seats of dead threads, after `inherit` has seen to what each had begun. Returns how
   * many.
   */
  recover(inherit: (seat: number) => void, asker: Asker): number {
    const words = this.#words;
    const badge = this.#pool.badge;
    let freed = 0;
    for (let seat = 0; seat < this.count; seat++) {
      const at = this.#at(seat);
      const holder = loadAcquire(words, at + HOLDER);
      if (holder === NOBODY || holder === DEAD || holder === badge) continue;
      if (!this.#isGone(holder, asker)) continue;
      // In its place, so that nobody else does the same, and so that our own death shows.
      if (compareExchange(words, at + HOLDER, holder, recoveredBy(badge)) !== holder) continue;
      inherit(seat);
      storeRelease(words, at + HOLDER, DEAD);
      freed++;
    }
    return freed;
  }

  /** One more, or one less, object of this thread waits: `change` is 1 or −1. */
  changeWaiting(seat: number, change: number): void {
    const words = this.#words;
    const at = this.#at(seat);
    // SYNC(waiting): before the look at the ring, so that either this thread sees what changed, or
    // whoever changed it sees that it waits; pairs with ring().
    storeSeqCst(words, at + WAITING, words[at + WAITING] + change);
    if (change > 0) words[at + WAITS]++;
  }

  /**
   * Wakes everyone on this side who waits.
   *
   * Whoever has changed something by then cannot take it back: where this throws, in spite of a
   * look at the stack (the engine must compile it, and has no room for that), it calls
   * {@link ringLater} by way of {@link soon}.
   */
  ring(): void {
    const words = this.#words;
    for (let seat = 0; seat < this.count; seat++) {
      const at = this.#at(seat);
      // SYNC(waiting): after the change that they wait for; pairs with changeWaiting().
      if (loadSeqCst(words, at + WAITING) === 0) continue;
      const holder = loadAcquire(words, at + HOLDER);
      if (holder > NOBODY) this.#pool.doorbell.ringBadge(holder);
    }
  }

  /** Settled: what is chained to it runs in a microtask, when this thread's stack is empty. */
  readonly soon: Promise<void> = Promise.resolve();
  /** {@link ring}, for a microtask. */
  readonly ringLater = (): void => this.ring();

  counts(): SideCounts {
    const words = this.#words;
    const sum: SideCounts = { threads: 0, messages: 0, refused: 0, waits: 0 };
    for (let seat = 0; seat < this.count; seat++) {
      const at = this.#at(seat);
      const holder = loadAcquire(words, at + HOLDER);
      if (holder !== NOBODY && holder !== DEAD) sum.threads++;
      sum.messages += words[at + PASSED_HIGH] * 2 ** 32 + (words[at + PASSED] >>> 0);
      sum.refused += words[at + REFUSED] >>> 0;
      sum.waits += words[at + WAITS] >>> 0;
    }
    return sum;
  }
}
