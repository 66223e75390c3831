// SPDX-License-Identifier: MIT
/** The shared list of free buffers, in stripes, moved a batch at a time. */

import { compareExchange, loadAcquire, type Words } from '../base/atomics.ts';
import { ensureStep } from '../base/stack.ts';
import {
  BUFFER_WORDS,
  claimedBy,
  inStripe,
  NEXT,
  OWNER,
  type PoolLayout,
  STRIPE_COUNT,
} from './pool-layout.ts';

/** How often a search starts over because another thread was at work in a stripe. */
const SEARCH_ROUNDS = 16;

/**
 * One thread's access to the shared list: as many stripes as there can be threads, each a chain of
 * free buffers.
 *
 * To change a chain, a thread *claims* its stripe: one compare-exchange from the chain's head to
 * the claimant's name. There is no ABA problem: before the claim nothing is read from the chain,
 * and nothing but its head is assumed. Others skip a claimed stripe, so a thread that dies (or
 * sleeps) inside a claim hides one chain and stops no other: each thread claims at most one stripe
 * at a time and there is one for each, so a living thread always finds one to put buffers in.
 *
 * A living thread leaves no claim, although any call may throw (stack.ts): between a claim and its
 * end only compareExchange is called, which made the claim, too, and nothing is called after the
 * end. So both methods throw before they have changed anything, or not at all; callers record what
 * they got or gave before they call anything else.
 */
export class FreeList {
  readonly #words: Words;
  readonly #layout: PoolLayout;
  readonly #slot: number;
  /** Where the last buffers were found: the next search begins there. */
  #recent: number;

  constructor(words: Words, layout: PoolLayout, slot: number) {
    this.#words = words;
    this.#layout = layout;
    this.#slot = slot;
    this.#recent = slot;
  }

  /**
   * Takes up to `countMax` buffers, which this thread owns then, and writes their ids to `ids` from
   * `index` on. Returns how many.
   *
   * May return 0 while another thread moves the last buffers at the same instant.
   * **Cost** one compare-exchange, one store, one pass over the buffers taken.
   */
  take(countMax: number, ids: Words, index: number): number {
    ensureStep();
    const words = this.#words;
    const slot = this.#slot;
    const { maxThreads: stripeCount, buffers } = this.#layout;
    const claim = claimedBy(slot);
    for (let round = 0; round < SEARCH_ROUNDS; round++) {
      let busy = false;
      for (let i = 0; i < stripeCount; i++) {
        const stripe = (this.#recent + i) % stripeCount;
        const at = this.#layout.stripe(stripe);
        let chain = loadAcquire(words, at);
        while (chain > 0) {
          // SYNC(stripe): sees the chain as its last claimant left it; pairs with the stores that
          // end a claim.
          const seen = compareExchange(words, at, chain, claim);
          if (seen !== chain) {
            chain = seen;
            continue;
          }
          this.#recent = stripe;
          let id = chain - 1;
          let count = 0;
          while (id >= 0 && count < countMax) {
            const record = buffers + id * BUFFER_WORDS;
            words[record + OWNER] = slot;
            ids[index + count] = id;
            count++;
            id = words[record + NEXT];
          }
          words[at + STRIPE_COUNT] -= count;
          // SYNC(stripe): ends the claim; publishes the owners written above.
          compareExchange(words, at, claim, id + 1);
          return count;
        }
        if (chain < 0) busy = true;
      }
      if (!busy) return 0;
    }
    return 0;
  }

  /**
   * Puts the buffers whose ids stand in `ids[begin, end)` back; this thread owns them, or reclaims
   * them.
   *
   * Callers check ATTENTION afterwards: a thread may wait for these buffers.
   * **Cost** one compare-exchange, one store, one pass over the buffers.
   */
  put(ids: Words, begin: number, end: number): void {
    ensureStep();
    const words = this.#words;
    const { maxThreads: stripeCount, buffers } = this.#layout;
    const claim = claimedBy(this.#slot);
    for (let i = 0; ; i++) {
      const stripe = (this.#slot + i) % stripeCount;
      const at = this.#layout.stripe(stripe);
      const owner = inStripe(stripe);
      const chain = loadAcquire(words, at);
      if (chain < 0) continue;
      // SYNC(stripe): sees the chain as its last claimant left it; pairs with the stores that end a
      // claim.
      if (compareExchange(words, at, chain, claim) !== chain) continue;
      let head = chain - 1;
      for (let next = begin; next < end; next++) {
        const id = ids[next];
        const record = buffers + id * BUFFER_WORDS;
        words[record + OWNER] = owner;
        words[record + NEXT] = head;
        head = id;
      }
      words[at + STRIPE_COUNT] += end - begin;
      // SYNC(stripe): ends the claim; publishes the links and owners written above, and every write
      // of the buffers' last holders that reached this thread.
      compareExchange(words, at, claim, head + 1);
      return;
    }
  }
}
