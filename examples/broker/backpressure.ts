// SPDX-License-Identifier: MIT
/**
 * Example broker: what happens when there is no room for output.
 *
 * A client whose link has too much waiting is *congested*: whoever wants to write to it is
 * *blocked*, that is, not read from, and TCP slows it down in turn. If the congestion does not pass
 * in time, the client is a slow consumer and is cut off. So it costs those who write to it
 * `stallMs`, and the time until the next `check`, at most.
 *
 * **Those who do not write to it** go on, because slow clients never get the whole pool: an eighth
 * of it is a *reserve*, and a client that has more waiting than a quarter of the bytes free beyond
 * the reserve is congested, too, as if its own limit were reached (its buffers may be filled by
 * half only, so that is up to half of the buffers). Many slow clients make that share small by
 * themselves: a hundred of them leave a hundredth of the rest free, and the reserve (dynamic
 * thresholds: A. K. Choudhury, E. L. Hahne, 1998). One buffer is anybody's at any time; the pool
 * has that many. What is waiting is looked at whenever some work has been done.
 *
 * With several executors, what one sends to another stands in one lane, in order: messages of
 * others behind a blocked one wait with it.
 *
 * **If the pool has no buffer left all the same**, for `stallMs`, then everybody who has more
 * waiting than the share is cut off at once, without time to read the rest; if that is nobody, as
 * many as give the reserve back, beginning with whoever has most waiting.
 */

import { type BufferPool, NO_BUFFER } from 'busbar/pool';
import { type FairShare, UNIT_BYTES } from './fair-share.ts';

/** Whoever may have to wait for room. */
export interface Waiter {
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
  /** It has more waiting than its share: nothing is to be written to it. Written here only. */
  isOverShare: boolean;
  cutOff(error: string): void;
}

/** What is known of other executors, whose clients use the same pool. */
export interface Elsewhere {
  /** Takes note of how many bytes wait for one client here, at most. */
  note(bytes: number): void;
  /** Whether no client of another executor has more waiting. */
  isHeaviest(bytes: number): boolean;
}

/** This part of the pool is for clients that take what they are sent. */
const RESERVE_PART = 8;
/**
 * What waits is looked at each time that so small a part of the pool may have been written: of one
 * that is half empty, and of one that is not.
 */
const LOOK_PART_EASY = 16;
const LOOK_PART = 128;
/** While somebody is over the share, it is looked at so often at least, in milliseconds. */
const LOOK_MS = 5;

export class Backpressure {
  readonly #pool: BufferPool;
  readonly #stallMs: number;
  readonly #participants: Iterable<Participant>;
  readonly #clock: () => number;
  readonly #share: FairShare;
  readonly #blocked: Set<Waiter> = new Set();
  /** Since when. */
  readonly #congested: Map<Participant, number> = new Map();
  /** Since when the pool has been exhausted; undefined: it is not. */
  #exhaustedSinceMs: number | undefined = undefined;
  readonly #closed: AbortController = new AbortController();

  readonly #reserveCount: number;
  /** How much may wait for one client. */
  #shareBytes: number = 0;
  #isTight: boolean = false;
  #looking: NodeJS.Timeout | undefined = undefined;

  slowConsumers: number = 0;
  elsewhere: Elsewhere | undefined = undefined;

