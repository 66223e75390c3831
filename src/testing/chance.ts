// SPDX-License-Identifier: MIT
/**
 * Model checker: random schedules, by priorities that change at a few random points (PCT,
 * Burckhardt et al., ASPLOS 2010).
 */

import { Random } from '../base/random.ts';
import type { Machine } from './machine.ts';
import { type Chooser, PROBE, STOP } from './machine-contract.ts';

/**
 * The thread with the highest priority runs; at each change point the running one falls below all
 * others. A bug that needs d ordering constraints shows with probability ≥ 1 / (threads · stepsᵈ⁻¹)
 * per schedule.
 */
export class ChanceChooser implements Chooser {
  readonly #machine: Machine;
  readonly #random: Random;
  readonly #changes: number;
  readonly #priorities: number[] = [];
  readonly #changeAt = new Set<number>();
  #lowest = 0;
  #steps = 0;
  #stepsGuess = 32;
  #offers = 0;
  #offersGuess = 8;
  #dieAt = -1;
  #calls = 0;
  #callsGuess = 32;
  #throwAt = -1;
  ended = false;

  constructor(machine: Machine, seed: number, changes: number) {
    this.#machine = machine;
    this.#random = new Random(seed);
    this.#changes = changes;
  }

  /** Runs one schedule from the beginning to its end. */
  run(): void {
    const machine = this.#machine;
    const random = this.#random;
    machine.reset();
    const threadCount = machine.layout.threadCount;
    this.#stepsGuess = Math.max(this.#steps, 4, this.#stepsGuess >> 1);
    this.#offersGuess = Math.max(this.#offers, 1, this.#offersGuess >> 1);
    this.#steps = 0;
    this.#offers = 0;
    this.#callsGuess = Math.max(this.#calls, 4, this.#callsGuess >> 1);
    this.#calls = 0;
    this.#lowest = 0;
    this.#changeAt.clear();
    for (let i = 0; i < this.#changes; i++) this.#changeAt.add(random.below(this.#stepsGuess));
    for (let thread = 0; thread < threadCount; thread++) {
      this.#priorities[thread] = 1 + random.below(1 << 20);
    }
    this.#dieAt = random.below(this.#offersGuess * 2);
    if (machine.limits.exceptions > 0) this.#throwAt = random.below(this.#callsGuess);
    machine.chooser = this;
    machine.run(machine.ask(-1));
  }

  choose(current: number): number {
    const machine = this.#machine;
    this.ended = false;
    if (machine.failure !== undefined) return STOP;
    if (machine.weak?.isHopeless()) return STOP;
    const forced = machine.moment.forced();
    if (forced !== STOP) {
      machine.path.take(forced, false);
      return forced;
    }
    if (machine.moment.unknownSpin() >= 0) return PROBE;
    const count = machine.moment.enabled();
    if (count === 0) {
      if (machine.weak?.isOpen) return STOP;
      this.ended = true;
      machine.failure = machine.moment.deadEnd();
      return STOP;
    }
    // Whatever its priority, a thread that can run does so eventually.
    const favored = machine.moment.passedOver(count, current);
    if (favored >= 0) {
      if (current >= 0) this.#priorities[current] = --this.#lowest;
      machine.path.take(2 * favored, false);
      return 2 * favored;
    }
    if (this.#changeAt.has(this.#steps++) && current >= 0)
      this.#priorities[current] = --this.#lowest;
    let best = machine.moment.transitions[0];
    for (let i = 1; i < count; i++) {
      const transition = machine.moment.transitions[i];
      if (this.#rank(transition) > this.#rank(best)) best = transition;
    }
    machine.path.take(best, false);
    return best;
  }

  kill(_thread: number): boolean {
    return this.#offers++ === this.#dieAt;
  }

  throwAt(_thread: number): boolean {
    if (this.#calls++ !== this.#throwAt) return false;
    this.#throwAt += 1 + this.#random.below(8);
    return true;
  }

  read(_thread: number, count: number): number {
    if (count === 1 || this.#random.chance(1 / 2)) return 0;
    return this.#random.below(count);
  }

  /** Waiting threads rarely time out; occasionally one that does overtakes all others. */
  #rank(transition: number): number {
    if ((transition & 1) === 0) return this.#priorities[transition >> 1];
    return this.#random.chance(1 / 16) ? 1 << 21 : Number.NEGATIVE_INFINITY;
  }
}
