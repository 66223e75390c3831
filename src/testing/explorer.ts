// SPDX-License-Identifier: MIT
/**
 * Model checker: visits every interleaving within the bounds, depth first, and never the same
 * state twice.
 *
 * At each decision the running thread continues first. The other transitions are kept in a frame
 * with a copy of the state block. To try the next one, block and memory are restored from the
 * frame. A state is (memory, what each thread has read, clocks, waiters; `state-key.ts`);
 * interleavings that differ only in the order of independent steps meet in the same state, and
 * only the first of them is followed further.
 */

import type { Machine } from './machine.ts';
import { type Chooser, PROBE, STOP } from './machine-contract.ts';
import { G_PREEMPTIONS, G_STARTS } from './machine-layout.ts';
import { type VisitedCopy, VisitedStates } from './visited.ts';

// A frame: a copy of what counts of the state block, then these.
/** Words of the copy. */
const F_LENGTH = 4;
const F_UNDO = 0;
/** Bit t for transition t that is still to be tried; else DEATH, EXCEPTION, or READ + a choice. */
const F_UNTRIED = 1;
/** The thread that ran, or −1; for READ, how many values there are to choose from. */
const F_CURRENT = 2;
/** The thread that may die here, whose call may throw, or that reads; or −1. */
const F_HIT = 3;
const F_FIELDS = 5;

const DEATH = 0;
const EXCEPTION = 1;
const READ = 2;

/** Everything that a checkpoint keeps of an exploration. */
export interface ExplorerCopy {
  readonly frames: Int32Array;
  readonly visited: VisitedCopy;
  readonly kills: number;
  readonly exceptions: number;
}

export class Explorer implements Chooser {
  readonly #machine: Machine;
  readonly #preemptionsMax: number;
  readonly #visited = new VisitedStates();
  #frames = new Int32Array(1 << 14);
  /** End of the last frame. */
  #top = 0;
  /** The last schedule came to its end (it was not cut off at a known state). */
  ended = false;
  kills = 0;
  exceptions = 0;

  constructor(machine: Machine, preemptionsMax: number) {
    this.#machine = machine;
    this.#preemptionsMax = preemptionsMax;
  }

  get states(): number {
    return this.#visited.count;
  }

  copy(): ExplorerCopy {
    const { kills, exceptions } = this;
    const frames = this.#frames.slice(0, this.#top);
    return { frames, visited: this.#visited.copy(), kills, exceptions };
  }

  /** False if the threads no longer do what they did. */
  load(copy: ExplorerCopy): boolean {
    this.#frames = new Int32Array(Math.max(this.#frames.length, 2 * copy.frames.length));
    this.#frames.set(copy.frames);
    this.#top = copy.frames.length;
    this.#visited.load(copy.visited);
    this.kills = copy.kills;
    this.exceptions = copy.exceptions;
    if (this.#top === 0) return true;
    this.#restoreLast();
    return this.#machine.rerun();
  }

  /** Runs the first schedule, up to its end. */
  first(): void {
    this.#machine.chooser = this;
    this.#machine.reset();
    this.#run(this.#machine.ask(-1));
  }

  /** Runs the next schedule; false if there is none. */
  advance(): boolean {
    const machine = this.#machine;
    if (this.#top === 0) return false;
    machine.chooser = this;
    const [begin, fields] = this.#restoreLast();
    const untried = this.#frames[fields + F_UNTRIED];
    const hit = this.#frames[fields + F_HIT];
    if (hit >= 0 && untried >= READ) {
      const isLast = untried - READ + 1 >= this.#frames[fields + F_CURRENT];
      if (isLast) this.#top = begin;
      else this.#frames[fields + F_UNTRIED] = untried + 1;
      machine.readNext(untried - READ);
      this.#run(2 * hit);
      return true;
    }
    if (hit >= 0) {
      this.#top = begin;
      if (untried === DEATH) {
        this.kills++;
        machine.kill(hit);
        this.#run(machine.ask(-1));
      } else {
        this.exceptions++;
        machine.throwAt(hit);
        this.#run(2 * hit);
      }
      return true;
    }
    const bit = untried & -untried;
    this.#frames[fields + F_UNTRIED] = untried ^ bit;
    if (untried === bit) this.#top = begin;
    const transition = 31 - Math.clz32(bit);
    this.#take(transition, this.#frames[fields + F_CURRENT]);
    this.#run(transition);
    return true;
  }

  /** Goes back to the moment of the last frame: where that begins, and its fields. */
  #restoreLast(): [begin: number, fields: number] {
    const fields = this.#top - F_FIELDS;
    const begin = fields - this.#frames[fields + F_LENGTH];
    this.#machine.restore(this.#frames, begin, fields - begin, this.#frames[fields + F_UNDO]);
    return [begin, fields];
  }

  #run(first: number): void {
    // Only the last choice sets it: a schedule may also be dropped between two choices.
    if (first !== STOP) this.ended = false;
    this.#machine.run(first);
  }

  choose(current: number): number {
    const machine = this.#machine;
    const { moment } = machine;
    this.ended = false;
    if (machine.failure !== undefined) return STOP;
    if (machine.weak?.isHopeless()) return STOP;
    const forced = moment.forced();
    if (forced !== STOP) {
      machine.path.start(forced);
      return forced;
    }
    if (moment.unknownSpin() >= 0) return PROBE;
    const running = machine.state[G_STARTS] === 1 ? -1 : current;
    const count = moment.enabled();
    if (count === 0) {
      if (machine.weak?.isOpen) return STOP;
      this.ended = true;
      machine.failure = moment.deadEnd();
      return STOP;
    }
    const favored = moment.passedOver(count, running);
    const bounded = this.#preemptionsMax !== Number.POSITIVE_INFINITY;
    const preemptions = bounded ? machine.state[G_PREEMPTIONS] : 0;
    machine.key.compute(bounded ? running : -1, favored);
    if (this.#visited.seen(machine.key.a, machine.key.b, preemptions)) return STOP;
    if (favored >= 0) {
      machine.leftOut.add('unfair schedules');
      machine.path.take(2 * favored, false);
      return 2 * favored;
    }
    const goesOn = moment.canContinue(running);
    if (preemptions >= this.#preemptionsMax && moment.isInterruptedBy(STOP, running)) {
      if (count > 1) machine.leftOut.add('preemptions');
      return this.#take(2 * running, running);
    }
    let untried = 0;
    for (let i = 0; i < count; i++) untried |= 1 << moment.transitions[i];
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

  read(thread: number, count: number): number {
    if (count > 1) this.#push(READ + 1, count, thread);
    return 0;
  }

  #take(transition: number, current: number): number {
    const machine = this.#machine;
    machine.path.take(transition, machine.moment.isInterruptedBy(transition, current));
    return transition;
  }

  #push(untried: number, current: number, hit: number): void {
    const machine = this.#machine;
    const begin = this.#top;
    const length = machine.layout.used(machine.state);
    const fields = begin + length;
    this.#top = fields + F_FIELDS;
    if (this.#top > this.#frames.length) {
      const longer = new Int32Array(this.#frames.length * 2);
      longer.set(this.#frames);
      this.#frames = longer;
    }
    machine.note();
    const frames = this.#frames;
    const state = machine.state;
    for (let i = 0; i < length; i++) frames[begin + i] = state[i];
    frames[fields + F_UNDO] = machine.memory.undoTop;
    frames[fields + F_UNTRIED] = untried;
    frames[fields + F_CURRENT] = current;
    frames[fields + F_HIT] = hit;
    frames[fields + F_LENGTH] = length;
  }
}