  /** `participants`: all who may have something waiting. */
  constructor(
    pool: BufferPool,
    stallMs: number,
    participants: Iterable<Participant>,
    clock: () => number,
    share: FairShare,
  ) {
    this.#pool = pool;
    this.#stallMs = stallMs;
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

  /** Its writer said "not now", or it is over its share. */
  noRoom(consumer: Participant): void {
    if (consumer.link.writable && !consumer.isOverShare) {
      this.#awaitBuffer();
    } else if (!this.#congested.has(consumer)) {
      this.#congested.set(consumer, this.#clock());
    }
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
    // They share the work of a turn: there may be thousands.
    for (const waiter of this.#blocked) this.#share.queue(waiter);
    this.#blocked.clear();
  }

  /** Its output has gone down. */
  drained(consumer: Participant): void {
    this.#relieve(consumer);
    this.proceed();
  }

  /** It is gone, and so is its output. */
  forget(participant: Participant): void {
    this.#congested.delete(participant);
    this.#blocked.delete(participant);
    this.#share.cancel(participant);
    this.proceed();
  }

  /** Looks who has more waiting than the share. **Cost** the clients and the pool's buffers. */
  look(): void {
    const { bufferSize } = this.#pool;
    const { freeShared, freeCached } = this.#pool.stats();
    const room = freeShared + freeCached - this.#reserveCount;
    // A buffer may be filled by half only.
    const shareBytes = Math.max(bufferSize / 2, (room * bufferSize) / 4);
    this.#share.onWorkUnits = this.#workUnits(
      room > this.#pool.bufferCount / 2 ? LOOK_PART_EASY : LOOK_PART,
    );
    this.#shareBytes = shareBytes;
    this.#isTight = room <= 0;
    let overCount = 0;
    let isRelieved = false;
    for (const participant of this.#participants) {
      const bytes = participant.link.bufferedBytes;
      if (bytes > shareBytes) participant.isOverShare = true;
      if (!participant.isOverShare) continue;
      if (bytes > shareBytes / 2) {
        overCount++;
        if (!this.#congested.has(participant)) this.#congested.set(participant, this.#clock());
      } else {
        this.#relieve(participant);
        isRelieved = true;
      }
    }
    if (isRelieved) this.proceed();
    if (overCount > 0) this.#lookAgain();
  }

  /** Called every now and then: cuts off whom the others have waited for too long. */
  check(): void {
    const dueMs = this.#clock() - this.#stallMs;
    this.look();
    for (const [consumer, sinceMs] of this.#congested) {
      if (sinceMs <= dueMs) this.#cutOff(consumer, this.#isTight);
    }
    this.elsewhere?.note(this.#heaviest()?.link.bufferedBytes ?? 0);
    if (this.#exhaustedSinceMs === undefined) {
      this.#probe();
    } else if (this.#exhaustedSinceMs <= dueMs) {
      this.#exhaustedSinceMs = this.#clock();
      this.#makeRoom();
    }
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

  /** Cuts off all at once who keep the pool from everybody. */
  #makeRoom(): void {
    let freedCount = 0;
    for (const participant of [...this.#participants]) {
      if (participant.link.bufferedBytes <= this.#shareBytes) continue;
      freedCount += this.#buffersOf(participant);
      this.#cutOff(participant, true);
    }
    if (freedCount > 0) return;
    const heaviest = [...this.#participants]
      .filter(({ link }) => link.bufferedBytes > 0)
      .sort((a, b) => b.link.bufferedBytes - a.link.bufferedBytes);
    for (const participant of heaviest) {
      if (freedCount >= this.#reserveCount) return;
      // Other executors see the same, and may have heavier ones.
      if (this.elsewhere?.isHeaviest(participant.link.bufferedBytes) === false) return;
      freedCount += this.#buffersOf(participant);
      this.#cutOff(participant, true);
    }
  }

  /** How much work may write such a part of the pool. */
  #workUnits(part: number): number {
    return Math.ceil((this.#pool.bufferCount * this.#pool.bufferSize) / part / UNIT_BYTES);
  }

  #buffersOf(participant: Participant): number {
    return Math.ceil(participant.link.bufferedBytes / this.#pool.bufferSize);
  }

  #heaviest(): Participant | undefined {
    let heaviest: Participant | undefined;
    for (const candidate of this.#participants) {
      const bytes = heaviest?.link.bufferedBytes ?? 0;
      if (candidate.link.bufferedBytes > bytes) heaviest = candidate;
    }
    return heaviest;
  }

  /** `atOnce`: what waits for it is needed by others, and it gets no time to read it. */
  #cutOff(consumer: Participant, atOnce: boolean): void {
    if (!consumer.isClosing) this.slowConsumers++;
    this.#congested.delete(consumer);
    consumer.cutOff('Slow Consumer');
    if (atOnce) consumer.link.destroy();
    this.proceed();
  }

  #relieve(consumer: Participant): void {
    consumer.isOverShare = false;
    this.#congested.delete(consumer);
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
