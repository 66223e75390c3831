// SPDX-License-Identifier: MIT
/**
 * Model checker: visits every interleaving within the bounds, depth first, and never the same state
 * twice.
 *
 * At each decision the thread that runs goes on first; what else was possible is kept in a frame
 * with a copy of the state block. To try the next possibility, block and memory go back to the
 * frame's moment. A state is (memory, what each thread has read, clocks, waiters); interleavings
 * that differ only in the order of independent steps meet in the same state, and only the first of
 * them is followed further.
 */

import type { Machine } from './machine.ts';
import type { Chooser } from './machine-contract.ts';
import { G_PREEMPTIONS, G_STARTS } from './machine-layout.ts';
import { STOP } from './moment.ts';
import { VisitedStates } from './visited.ts';

// A frame: a copy of the state block, then these.
const F_UNDO = 0;
/** Bit t for transition t that is still to be tried; else DEATH or EXCEPTION. */
const F_UNTRIED = 1;
/** The thread that ran, or −1. */
const F_CURRENT = 2;
/** The thread that may die here, or whose call may throw, or −1. */
const F_HIT = 3;
const F_FIELDS = 4;

const DEATH = 0;
const EXCEPTION = 1;

export class Explorer implements Chooser {
  readonly #machine: Machine;
  readonly #preemptionsMax: number;
  readonly #visited = new VisitedStates();
  readonly #frameWords: number;
  #frames: Int32Array;
  #depth = 0;
  /** The last schedule came to its end (it was not cut off at a known state). */
  ended = false;
  schedules = 0;
  endedCount = 0;
  kills = 0;
  exceptions = 0;

  constructor(machine: Machine, preemptionsMax: number) {
    this.#machine = machine;
    this.#preemptionsMax = preemptionsMax;
    this.#frameWords = machine.state.length + F_FIELDS;
    this.#frames = new Int32Array(this.#frameWords * 64);
  }

  get states(): number {
    return this.#visited.count;
  }

  /** Runs the first schedule, up to its end. */
  first(): void {
    this.#machine.reset();
    this.#run(this.choose(-1));
  }

  /** Runs the next schedule; false if there is none. */
  advance(): boolean {
    const machine = this.#machine;
    while (this.#depth > 0) {
      const frame = (this.#depth - 1) * this.#frameWords;
      const fields = frame + machine.state.length;
      machine.restore(this.#frames, frame, this.#frames[fields + F_UNDO]);
      const untried = this.#frames[fields + F_UNTRIED];
      const hit = this.#frames[fields + F_HIT];
      if (hit >= 0) {
        this.#depth--;
        if (untried === DEATH) {
          this.kills++;
          machine.kill(hit);
          this.#run(this.choose(-1));
        } else {
          this.exceptions++;
          machine.throwAt(hit);
          this.#run(2 * hit);
        }
        return true;
      }
      const bit = untried & -untried;
      const rest = untried ^ bit;
      this.#frames[fields + F_UNTRIED] = rest;
      if (rest === 0) this.#depth--;
      const transition = 31 - Math.clz32(bit);
      this.#take(transition, this.#frames[fields + F_CURRENT]);
      this.#run(transition);
      return true;
    }
    return false;
  }

  #run(first: number): void {
    let transition = first;
    while (transition !== STOP) transition = this.#machine.resume(transition);
    this.schedules++;
    if (this.ended) this.endedCount++;
  }

  choose(current: number): number {
    const machine = this.#machine;
    this.ended = false;
    if (machine.failure !== undefined) return STOP;
    const forced = machine.moment.forced();
    if (forced !== STOP) {
      machine.path.start(forced);
      return forced;
    }
    const running = machine.state[G_STARTS] === 1 ? -1 : current;
    const count = machine.moment.enabled();
    if (count === 0) {
      this.ended = true;
      machine.moment.checkAllFinished();
      return STOP;
    }
    // It spins, and somebody can still change that: the schedules where they did so earlier cover
    // this.
    if (machine.moment.hasSpunEnough(running) && machine.moment.someoneWorks(count)) return STOP;
    const bounded = this.#preemptionsMax !== Number.POSITIVE_INFINITY;
    const preemptions = bounded ? machine.state[G_PREEMPTIONS] : 0;
    machine.moment.computeKey(bounded ? running : -1);
    if (this.#visited.seen(machine.moment.keyA, machine.moment.keyB, preemptions)) return STOP;
    const goesOn = machine.moment.canContinue(running);
    if (preemptions >= this.#preemptionsMax && machine.moment.isInterruptedBy(STOP, running)) {
      return this.#take(2 * running, running);
    }
    let untried = 0;
    for (let i = 0; i < count; i++) untried |= 1 << machine.moment.transitions[i];
    const first = goesOn ? 2 * running : 31 - Math.clz32(untried & -untried);
    untried &= ~(1 << first);
    if (untried !== 0) this.#push(untried, running, -1);
    return this.#take(first, running);
  }

  kill(thread: number): boolean {
    this.#push(DEATH, thread, thread);
    return false;
  }

  throwAt(thread: number): boolean {
    this.#push(EXCEPTION, thread, thread);
    return false;
  }

  #take(transition: number, current: number): number {
    const machine = this.#machine;
    machine.path.take(transition, machine.moment.isInterruptedBy(transition, current));
    return transition;
  }

  #push(untried: number, current: number, hit: number): void {
    const machine = this.#machine;
    const begin = this.#depth * this.#frameWords;
    if (begin + this.#frameWords > this.#frames.length) {
      const frames = new Int32Array(this.#frames.length * 2);
      frames.set(this.#frames);
      this.#frames = frames;
    }
    this.#depth++;
    machine.save();
    const frames = this.#frames;
    frames.set(machine.state, begin);
    const fields = begin + machine.state.length;
    frames[fields + F_UNDO] = machine.memory.undoTop;
    frames[fields + F_UNTRIED] = untried;
    frames[fields + F_CURRENT] = current;
    frames[fields + F_HIT] = hit;
  }
}
