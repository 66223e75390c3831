// SPDX-License-Identifier: MIT
/** Model checker: writes that a read may return before they are carried out. */

import type { LeftOut } from './omissions.ts';

/** Most values of one word that may be read before they are written. */
const LEARNED_MAX = 256;
/** Most explorations, each with the writes that the one before has learned. */
const ROUNDS_MAX = 12;

/** A write of some schedule: its thread, and its latest position in that thread's log. */
export interface LearnedWrite {
  readonly value: number;
  readonly writer: number;
  readonly isAtomic: boolean;
  position: number;
}

/** The writes of each word that some schedule has made; they outlive it. */
export class LearnedWrites {
  readonly #writes = new Map<number, LearnedWrite[]>();
  readonly #leftOut: Set<LeftOut>;
  /** True if the current exploration has learned a write; and the number of such explorations. */
  #grew = false;
  #rounds = 0;

  constructor(leftOut: Set<LeftOut>) {
    this.#leftOut = leftOut;
  }

  /** The known writes of a word. */
  of(cell: number): readonly LearnedWrite[] {
    return this.#writes.get(cell) ?? [];
  }

  add(cell: number, value: number, writer: number, isAtomic: boolean, position: number): void {
    let list = this.#writes.get(cell);
    if (list === undefined) {
      list = [];
      this.#writes.set(cell, list);
    }
    for (const write of list) {
      if (write.value !== value || write.writer !== writer || write.isAtomic !== isAtomic) continue;
      if (write.position >= position) return;
      write.position = position;
      this.#grew = true;
      return;
    }
    if (list.length === LEARNED_MAX) {
      this.#leftOut.add('old writes');
      return;
    }
    list.push({ value, writer, isAtomic, position });
    this.#grew = true;
  }

  /** At the end of an exploration: true if it learned writes that it did not know at its start. */
  isNews(): boolean {
    const grew = this.#grew;
    this.#grew = false;
    if (!grew) return false;
    if (++this.#rounds <= ROUNDS_MAX) return true;
    this.#leftOut.add('old writes');
    return false;
  }
}
