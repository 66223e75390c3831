// SPDX-License-Identifier: MIT
/**
 * Example broker: back-pressure from slow subscribers to publishers.
 *
 * A client with too much output waiting is *held back*. Clients of this executor that want to write
 * to it are *blocked*: the broker does not read from them, so TCP slows them down. A client that
 * stays held back too long is a slow consumer and is cut off. So it costs its publishers at most
 * `stallMs` and the time until the next `check`.
 *
 * **How much may wait.** At most `maxPendingBytes`, and less if many clients are slow, since they
 * never get the whole pool: an eighth of it is a *reserve*, and at most a quarter of the bytes free
 * beyond the reserve may wait for a client (its buffers may be only half full, so that is up to
 * half of the buffers). With many slow clients that share becomes small by itself: a hundred of
 * them leave a hundredth of the rest free (dynamic thresholds: A. K. Choudhury, E. L. Hahne, 1998).
 * The waiting output is checked each time that a certain amount of work was done.
 *
 * **Messages of other executors** do not wait for a client that is held back, since messages for
 * other clients follow in the same lane. They are written nevertheless, from the reserve, and their
 * publishers wait at their own executor: see "stalled" in `mesh.ts`. A client is cut off at once if
 * more waits for it than `maxPendingBytes` and everything that can then be in transit.
 *
 * **If half of the reserve is used**, the clients with most output waiting are cut off at once,
 * without time to read the rest, until that half is free again. **If the pool still has no buffer**
 * for `stallMs`, the same happens, however little output the clients have waiting.
 */

import { type BufferPool, NO_BUFFER } from 'busbar/pool';
import { type FairShare, UNIT_BYTES } from './fair-share.ts';

/** A client or a lane that may have to wait for room. */
export interface Waiter {
  /** True for a lane, with messages of many clients. */
  readonly carriesMany?: boolean;
  /** Called when there may be room again. */
  proceed(): void;
}

/** The part of a connection that concerns back-pressure. */
export interface Participant extends Waiter {
  readonly link: {
    readonly writable: boolean;
    readonly queuedBytes: number;
    destroy(): void;
  };
  readonly isClosing: boolean;
  /** True if too much output waits for it: publishers that can wait do so. Written here only. */
  isHeldBack: boolean;
  /** Called when it is no longer held back, or leaves: no publisher waits for it any more. */
  relieved(): void;
  cutOff(error: string): void;
}

/** Clients of other executors, which use the same pool. */
export interface Elsewhere {
  /** Records the most bytes that wait for one client of this executor. */
  note(bytes: number): void;
  /** Whether no client of another executor has more bytes waiting. */
  isHeaviest(bytes: number): boolean;
}

/** Limits of waiting output. */
export interface BackpressureLimits {
  readonly maxPendingBytes: number;
  readonly stallMs: number;
}

/** The reserve's part of the pool, for clients that read fast enough. */
const RESERVE_PART = 8;
/** A client is held back until this much less waits than allowed: what it can read in a second. */
const RELIEF_BYTES_MAX = 8 * 1024 * 1024;
/**
 * The waiting output is checked each time that this part of the pool may have been written: first
 * for a pool that is half empty, then for a fuller one.
 */
const LOOK_PART_EASY = 16;
const LOOK_PART = 128;
/** Longest time between two checks while a client is held back. */
const LOOK_MS = 5;

export class Backpressure {
  readonly #pool: BufferPool;
  readonly #limits: BackpressureLimits;
  readonly #participants: Iterable<Participant>;
  readonly #clock: () => number;
  readonly #share: FairShare;
  readonly #blocked: Set<Waiter> = new Set();
  /** Clients that are held back, or whose link takes no more; and since when. */
  readonly #congested: Map<Participant, number> = new Map();
  /** Since when the pool has been exhausted; undefined: it is not. */
  #exhaustedSinceMs: number | undefined = undefined;
  readonly #closed: AbortController = new AbortController();

  readonly #reserveCount: number;
  /** True if the reserve is in use. */
  #isTight: boolean = false;
  #looking: NodeJS.Timeout | undefined = undefined;

  slowConsumers: number = 0;
  elsewhere: Elsewhere | undefined = undefined;

  /** `participants`: all clients that may have output waiting. */
  constructor(
    pool: BufferPool,
    limits: BackpressureLimits,
    participants: Iterable<Participant>,
    clock: () => number,
    share: FairShare,
  ) {
    this.#pool = pool;
    this.#limits = limits;
    this.#participants = participants;
    this.#clock = clock;
    this.#share = share;
    this.#reserveCount = Math.ceil(pool.bufferCount / RESERVE_PART);
    share.onWorkUnits = this.#workUnits(LOOK_PART_EASY);
    share.onWork = () => this.look();
  }

  /** The number of blocked waiters. */
  get blockedCount(): number {
    return this.#blocked.size + this.#share.queueLength;
  }

