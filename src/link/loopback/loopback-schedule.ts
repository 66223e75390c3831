// SPDX-License-Identifier: MIT
/** The event queue of a `LoopbackNetwork`, with a simulated clock. */

import { checkTimeoutMs } from '../../base/check.ts';

/**
 * After this many turns of the event loop without a new event, the program has finished its
 * reaction to the last one: a handler's messages are flushed in a microtask and sent in the next
 * turn.
 */
const QUIET_TURNS = 4;
/** Past events that may stay in the array before it is shortened. */
const PAST_COUNT_MAX = 1024;

interface Event {
  readonly atMs: number;
  readonly happen: () => void;
}

/** A caller that waits until the clock reaches `untilMs`, or nothing is in transit. */
interface Run {
  readonly untilMs: number;
  readonly resolve: () => void;
}

/**
 * Events in order of time; those of the same time in order of creation. The clock jumps from one to
 * the next, so nothing sleeps.
 */
export class LoopbackSchedule {
  readonly #automatic: boolean;
  readonly #events: Event[] = [];
  #from = 0;
  #nowMs = 0;
  #runs: Run[] = [];
  #driving = false;
  #quietTurns = 0;

  /** `automatic`: runs by itself while there are events. */
  constructor(automatic: boolean) {
    this.#automatic = automatic;
  }

  get nowMs(): number {
    return this.#nowMs;
  }

  /** Events that have not happened yet. */
  get count(): number {
    return this.#events.length - this.#from;
  }

  /** Adds an event at `atMs`, or, if that is past, as the next one. */
  add(atMs: number, happen: () => void): void {
    const events = this.#events;
    let low = this.#from;
    let high = events.length;
    while (low < high) {
      const middle = (low + high) >>> 1;
      if (events[middle].atMs <= atMs) low = middle + 1;
      else high = middle;
    }
    events.splice(low, 0, { atMs, happen });
    this.#quietTurns = 0;
    if (this.#automatic) this.#drive();
  }

  /**
   * Runs all events of the next instant. False: there is none. If an event throws, the exception is
   * rethrown, and the other events of the instant run with the next step. If an event calls this,
   * the other events of its own instant run first.
   */
  step(): boolean {
    const events = this.#events;
    const untilMs = this.#nextMs;
    if (untilMs === Infinity) return false;
    this.#nowMs = Math.max(this.#nowMs, untilMs);
    // Events added now for the same instant are queued after these, for the next step.
    let due = 0;
    while (events[this.#from + due]?.atMs === untilMs) due++;
    for (; due > 0; due--) {
      // None is left if one of them has called step().
      if (this.#nextMs !== untilMs) break;
      const { happen } = events[this.#from++];
      if (this.#from === events.length || this.#from >= PAST_COUNT_MAX) {
        events.splice(0, this.#from);
        this.#from = 0;
      }
      happen();
    }
    return true;
  }

  /**
   * Steps, with turns of the event loop in between, until no event is left or `durationMs` of this
   * clock have passed. Unless `durationMs` is `Infinity`, the clock has then advanced by it.
   */
  run(durationMs: number): Promise<void> {
    checkTimeoutMs('durationMs', durationMs);
    return new Promise((resolve) => {
      this.#runs.push({ untilMs: this.#nowMs + durationMs, resolve });
      this.#quietTurns = 0;
      this.#drive();
    });
  }

  get #nextMs(): number {
    return this.#events[this.#from]?.atMs ?? Infinity;
  }

  #drive(): void {
    if (this.#driving) return;
    this.#driving = true;
    setImmediate(this.#turn);
  }

  readonly #turn = (): void => {
    if (++this.#quietTurns <= QUIET_TURNS) {
      setImmediate(this.#turn);
      return;
    }
    this.#endRuns();
    this.#driving = this.#nextMs < Infinity && (this.#automatic || this.#runs.length > 0);
    if (!this.#driving) return;
    this.#quietTurns = 0;
    // Before the step, which may throw.
    setImmediate(this.#turn);
    this.step();
  };

  /** Ends the runs that are over before the next event. */
  #endRuns(): void {
    const nextMs = this.#nextMs;
    const over = this.#runs.filter(({ untilMs }) => untilMs < nextMs || nextMs === Infinity);
    if (over.length === 0) return;
    this.#runs = this.#runs.filter((run) => !over.includes(run));
    for (const { untilMs, resolve } of over) {
      if (untilMs < Infinity) this.#nowMs = Math.max(this.#nowMs, untilMs);
      resolve();
    }
  }
}
