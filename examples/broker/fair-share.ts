// SPDX-License-Identifier: MIT
/**
 * Example broker: nobody keeps the others waiting by having a lot to do.
 *
 * Whoever has something done (a client whose bytes arrived, a lane from another executor) has a
 * *quantum* of work for it, and when two have been spent in one turn of the event loop, a small
 * part of one. When that is spent, also in the middle of a message for 50 000 subscribers, it stops
 * where it is and queues up; all who queue share two quanta in each turn, in equal parts, and first
 * come, first served when there are more than a hundred. A lane carries the work of many, and has a
 * quantum in each turn. So a turn takes a few quanta, however many clients have much to do, and who
 * has little to do is served in it.
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
/** For all who queue, in one turn; and for all who come without queueing. */
const TURN_UNITS = 2 * QUANTUM_UNITS;
/** For each who comes when they are spent: about 25 µs. */
const SMALL_UNITS = 512;
/** Whoever is let on has done this much at least. */
const TURN_UNITS_MIN = 32;
/** Bytes that are copied in one unit. */
const UNIT_BYTES_LOG2 = 8;
export const UNIT_BYTES: number = 1 << UNIT_BYTES_LOG2;
/** To subscribe or to unsubscribe, and to tell other executors: about 4 µs. */
export const CHANGE_UNITS = 80;
/**
 * For the regions that come in lanes, in one turn. What takes longer queues up: the executor's loop
 * takes fewer regions in a turn, down to a single one, when a slice of it takes 0.2 ms.
 */
const ARRIVAL_UNITS = 128;
/** Who has done no more than so much has little to do: some messages, or 16 KiB. */
const LIGHT_UNITS = 64;
/** Bytes of a line that are looked at, once or twice, and copied in one unit. */
const LINE_BYTES_LOG2 = 5;

/** What it takes to deliver a message of so many bytes once. */
export function deliveryUnits(bytes: number): number {
  return 1 + (bytes >>> UNIT_BYTES_LOG2);
}

/** What it takes to look at a line of so many bytes. */
export function lineUnits(bytes: number): number {
  return 1 + (bytes >>> LINE_BYTES_LOG2);
}

export class FairShare {
  /** What is left of the quantum. Whoever works takes it down, if need be below 0. */
  units: number = QUANTUM_UNITS;
  /** What it was. */
  #granted: number = QUANTUM_UNITS;
  /** What is left of this turn for those who come without queueing. */
  #turnUnits: number = TURN_UNITS;
  /** Called when so much work has been done, by all together, since it was called last. */
  onWork: () => void = () => {};
  onWorkUnits: number = Number.POSITIVE_INFINITY;
  #worked: number = 0;
  /** What is left of this turn for what arrives in lanes; and whether that is at work. */
  #arrivalUnits: number = ARRIVAL_UNITS;
  #isArrival: boolean = false;
  readonly #schedule: (run: () => void) => void;
  readonly #queue: Set<Waiter> = new Set();
  readonly #lanes: Set<Waiter> = new Set();
  #isScheduled: boolean = false;
  /** One that queued is at work, with its part. */
  #isServing: boolean = false;
  readonly #runTurn = (): void => this.#run();

  /** `schedule` runs something after what has arrived meanwhile; for tests. */
  constructor(schedule: (run: () => void) => void = setImmediate) {
    this.#schedule = schedule;
  }

  /** How many queue up. */
  get queueLength(): number {
    return this.#queue.size + this.#lanes.size;
  }

  /** A client begins: with the part that it queued for, or else with what this turn has for it. */
  begin(): void {
    if (this.#isServing) return;
    this.#account();
    this.#grant(Math.max(SMALL_UNITS, Math.min(QUANTUM_UNITS, this.#turnUnits)));
    this.#scheduleTurn();
  }

  /** A lane begins with what has just arrived, unless others have had the time for that. */
  beginArrival(): void {
    this.#account();
    this.#grant(Math.max(0, this.#arrivalUnits));
    this.#isArrival = true;
    this.#scheduleTurn();
  }

  /** Whether whoever works must stop and queue up. */
  get isSpent(): boolean {
    return this.units <= 0;
  }

  /** Whether whoever has worked should let the others come first, before it is read from again. */
  get isTired(): boolean {
    return this.#granted - this.units > TIRED_UNITS;
  }

  /** Whether whoever works has not done much yet. */
  get isLight(): boolean {
    return this.#granted - this.units <= LIGHT_UNITS;
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
    if (waiter.carriesMany === true) this.#lanes.add(waiter);
    else this.#queue.add(waiter);
    this.#scheduleTurn();
  }

  /** It does not want to go on any more. */
  cancel(waiter: Waiter): void {
    this.#queue.delete(waiter);
    this.#lanes.delete(waiter);
  }

  #account(): void {
    const worked = this.#granted - this.units;
    this.#turnUnits -= worked;
    if (this.#isArrival) this.#arrivalUnits -= worked;
    this.#isArrival = false;
    this.#worked += worked;
    this.#granted = 0;
    this.units = 0;
    if (this.#worked < this.onWorkUnits) return;
    this.#worked = 0;
    this.onWork();
  }

  #grant(units: number): void {
    this.#granted = units;
    this.units = units;
  }

  #scheduleTurn(): void {
    if (this.#isScheduled) return;
    this.#isScheduled = true;
    this.#schedule(this.#runTurn);
  }

  /** At the end of a turn: those who queue. */
  #run(): void {
    this.#isScheduled = false;
    let lanes = this.#lanes.size;
    for (const lane of this.#lanes) {
      if (lanes-- === 0) break;
      this.#lanes.delete(lane);
      this.#account();
      this.#grant(QUANTUM_UNITS);
      lane.proceed();
    }
    let rest = TURN_UNITS;
    // All who queue have a part of each turn, not only the first two.
    const slice = Math.max(SMALL_UNITS, Math.min(QUANTUM_UNITS, TURN_UNITS / this.#queue.size));
    // Who queues up again does so behind all others, for another turn.
    let count = this.#queue.size;
    for (const waiter of this.#queue) {
      if (count-- === 0 || rest <= 0) break;
      this.#queue.delete(waiter);
      this.#account();
      this.#grant(Math.ceil(slice));
      this.#isServing = true;
      try {
        waiter.proceed();
      } finally {
        this.#isServing = false;
      }
      rest -= Math.max(TURN_UNITS_MIN, this.#granted - this.units);
    }
    this.#account();
    this.#turnUnits = TURN_UNITS;
    this.#arrivalUnits = ARRIVAL_UNITS;
    if (this.queueLength > 0) this.#scheduleTurn();
  }
}
