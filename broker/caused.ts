// SPDX-License-Identifier: MIT
/** Example broker: tracks when other executors have handled all that one client caused. */

import type { Mark } from './mesh.ts';

/** The part of the mesh that it uses. */
export interface CausedMesh {
  readonly isAlone: boolean;
  makeMark(): Mark;
  mark(mark: Mark): void;
  isDone(mark: Mark): boolean;
}

/** The others have handled everything. */
const NOTHING = 0;
/** The client has sent messages to others, or changed its subscriptions. */
const SOMETHING = 1;
/** The same, with a mark of how far the others must get. */
const MARKED = 2;

/**
 *   NOTHING ──changed, sent──▶ SOMETHING ──mark──▶ MARKED ──others are done──▶ NOTHING
 *   MARKED ──sent──▶ SOMETHING
 */
export class Caused {
  readonly #mesh: CausedMesh;
  #state: typeof NOTHING | typeof SOMETHING | typeof MARKED = NOTHING;
  #mark: Mark | undefined = undefined;

  constructor(mesh: CausedMesh) {
    this.#mesh = mesh;
  }

  /** **Cost** a comparison: called for each message that goes to another executor. */
  sent(): void {
    this.#state = SOMETHING;
  }

  changed(): void {
    if (this.#state === NOTHING) this.#state = SOMETHING;
  }

  /**
   * Returns whether the others have handled all of it. If not, it asks them to report when they
   * have, and the connection continues after that.
   */
  isDone(): boolean {
    if (this.#state === NOTHING) return true;
    const mesh = this.#mesh;
    if (!mesh.isAlone) {
      this.#mark ??= mesh.makeMark();
      if (this.#state === SOMETHING) {
        mesh.mark(this.#mark);
        this.#state = MARKED;
      }
      if (!mesh.isDone(this.#mark)) return false;
    }
    this.#state = NOTHING;
    return true;
  }
}
