// SPDX-License-Identifier: MIT
/** Model checker: replays one known schedule. */

import type { Machine } from './machine.ts';
import { type Chooser, PROBE, STOP } from './machine-contract.ts';
import { T_CALLS, T_LOG } from './machine-layout.ts';
import type { Piece } from './path.ts';

export class PlaybackChooser implements Chooser {
  readonly #machine: Machine;
  readonly #pieces: readonly Piece[];
  #at = -1;
  ended = false;
  /** True if a piece could not be carried out: code or scenario have changed since. */
  diverged = false;
  /** Called for events of threads that are not accesses. */
  told: ((thread: number, note: string) => void) | undefined;

  constructor(machine: Machine, pieces: readonly Piece[]) {
    this.#machine = machine;
    this.#pieces = pieces;
  }

  run(): void {
    const machine = this.#machine;
    machine.reset();
    machine.chooser = this;
    machine.run(machine.ask(-1));
  }

  choose(current: number): number {
    const machine = this.#machine;
    this.ended = false;
    if (machine.failure !== undefined) return STOP;
    if (machine.moment.unknownSpin() >= 0) return PROBE;
    const count = machine.moment.enabled();
    if (count === 0) {
      this.ended = machine.weak?.isOpen !== true;
      if (!this.ended) return STOP;
      this.diverged = this.#at + 1 < this.#pieces.length;
      machine.failure = machine.moment.deadEnd();
      return STOP;
    }
    const piece = this.#pieces[this.#at];
    if (piece !== undefined && current === piece.thread && this.#goesOn(piece)) {
      if (this.#isPossible(2 * current, count)) return 2 * current;
    }
    const next = this.#pieces[this.#at + 1];
    if (next === undefined) {
      this.diverged = true;
      return STOP;
    }
    this.#at++;
    const transition = 2 * next.thread + (next.byTime ? 1 : 0);
    if (!this.#isPossible(transition, count)) {
      this.diverged = true;
      return STOP;
    }
    machine.path.take(transition, false);
    return transition;
  }

  kill(thread: number): boolean {
    const piece = this.#pieces[this.#at];
    const dies = piece?.dies && piece.thread === thread && this.#log(thread) >= piece.stop;
    if (dies) this.told?.(thread, '† dies');
    return dies;
  }

  throwAt(thread: number): boolean {
    const piece = this.#pieces[this.#at];
    if (piece?.thread !== thread || piece.throwsAt === 0) return false;
    const base = this.#machine.layout.thread(thread);
    const calls = this.#machine.state[base + T_CALLS];
    if (this.#log(thread) !== piece.stop || calls !== piece.throwsAt) return false;
    // The thread continues: the next piece has begun.
    this.#at++;
    return true;
  }

  read(thread: number, _count: number): number {
    const piece = this.#pieces[this.#at];
    if (piece?.thread !== thread || piece.reads === 0) return 0;
    if (this.#log(thread) !== piece.stop) return 0;
    // As for exceptions.
    this.#at++;
    if (this.#machine.weak !== undefined) this.#machine.weak.promised = piece.promised;
    return piece.reads;
  }

  /** True if the piece has not ended yet; one with a choice ends with the access there. */
  #goesOn({ thread, stop, reads }: Piece): boolean {
    return this.#log(thread) < stop + (reads === 0 ? 0 : 1);
  }

  #isPossible(transition: number, count: number): boolean {
    for (let i = 0; i < count; i++) {
      if (this.#machine.moment.transitions[i] === transition) return true;
    }
    return false;
  }

  #log(thread: number): number {
    return this.#machine.state[this.#machine.layout.thread(thread) + T_LOG];
  }
}
