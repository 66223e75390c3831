// SPDX-License-Identifier: MIT
/** Callbacks that run once at the end of the current turn of the event loop. */

import { afterThis } from '../base/turn.ts';
import type { BufferPool } from '../pool/index.ts';

/** Receives a call at the end of the current turn of the event loop. */
export interface TurnEnd {
  onTurnEnd(): void;
}

/** The callbacks of one flusher object. */
export class TurnEnds {
  readonly #pool: BufferPool;
  readonly #last: () => void;
  #due: TurnEnd[] = [];
  #spare: TurnEnd[] = [];
  #isDue = false;

  /** `last` is called after all others, at the end of each requested turn. */
  constructor(pool: BufferPool, last: () => void) {
    this.#pool = pool;
    this.#last = last;
  }

  get isDue(): boolean {
    return this.#isDue;
  }

  /** Calls `what` once when the current turn ends. */
  add(what: TurnEnd): void {
    this.#due.push(what);
    this.request();
  }

  /** Asks for a run at the end of the current turn. */
  request(): void {
    if (this.#isDue) return;
    // In this order: if the call throws, no run is due.
    afterThis(this.#run);
    this.#isDue = true;
  }

  readonly #run = (): void => {
    const due = this.#due;
    this.#due = this.#spare;
    this.#spare = due;
    // A thread that has left the pool since then may not touch it.
    const { isAttached } = this.#pool;
    let done = 0;
    try {
      while (isAttached && done < due.length) due[done++].onTurnEnd();
    } finally {
      // If one throws, the rest stay due, and the error is passed on.
      while (isAttached && done < due.length) this.#due.push(due[done++]);
      due.length = 0;
      this.#isDue = false;
      if (this.#due.length > 0) this.request();
    }
    if (isAttached) this.#last();
  };
}
