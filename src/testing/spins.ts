// SPDX-License-Identifier: MIT
/** Model checker: notices when a thread reads the same words again and again and learns nothing. */

import {
  RING_ENTRIES,
  RING_FIELDS,
  type StateLayout,
  T_RING,
  T_RING_NEXT,
  T_SPINS,
} from './machine-layout.ts';
import type { ModelMemory } from './memory.ts';

/** Reads without news after which a spin counts as endless. */
export const SPINS_CUT = 160;

/**
 * Remembers, per thread, the last few words it has looked at. A cell is noted as itself + 1, so 0
 * means none.
 */
export class SpinWatch {
  readonly #memory: ModelMemory;
  readonly #state: Int32Array;
  readonly #layout: StateLayout;
  readonly #limit: number;

  constructor(memory: ModelMemory, state: Int32Array, layout: StateLayout, limit: number) {
    this.#memory = memory;
    this.#state = state;
    this.#layout = layout;
    this.#limit = limit;
  }

  noteRead(thread: number, cell: number, value: number): void {
    const state = this.#state;
    const base = this.#layout.thread(thread);
    for (let i = 0; i < RING_ENTRIES; i++) {
      const entry = base + T_RING + RING_FIELDS * i;
      if (state[entry] !== cell + 1) continue;
      if (state[entry + 1] === value) {
        state[base + T_SPINS]++;
        state[entry + 2] = 1;
      } else {
        state[entry + 1] = value;
        this.#news(base);
      }
      return;
    }
    const entry = base + T_RING + RING_FIELDS * state[base + T_RING_NEXT];
    state[base + T_RING_NEXT] = (state[base + T_RING_NEXT] + 1) % RING_ENTRIES;
    state[entry] = cell + 1;
    state[entry + 1] = value;
    this.#news(base);
  }

  /** The thread has changed something itself: what it reads next may be news. */
  noteChange(thread: number): void {
    const base = this.#layout.thread(thread);
    if (this.#state[base + T_RING] === 0) return;
    this.#state.fill(0, base + T_SPINS, base + T_RING + RING_FIELDS * RING_ENTRIES);
  }

  /** True while the thread goes in circles: a function of its log and the memory. */
  isSpinning(thread: number): boolean {
    const spins = this.#state[this.#layout.thread(thread) + T_SPINS];
    return spins >= this.#limit && this.#isUnchanged(thread);
  }

  /** True if it has done so for so long that it is not expected to stop by itself. */
  isStuck(thread: number): boolean {
    const spins = this.#state[this.#layout.thread(thread) + T_SPINS];
    return spins >= SPINS_CUT && this.#isUnchanged(thread);
  }

  /**
   * True if the thread has spun for a while and a read of the cell would once more tell it what it
   * knows.
   */
  goesInCircles(thread: number, cell: number): boolean {
    const state = this.#state;
    const base = this.#layout.thread(thread);
    const spins = state[base + T_SPINS];
    if (spins <= this.#limit || spins >= SPINS_CUT || !this.#isUnchanged(thread)) return false;
    for (let i = 0; i < RING_ENTRIES; i++) {
      const entry = base + T_RING + RING_FIELDS * i;
      if (state[entry] === cell + 1) return state[entry + 1] === this.#memory.heap[cell];
    }
    return false;
  }

  #isUnchanged(thread: number): boolean {
    const state = this.#state;
    const base = this.#layout.thread(thread);
    const heap = this.#memory.heap;
    for (let i = 0; i < RING_ENTRIES; i++) {
      const entry = base + T_RING + RING_FIELDS * i;
      if (state[entry + 2] === 1 && heap[state[entry] - 1] !== state[entry + 1]) return false;
    }
    return true;
  }

  #news(base: number): void {
    const state = this.#state;
    state[base + T_SPINS] = 0;
    for (let i = 0; i < RING_ENTRIES; i++) state[base + T_RING + RING_FIELDS * i + 2] = 0;
  }
}
