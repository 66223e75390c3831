// SPDX-License-Identifier: MIT
/** Example broker: what a client has caused at other executors, and whether they have done it. */

import type { Mark } from './mesh.ts';

/** What it asks of the mesh. */
export interface CausedMesh {
  readonly isAlone: boolean;
  makeMark(): Mark;
  mark(mark: Mark, withMessages: boolean): boolean;
  isDone(mark: Mark): boolean;
}

/** Others have dealt with everything. */
const NOTHING = 0;
/** It has changed its subscriptions, of which others are told. */
const CHANGES = 1;
/** It has sent messages that others deal with, and may have changed its subscriptions. */
const MESSAGES = 2;
/** These two, and it is noted how far others must come. */
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
   * Whether others have dealt with all of it. If not, they were asked for word of it, with which
   * the connection goes on.
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
