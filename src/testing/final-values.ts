// SPDX-License-Identifier: MIT
/**
 * Model checker: what `check` reads from racy words when all threads have ended. If a word may then
 * hold one of several values, `check` runs once for each.
 */

import type { ModelMemory } from './memory.ts';
import { AFTER_ALL, type WriteHistory } from './write-history.ts';

/** A word that `check` has read, the values it may hold at the end, and which one it holds now. */
interface FinalValue {
  readonly cell: number;
  readonly values: readonly number[];
  at: number;
}

/** The words that `check` has read so far, in the order of its reads. */
export class FinalValues {
  readonly #memory: ModelMemory;
  readonly #history: WriteHistory;
  readonly #words: FinalValue[] = [];
  /** How many of them the present pass has read. */
  #count = 0;

  constructor(memory: ModelMemory, history: WriteHistory) {
    this.#memory = memory;
    this.#history = history;
  }

  /** Returns the final value of a word, in this pass of `check`. */
  read(cell: number): number {
    const memory = this.#memory;
    const words = this.#words;
    for (let i = 0; i < this.#count; i++) if (words[i].cell === cell) return memory.heap[cell];
    if (this.#count === words.length) {
      const history = this.#history;
      const values =
        history.find(cell, AFTER_ALL, false) === 0
          ? [memory.heap[cell]]
          : history.found.map((entry) => history.value(entry));
      words.push({ cell, values, at: 0 });
    }
    const { values, at } = words[this.#count++];
    memory.put(cell, values[at]);
    return values[at];
  }

  /** The values that `check` has read in its last pass and that were not the last write. */
  weak(): { cell: number; value: number }[] {
    return this.#words
      .filter(({ at }) => at > 0)
      .map(({ cell, values, at }) => ({ cell, value: values[at] }));
  }

  /** Begins another pass of `check`; false after the last. */
  nextPass(isFirst: boolean): boolean {
    const words = this.#words;
    this.#count = 0;
    if (isFirst) {
      words.length = 0;
      return true;
    }
    while (words.length > 0) {
      const last = words[words.length - 1];
      if (++last.at < last.values.length) return true;
      words.pop();
    }
    return false;
  }
}
