// SPDX-License-Identifier: MIT
/** A writer's queue of callers that wait for a buffer or for the receiver, in order of arrival. */

import { startTicking, stopTimer, type Timer } from '../base/clock.ts';
import { type Linked, LinkedList } from '../base/linked-list.ts';
import { resolveWaitOptions, WaitGuard, type WaitOptions } from '../base/wait-guard.ts';
import { type BufferId, type BufferPool, NO_BUFFER } from '../pool/index.ts';
import type { Lane } from './lane.ts';
import type { WriteFlusher } from './write-flusher.ts';

/** Time between attempts without a ring; bounds the delay that a dead thread can cause. */
const SWEEP_MS = 10;

/** A waiting caller. */
interface Caller extends Linked<Caller> {
  /** Returns 0 or more, or −1: not now. */
  readonly attempt: () => number;
  readonly resolve: (result: number) => void;
  readonly reject: (reason: unknown) => void;
  guard: WaitGuard | undefined;
}

/** The callers of one writer that wait for space, and the buffers acquired for them. */
export class SpaceWait {
  readonly pool: BufferPool;
  readonly #lane: Lane;
  /** Hands over buffered messages: without them the receiver has nothing to make room for. */
  readonly #flush: () => boolean;
  /**
   * The buffer that {@link tryAcquire} returned. The caller stores NO_BUFFER here right after it
   * has used it; if something throws before, the next call of tryAcquire returns it again.
   */
  atHand: BufferId = NO_BUFFER;
  /** Buffers acquired by waiting, for the next reservation that needs one. */
  readonly #spares: BufferId[] = [];
  readonly #callers = new LinkedList<Caller>();
  #ticking: Timer | undefined;
  /** Ends the pending wait for a buffer. */
  #acquiring: AbortController | undefined;

  constructor(flusher: WriteFlusher, lane: Lane, flush: () => boolean) {
    this.pool = flusher.pool;
    this.#lane = lane;
    this.#flush = flush;
  }

  /** Acquires a buffer if one is free; it stays {@link atHand} until it is used. */
  tryAcquire(): BufferId {
    if (this.atHand === NO_BUFFER) this.atHand = this.#spares.pop() ?? this.pool.tryAcquire();
    return this.atHand;
  }

  /** Repeats `attempt` until it returns 0 or more, waiting in between for what it lacks. */
  async until(attempt: () => number, options: WaitOptions): Promise<number> {
    const limits = resolveWaitOptions(options);
    if (this.#callers.isEmpty) {
      const result = attempt();
      if (result >= 0) return result;
    }
    return new Promise((resolve, reject) => {
      const caller: Caller = {
        attempt,
        resolve,
        reject,
        guard: undefined,
        list: undefined,
        previous: undefined,
        next: undefined,
      };
      const giveUp = (reason: unknown): void => this.#reject(caller, reason);
      caller.guard = new WaitGuard(limits, 'reserve', giveUp, this.pool.heldInBrief);
      this.#enqueue(caller);
    });
  }

  /** Called once the writer is closed: each caller's next attempt throws. */
  close(): void {
    this.#serve();
    if (this.atHand === NO_BUFFER) return;
    this.pool.release(this.atHand);
    this.atHand = NO_BUFFER;
  }

  #enqueue(caller: Caller): void {
    if (this.#callers.isEmpty) {
      this.#ticking = startTicking(SWEEP_MS, this.#serve);
      this.pool.doorbell.listen(this.#serve);
    }
    this.#callers.push(caller);
    this.#serve();
  }

  /** Serves as many callers as possible, in order; then asks for what the next one lacks. */
  readonly #serve = (): void => {
    for (let caller = this.#callers.first; caller !== undefined; caller = this.#callers.first) {
      try {
        let result = caller.attempt();
        if (result < 0) {
          this.#flush();
          result = caller.attempt();
        }
        if (result < 0) {
          this.#ask();
          return;
        }
        this.#callers.remove(caller);
        // First: the reservation is the caller's, even if ending its guard throws.
        caller.resolve(result);
        caller.guard?.end();
      } catch (error) {
        this.#settle(caller);
        caller.reject(error);
      }
    }
    this.#endWaiting();
  };

  #ask(): void {
    const wasFull = !this.#lane.hasSpace;
    this.#lane.wantSpace();
    const isFull = !this.#lane.hasSpace;
    if (!isFull && this.#spares.length === 0) this.#acquire();
    // No ring comes for room made before the wish was visible.
    if (wasFull && !isFull) queueMicrotask(this.#serve);
  }

  #acquire(): void {
    if (this.#acquiring !== undefined) return;
    const acquiring = new AbortController();
    this.#acquiring = acquiring;
    this.pool.acquire({ signal: acquiring.signal }).then(
      (id) => {
        if (this.#acquiring === acquiring) this.#acquiring = undefined;
        this.#spares.push(id);
        this.#serve();
      },
      (error) => {
        if (this.#acquiring !== acquiring) return;
        this.#acquiring = undefined;
        for (let first = this.#callers.first; first !== undefined; first = this.#callers.first) {
          this.#reject(first, error);
        }
      },
    );
  }

  /** Called when no caller is left: releases buffers that no caller took. */
  #endWaiting(): void {
    stopTimer(this.#ticking);
    this.#ticking = undefined;
    this.pool.doorbell.ignore(this.#serve);
    const acquiring = this.#acquiring;
    this.#acquiring = undefined;
    acquiring?.abort();
    for (const id of this.#spares.splice(0)) this.pool.release(id);
  }

  /** Rejects a caller, unless it has left the queue. */
  #reject(caller: Caller, reason: unknown): void {
    if (!this.#settle(caller)) return;
    caller.reject(reason);
    if (this.#callers.isEmpty) this.#endWaiting();
  }

  /** Takes a caller out of the queue. False if it has left already. */
  #settle(caller: Caller): boolean {
    if (!this.#callers.remove(caller)) return false;
    caller.guard?.end();
    return true;
  }
}
