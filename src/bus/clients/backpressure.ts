// SPDX-License-Identifier: MIT
/** Back-pressure from the slow clients of a server to those that publish to them. */

import { show } from '../../base/check.ts';
import { nowMs } from '../../base/clock.ts';
import { checkPool } from '../../pool/check-pool.ts';
import { type BufferPool, NO_BUFFER } from '../../pool/index.ts';
import { FairShare, UNIT_BYTES, type Waiter } from './fair-share.ts';
import { OutputDeadline } from './output-deadline.ts';

/** The part of a client that concerns back-pressure. */
export interface PressedClient extends Waiter {
  readonly link: {
    /** Whether a write may have room, or fails for want of a buffer alone. */
    readonly writable: boolean;
    /** Bytes of output that wait. */
    readonly queuedBytes: number;
    stats(): { readonly bytesWritten: number };
    destroy(): void;
  };
  readonly isClosing: boolean;
  /** True if too much output waits for it: publishers that can wait do so. Written here only. */
  isHeldBack: boolean;
  /** Called when it is no longer held back, or leaves: no publisher waits for it any more. */
  relieved(): void;
  /** Others have waited for it too long, or need its buffers: it is told so, and ends. */
  tooSlow(): void;
}

/** Clients of other threads, which use the same pool. */
export interface Elsewhere {
  /** Records the most bytes that wait for one client of this thread. */
  note(bytes: number): void;
  /** Whether no client of another thread has more bytes waiting. */
  isHeaviest(bytes: number): boolean;
}

/** Limits of waiting output. */
export interface BackpressureLimits {
  /** Output that may wait for one client. */
  readonly maxPendingBytes: number;
  /** How long publishers wait for one client. */
  readonly stallMs: number;
  /** How long the output that waits at one time may wait. Default `Infinity`. */
  readonly writeDeadlineMs?: number;
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

/**
 * Back-pressure from the slow clients of a server to the clients that publish to them, when all of
 * their output lies in one pool.
 *
 * A client with too much output waiting is *held back*. Clients of this thread that want to write
 * to it are *blocked*: the server does not read from them, so TCP slows them down. A client that
 * stays held back too long is too slow, and is cut off. So it costs its publishers at most
 * `stallMs` and the time until the next `check`.
 *
 * **How much may wait.** At most `maxPendingBytes`, and less if many clients are slow, since they
 * never get the whole pool: an eighth of it is a *reserve*, and at most a quarter of the bytes free
 * beyond the reserve may wait for a client (its buffers may be only half full, so that is up to
 * half of the buffers). With many slow clients that share becomes small by itself: a hundred of
 * them leave a hundredth of the rest free (dynamic thresholds: A. K. Choudhury, E. L. Hahne, 1998).
 * The waiting output is checked each time that a certain amount of work was done.
 *
 * **Messages of other threads** do not wait for a client that is held back, since messages for
 * other clients follow in the same stream. They are written nevertheless, from the reserve; their
 * publishers are told by `ServerPeers.stall` and wait on their own thread.
 *
 * **If half of the reserve is used**, the clients with most output waiting are cut off at once,
 * without time to read the rest, until that half is free again. **If the pool still has no buffer**
 * for `stallMs`, the same happens, however little output the clients have waiting.
 *
 * **Threads** one object for each thread.
 * **Cost** a write that has room costs nothing here; a look at all clients once the work of a 128th
 * of the pool is done, at least.
 * **Throws** the constructor TypeError for a pool or a share that is not one.
 */
export class Backpressure {
  readonly #pool: BufferPool;
  readonly #limits: BackpressureLimits;
  readonly #clients: Iterable<PressedClient>;
  readonly #clock: () => number;
  readonly #share: FairShare;
  readonly #blocked: Set<Waiter> = new Set();
  /** Clients that are held back, or whose link takes no more; and since when. */
  readonly #congested: Map<PressedClient, number> = new Map();
  /** Of clients with output that waits, if there is one. */
  readonly #deadlines: Map<PressedClient, OutputDeadline> = new Map();
  /** Since when the pool has been exhausted; undefined: it is not. */
  #exhaustedSinceMs: number | undefined = undefined;
  readonly #closed: AbortController = new AbortController();

  readonly #reserveCount: number;
  /** True if the reserve is in use. */
  #isTight: boolean = false;
  #looking: NodeJS.Timeout | undefined = undefined;

  /** Clients that were cut off. @readonly */
  slowCount: number = 0;
  /** Set if clients of other threads have output in the pool. */
  elsewhere: Elsewhere | undefined = undefined;

