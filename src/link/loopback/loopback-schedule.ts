// SPDX-License-Identifier: MIT
/** The wire between links of one process: what is under way, in the order of a clock of its own. */

import { checkTimeoutMs } from '../../base/check.ts';

/**
 * Turns of the event loop without anything new after which the program has answered what it was
 * told: what a handler writes is flushed in a microtask and sent in the turn after it.
 */
const QUIET_TURNS = 4;
/** Places of events that have happened are given up from so many on. */
const PAST_COUNT_MAX = 1024;

interface Event {
  readonly atMs: number;
  readonly happen: () => void;
}

/** Somebody waits until the clock stands there, or until nothing is under way. */
interface Run {
  readonly untilMs: number;
  readonly resolve: () => void;
}

/**
 * Events in the order of their time, and of their making where that is the same. The clock jumps
 * from one to the next: nothing ever sleeps.
 */
export class LoopbackSchedule {
  readonly #automatic: boolean;
  readonly #events: Event[] = [];
  #from = 0;
  #nowMs = 0;
  #runs: Run[] = [];
  #driving = false;
  #quietTurns = 0;

  /** `automatic`: goes on by itself, while something is under way. */
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

  /** Something will happen: at `atMs` or, if that is past, next of all. */
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
   * Everything happens that was due at the next instant. False: nothing is under way. What an event
   * throws is thrown on; the others of its instant come with the next step. May be called from an
   * event: then what is left of the instant happens first.
   */
  step(): boolean {
    const events = this.#events;
    const untilMs = this.#nextMs;
    if (untilMs === Infinity) return false;
    this.#nowMs = Math.max(this.#nowMs, untilMs);
    // What is added meanwhile for the same instant stands behind, and waits for the next step.
    let due = 0;
    while (events[this.#from + due]?.atMs === untilMs) due++;
    for (; due > 0; due--) {
      // None is left if one of them has made a step of its own.
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
   * Steps, with turns of the event loop in between, until nothing is under way or `durationMs` of
   * this clock have passed; which they have at the end, if it is not `Infinity`.
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
    // First: what follows may throw.
    setImmediate(this.#turn);
    this.step();
  };

  /** Runs that the next event comes too late for. */
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
