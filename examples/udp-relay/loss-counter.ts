// SPDX-License-Identifier: MIT
/** Example udp-relay: counts lost, late and repeated messages of one source by their numbers. */

/** How many of the last numbers are remembered. */
export const WINDOW = 1024;

/** Counts of messages, of one source or of all. */
export interface LossCounts {
  /** Messages that came, repetitions included. */
  readonly received: number;
  /** Messages that should have come by now, and did not. */
  readonly lost: number;
  /** Messages that came again. */
  readonly duplicates: number;
  /** Messages that came after a later one. */
  readonly reordered: number;
  /** Messages that came more than WINDOW after a later one: new or repeated, that is unknown. */
  readonly late: number;
}

/**
 * Counts the messages of one source. Always: expected = received − duplicates − late + lost.
 *
 * Numbers wrap at 2³². A source whose first message has a number below WINDOW is taken to have
 * started while the counter ran, from 0 on.
 */
export class LossCounter implements LossCounts {
  received: number = 0;
  duplicates: number = 0;
  reordered: number = 0;
  late: number = 0;
  /** How many messages there should be up to the highest known number. */
  expected: number = 0;
  /** One above the highest. */
  #next: number = 0;
  #hasBegun: boolean = false;
  /** A bit for each of the last WINDOW numbers. */
  readonly #seen: Int32Array = new Int32Array(WINDOW / 32);

  get lost(): number {
    return this.expected - (this.received - this.duplicates - this.late);
  }

  /** A message came. */
  accept(sequence: number): void {
    if (!this.#hasBegun) this.#begin(sequence);
    this.received++;
    const ahead = (sequence - this.#next) | 0;
    if (ahead >= 0) {
      this.#advance(ahead + 1);
      this.#mark(sequence);
    } else if (ahead < -WINDOW) {
      this.late++;
    } else if (!this.#mark(sequence)) {
      this.duplicates++;
    } else {
      this.reordered++;
    }
  }

  /** The source reports how many it has sent. */
  announce(count: number): void {
    if (!this.#hasBegun) this.#begin(count);
    const ahead = (count - this.#next) | 0;
    if (ahead > 0) this.#advance(ahead);
  }

  #begin(sequence: number): void {
    this.#hasBegun = true;
    this.#next = sequence >>> 0 < WINDOW ? 0 : sequence | 0;
  }

  /** Expects more messages, none of which has come. */
  #advance(count: number): void {
    this.expected += count;
    if (count >= WINDOW) this.#seen.fill(0);
    else for (let i = 0; i < count; i++) this.#clear(this.#next + i);
    this.#next = (this.#next + count) | 0;
  }

  #clear(sequence: number): void {
    this.#seen[(sequence & (WINDOW - 1)) >>> 5] &= ~(1 << (sequence & 31));
  }

  /** Marks a number as received. Returns false if it was marked already. */
  #mark(sequence: number): boolean {
    const word = (sequence & (WINDOW - 1)) >>> 5;
    const bit = 1 << (sequence & 31);
    if ((this.#seen[word] & bit) !== 0) return false;
    this.#seen[word] |= bit;
    return true;
  }
}
