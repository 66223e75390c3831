// SPDX-License-Identifier: MIT
/** How many references one holder has, kept in step with its word: holder-layout.ts. */

import type { BufferPool } from './buffer-pool.ts';

/** For holders that know at the end of a step how many references they hold. */
export class HeldCount {
  readonly #pool: BufferPool;
  readonly #kind: number;
  #at: number;
  #held = 0;

  /** `kind`: the number of the HELD word. */
  constructor(pool: BufferPool, kind: number) {
    this.#pool = pool;
    this.#kind = kind;
    this.#at = pool.holder() + kind;
  }

  /** Counts as part of that holder; before the first buffer. */
  holdAs(holder: number): void {
    this.#at = holder + this.#kind;
  }

  set(held: number): void {
    if (held === this.#held) return;
    this.#pool.note(this.#at, held - this.#held);
    this.#held = held;
  }
}
