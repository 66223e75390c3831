// SPDX-License-Identifier: MIT
/** What one attached thread needs to work on the shared words. */

import {
  compareExchange,
  fetchAnd,
  fetchOr,
  loadAcquire,
  loadSeqCst,
  type Words,
} from '../base/atomics.ts';
import { BusbarError } from '../base/errors.ts';
import { Doorbell } from './doorbell.ts';
import { FreeList } from './free-list.ts';
import { HOLDER_WORDS } from './holder-layout.ts';
import { Pulse } from './liveness.ts';
import {
  ATTENTION,
  ATTENTION_CLOSED,
  ATTENTION_WAITERS,
  type BufferId,
  badgeOf,
  CACHE_COUNT,
  GIVE_BACKS,
  GRANT,
  HOARD,
  isVacant,
  OWN_HOLDER,
  type PoolLayout,
  STATE,
  THREAD_FREE,
  type ThreadSlot,
  TICKET,
  WAITING,
} from './pool-layout.ts';

/** Hears the badge of a thread that is about to attach. */
export type Announce = (badge: number) => void;

/**
 * One thread's place in a pool: its slot, its cache's slow side, and the service to waiters of any
 * thread.
 */
export class PoolThread {
  readonly words: Words;
  readonly layout: PoolLayout;
  readonly slot: ThreadSlot;
  /** First word of this thread's record. */
  readonly record: number;
  readonly freeList: FreeList;
  readonly doorbell: Doorbell;
  /** STATE of this thread's slot as long as it is attached. */
  readonly state: number;
  readonly pulse: Pulse;
  readonly #one: Words = new Int32Array(1);

  private constructor(words: Words, layout: PoolLayout, slot: ThreadSlot, pulse: Pulse) {
    this.words = words;
    this.layout = layout;
    this.slot = slot;
    this.record = layout.thread(slot);
    this.state = loadAcquire(words, this.record + STATE);
    // The last thread here may have left its name.
    words.fill(0, this.record + OWN_HOLDER, this.record + OWN_HOLDER + HOLDER_WORDS);
    this.pulse = pulse;
    this.freeList = new FreeList(words, layout, slot);
    this.doorbell = new Doorbell(words, layout, slot, pulse);
  }

  /**
   * Takes a free thread slot. `announce` gets the badge that this thread will have, before the
   * thread can hold anything: once more for each slot that another thread then takes first.
   *
   * **Throws** ERR_BUSBAR_THREAD_SLOTS when there is none.
   */
  static attach(words: Words, layout: PoolLayout, announce?: Announce): PoolThread {
    for (const robs of [false, true]) {
      for (let slot = 0; slot < layout.maxThreads; slot++) {
        const record = layout.thread(slot);
        const state = loadAcquire(words, record + STATE);
        if (robs ? !isVacant(state) : state !== THREAD_FREE) continue;
        const pulse = Pulse.start(words, record, state, (mine) => announce?.(badgeOf(slot, mine)));
        if (pulse !== undefined) return new PoolThread(words, layout, slot as ThreadSlot, pulse);
      }
    }
    throw new BusbarError(
      'ERR_BUSBAR_THREAD_SLOTS',
      `maxThreads is ${layout.maxThreads}; detach() threads that are done, reclaim() dead ones`,
    );
  }

  /** Frees the slot for another thread. The cache must have been given back. */
  detach(): void {
    this.pulse.release();
  }

  get closed(): boolean {
    return (loadAcquire(this.words, ATTENTION) & ATTENTION_CLOSED) !== 0;
  }

  /**
   * Marks the pool closed and wakes every thread to notice. Returns false if it was closed before.
   */
  close(): boolean {
    const before = fetchOr(this.words, ATTENTION, ATTENTION_CLOSED);
    this.ringAll();
    return (before & ATTENTION_CLOSED) === 0;
  }

  /** Rings every other thread. */
  ringAll(): void {
    for (let slot = 0; slot < this.layout.maxThreads; slot++) {
      if (slot !== this.slot) this.doorbell.ring(slot);
    }
  }

