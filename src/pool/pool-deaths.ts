// SPDX-License-Identifier: MIT
/** What a pool does about threads that have ended: proves it, and takes back what they held. */

import { loadAcquire } from '../base/atomics.ts';
import { checkInteger } from '../base/check.ts';
import { BusbarError } from '../base/errors.ts';
import { eventChannel, publish } from '../base/events.ts';
import { ensureStack } from '../base/stack.ts';
import type { ChooseHeld } from './adopt.ts';
import { BufferReferences } from './buffer-references.ts';
import { Carrier, type CarrierShape, sweepCarriers } from './carriers.ts';
import { type Asker, BY_QUESTION, declareGone, isGone } from './liveness.ts';
import {
  type BufferId,
  badgeOf,
  isVacant,
  NO_BUFFER,
  OWNER,
  SHARED,
  STATE,
  slotOf,
  type ThreadSlot,
} from './pool-layout.ts';
import { reclaim, reclaimBadge, reclaimDead } from './reclaim.ts';
import { TRANSIT_MARK } from './transit-layout.ts';

const reclaimed = eventChannel('busbar.pool.reclaim');

/** The part of a {@link BufferPool} that deals with the deaths of other threads. */
export abstract class PoolDeaths extends BufferReferences {
  /**
   * Frees everything that a dead thread held: its cache, its references, its place among the
   * waiters. Returns how many buffers became free; 0 if no thread is attached at the slot, so
   * calling it twice does no harm.
   *
   * Packets that the thread had sent are not touched: they belong to their receivers. Call it after
   * the worker's `exit` event; if you have called it often while the thread was busy, call
   * {@link declareExited} before. **Threads** any other than the dead one. **Cost** a few loads per
   * buffer of the pool.
   * **Throws** ERR_BUSBAR_THREAD_ALIVE if the thread still runs, or did at the last check. About
   * the first ten calls check at once; if the thread does not turn its event loop, later ones check
   * only when the time since then has doubled.
   */
  reclaim(threadSlot: ThreadSlot | number): number {
    this.checkAttached();
    // If it threw halfway, what it had begun would stay until this thread calls it again.
    ensureStack();
    return this.tellReclaimed(threadSlot, reclaim(this.thread, threadSlot));
  }

  /**
   * {@link reclaim}s every thread that has ended without detaching; returns their slots and how
   * many buffers each gave back. A thread that was checked often while it was busy may be missed
   * for as long as it had been busy; `reclaim` of its slot, or {@link declareExited}, finds it.
   */
  reclaimDead(): { slot: number; freed: number }[] {
    this.checkAttached();
    ensureStack();
    const reports = reclaimDead(this.thread);
    const freed = this.sweep();
    const last = reports.at(-1);
    if (last !== undefined) last.freed += freed;
    if (reclaimed.hasSubscribers) {
      for (const { slot, freed } of reports) {
        publish(reclaimed, { pool: this, threadSlot: slot, freed });
      }
    }
    return reports;
  }

  /**
   * Declares that the thread at the slot has ended; call it when you have seen the worker's `exit`
   * event. From then on `reclaim`, `recover` of channels, writers and flushers, and threads that
   * wait for it need no proof. Returns false if no thread is attached at the slot, or this one is.
   *
   * The declaration counts only where a proof is impossible. Still, never declare a running thread:
   * each time uses up one of its forty proofs of life. Without any, the buffers of a thread that
   * does not turn its event loop are given to others while it uses them.
   * **Threads** any.
   * **Throws** ERR_BUSBAR_THREAD_ALIVE if the thread proves to be alive; nothing has changed then.
   */
  declareExited(threadSlot: ThreadSlot | number): boolean {
    this.checkAttached();
    checkInteger('threadSlot', threadSlot, 0, this.layout.maxThreads - 1);
    if (threadSlot === this.threadSlot) return false;
    const record = this.layout.thread(threadSlot);
    const state = loadAcquire(this.words, record + STATE);
    if (state >= 0 || isVacant(state)) return false;
    if (declareGone(this.words, record, state)) return true;
    throw new BusbarError('ERR_BUSBAR_THREAD_ALIVE', `slot ${threadSlot}`);
  }

