// SPDX-License-Identifier: MIT
/** Reclaims what a dead thread held, whatever it was doing when it died. */

import {
  compareExchange,
  loadAcquire,
  storeRelease,
  storeSeqCst,
  type Words,
  withdraw,
} from '../base/atomics.ts';
import { checkInteger } from '../base/check.ts';
import { BusbarError } from '../base/errors.ts';
import { adopt, type ChooseHeld } from './adopt.ts';
import { closeHoldersOf } from './holders.ts';
import { type Asker, BY_QUESTION, BY_SEARCH, isGone } from './liveness.ts';
import {
  type BufferId,
  badgeOf,
  CACHE_COUNT,
  claimedBy,
  GRANT,
  HOARD,
  inStripe,
  isVacant,
  NEXT,
  NO_BUFFER,
  NOT_WAITING,
  OWNER,
  PARKER,
  RECLAIMS,
  SHARED,
  STATE,
  STRIPE_COUNT,
  slotOf,
  THREAD_FREE,
  TOTAL,
  WAITING,
} from './pool-layout.ts';
import type { PoolThread } from './pool-thread.ts';

/** Buffers put back under one claim of a stripe. */
const FREE_AT_ONCE = 256;

/**
 * Gives everything a dead thread held back to the pool; returns how many buffers became free.
 *
 * Nothing the dead thread did half is needed: what it owns is what OWNER, SHARES and the claimed
 * stripe say. Every step leaves those words true, so a reclaim that is itself cut short is simply
 * done again.
 *
 * 1. A grant it had not accepted is taken for it and freed; its waiting ends.
 * 2. The stripe it had claimed, if any, is rebuilt from the buffers whose OWNER says they are in
 *    it.
 * 3. References that the caller has chosen become this thread's: adopt.ts.
 * 4. Buffers whose OWNER is the dead thread are freed, except one that it had granted to a waiter.
 * 5. Its shares are withdrawn; a buffer whose last shares these were is freed.
 * 6. Every thread is rung: the dead one may have owed a ring.
 *
 * **Threads** any attached one, not the dead one. **Cost** a few loads per buffer of the pool.
 * **Throws** ERR_BUSBAR_THREAD_ALIVE if the thread is not proven gone.
 */
export function reclaim(self: PoolThread, slot: number): number {
  checkInteger('threadSlot', slot, 0, self.layout.maxThreads - 1);
  if (slot === self.slot) {
    throw new BusbarError('ERR_BUSBAR_THREAD_ALIVE', `slot ${slot} is the calling thread`);
  }
  const state = self.layout.thread(slot) + STATE;
  for (;;) {
    // SYNC(slot-state): sees what the slot's last user did.
    const seen = loadAcquire(self.words, state);
    if (isVacant(seen)) return 0;
    if (claimThread(self, slot, seen, BY_QUESTION)) return takeBack(self, slot);
    if (loadAcquire(self.words, state) !== seen) continue;
    // Another thread reclaims it.
    if (seen > 0) return 0;
    throw new BusbarError(
      'ERR_BUSBAR_THREAD_ALIVE',
      `slot ${slot}; call reclaim after the worker's 'exit' event, and declareExited before it`,
    );
  }
}

/**
 * {@link reclaim} of the thread with that badge, if it is still the one that has the slot. The
 * references that `choose` returns are this thread's then.
 */
export function reclaimBadge(self: PoolThread, badge: number, choose?: ChooseHeld): number {
  const slot = slotOf(badge);
  const seen = loadAcquire(self.words, self.layout.thread(slot) + STATE);
  if (isVacant(seen) || seen > 0 || badgeOf(slot, seen) !== badge) return 0;
  return claimThread(self, slot, seen, BY_QUESTION) ? takeBack(self, slot, choose) : 0;
}

/**
 * Reclaims every thread that is proven gone; returns the slots. A thread that is busy for long is
 * checked more and more rarely: see liveness.ts.
 */
export function reclaimDead(self: PoolThread): { slot: number; freed: number }[] {
  const { words, layout } = self;
  const reports: { slot: number; freed: number }[] = [];
  for (let slot = 0; slot < layout.maxThreads; slot++) {
    const seen = loadAcquire(words, layout.thread(slot) + STATE);
    if (slot === self.slot || isVacant(seen)) continue;
    if (!claimThread(self, slot, seen, BY_SEARCH)) continue;
    reports.push({ slot, freed: takeBack(self, slot) });
  }
  return reports;
}

/**
 * Becomes the only thread that reclaims the slot. False if its STATE is no longer `seen`, or names
 * a thread that is not proven gone.
 */
function claimThread(self: PoolThread, slot: number, seen: number, asker: Asker): boolean {
  const { words, layout } = self;
  const record = layout.thread(slot);
  if (seen < 0 ? !isGone(words, record, seen, asker) : isAtWork(self, seen)) return false;
  const mine = badgeOf(self.slot, self.state);
  return compareExchange(words, record + STATE, seen, mine) === seen;
}