  /** Moves this thread's whole cache to the shared list. */
  giveBack(): void {
    const { words, record } = this;
    const cache = record + CACHE_COUNT;
    const count = words[cache];
    if (count === 0) return;
    this.freeList.put(words, cache + 1, cache + 1 + count);
    // No call since: the buffers are in one of the two places, whatever is thrown.
    words[cache] = 0;
    words[record + GIVE_BACKS]++;
  }

  /** Puts one buffer that this thread reclaims straight into the shared list. */
  putOne(id: BufferId): void {
    this.#one[0] = id;
    this.freeList.put(this.#one, 0, 1);
  }

  /** Raises the flag that sends everybody's calls to their slow side, where they serve. */
  raiseAttention(): void {
    const { words } = this;
    if ((loadSeqCst(words, ATTENTION) & ATTENTION_WAITERS) !== 0) return;
    // SYNC(attention): a giver that fills a stripe afterwards sees it.
    fetchOr(words, ATTENTION, ATTENTION_WAITERS);
  }

  /** Lowers the flag when no thread waits any more; true if one does after all. */
  lowerAttention(): boolean {
    const { words } = this;
    if ((loadSeqCst(words, ATTENTION) & ATTENTION_WAITERS) === 0) return false;
    fetchAnd(words, ATTENTION, ~ATTENTION_WAITERS);
    // SYNC(attention): a waiter publishes WAITING before it raises the flag. Either it is seen
    // here, or it raises the flag after it was lowered.
    if (this.longestWaiting() < 0) return false;
    fetchOr(words, ATTENTION, ATTENTION_WAITERS);
    return true;
  }

  /**
   * Hands free buffers to waiting threads, the longest waiting first, until one of the two runs
   * out.
   *
   * Called after every put and by every new waiter. A waiter publishes WAITING before it looks at
   * the stripes; a giver fills a stripe before it looks for waiters: one of the two sees the other,
   * so no buffer lies in the shared list while a thread sleeps. On its way the buffer is in this
   * thread's cache, so that no exception can lose it. While a grant is in flight OWNER
   * still names this thread: if it dies, reclaim() finds the buffer in the waiter's GRANT and
   * leaves it there.
   */
  serve(): void {
    const { words } = this;
    const cache = this.record + CACHE_COUNT;
    for (;;) {
      const target = this.longestWaiting();
      if (target < 0) {
        if (this.lowerAttention()) continue;
        if (words[cache] === 0) return;
        // The waiter does not want the buffer any more. Look again: another may begin to wait while
        // it goes back.
        this.giveBack();
        continue;
      }
      const grant = this.layout.thread(target) + GRANT;
      if (words[cache] === 0) {
        if (this.freeList.take(1, words, cache + 1) === 0) return;
        words[cache] = 1;
      }
      const count = words[cache];
      const id = words[cache + count];
      // SYNC(grant): publishes the buffer to the waiter; pairs with accept(). Fails if it gave up
      // meanwhile.
      if (compareExchange(words, grant, WAITING, id + 1) !== WAITING) continue;
      words[cache] = count - 1;
      if (target !== this.slot) this.doorbell.ring(target);
    }
  }

  /** The slot that has waited longest, or −1. **Cost** one load per thread slot. */
  longestWaiting(): number {
    const { words, layout } = this;
    let longest = -1;
    let longestTicket = 0;
    for (let slot = 0; slot < layout.maxThreads; slot++) {
      const record = layout.thread(slot);
      // SYNC(grant): sees the ticket that was written before WAITING.
      if (loadAcquire(words, record + GRANT) !== WAITING) continue;
      const ticket = words[record + TICKET];
      // Tickets wrap: compare by difference.
      if (longest < 0 || ((ticket - longestTicket) | 0) < 0) {
        longest = slot;
        longestTicket = ticket;
      }
    }
    return longest;
  }

  /**
   * Rings every thread that seems to have buffers in its cache, or others that it does not need; it
   * gives them back on its next turn.
   *
   * The counts are read without ordering and may be stale, so a waiter calls this again and again
   * while it waits.
   */
  ringHoarders(): void {
    const { words, layout } = this;
    for (let slot = 0; slot < layout.maxThreads; slot++) {
      const record = layout.thread(slot);
      const count = words[record + CACHE_COUNT] + words[record + HOARD];
      if (slot !== this.slot && count > 0) this.doorbell.ring(slot);
    }
  }
}
