// SPDX-License-Identifier: MIT
/**
 * The words of a pool that are read without order on purpose, by the table of pool-layout.ts.
 *
 * The model checker lets plain accesses race on them; test/model/racy-words.ts has the argument for
 * each.
 */

import { HOLDER_OWNER, HOLDER_WORDS, holderCount } from './holder-layout.ts';
import {
  ACQUIRES,
  ATTENTION,
  CACHE_COUNT,
  GIVE_BACKS,
  HOARD,
  OWN_HOLDER,
  OWNER,
  type PoolLayout,
  STRIPE_COUNT,
  TICKET,
} from './pool-layout.ts';

export function isPoolHint(layout: PoolLayout, word: number): boolean {
  if (word === ATTENTION) return true;
  for (let slot = 0; slot < layout.maxThreads; slot++) {
    const counter = word - layout.thread(slot);
    if (counter === CACHE_COUNT || counter === HOARD) return true;
    // A server may read it while the waiter, served by another, registers again: fairness at stake,
    // nothing else.
    if (word === layout.thread(slot) + TICKET) return true;
  }
  return false;
}

/** What `stats()` and `who()` read while others go on: counters, holders and REFS. */
export function isPoolStatistic(layout: PoolLayout, word: number): boolean {
  for (let slot = 0; slot < layout.maxThreads; slot++) {
    const counter = word - layout.thread(slot);
    if (counter >= ACQUIRES && counter <= GIVE_BACKS) return true;
    if (counter >= OWN_HOLDER && counter < OWN_HOLDER + HOLDER_WORDS) return true;
    if (word === layout.stripe(slot) + STRIPE_COUNT) return true;
    const id = word - layout.refs(slot);
    if (id >= 0 && id < layout.bufferCount) return true;
  }
  for (let i = 0; i < holderCount(layout.bufferCount); i++) {
    const field = word - layout.holder(i);
    if (field > HOLDER_OWNER && field < HOLDER_WORDS) return true;
  }
  return false;
}

/** OWNER words: reclaim reads all of them while living threads change theirs. */
export function isOwnerWord(layout: PoolLayout, word: number): boolean {
  for (let id = 0; id < layout.bufferCount; id++) {
    if (word === layout.buffer(id) + OWNER) return true;
  }
  return false;
}
