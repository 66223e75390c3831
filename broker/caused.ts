// SPDX-License-Identifier: MIT
/** The broker: tracks when other executors have handled all that one client caused. */

/** The part of the mesh that it uses. */
export interface CausedMesh {
  readonly isAlone: boolean;
  /** Resolves when the others have handled everything so far; what waited then goes on. */
  fence(): Promise<void>;
}

/** The others have handled everything. */
const NOTHING = 0;
/** The client has sent messages to others, or changed its subscriptions. */
const SOMETHING = 1;
/** The same, and the others were asked to say when they have handled it. */
const ASKED = 2;

/**
 *   NOTHING ──changed, sent──▶ SOMETHING ──isDone──▶ ASKED ──others are done──▶ NOTHING
 *   ASKED ──sent──▶ SOMETHING
 */
export class Caused {
  readonly #mesh: CausedMesh;
  #state: typeof NOTHING | typeof SOMETHING | typeof ASKED = NOTHING;
  /** The fence that counts. */
  #asked: number = 0;

  constructor(mesh: CausedMesh) {
    this.#mesh = mesh;
  }

  /** **Cost** a store: called for each message that goes to another executor. */
  sent(): void {
    this.#state = SOMETHING;
  }

  changed(): void {
    if (this.#state === NOTHING) this.#state = SOMETHING;
  }

  /**
   * Returns whether the others have handled all of it. If not, they are asked to report when they
   * have, and the connection continues after that.
   */
  isDone(): boolean {
    if (this.#mesh.isAlone) this.#state = NOTHING;
    if (this.#state === SOMETHING) void this.#ask();
    return this.#state === NOTHING;
  }

  async #ask(): Promise<void> {
    this.#state = ASKED;
    const asked = ++this.#asked;
    await this.#mesh.fence();
    if (this.#asked === asked && this.#state === ASKED) this.#state = NOTHING;
  }
}