  /** @internal Names this thread among all that ever attached to the pool; never 0. */
  get badge(): number {
    return badgeOf(this.thread.slot, this.thread.state);
  }

  /** @internal True if the thread with that badge has ended, or left its slot. */
  isBadgeGone(badge: number, asker: Asker = BY_QUESTION): boolean {
    const slot = slotOf(badge);
    const record = this.layout.thread(slot);
    const state = loadAcquire(this.words, record + STATE);
    if (state > 0) return true; // being reclaimed: the reclaiming thread has the proof
    if (badgeOf(slot, state) !== badge || isVacant(state)) return true;
    if (slot === this.threadSlot) return false;
    return isGone(this.words, record, state, asker);
  }

  /**
   * @internal {@link declareExited} by badge. True if that thread ended without detaching and is
   * not reclaimed yet.
   */
  declareBadgeExited(badge: number): boolean {
    const slot = slotOf(badge);
    const record = this.layout.thread(slot);
    const state = loadAcquire(this.words, record + STATE);
    if (isVacant(state) || state > 0 || badgeOf(slot, state) !== badge) return false;
    return declareGone(this.words, record, state);
  }

  /**
   * @internal {@link reclaim} by badge: 0 if another thread has its slot by now. The references
   * that `choose` returns are this thread's then; those that the dead one had not become NO_BUFFER.
   */
  reclaimBadge(badge: number, choose?: ChooseHeld): number {
    this.checkAttached();
    ensureStack();
    return this.tellReclaimed(slotOf(badge), reclaimBadge(this.thread, badge, choose));
  }

  /** @internal Room for lanes in the pool's own block, which survives those who use them. */
  claimCarrier(shape: CarrierShape): Carrier | undefined {
    this.checkAttached();
    return Carrier.claim(this.words, this.layout, this.badge, shape);
  }

  /** @internal The slot of the thread that a badge names. */
  static readonly slotOf = slotOf as (badge: number) => ThreadSlot;

  /**
   * @internal True if the thread at the slot has ended without detaching, or never attached. For
   * those who then take over what it left.
   */
  isThreadGone(slot: number): boolean {
    if (slot === this.threadSlot) return false;
    const record = this.layout.thread(slot);
    const state = loadAcquire(this.words, record + STATE);
    // While the slot is being reclaimed, the reclaiming thread has the proof.
    return state > 0 || isGone(this.words, record, state, BY_QUESTION);
  }

  /** Adds what {@link sweep} frees. */
  private tellReclaimed(threadSlot: number, found: number): number {
    const freed = found + this.sweep();
    if (reclaimed.hasSubscribers && freed > 0) {
      publish(reclaimed, { pool: this, threadSlot, freed });
    }
    return freed;
  }

  /** Releases packets in transit between dead threads; returns how many buffers that freed. */
  private sweep(): number {
    let freed = 0;
    sweepCarriers(this.words, this.layout, this.badge, (index) => {
      const id = this.tryTakeOut(index);
      if (id === NO_BUFFER) return;
      this.release(id);
      if (this.words[this.layout.buffer(id) + OWNER] !== SHARED) freed++;
    });
    return freed;
  }

  /** NO_BUFFER if the words do not hold a packet: they were overwritten. */
  private tryTakeOut(index: number): BufferId {
    try {
      return this.moveFromWords(this.words, index);
    } catch (error) {
      if ((error as BusbarError).code !== 'ERR_BUSBAR_BAD_SEND_PACKET') throw error;
      this.words[index + TRANSIT_MARK] = 0;
      return NO_BUFFER;
    }
  }
}
