// SPDX-License-Identifier: MIT
/**
 * Example broker: what happens when there is no room for output.
 *
 * A client for which more waits than may is *held back*: whoever of this executor wants to write to
 * it is *blocked*, that is, not read from, and TCP slows it down in turn. If that does not pass in
 * time, the client is a slow consumer and is cut off. So it costs those who write to it `stallMs`,
 * and the time until the next `check`, at most.
 *
 * **How much may wait.** At most `maxPendingBytes`, and less when many clients are slow, because
 * they never get the whole pool: an eighth of it is a *reserve*, and each client may have no more
 * waiting than a quarter of the bytes free beyond the reserve (its buffers may be filled by half
 * only, so that is up to half of the buffers). Many slow clients make that share small by
 * themselves: a hundred of them leave a hundredth of the rest free (dynamic thresholds: A. K.
 * Choudhury, E. L. Hahne, 1998). What is waiting is looked at whenever some work has been done.
 *
 * **Messages of other executors** do not wait for a client that is held back: behind them, in the
 * same lane, are messages for everybody. They are written all the same, from the reserve, and their
 * publishers are told to wait where they are: see "stalled" in `mesh.ts`. A client that has more
 * waiting than `maxPendingBytes` and all that could be on its way then is cut off at once.
 *
 * **If half of the reserve is gone**, those who have most waiting are cut off at once, without time
 * to read the rest, until it is there again. **If the pool has no buffer left all the same**, for
 * `stallMs`, the same happens, with however little they have.
 */

import { type BufferPool, NO_BUFFER } from 'busbar/pool';
import { type FairShare, UNIT_BYTES } from './fair-share.ts';

/** Whoever may have to wait for room. */
export interface Waiter {
  /** It is a lane, with messages of many clients. */
  readonly carriesMany?: boolean;
  /** There may be room again. */
  proceed(): void;
}

/** What a connection looks like from here. */
export interface Participant extends Waiter {
  readonly link: {
    readonly writable: boolean;
    readonly bufferedBytes: number;
    destroy(): void;
  };
  readonly isClosing: boolean;
  /** More waits for it than may: who has time waits with more. Written here only. */
  isHeldBack: boolean;
  /** It is held back no more, or leaves: nobody waits on its account. */
  relieved(): void;
  cutOff(error: string): void;
}

/** What is known of other executors, whose clients use the same pool. */
export interface Elsewhere {
  /** Takes note of how many bytes wait for one client here, at most. */
  note(bytes: number): void;
  /** Whether no client of another executor has more waiting. */
  isHeaviest(bytes: number): boolean;
}

/** How much may wait, and for how long. */
export interface BackpressureLimits {
  readonly maxPendingBytes: number;
  readonly stallMs: number;
}

/** This part of the pool is for clients that take what they are sent. */
const RESERVE_PART = 8;
/** Who is held back goes on when so much less waits: what a second should suffice to read. */
const RELIEF_BYTES_MAX = 8 * 1024 * 1024;
/**
 * What waits is looked at each time that so small a part of the pool may have been written: of one
 * that is half empty, and of one that is not.
 */
const LOOK_PART_EASY = 16;
const LOOK_PART = 128;
/** While somebody is held back, it is looked at so often at least, in milliseconds. */
const LOOK_MS = 5;

export class Backpressure {
  readonly #pool: BufferPool;
  readonly #limits: BackpressureLimits;
  readonly #participants: Iterable<Participant>;
  readonly #clock: () => number;
  readonly #share: FairShare;
  readonly #blocked: Set<Waiter> = new Set();
  /** Who is held back, or whose link takes no more; since when. */
  readonly #congested: Map<Participant, number> = new Map();
  /** Since when the pool has been exhausted; undefined: it is not. */
  #exhaustedSinceMs: number | undefined = undefined;
  readonly #closed: AbortController = new AbortController();

  readonly #reserveCount: number;
  /** The reserve is in use. */
  #isTight: boolean = false;
  #looking: NodeJS.Timeout | undefined = undefined;

  slowConsumers: number = 0;
  elsewhere: Elsewhere | undefined = undefined;

  /** `participants`: all who may have something waiting. */
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

  /** How many wait, for room or for their turn. */
  get blockedCount(): number {
    return this.#blocked.size + this.#share.queueLength;
  }

