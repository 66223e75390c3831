// SPDX-License-Identifier: MIT
/**
 * The writers' room: waiting for a buffer or for the receiver, first come, first served within a
 * writer.
 */

import { startTicking, stopTimer, type Timer } from '../base/clock.ts';
import { type Linked, LinkedList } from '../base/linked-list.ts';
import { resolveWaitOptions, WaitGuard, type WaitOptions } from '../base/wait-guard.ts';
import { type BufferId, type BufferPool, NO_BUFFER } from '../pool/index.ts';
import type { Lane } from './lane.ts';
import type { WriteFlusher } from './write-flusher.ts';

/**
 * How often waiters look again by themselves; bounds what a lost thread on the other side can cost.
 */
const SWEEP_MS = 10;

/** One caller that waits. */
interface Caller extends Linked<Caller> {
  /** Answers 0 or more, or −1: not now. */
  readonly attempt: () => number;
  readonly resolve: (answer: number) => void;
  readonly reject: (reason: unknown) => void;
  guard: WaitGuard | undefined;
}

/** One writer's queue of callers that wait for space. */
export class SpaceWait {
  readonly pool: BufferPool;
  readonly #lane: Lane;
  /** Hands over what is buffered, so that the receiver can make room at all. */
  readonly #flush: () => boolean;
  /**
   * What {@link tryAcquire} has returned. Whoever has put it to use says NO_BUFFER here, straight
   * on: until then something may throw, and the next one gets it.
   */
  atHand: BufferId = NO_BUFFER;
  /** Buffers acquired by waiting, for the next reservation that needs one. */
  readonly #spares: BufferId[] = [];
  readonly #callers = new LinkedList<Caller>();
  #ticking: Timer | undefined;
  /** Ends the wait for a buffer that is under way. */
  #acquiring: AbortController | undefined;

  constructor(flusher: WriteFlusher, lane: Lane, flush: () => boolean) {
    this.pool = flusher.pool;
    this.#lane = lane;
    this.#flush = flush;
  }

  /** A buffer for the writer, if one is free; it stays {@link atHand} until it is put to use. */
  tryAcquire(): BufferId {
    if (this.atHand === NO_BUFFER) this.atHand = this.#spares.pop() ?? this.pool.tryAcquire();
    return this.atHand;
  }

  /** Gives back the buffer at hand. */
  dropAtHand(): void {
    if (this.atHand === NO_BUFFER) return;
    this.pool.release(this.atHand);
    this.atHand = NO_BUFFER;
  }

  /** Repeats `attempt` until it answers 0 or more, waiting for what it lacks in between. */
  async until(attempt: () => number, options: WaitOptions): Promise<number> {
    const limits = resolveWaitOptions(options);
    if (this.#callers.isEmpty) {
      const answer = attempt();
      if (answer >= 0) return answer;
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
      caller.guard = new WaitGuard(limits, 'reserve', (reason) => this.#abandon(caller, reason));
      this.#enqueue(caller);
    });
  }

  /** The writer was closed: its callers learn so from their next attempt. */
  close(): void {
    this.#serve();
    this.dropAtHand();
  }

  #enqueue(caller: Caller): void {
    if (this.#callers.isEmpty) {
      this.#ticking = startTicking(SWEEP_MS, this.#serve);
      this.pool.doorbell.listen(this.#serve);
    }
    this.#callers.push(caller);
    this.#serve();
  }

  /** Serves the callers as far as possible now, in order; then asks for what the next one lacks. */
  readonly #serve = (): void => {
    for (let caller = this.#callers.first; caller !== undefined; caller = this.#callers.first) {
      try {
        let answer = caller.attempt();
        if (answer < 0) {
          this.#flush();
          answer = caller.attempt();
        }
        if (answer < 0) {
          this.#ask();
          return;
        }
        this.#callers.remove(caller);
        // First: what was reserved is the caller's, whatever ending its guard throws.
        caller.resolve(answer);
        caller.guard?.end();
      } catch (error) {
        this.#settle(caller);
        caller.reject(error);
      }
    }
    this.#rest();
  };

  #ask(): void {
    const wasFull = !this.#lane.hasSpace;
    this.#lane.wantSpace();
    const isFull = !this.#lane.hasSpace;
    if (!isFull && this.#spares.length === 0) this.#acquire();
    // Room that was made before the wish could be seen rings nobody.
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
          this.#abandon(first, error);
        }
      },
    );
  }

  /** Nobody waits any more: gives back what no caller took. */
  #rest(): void {
    stopTimer(this.#ticking);
    this.#ticking = undefined;
    this.pool.doorbell.ignore(this.#serve);
    const acquiring = this.#acquiring;
    this.#acquiring = undefined;
    acquiring?.abort();
    for (const id of this.#spares.splice(0)) this.pool.release(id);
  }

  /** A caller gives up. */
  #abandon(caller: Caller, reason: unknown): void {
    if (!this.#settle(caller)) return;
    caller.reject(reason);
    if (this.#callers.isEmpty) this.#rest();
  }

  /** Takes the caller out of the queue. Returns false if it was not in it any more. */
  #settle(caller: Caller): boolean {
    if (!this.#callers.remove(caller)) return false;
    caller.guard?.end();
    return true;
  }
}
