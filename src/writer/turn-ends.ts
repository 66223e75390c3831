// SPDX-License-Identifier: MIT
/** Between writers and the socket: what is due when the present turn of the event loop ends. */

import { afterThis } from '../base/turn.ts';
import type { BufferPool } from '../pool/index.ts';

/** Something that wants to be called at the end of this turn of the event loop. */
export interface TurnEnd {
  onTurnEnd(): void;
}

/** The ends of turns of one flusher object. */
export class TurnEnds {
  readonly #pool: BufferPool;
  readonly #last: () => void;
  #due: TurnEnd[] = [];
  #spare: TurnEnd[] = [];
  #isDue = false;

  /** `last` is called at the end of each turn that is due, after all others. */
  constructor(pool: BufferPool, last: () => void) {
    this.#pool = pool;
    this.#last = last;
  }

  get isDue(): boolean {
    return this.#isDue;
  }

  /** Calls `what` once when the present turn ends. */
  add(what: TurnEnd): void {
    this.#due.push(what);
    this.request();
  }

  /** The present turn has an end. */
  request(): void {
    if (this.#isDue) return;
    // In this order: if the call throws, nothing is due.
    afterThis(this.#run);
    this.#isDue = true;
  }

  readonly #run = (): void => {
    const due = this.#due;
    this.#due = this.#spare;
    this.#spare = due;
    // Not if the thread has left the pool meanwhile: nothing of it is its own any more.
    const { isAttached } = this.#pool;
    let done = 0;
    try {
      while (isAttached && done < due.length) due[done++].onTurnEnd();
    } finally {
      // What one of them throws is thrown on, and the others have their turn.
      while (isAttached && done < due.length) this.#due.push(due[done++]);
      due.length = 0;
      this.#isDue = false;
      if (this.#due.length > 0) this.request();
    }
    if (isAttached) this.#last();
  };
}