  /** So much waits for it that nobody should add to it. */
  holdBack(consumer: Participant): void {
    consumer.isHeldBack = true;
    if (!this.#congested.has(consumer)) this.#congested.set(consumer, this.#clock());
    this.#lookAgain();
  }

  /** Its writer said "not now". */
  noRoom(consumer: Participant): void {
    if (consumer.link.writable) this.#awaitBuffer();
    else this.holdBack(consumer);
  }

  /** It cannot go on before there is room, or before it is its turn. */
  block(waiter: Waiter): void {
    if (this.#share.isSpent) this.#share.queue(waiter);
    else this.#blocked.add(waiter);
  }

  /** There is no buffer, for something that is not a client's output. `waiter` is blocked. */
  noBuffer(waiter: Waiter): void {
    this.#blocked.add(waiter);
    this.#awaitBuffer();
  }

  /** There may be room again, for anybody. */
  proceed(): void {
    // They share the work of a turn: there may be thousands. The first comes last: it may take all
    // the room that there is, and next time another one is to be the first.
    let first: Waiter | undefined;
    for (const waiter of this.#blocked) {
      if (first === undefined) first = waiter;
      else this.#share.queue(waiter);
    }
    if (first !== undefined) this.#share.queue(first);
    this.#blocked.clear();
  }

  /** Its output has gone down. */
  drained(consumer: Participant): void {
    this.#relieve(consumer);
    this.proceed();
  }

  /** It is gone, and so is its output. */
  forget(participant: Participant): void {
    this.#relieve(participant);
    this.#blocked.delete(participant);
    this.#share.cancel(participant);
    this.proceed();
  }

  /**
   * Looks who has more waiting than may, and who no more. **Cost** the clients and the pool's
   * buffers.
   */
  look(): void {
    const { bufferSize, bufferCount } = this.#pool;
    const { freeShared, freeCached } = this.#pool.stats();
    const free = freeShared + freeCached;
    const room = free - this.#reserveCount;
    this.#share.onWorkUnits = this.#workUnits(room > bufferCount / 2 ? LOOK_PART_EASY : LOOK_PART);
    this.#isTight = room <= 0;
    // A buffer may be filled by half only.
    const shareBytes = Math.max(bufferSize / 2, (room * bufferSize) / 4);
    const mostBytes = Math.min(shareBytes, this.#limits.maxPendingBytes);
    const reliefBytes = mostBytes - Math.min(mostBytes / 2, RELIEF_BYTES_MAX);
    let heaviestBytes = 0;
    let isRelieved = false;
    for (const participant of this.#participants) {
      const bytes = participant.link.bufferedBytes;
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

  /** Called every now and then: cuts off whom the others have waited for too long. */
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
   * The client is too slow. `atOnce`: what waits for it is needed by others, and it gets no time to
   * read it.
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

  /** Looks whether there is a buffer: who reads from sockets needs them, too, and does not tell. */
  #probe(): void {
    const bufferId = this.#pool.tryAcquire();
    if (bufferId === NO_BUFFER) this.#awaitBuffer();
    else this.#pool.release(bufferId);
  }

  /** Cuts off who has most waiting, `bytesMin` or more, until the reserve is there again. */
  #makeRoom(bytesMin: number): void {
    const heaviest = [...this.#participants]
      .filter(({ link }) => link.bufferedBytes >= bytesMin)
      .sort((a, b) => b.link.bufferedBytes - a.link.bufferedBytes);
    let freedCount = 0;
    for (const participant of heaviest) {
      if (freedCount >= this.#reserveCount) return;
      const { bufferedBytes } = participant.link;
      // Other executors see the same, and may have heavier ones.
      if (this.elsewhere?.isHeaviest(bufferedBytes) === false) return;
      freedCount += Math.ceil(bufferedBytes / this.#pool.bufferSize);
      this.cutOff(participant, true);
    }
  }

  /** How much work may write such a part of the pool. */
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
   * Waits in the pool's queue for a buffer, gives it back at once, and lets the blocked try again.
   */
  #awaitBuffer(): void {
    if (this.#exhaustedSinceMs !== undefined || this.#closed.signal.aborted) return;
    this.#exhaustedSinceMs = this.#clock();
    this.#pool.acquire({ signal: this.#closed.signal }).then(
      (bufferId) => {
        this.#pool.release(bufferId);
        this.#exhaustedSinceMs = undefined;
        // A lane that was full with the pool half empty needs the turn to end, too.
        setImmediate(() => this.proceed());
      },
      () => {
        this.#exhaustedSinceMs = undefined;
      },
    );
    this.look();
  }
}
