// SPDX-License-Identifier: MIT
/** `ReceiverBell`: how a flusher's receiver learns of new regions, asleep or in its own turn. */

import {
  compareExchange,
  exchange,
  loadAcquire,
  loadSeqCst,
  storePlain,
  storeSeqCst,
  type Words,
} from '../base/atomics.ts';
import { BusbarError } from '../base/errors.ts';
import type { BufferPool } from '../pool/index.ts';
import { slotOf } from '../pool/pool-layout.ts';
import { ASLEEP, RECEIVER } from './flusher-layout.ts';
import { type TurnEnd, TurnEnds } from './turn-ends.ts';

/**
 * The bell of one thread's object of a flusher: writers of this thread and of others announce
 * regions; the receiver listens, and its callback runs.
 *
 * **Threads** its owner. ASLEEP is 1 while the receiver wants a ring for the next region.
 */
export class ReceiverBell {
  readonly #pool: BufferPool;
  readonly #words: Words;
  /** Identifies this thread in RECEIVER. */
  readonly #badge: number;
  /** True if the receiver has something to drain, taken from the ready words or not. */
  readonly #hasDue: () => boolean;
  // First writers flush, then the receiver drains: one drain takes all their regions.
  readonly #turns: TurnEnds;
  #callback: (() => void) | undefined;
  #listening = false;

  constructor(pool: BufferPool, words: Words, hasDue: () => boolean) {
    this.#pool = pool;
    this.#words = words;
    this.#badge = pool.badge;
    this.#hasDue = hasDue;
    this.#turns = new TurnEnds(pool, () => this.#callback?.());
  }

  /** True if this thread is the receiver. */
  get isReceiver(): boolean {
    return loadAcquire(this.#words, RECEIVER) === this.#badge;
  }

  /** Makes this thread the receiver in place of one that has ended. */
  takeRole(): void {
    const present = loadAcquire(this.#words, RECEIVER);
    if (present === this.#badge) return;
    if (!this.#pool.isBadgeGone(present)) {
      throw new BusbarError('ERR_BUSBAR_FLUSHER_ROLE', `thread slot ${slotOf(present)}`);
    }
    if (compareExchange(this.#words, RECEIVER, present, this.#badge) !== present) {
      throw new BusbarError('ERR_BUSBAR_FLUSHER_ROLE', 'another thread was faster');
    }
  }

  /** The callback that was set. */
  get callback(): (() => void) | undefined {
    return this.#callback;
  }

  setCallback(callback: (() => void) | undefined): void {
    this.#callback = callback;
    if (callback === undefined) return;
    if (!this.#listening) {
      this.#listening = true;
      this.#pool.doorbell.listen(this.#onRing);
    }
    this.listen();
  }

  /**
   * Before the receiver sleeps: sets ASLEEP, then checks the ready words once more. Writers check
   * ASLEEP after they have published.
   */
  listen(): void {
    if (this.#callback === undefined) return;
    // SYNC(asleep, both): in one order with publish() and announce().
    storeSeqCst(this.#words, ASLEEP, 1);
    if (this.#hasDue()) this.#turns.request();
  }

  /** Called by a drain, which takes the regions of all writers. */
  wake(): void {
    storeSeqCst(this.#words, ASLEEP, 0);
  }

  /** Asks for the callback at the end of this turn. */
  request(): void {
    this.#turns.request();
  }

  /** Calls `what` once when the current turn of the event loop ends. */
  atTurnEnd(what: TurnEnd): void {
    this.#turns.add(what);
  }

  /**
   * Notifies the receiver of new regions: rings it if it sleeps, or, if this thread is the
   * receiver, requests the callback.
   */
  announce(): void {
    const words = this.#words;
    if (this.#callback !== undefined && this.isReceiver) {
      this.#turns.request();
    } else if (loadSeqCst(words, ASLEEP) !== 0 && exchange(words, ASLEEP, 0) !== 0) {
      // SYNC(asleep, both): only one of many writers rings, and only once per sleep.
      try {
        this.#pool.doorbell.ringBadge(loadAcquire(words, RECEIVER));
      } catch (error) {
        // Not rung: the next writer must see it asleep.
        storePlain(words, ASLEEP, 1);
        throw error;
      }
    }
  }

  /**
   * {@link announce} for a thread that may have died between clearing ASLEEP and ringing: rings
   * whatever ASLEEP says.
   */
  announceForDead(): void {
    if (this.#callback !== undefined && this.isReceiver) this.#turns.request();
    else this.#pool.doorbell.ringBadge(loadAcquire(this.#words, RECEIVER));
  }

  /** Called when the flusher is closed. */
  close(): void {
    this.#callback = undefined;
    this.#pool.doorbell.ignore(this.#onRing);
  }

  /**
   * Does not call back from here: an exception of the callback must not reach the doorbell. Sets
   * ASLEEP again even without news: the writer that rang has cleared it, though its regions may
   * have been drained before.
   */
  readonly #onRing = (): void => {
    if (!this.#turns.isDue) this.listen();
  };
}