  /** `clients`: all clients that may have output waiting. `clock` returns milliseconds. */
  constructor(
    pool: BufferPool,
    share: FairShare,
    clients: Iterable<PressedClient>,
    limits: BackpressureLimits,
    clock: () => number = nowMs,
  ) {
    this.#pool = checkPool(pool);
    if (!(share instanceof FairShare)) {
      throw new TypeError(`share must be a FairShare, got ${show(share)}`);
    }
    this.#share = share;
    this.#clients = clients;
    this.#limits = limits;
    this.#clock = clock;
    this.#reserveCount = Math.ceil(pool.bufferCount / RESERVE_PART);
    share.onWorkUnits = this.#workUnits(LOOK_PART_EASY);
    share.onWork = () => this.look();
  }

  /** The number of blocked waiters. */
  get blockedCount(): number {
    return this.#blocked.size + this.#share.queueLength;
  }

  /** Holds a client back. */
  holdBack(client: PressedClient): void {
    client.isHeldBack = true;
    if (!this.#congested.has(client)) this.#congested.set(client, this.#clock());
    this.#lookAgain();
  }

  /** Called when a client's writer returned "not now". */
  noRoom(client: PressedClient): void {
    if (client.link.writable) this.#awaitBuffer();
    else this.holdBack(client);
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
  drained(client: PressedClient): void {
    this.#relieve(client);
    this.proceed();
  }

  /** Forgets a client that has left. */
  forget(client: PressedClient): void {
    this.#relieve(client);
    this.#blocked.delete(client);
    this.#deadlines.delete(client);
    this.#share.cancel(client);
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
    for (const client of this.#clients) {
      const bytes = client.link.queuedBytes;
      heaviestBytes = Math.max(heaviestBytes, bytes);
      if (bytes >= mostBytes) {
        this.holdBack(client);
      } else if (client.isHeldBack && bytes <= reliefBytes) {
        this.#relieve(client);
        isRelieved = true;
      }
    }
    this.elsewhere?.note(heaviestBytes);
    if (isRelieved) this.proceed();
    if (free < this.#reserveCount / 2) this.#makeRoom(2 * bufferSize);
    if (this.#congested.size > 0) this.#lookAgain();
  }

  /**
   * Called at intervals: cuts off clients that others have waited for too long, or that have not
   * taken their output in time.
   */
  check(): void {
    const nowMs = this.#clock();
    const dueMs = nowMs - this.#limits.stallMs;
    this.#checkDeadlines(nowMs);
    this.look();
    for (const [client, sinceMs] of this.#congested) {
      if (sinceMs <= dueMs) this.cutOff(client, this.#isTight);
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
  cutOff(client: PressedClient, atOnce: boolean): void {
    if (!client.isClosing) this.slowCount++;
    this.#relieve(client);
    client.tooSlow();
    if (atOnce) client.link.destroy();
    this.proceed();
  }

  /** Ends its timers and waits. */
  close(): void {
    clearTimeout(this.#looking);
    this.#closed.abort();
  }

  #checkDeadlines(nowMs: number): void {
    const { writeDeadlineMs = Infinity } = this.#limits;
    if (writeDeadlineMs === Infinity) return;
    for (const client of this.#clients) {
      if (client.isClosing || client.link.queuedBytes === 0) {
        this.#deadlines.delete(client);
        continue;
      }
      const deadline = this.#deadlines.get(client) ?? new OutputDeadline(writeDeadlineMs);
      this.#deadlines.set(client, deadline);
      if (deadline.isMissed(nowMs, client.link)) this.cutOff(client, false);
    }
  }

  /** Checks whether a buffer is free: reads from sockets take buffers as well, unnoticed here. */
  #probe(): void {
    const bufferId = this.#pool.tryAcquire();
    if (bufferId === NO_BUFFER) this.#awaitBuffer();
    else this.#pool.release(bufferId);
  }

  /** Cuts off the clients with most output, `bytesMin` or more, until the reserve is free again. */
  #makeRoom(bytesMin: number): void {
    const heaviest = [...this.#clients]
      .filter(({ link }) => link.queuedBytes >= bytesMin)
      .sort((a, b) => b.link.queuedBytes - a.link.queuedBytes);
    let freedCount = 0;
    for (const client of heaviest) {
      if (freedCount >= this.#reserveCount) return;
      const { queuedBytes } = client.link;
      // Other threads see the same shortage, and may have heavier clients.
      if (this.elsewhere?.isHeaviest(queuedBytes) === false) return;
      freedCount += Math.ceil(queuedBytes / this.#pool.bufferSize);
      this.cutOff(client, true);
    }
  }

  /** Units of work that may write this part of the pool. */
  #workUnits(part: number): number {
    return Math.ceil((this.#pool.bufferCount * this.#pool.bufferSize) / part / UNIT_BYTES);
  }

  #relieve(client: PressedClient): void {
    client.isHeldBack = false;
    this.#congested.delete(client);
    client.relieved();
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
