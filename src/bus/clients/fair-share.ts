// SPDX-License-Identifier: MIT
/** Fair scheduling of the clients of a server on one event loop. */

import { assert } from '../../base/assert.ts';
import { checkFunction } from '../../base/check.ts';

/** Who waits for a share of work, or for room: a client, or a lane from another thread. */
export interface Waiter {
  /** True for a lane, which has messages of many clients. */
  readonly carriesMany?: boolean;
  /** Called when it may go on; it may have to wait again. */
  proceed(): void;
}

/** Work of one worker at most, and what it gets if nothing else is to be done: about 1.6 ms. */
export const QUANTUM_UNITS: number = 32 * 1024;
/**
 * A worker that has used this much queues even if it has nothing left to do: otherwise its socket
 * may be read dozens of times in one turn.
 */
const TIRED_UNITS: number = QUANTUM_UNITS / 4;
/** Units of one turn for all queued workers; and as many for all others. */
const TURN_UNITS = 2 * QUANTUM_UNITS;
/** Units of each further worker when those are spent: about 25 µs. */
const SMALL_UNITS = 512;
/** Units counted at least for each worker. */
const TURN_UNITS_MIN = 32;
/** Bytes that are copied in one unit. */
const UNIT_BYTES_LOG2 = 8;
export const UNIT_BYTES: number = 1 << UNIT_BYTES_LOG2;
/** Units to subscribe or unsubscribe, and to tell peers: about 4 µs. */
export const CHANGE_UNITS = 80;
/**
 * Units of one turn for regions from lanes. Further work queues: an executor's loop takes fewer
 * regions in a turn, down to a single one, if a slice of it takes 0.2 ms.
 */
const ARRIVAL_UNITS = 128;
/** Work up to which a worker counts as light: some messages, or 16 KiB. */
const LIGHT_UNITS = 64;
/** Bytes of a line that are read, once or twice, and copied in one unit. */
const LINE_BYTES_LOG2 = 5;

/** Whose work the units are for: a client's, whose bytes have arrived, or no worker's. */
const CLIENT = 0;
/** A lane's, whose regions have arrived: {@link ARRIVAL_UNITS} bound it, too. */
const ARRIVAL = 1;
/** A queued client's: it has its part, and nothing that it calls gives it another. */
const QUEUED = 2;

/** Units to deliver a message of this many bytes once. */
export function deliveryUnits(bytes: number): number {
  return 1 + (bytes >>> UNIT_BYTES_LOG2);
}

/** Units to read a line of this many bytes. */
export function lineUnits(bytes: number): number {
  return 1 + (bytes >>> LINE_BYTES_LOG2);
}

/**
 * Divides the turns of an event loop among workers, so that a client with much work does not delay
 * the others. A worker counts {@link units} down, stops when they are spent, and calls
 * {@link queue}.
 *
 * A worker (a client whose bytes arrived, or a lane from another thread) gets a *quantum* of work;
 * once two quanta have been spent in one turn of the event loop, it gets only a small part. When
 * that is spent, even in the middle of a message for 50 000 subscribers, the worker stops and
 * queues. All queued workers share two quanta in each turn, in equal parts; first come, first
 * served if there are more than a hundred. A lane, which carries the work of many clients, gets a
 * quantum in each turn. So a turn takes a few quanta, however many clients have much work, and
 * clients with little work are served in it.
 *
 * Work is counted, not timed: one *unit* is about 50 ns, the delivery of a small message.
 *
 * **Threads** one object for each thread.
 * **Cost** a few additions for each worker that begins; one call of `setImmediate` for each turn.
 */
