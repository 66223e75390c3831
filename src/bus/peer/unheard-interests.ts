// SPDX-License-Identifier: MIT
/** The interests of this bus that one peer is to hear of: a difference, not a log. */

import { type Interest, type OwnInterest, weightOf } from './own-interest.ts';

/** See the state table of one interest in peer-layout.ts: those that are in WAITS. */
export class UnheardInterests {
  readonly #own: OwnInterest;
  /** And the weight that the peer was told. */
  readonly #told: Map<Interest, number> = new Map();

  constructor(own: OwnInterest) {
    this.#own = own;
  }

  get size(): number {
    return this.#told.size;
  }

  /** The peer knows none. */
  addAll(): void {
    for (const interest of this.#own.all()) this.#add(interest, 0);
  }

  /** Its weight has changed. A change that undoes the one that waits leaves nothing to be said. */
  changed(interest: Interest): void {
    const told = this.#told.get(interest);
    if (told === undefined) this.#add(interest, interest.before);
    else if (told === weightOf(interest)) this.delete(interest);
  }

  /** The peer was told. */
  delete(interest: Interest): void {
    this.#told.delete(interest);
    this.#own.caughtUp(interest);
  }

  /** Nothing more is said. */
  clear(): void {
    for (const interest of this.#told.keys()) this.delete(interest);
  }

  /** One that is deleted meanwhile does not come. */
  [Symbol.iterator](): Iterator<Interest> {
    return this.#told.keys();
  }

  #add(interest: Interest, told: number): void {
    this.#told.set(interest, told);
    interest.behind++;
  }
}
