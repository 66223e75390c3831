// SPDX-License-Identifier: MIT
/** Guard: an object that releases a lock or permits at the end of a block. */

import { describeAs } from '../base/description.ts';

/**
 * Holds a lock, or permits, until the block ends: `using guard = mutex.guardSync()`.
 *
 * **Ownership** the guard's until {@link release}; one that is dropped without it keeps what it
 * holds. **Threads** the one that made it.
 */
export class Guard {
  /**
   * True if the thread that held the lock before has died: what it protects may be half changed.
   */
  readonly ownerDied: boolean;
  #release: (() => void) | undefined;

  /** @internal */
  constructor(release: () => void, ownerDied: boolean) {
    this.#release = release;
    this.ownerDied = ownerDied;
  }

  /** True once it was given back. */
  get released(): boolean {
    return this.#release === undefined;
  }

  /** Releases the lock or the permits. Later calls do nothing. */
  release(): void {
    const release = this.#release;
    if (release === undefined) return;
    release();
    this.#release = undefined;
  }

  [Symbol.dispose](): void {
    this.release();
  }
}

describeAs(Guard, 'Guard', (guard) => ({
  ownerDied: guard.ownerDied,
  released: guard.released,
}));
