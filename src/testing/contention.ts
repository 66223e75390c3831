// SPDX-License-Identifier: MIT
/** Model checker: finds the contended words; only their accesses are scheduling points. */

import { isWrite } from './machine-layout.ts';
import { CELL_CONTENDED, type ModelMemory } from './memory.ts';

/** Learns during the exploration which words several threads touch and at least one writes. */
export class Contention {
  /** Every word counts, whether or not another thread is known to touch it. */
  everyWord = false;
  /** Set when a word turned out to be contended that was not a scheduling point so far. */
  grew = false;
  readonly #memory: ModelMemory;

  constructor(memory: ModelMemory) {
    this.#memory = memory;
  }

  at(cell: number): boolean {
    return this.everyWord || (this.#memory.flags[cell] & CELL_CONTENDED) !== 0;
  }

  note(thread: number, op: number, cell: number): void {
    const memory = this.#memory;
    const masks = isWrite(op) ? memory.writers : memory.readers;
    if ((masks[cell] & (1 << thread)) !== 0) return;
    masks[cell] |= 1 << thread;
    const all = memory.readers[cell] | memory.writers[cell];
    if (memory.writers[cell] === 0 || (all & (all - 1)) === 0) return;
    if ((memory.flags[cell] & CELL_CONTENDED) !== 0) return;
    memory.flags[cell] |= CELL_CONTENDED;
    this.grew = true;
  }
}
