// SPDX-License-Identifier: MIT
/**
 * The writers' room: waiting for a buffer or for the receiver, first come, first served within a
 * writer.
 */

import { checkOptions, checkSignal, checkTimeoutMs } from '../base/check.ts';
import { nowMs, startTimer, stopTimer } from '../base/clock.ts';
import { BusbarError } from '../base/errors.ts';
import { type BufferId, type BufferPool, NO_BUFFER, type WaitOptions } from '../pool/index.ts';
import type { Lane } from './lane.ts';
import type { WriteFlusher } from './write-flusher.ts';

/**
 * How often a waiter looks again by itself; bounds what a lost thread on the other side can cost.
 */
const SWEEP_MS = 10;

/** One writer's queue of callers that wait for space. */
export class SpaceWait {
  readonly #pool: BufferPool;
  readonly #flusher: WriteFlusher;
  readonly #lane: Lane;
  /** Hands over what is buffered, so that the receiver can make room at all. */
  readonly #flush: () => boolean;
  /** Buffers acquired by waiting, for the next reservation that needs one. */
  readonly #spares: BufferId[] = [];
  #waiting = 0;
  /** Settles when the last of the callers that wait is done. */
  #last: Promise<unknown> = Promise.resolve();

  constructor(flusher: WriteFlusher, lane: Lane, flush: () => boolean) {
    this.#pool = flusher.pool;
    this.#flusher = flusher;
    this.#lane = lane;
    this.#flush = flush;
  }

  /** False while it is the receiver that has to act. After close() nothing is worth waiting for. */
  get #roomy(): boolean {
    return this.#lane.hasSpace || this.#flusher.closed;
  }

  /** A buffer for the writer, if one is at hand. **Ownership** the caller holds its reference. */
  tryAcquire(): BufferId {
    return this.#spares.pop() ?? this.#pool.tryAcquire();
  }

  /** Repeats `attempt` until it answers 0 or more, waiting for what it lacks in between. */
  async until(attempt: () => number, options: WaitOptions): Promise<number> {
    checkOptions('options', options, ['signal', 'timeoutMs']);
    const signal = checkSignal('signal', options.signal);
    const timeoutMs = checkTimeoutMs('timeoutMs', options.timeoutMs ?? Infinity);
    signal?.throwIfAborted();
    if (this.#waiting === 0) {
      const answer = attempt();
      if (answer >= 0) return answer;
    }
    this.#waiting++;
    const deadline = nowMs() + timeoutMs;
    const turn = this.#last.then(() => this.#repeat(attempt, deadline, signal));
    this.#last = turn.catch(() => undefined);
    try {
      return await turn;
    } finally {
      this.#waiting--;
      if (this.#waiting === 0) this.close();
    }
  }

  /** Gives back what no caller took. */
  close(): void {
    for (const id of this.#spares.splice(0)) this.#pool.release(id);
  }

  async #repeat(
    attempt: () => number,
    deadline: number,
    signal: AbortSignal | undefined,
  ): Promise<number> {
    for (;;) {
      signal?.throwIfAborted();
      const answer = attempt();
      if (answer >= 0) return answer;
      const leftMs = deadline - nowMs();
      if (leftMs <= 0) throw new BusbarError('ERR_BUSBAR_TIMEOUT', 'reserve');
      this.#flush();
      if (this.#roomy && this.#spares.length === 0) {
        const wait = { timeoutMs: leftMs, ...(signal === undefined ? {} : { signal }) };
        const id = this.#pool.tryAcquire();
        this.#spares.push(id === NO_BUFFER ? await this.#pool.acquire(wait) : id);
      } else {
        // A buffer is at hand, so it is the receiver that has to act, or whoever holds a
        // reservation.
        await this.#change(leftMs, signal);
      }
    }
  }

  /**
   * Settles when something may have changed, at the latest after `leftMs`; rejects when aborted.
   */
  #change(leftMs: number, signal: AbortSignal | undefined): Promise<void> {
    return new Promise((resolve, reject) => {
      const { doorbell } = this.#pool;
      const end = (): void => {
        doorbell.ignore(done);
        stopTimer(timer);
        signal?.removeEventListener('abort', onAbort);
      };
      const done = (): void => {
        end();
        resolve();
      };
      const onAbort = (): void => {
        end();
        reject(signal?.reason);
      };
      const wasFull = !this.#roomy;
      const timer = startTimer(Math.min(leftMs, SWEEP_MS), done);
      signal?.addEventListener('abort', onAbort, { once: true });
      doorbell.listen(done);
      this.#lane.wantSpace();
      // Room that was made before the wish could be seen rings nobody.
      if (wasFull && this.#roomy) done();
    });
  }
}