function takeBack(self: PoolThread, slot: number, choose?: ChooseHeld): number {
  let freed = dropGrant(self, slot);
  rebuildClaimedStripe(self, slot);
  if (choose !== undefined) {
    const refs = self.layout.refs(slot);
    const ids = choose((id) => self.words[refs + id]);
    adopt(self, slot, ids);
  }
  freed += freeOwned(self, slot);
  freed += withdrawShares(self, slot);
  self.words[self.record + RECLAIMS]++;
  clearRecord(self, slot);
  self.serve();
  self.ringAll();
  return freed;
}

/** False if the thread that began a reclaim, as its slot's STATE says, did not live to end it. */
function isAtWork(self: PoolThread, state: number): boolean {
  const slot = slotOf(state);
  // This thread is not inside another reclaim.
  if (slot === self.slot) return false;
  const record = self.layout.thread(slot);
  const present = loadAcquire(self.words, record + STATE);
  // Another thread may be attached there meanwhile, or may reclaim that thread.
  if (isVacant(present) || present > 0 || badgeOf(slot, present) !== state) return false;
  return !isGone(self.words, record, present, BY_QUESTION);
}

function dropGrant(self: PoolThread, slot: number): number {
  const { words, layout } = self;
  const record = layout.thread(slot);
  for (;;) {
    // SYNC(grant): sees a buffer granted to the dead thread as its giver left it.
    const grant = loadAcquire(words, record + GRANT);
    if (grant === NOT_WAITING) return 0;
    // Before the grant goes, so that a reclaim of the giver sees either the grant or the new owner.
    if (grant > WAITING) words[layout.buffer(grant - 1) + OWNER] = self.slot;
    if (compareExchange(words, record + GRANT, grant, NOT_WAITING) !== grant) continue;
    if (grant === WAITING) return 0;
    self.putOne((grant - 1) as BufferId);
    return 1;
  }
}

function rebuildClaimedStripe(self: PoolThread, slot: number): void {
  const { words, layout } = self;
  for (let stripe = 0; stripe < layout.maxThreads; stripe++) {
    const at = layout.stripe(stripe);
    if (loadAcquire(words, at) !== claimedBy(slot)) continue;
    let chain: number = NO_BUFFER;
    let count = 0;
    for (let id = layout.bufferCount - 1; id >= 0; id--) {
      const record = layout.buffer(id);
      if (words[record + OWNER] !== inStripe(stripe)) continue;
      words[record + NEXT] = chain;
      chain = id;
      count++;
    }
    words[at + STRIPE_COUNT] = count;
    // SYNC(stripe): ends the dead thread's claim; publishes the links written above.
    storeSeqCst(words, at, chain + 1);
  }
}

function freeOwned(self: PoolThread, slot: number): number {
  const { words, layout } = self;
  const ids: Words = new Int32Array(FREE_AT_ONCE);
  let count = 0;
  let freed = 0;
  for (let id = 0; id < layout.bufferCount; id++) {
    const record = layout.buffer(id);
    if (words[record + OWNER] !== slot || isGranted(self, id)) continue;
    // Read again: the waiter may have accepted between the two looks, and then OWNER names it.
    if (words[record + OWNER] !== slot) continue;
    words[layout.shares(slot) + id] = 0;
    ids[count++] = id;
    freed++;
    if (count < FREE_AT_ONCE) continue;
    self.freeList.put(ids, 0, count);
    count = 0;
  }
  if (count > 0) self.freeList.put(ids, 0, count);
  return freed;
}

function isGranted(self: PoolThread, id: number): boolean {
  const { words, layout } = self;
  for (let slot = 0; slot < layout.maxThreads; slot++) {
    if (loadAcquire(words, layout.thread(slot) + GRANT) === id + 1) return true;
  }
  return false;
}

function withdrawShares(self: PoolThread, slot: number): number {
  const { words, layout } = self;
  let freed = 0;
  for (let id = 0; id < layout.bufferCount; id++) {
    const account = layout.shares(slot) + id;
    if (words[account] === 0) continue;
    const record = layout.buffer(id);
    if (words[record + OWNER] !== SHARED) {
      // Left over from an account that was closed; the buffer itself was dealt with above.
      words[account] = 0;
      continue;
    }
    // SYNC(shares, both): sees the last writes of every holder that withdrew before.
    if (withdraw(words, account, record + TOTAL, record + OWNER, self.slot) > 0) continue;
    self.putOne(id as BufferId);
    freed++;
  }
  return freed;
}

function clearRecord(self: PoolThread, slot: number): void {
  const { words, layout } = self;
  const record = layout.thread(slot);
  words.fill(0, layout.refs(slot), layout.refs(slot) + layout.bufferCount);
  closeHoldersOf(words, layout, slot);
  words[record + CACHE_COUNT] = words[record + HOARD] = 0;
  storeRelease(words, record + PARKER, 0);
  // SYNC(slot-state): publishes the cleared record; pairs with attach().
  storeRelease(words, record + STATE, THREAD_FREE);
}

/** STATE of a slot as a word for `stats()`. */
export function threadState(state: number): 'free' | 'attached' | 'reclaiming' {
  if (isVacant(state)) return 'free';
  return state < 0 ? 'attached' : 'reclaiming';
}
