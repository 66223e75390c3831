// SPDX-License-Identifier: MIT
/** Example broker: tracks when other executors have handled all that one client caused. */

import type { Mark } from './mesh.ts';

/** The part of the mesh that it uses. */
export interface CausedMesh {
  readonly isAlone: boolean;
  makeMark(): Mark;
  mark(mark: Mark, withMessages: boolean): boolean;
  isDone(mark: Mark): boolean;
}

/** The others have handled everything. */
const NOTHING = 0;
/** The client has changed its subscriptions, and the others are told. */
const CHANGES = 1;
/** The client has sent messages to others, and may have changed its subscriptions. */
const MESSAGES = 2;
/** The same two, with a mark of how far the others must get. */
const CHANGES_MARKED = 3;
const MESSAGES_MARKED = 4;

/**
 *   NOTHING ──changed──▶ CHANGES ──sent──▶ MESSAGES ◀──sent── NOTHING
 *   CHANGES ──mark──▶ CHANGES_MARKED ──sent──▶ MESSAGES
 *   MESSAGES ──mark──▶ MESSAGES_MARKED
 *   any ──others are done──▶ NOTHING
 */
export class Caused {
  readonly #mesh: CausedMesh;
  #state: number = NOTHING;
  #mark: Mark | undefined = undefined;

  constructor(mesh: CausedMesh) {
    this.#mesh = mesh;
  }

  /** **Cost** a comparison or two: called for each message that goes to another executor. */
  sent(): void {
    if (this.#state !== MESSAGES) this.#state = MESSAGES;
  }

  changed(): void {
    if (this.#state === NOTHING) this.#state = CHANGES;
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
      if (this.#state < CHANGES_MARKED) {
        const hasMessages = this.#state === MESSAGES;
        if (!mesh.mark(this.#mark, hasMessages)) return false;
        this.#state = hasMessages ? MESSAGES_MARKED : CHANGES_MARKED;
      }
      if (!mesh.isDone(this.#mark)) return false;
    }
    this.#state = NOTHING;
    return true;
  }
}