export class FairShare {
  /** The rest of the quantum. The worker decreases it, below 0 if necessary. */
  units: number = QUANTUM_UNITS;
  /** The units granted at its beginning. */
  #granted: number = QUANTUM_UNITS;
  /** The rest of this turn for workers that did not queue. */
  #turnUnits: number = TURN_UNITS;
  /** Called each time that all workers together have done `onWorkUnits` units. */
  onWork: () => void = () => {};
  onWorkUnits: number = Infinity;
  #worked: number = 0;
  /** The rest of this turn for regions from lanes. */
  #arrivalUnits: number = ARRIVAL_UNITS;
  /** CLIENT ◀──next work──▶ ARRIVAL; CLIENT ◀──the end of a turn──▶ QUEUED. */
  #worker: typeof CLIENT | typeof ARRIVAL | typeof QUEUED = CLIENT;
  readonly #schedule: (run: () => void) => void;
  readonly #queue: Set<Waiter> = new Set();
  readonly #lanes: Set<Waiter> = new Set();
  #isScheduled: boolean = false;
  readonly #runTurn = (): void => this.#run();

  /** `schedule` runs a function in the next turn; tests replace it. */
  constructor(schedule: (run: () => void) => void = setImmediate) {
    this.#schedule = checkFunction('schedule', schedule);
  }

  /** Number of queued workers. */
  get queueLength(): number {
    return this.#queue.size + this.#lanes.size;
  }

  /** Begins the work of a client: with the part it queued for, or with the rest of this turn. */
  begin(): void {
    if (this.#worker === QUEUED) return;
    this.#account();
    this.#grant(Math.max(SMALL_UNITS, Math.min(QUANTUM_UNITS, this.#turnUnits)));
    this.#scheduleTurn();
  }

  /**
   * Begins the work of a lane from another thread, with what is left of this turn for all lanes:
   * nothing perhaps.
   */
  beginArrival(): void {
    assert(this.#worker !== QUEUED, 'lanes deliver between the turns of queued clients');
    this.#account();
    this.#grant(Math.max(0, this.#arrivalUnits));
    this.#worker = ARRIVAL;
    this.#scheduleTurn();
  }

  /** Whether the worker must stop and queue. */
  get isSpent(): boolean {
    return this.units <= 0;
  }

  /** Whether others should go first before the worker's socket is read again. */
  get isTired(): boolean {
    return this.#granted - this.units > TIRED_UNITS;
  }

  /** Whether the worker has done little so far. */
  get isLight(): boolean {
    return this.#granted - this.units <= LIGHT_UNITS;
  }

  /** Takes one unit. False: none is left. */
  tryStep(): boolean {
    if (this.units <= 0) return false;
    this.units--;
    return true;
  }

  /** How often an action of this many units may be done, the last time partly on credit. */
  countOf(units: number): number {
    return Math.max(0, Math.ceil(this.units / units));
  }

  /** Queues a waiter, whose `proceed` is called in another turn of the event loop. */
  queue(waiter: Waiter): void {
    if (waiter.carriesMany === true) this.#lanes.add(waiter);
    else this.#queue.add(waiter);
    this.#scheduleTurn();
  }

  /** Removes a waiter from the queue. */
  cancel(waiter: Waiter): void {
    this.#queue.delete(waiter);
    this.#lanes.delete(waiter);
  }

  #account(): void {
    const worked = this.#granted - this.units;
    this.#turnUnits -= worked;
    if (this.#worker === ARRIVAL) {
      this.#arrivalUnits -= worked;
      this.#worker = CLIENT;
    }
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

  /** Runs queued waiters, at the end of a turn. */
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
    // All queued waiters get a part of each turn, not only the first two.
    const slice = Math.max(SMALL_UNITS, Math.min(QUANTUM_UNITS, TURN_UNITS / this.#queue.size));
    // A waiter that queues again goes to the end, for another turn.
    let count = this.#queue.size;
    for (const waiter of this.#queue) {
      if (count-- === 0 || rest <= 0) break;
      this.#queue.delete(waiter);
      this.#account();
      this.#grant(Math.ceil(slice));
      assert(this.#worker === CLIENT, 'queued clients are served one after another');
      this.#worker = QUEUED;
      try {
        waiter.proceed();
      } finally {
        this.#worker = CLIENT;
      }
      rest -= Math.max(TURN_UNITS_MIN, this.#granted - this.units);
    }
    this.#account();
    this.#turnUnits = TURN_UNITS;
    this.#arrivalUnits = ARRIVAL_UNITS;
    if (this.queueLength > 0) this.#scheduleTurn();
  }
}
