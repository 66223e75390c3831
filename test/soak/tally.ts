// SPDX-License-Identifier: MIT
/** Soak: counts, errors and latencies of one load. */

import { sharedNowMs } from '../../bench/broker/shared-clock.ts';
import { Histogram } from '../../bench/histogram.ts';
import type { MessageMemory } from './message.ts';

/** One message in this many is timed: reading the clock costs as much as a small message. */
const TIMED_EVERY = 16;
const US_PER_MS = 1000;

/** Microseconds, within 1 %. */
export interface Latency {
  readonly p50: number;
  readonly p99: number;
  readonly p999: number;
  readonly max: number;
}

/** What a load has done in one minute. */
export interface LoadMinute {
  readonly messages: number;
  /** Datagrams that did not come. */
  readonly lost: number;
  readonly wrong: number;
  /** Undefined: nothing was timed. */
  readonly latencyUs?: Latency;
}

export class Tally {
  readonly name: string;
  messages: number = 0;
  lost: number = 0;
  wrong: number = 0;
  /** What was wrong first. */
  complaint: string | undefined = undefined;
  /** Of microseconds. */
  readonly #latencies: Histogram = new Histogram();
  #taken: Pick<LoadMinute, 'messages' | 'lost' | 'wrong'> = { messages: 0, lost: 0, wrong: 0 };

  constructor(name: string) {
    this.name = name;
  }

  complain(what: string): void {
    this.wrong++;
    this.complaint ??= what;
  }

  /** Something sent at that time has arrived. */
  time(sentMs: number): void {
    this.#latencies.record((sharedNowMs() - sentMs) * US_PER_MS);
  }

  /** What came since the last time. */
  takeMinute(): LoadMinute {
    const { messages, lost, wrong } = this;
    const minute = {
      messages: messages - this.#taken.messages,
      lost: lost - this.#taken.lost,
      wrong: wrong - this.#taken.wrong,
    };
    this.#taken = { messages, lost, wrong };
    const latencies = this.#latencies;
    if (latencies.total === 0) return minute;
    const latencyUs = {
      p50: latencies.quantile(0.5),
      p99: latencies.quantile(0.99),
      p999: latencies.quantile(0.999),
      max: latencies.quantile(1),
    };
    latencies.reset();
    return { ...minute, latencyUs };
  }
}

/** Checks what arrives on one stream: every message, in order, unaltered. */
export class Sequence {
  readonly #tally: Tally;
  readonly #memory: MessageMemory;
  readonly #stream: number;
  /** The number that should come next: as many have come, unless some were lost. */
  next: number = 0;

  constructor(tally: Tally, memory: MessageMemory, stream: number) {
    this.#tally = tally;
    this.#memory = memory;
    this.#stream = stream;
  }

  take(offset: number, length: number, memory: MessageMemory = this.#memory): void {
    if (!this.#isRight(memory, offset, length)) return;
    const number = memory.numberAt(offset);
    if (number !== this.next) this.#complain(`${number} came instead of ${this.next}`);
    this.next = number + 1;
  }

  /** The same for datagrams, which may be lost, and may overtake one another. */
  takeDatagram(offset: number, length: number): void {
    if (!this.#isRight(this.#memory, offset, length)) return;
    const number = this.#memory.numberAt(offset);
    if (number < this.next) {
      this.#tally.lost--;
      return;
    }
    this.#tally.lost += number - this.next;
    this.next = number + 1;
  }

  #isRight(memory: MessageMemory, offset: number, length: number): boolean {
    if (!memory.isRight(offset, length) || memory.streamAt(offset) !== this.#stream) {
      this.#complain(`a message of ${length} bytes about number ${this.next} is altered`);
      return false;
    }
    this.#tally.messages++;
    if (memory.numberAt(offset) % TIMED_EVERY === 0) this.#tally.time(memory.sentMsAt(offset));
    return true;
  }

  #complain(what: string): void {
    this.#tally.complain(`stream ${this.#stream}: ${what}`);
  }
}
