// SPDX-License-Identifier: MIT
/**
 * Example broker: nobody keeps the others waiting by having a lot to do.
 *
 * Whoever has something done (a client whose bytes arrived, a lane from another executor) has a
 * *quantum* of work for it. When that is spent, also in the middle of a message for 50 000
 * subscribers, it stops where it is and queues up; all who queue share two quanta in each turn of
 * the event loop, first come, first served. Between turns everybody else is served.
 *
 * Work is counted, not timed: one *unit* is about 50 ns, the delivery of a small message.
 */

import type { Waiter } from './backpressure.ts';

/** About 1.6 ms. */
export const QUANTUM_UNITS: number = 32 * 1024;
/**
 * Who has used so much queues up, too, even if it has nothing left to do: a socket that has more
 * may be read dozens of times in one turn.
 */
const TIRED_UNITS: number = QUANTUM_UNITS / 4;
/** For all who queue, in one turn. */
const TURN_UNITS = 2 * QUANTUM_UNITS;
/** Whoever is let on has done this much at least. */
const TURN_UNITS_MIN = 32;
/** Bytes that are copied in one unit. */
const UNIT_BYTES_LOG2 = 8;
export const UNIT_BYTES: number = 1 << UNIT_BYTES_LOG2;
/** To subscribe or to unsubscribe: about 2 µs. */
export const CHANGE_UNITS = 40;

/** What it takes to deliver a message of so many bytes once. */
export function deliveryUnits(bytes: number): number {
  return 1 + (bytes >>> UNIT_BYTES_LOG2);
}

export class FairShare {
  /** What is left of the quantum. Whoever works takes it down, if need be below 0. */
  units: number = QUANTUM_UNITS;
  /** Called when so much work has been done, by all together, since it was called last. */
  onWork: () => void = () => {};
  onWorkUnits: number = Number.POSITIVE_INFINITY;
  #worked: number = 0;
  readonly #schedule: (run: () => void) => void;
  readonly #queue: Set<Waiter> = new Set();
  #isScheduled: boolean = false;
  readonly #runTurn = (): void => this.#run();

  /** `schedule` runs something after what has arrived meanwhile; for tests. */
  constructor(schedule: (run: () => void) => void = setImmediate) {
    this.#schedule = schedule;
  }

  /** How many queue up. */
  get queueLength(): number {
    return this.#queue.size;
  }

  /** Somebody begins, with a full quantum. */
  begin(): void {
    this.#worked += QUANTUM_UNITS - this.units;
    this.units = QUANTUM_UNITS;
    if (this.#worked < this.onWorkUnits) return;
    this.#worked = 0;
    this.onWork();
  }

  /** Whether whoever works must stop and queue up. */
  get isSpent(): boolean {
    return this.units <= 0;
  }

  /** Whether whoever has worked should let the others come first, before it is read from again. */
  get isTired(): boolean {
    return this.units < QUANTUM_UNITS - TIRED_UNITS;
  }

  /** Whether there is something left, of which one unit is taken. */
  tryStep(): boolean {
    if (this.units <= 0) return false;
    this.units--;
    return true;
  }

  /** How often something that takes so many units may be done, the last time in part on credit. */
  countOf(units: number): number {
    return Math.max(0, Math.ceil(this.units / units));
  }

  /** Queues up: `proceed` is called when it is its turn, in another turn of the event loop. */
  queue(waiter: Waiter): void {
    this.#queue.add(waiter);
    if (this.#isScheduled) return;
    this.#isScheduled = true;
    this.#schedule(this.#runTurn);
  }

  /** It does not want to go on any more. */
  cancel(waiter: Waiter): void {
    this.#queue.delete(waiter);
  }

  #run(): void {
    this.#isScheduled = false;
    let rest = TURN_UNITS;
    // Who queues up again does so behind all others, for another turn.
    let count = this.#queue.size;
    for (const waiter of this.#queue) {
      if (count-- === 0 || rest <= 0) break;
      this.#queue.delete(waiter);
      this.begin();
      waiter.proceed();
      rest -= Math.max(TURN_UNITS_MIN, QUANTUM_UNITS - this.units);
    }
    if (this.#queue.size > 0 && !this.#isScheduled) {
      this.#isScheduled = true;
      this.#schedule(this.#runTurn);
    }
  }
}