  /** Holds a client back. */
  holdBack(consumer: Participant): void {
    consumer.isHeldBack = true;
    if (!this.#congested.has(consumer)) this.#congested.set(consumer, this.#clock());
    this.#lookAgain();
  }

  /** Called when a client's writer returned "not now". */
  noRoom(consumer: Participant): void {
    if (consumer.link.writable) this.#awaitBuffer();
    else this.holdBack(consumer);
  }

  /** Blocks a waiter until there is room, or it is its turn. */
  block(waiter: Waiter): void {
    if (this.#share.isSpent) this.#share.queue(waiter);
    else this.#blocked.add(waiter);
  }

  /** Blocks a waiter that needs a buffer for something other than a client's output. */
  noBuffer(waiter: Waiter): void {
    this.#blocked.add(waiter);
    this.#awaitBuffer();
  }

  /** Lets the blocked waiters try again. */
  proceed(): void {
    // There may be thousands, which share the work of a turn. The first one moves to the end: it
    // may take all the room, and next time another one should be first.
    let first: Waiter | undefined;
    for (const waiter of this.#blocked) {
      if (first === undefined) first = waiter;
      else this.#share.queue(waiter);
    }
    if (first !== undefined) this.#share.queue(first);
    this.#blocked.clear();
  }

  /** Called when a client's output has been sent in part. */
  drained(consumer: Participant): void {
    this.#relieve(consumer);
    this.proceed();
  }

  /** Forgets a client that has left. */
  forget(participant: Participant): void {
    this.#relieve(participant);
    this.#blocked.delete(participant);
    this.#share.cancel(participant);
    this.proceed();
  }

  /**
   * Checks which clients are to be held back, and which no longer. **Cost** one step per client and
   * per buffer of the pool.
   */
  look(): void {
    const { bufferSize, bufferCount } = this.#pool;
    const { freeShared, freeCached } = this.#pool.stats();
    const free = freeShared + freeCached;
    const room = free - this.#reserveCount;
    this.#share.onWorkUnits = this.#workUnits(room > bufferCount / 2 ? LOOK_PART_EASY : LOOK_PART);
    this.#isTight = room <= 0;
    // A buffer may be only half full.
    const shareBytes = Math.max(bufferSize / 2, (room * bufferSize) / 4);
    const mostBytes = Math.min(shareBytes, this.#limits.maxPendingBytes);
    const reliefBytes = mostBytes - Math.min(mostBytes / 2, RELIEF_BYTES_MAX);
    let heaviestBytes = 0;
    let isRelieved = false;
    for (const participant of this.#participants) {
      const bytes = participant.link.queuedBytes;
      heaviestBytes = Math.max(heaviestBytes, bytes);
      if (bytes >= mostBytes) {
        this.holdBack(participant);
      } else if (participant.isHeldBack && bytes <= reliefBytes) {
        this.#relieve(participant);
        isRelieved = true;
      }
    }
    this.elsewhere?.note(heaviestBytes);
    if (isRelieved) this.proceed();
    if (free < this.#reserveCount / 2) this.#makeRoom(2 * bufferSize);
    if (this.#congested.size > 0) this.#lookAgain();
  }

  /** Called at intervals: cuts off clients that others have waited for too long. */
  check(): void {
    const dueMs = this.#clock() - this.#limits.stallMs;
    this.look();
    for (const [consumer, sinceMs] of this.#congested) {
      if (sinceMs <= dueMs) this.cutOff(consumer, this.#isTight);
    }
    if (this.#exhaustedSinceMs === undefined) {
      this.#probe();
    } else if (this.#exhaustedSinceMs <= dueMs) {
      this.#exhaustedSinceMs = this.#clock();
      this.#makeRoom(1);
    }
  }

  /**
   * Cuts off a slow client. `atOnce`: others need its buffers, so it gets no time to read the rest.
   */
  cutOff(consumer: Participant, atOnce: boolean): void {
    if (!consumer.isClosing) this.slowConsumers++;
    this.#relieve(consumer);
    consumer.cutOff('Slow Consumer');
    if (atOnce) consumer.link.destroy();
    this.proceed();
  }

  close(): void {
    clearTimeout(this.#looking);
    this.#closed.abort();
  }

  /** Checks whether a buffer is free: reads from sockets take buffers as well, unnoticed here. */
  #probe(): void {
    const bufferId = this.#pool.tryAcquire();
    if (bufferId === NO_BUFFER) this.#awaitBuffer();
    else this.#pool.release(bufferId);
  }

  /** Cuts off the clients with most output, `bytesMin` or more, until the reserve is free again. */
  #makeRoom(bytesMin: number): void {
    const heaviest = [...this.#participants]
      .filter(({ link }) => link.queuedBytes >= bytesMin)
      .sort((a, b) => b.link.queuedBytes - a.link.queuedBytes);
    let freedCount = 0;
    for (const participant of heaviest) {
      if (freedCount >= this.#reserveCount) return;
      const { queuedBytes } = participant.link;
      // Other executors see the same shortage, and may have heavier clients.
      if (this.elsewhere?.isHeaviest(queuedBytes) === false) return;
      freedCount += Math.ceil(queuedBytes / this.#pool.bufferSize);
      this.cutOff(participant, true);
    }
  }

  /** Units of work that may write this part of the pool. */
  #workUnits(part: number): number {
    return Math.ceil((this.#pool.bufferCount * this.#pool.bufferSize) / part / UNIT_BYTES);
  }

  #relieve(consumer: Participant): void {
    consumer.isHeldBack = false;
    this.#congested.delete(consumer);
    consumer.relieved();
  }

  #lookAgain(): void {
    if (this.#looking !== undefined || this.#closed.signal.aborted) return;
    this.#looking = setTimeout(() => {
      this.#looking = undefined;
      this.look();
    }, LOOK_MS);
  }

  /**
   * Waits in the pool's queue for a buffer, releases it at once, and lets blocked waiters retry.
   */
  #awaitBuffer(): void {
    if (this.#exhaustedSinceMs !== undefined || this.#closed.signal.aborted) return;
    this.#exhaustedSinceMs = this.#clock();
    this.#pool.acquire({ signal: this.#closed.signal }).then(
      (bufferId) => {
        this.#pool.release(bufferId);
        this.#exhaustedSinceMs = undefined;
        // A lane that was full while the pool was half empty also needs the turn to end.
        setImmediate(() => this.proceed());
      },
      () => {
        this.#exhaustedSinceMs = undefined;
      },
    );
    this.look();
  }
}
