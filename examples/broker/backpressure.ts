// SPDX-License-Identifier: MIT
/**
 * Example broker: what happens when there is no room for output.
 *
 * A client whose link has too much waiting is *congested*: whoever wants to write to it is
 * *blocked*, that is, not read from, and TCP slows it down in turn. If the congestion does not pass
 * in time, the client is a slow consumer and is cut off, so that it costs the others `stallMs` at
 * most. The same if the pool has no buffer left: then whoever has most waiting is cut off.
 */

import { type BufferPool, NO_BUFFER } from 'busbar/pool';

/** Whoever may have to wait for room. */
export interface Waiter {
  /** There may be room again. */
  proceed(): void;
}

/** What a connection looks like from here. */
export interface Participant extends Waiter {
  readonly link: { readonly writable: boolean; readonly bufferedBytes: number };
  cutOff(error: string): void;
}

/** What is known of other executors, whose clients use the same pool. */
export interface Elsewhere {
  /** Takes note of how many bytes wait for one client here, at most. */
  note(bytes: number): void;
  /** Whether no client of another executor has more waiting. */
  isHeaviest(bytes: number): boolean;
}

export class Backpressure {
  readonly #pool: BufferPool;
  readonly #stallMs: number;
  readonly #participants: Iterable<Participant>;
  readonly #clock: () => number;
  readonly #blocked: Set<Waiter> = new Set();
  /** Since when. */
  readonly #congested: Map<Participant, number> = new Map();
  /** Since when the pool has been exhausted; undefined: it is not. */
  #exhaustedSinceMs: number | undefined = undefined;
  readonly #closed: AbortController = new AbortController();
  slowConsumers: number = 0;
  elsewhere: Elsewhere | undefined = undefined;

  /** `participants`: among whom to look for the one to be cut off when the pool is exhausted. */
  constructor(
    pool: BufferPool,
    stallMs: number,
    participants: Iterable<Participant>,
    clock: () => number,
  ) {
    this.#pool = pool;
    this.#stallMs = stallMs;
    this.#participants = participants;
    this.#clock = clock;
  }

  /** How many wait for room. */
  get blockedCount(): number {
    return this.#blocked.size;
  }

  /** Its writer said "not now". */
  noRoom(consumer: Participant): void {
    if (consumer.link.writable) {
      this.#awaitBuffer();
    } else if (!this.#congested.has(consumer)) {
      this.#congested.set(consumer, this.#clock());
    }
  }

  /** It cannot go on before there is room. */
  block(waiter: Waiter): void {
    this.#blocked.add(waiter);
  }

  /** There is no buffer, for something that is not a client's output. `waiter` is blocked. */
  noBuffer(waiter: Waiter): void {
    this.block(waiter);
    this.#awaitBuffer();
  }

  /** There may be room again, for anybody. */
  proceed(): void {
    this.#proceed();
  }

  /** Its output has gone down. */
  drained(consumer: Participant): void {
    this.#congested.delete(consumer);
    this.#proceed();
  }

  /** It is gone, and so is its output. */
  forget(participant: Participant): void {
    this.#congested.delete(participant);
    this.#blocked.delete(participant);
    this.#proceed();
  }

  /** Called every now and then: cuts off whom the others have waited for too long. */
  check(): void {
    const dueMs = this.#clock() - this.#stallMs;
    for (const [consumer, sinceMs] of this.#congested) {
      if (sinceMs <= dueMs) this.#cutOff(consumer);
    }
    const { elsewhere } = this;
    const largest = this.#largest();
    const bytes = largest?.link.bufferedBytes ?? 0;
    elsewhere?.note(bytes);
    if (this.#exhaustedSinceMs === undefined) {
      this.#probe();
    } else if (this.#exhaustedSinceMs <= dueMs) {
      this.#exhaustedSinceMs = this.#clock();
      if (largest !== undefined && elsewhere?.isHeaviest(bytes) !== false) this.#cutOff(largest);
    }
  }

  close(): void {
    this.#closed.abort();
  }

  /** Looks whether there is a buffer: who reads from sockets needs them, too, and does not tell. */
  #probe(): void {
    const bufferId = this.#pool.tryAcquire();
    if (bufferId === NO_BUFFER) this.#awaitBuffer();
    else this.#pool.release(bufferId);
  }

  #largest(): Participant | undefined {
    let largest: Participant | undefined;
    for (const candidate of this.#participants) {
      const bytes = largest?.link.bufferedBytes ?? 0;
      if (candidate.link.bufferedBytes > bytes) largest = candidate;
    }
    return largest;
  }

  #cutOff(consumer: Participant): void {
    this.slowConsumers++;
    this.#congested.delete(consumer);
    consumer.cutOff('Slow Consumer');
    this.#proceed();
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
        setImmediate(() => this.#proceed());
      },
      () => {
        this.#exhaustedSinceMs = undefined;
      },
    );
  }

  #proceed(): void {
    if (this.#blocked.size === 0) return;
    const blocked = [...this.#blocked];
    this.#blocked.clear();
    for (const waiter of blocked) waiter.proceed();
  }
}
