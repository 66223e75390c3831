// SPDX-License-Identifier: MIT
/**
 * Model checker: what vector clocks contribute to a state: their order, not their numbers.
 *
 * In the column of one thread u, clocks hold two kinds of numbers. A *stamp* is u's epoch when it
 * accessed a word. A *knowledge* is the epoch of u up to which a thread, or the release of a word,
 * knows what u did. The checker does four things with them:
 *
 *   compare   is a stamp larger than a knowledge? Nothing else is ever compared.
 *   learn     a knowledge becomes the larger one of two
 *   copy      a knowledge, to or from a release
 *   make      a new stamp or knowledge: u's present epoch. It is at least every stamp and larger
 *             than every knowledge of others, since u's epoch grows after each release and join.
 *
 * All of them give corresponding results in two states whose numbers differ, if each stamp is
 * larger than the same knowledges in both. So two such states, equal in all else, have the same
 * futures. This table gives them equal ranks: it sorts the numbers of a column, a stamp before an
 * equal knowledge, and increments the rank at each stamp that follows a knowledge. A stamp is
 * larger than a knowledge exactly if its rank is.
 *
 * Numbers that are never compared again have no rank:
 *
 *   - knowledge of threads that have ended for good, or have not started: a new thread begins with
 *     the knowledge of the thread that starts it, or whose death it supervises;
 *   - stamps that every other thread knows. (Not with weak memory: there, writes have knowledge.)
 *     A release that is not larger than what every thread knows teaches nothing, and has rank 0;
 *   - what is noted at a word that one thread alone has touched, and stamps of atomic accesses of a
 *     word that has seen no other kind of access. If an exploration meets the access that makes
 *     them matter, it restarts.
 */

import type { MachineParts } from './machine-contract.ts';
import { ABSENT, DEAD, T_STATUS } from './machine-layout.ts';
import { mixA, mixB } from './memory.ts';

/** What an index of the memory holds in a column. */
export const STAMP = 1;
export const KNOWLEDGE = 2;

/** Clock values of weak memory, whose places change: each with its column and kind. */
export interface MovingClocks {
  eachClock(visit: (index: number, column: number, kind: number) => void): void;
}

export class ClockRanks {
  a = 0;
  b = 0;
  /** With weak memory: its writes and promises. */
  moving: MovingClocks | undefined;
  readonly #parts: MachineParts;
  /** First index of each vector of stamps, and of knowledge. */
  readonly #stamps: number[] = [];
  readonly #knowledge: number[] = [];
  readonly #holders: number[] = [];
  readonly #index: number[] = [];
  readonly #column: number[] = [];
  readonly #kind: number[] = [];
  /** By epoch: STAMP, KNOWLEDGE, and then the rank. */
  #table = new Int32Array(256);

  constructor(parts: MachineParts) {
    this.#parts = parts;
  }

  /** From here on, this vector in the memory counts. */
  add(vector: number, kind: number): void {
    const list = kind === STAMP ? this.#stamps : this.#knowledge;
    if (!list.includes(vector)) list.push(vector);
  }

  /** The vectors that count. */
  copy(): { readonly stamps: number[]; readonly knowledge: number[] } {
    return { stamps: [...this.#stamps], knowledge: [...this.#knowledge] };
  }

  load({ stamps, knowledge }: { stamps: number[]; knowledge: number[] }): void {
    this.#stamps.splice(0, this.#stamps.length, ...stamps);
    this.#knowledge.splice(0, this.#knowledge.length, ...knowledge);
  }

  /** Computes `a` and `b`, a hash of all ranks. `isGone`: the thread has ended for good. */
  compute(isGone: (thread: number) => boolean): void {
    const { state, layout, waiters } = this.#parts;
    this.a = 0;
    this.b = 0;
    this.#holders.length = 0;
    for (let thread = 0; thread < layout.threadCount; thread++) {
      const status = state[layout.thread(thread) + T_STATUS];
      // A notifier learns what a thread knew that died as it waited.
      const knows = status === DEAD ? waiters.hasAny(thread) : status !== ABSENT && !isGone(thread);
      if (knows) this.#holders.push(thread);
    }
    this.#index.length = 0;
    this.moving?.eachClock((index, column, kind) => {
      const at = this.#index.push(index) - 1;
      this.#column[at] = column;
      this.#kind[at] = kind;
    });
    for (let u = 0; u < layout.threadCount; u++) this.#addColumn(u);
  }

  #addColumn(u: number): void {
    const least = this.moving === undefined ? this.#least(u) : 0;
    if (least === Number.POSITIVE_INFINITY) return;
    const top = this.#markStamps(u, least);
    if (top === 0) return;
    this.#markKnowledge(u, least, top);
    const table = this.#table;
    let rank = 0;
    let wasKnowledge = true;
    for (let epoch = least + 1; epoch <= top; epoch++) {
      const marks = table[epoch];
      if ((marks & STAMP) !== 0) {
        if (wasKnowledge) rank++;
        wasKnowledge = false;
      }
      if ((marks & KNOWLEDGE) !== 0) wasKnowledge = true;
      table[epoch] = rank;
    }
    this.#mixColumn(u, least, top);
    table.fill(0, least + 1, top + 1);
  }

  /** What every thread but u knows of it. */
  #least(u: number): number {
    const { state, layout } = this.#parts;
    let least = Number.POSITIVE_INFINITY;
    for (const thread of this.#holders) {
      if (thread !== u) least = Math.min(least, state[layout.clock(thread) + u]);
    }
    return least;
  }

  /** Returns the largest stamp; 0 if none counts. */
  #markStamps(u: number, least: number): number {
    const { heap } = this.#parts.memory;
    let top = 0;
    const mark = (epoch: number): void => {
      if (epoch <= least) return;
      if (epoch >= this.#table.length) {
        const longer = new Int32Array(2 * epoch);
        longer.set(this.#table);
        this.#table = longer;
      }
      this.#table[epoch] |= STAMP;
      if (epoch > top) top = epoch;
    };
    for (const vector of this.#stamps) if (heap[vector + u] > least) mark(heap[vector + u]);
    this.#index.forEach((index, i) => {
      if (this.#column[i] === u && (this.#kind[i] & STAMP) !== 0) mark(heap[index]);
    });
    return top;
  }

  #markKnowledge(u: number, least: number, top: number): void {
    const { state, layout, memory } = this.#parts;
    const { heap } = memory;
    const table = this.#table;
    for (const thread of this.#holders) {
      const epoch = state[layout.clock(thread) + u];
      if (thread !== u && epoch > least && epoch <= top) table[epoch] |= KNOWLEDGE;
    }
    for (const vector of this.#knowledge) {
      const epoch = heap[vector + u];
      if (epoch > least && epoch <= top) table[epoch] |= KNOWLEDGE;
    }
    for (let i = 0; i < this.#index.length; i++) {
      const epoch = heap[this.#index[i]];
      if (this.#column[i] !== u || (this.#kind[i] & KNOWLEDGE) === 0) continue;
      if (epoch > least && epoch <= top) table[epoch] |= KNOWLEDGE;
    }
  }

  #mixColumn(u: number, least: number, top: number): void {
    const { state, layout, memory } = this.#parts;
    const { heap } = memory;
    for (const vector of this.#stamps) this.#mix(vector + u, heap[vector + u], least, top);
    for (const vector of this.#knowledge) this.#mix(vector + u, heap[vector + u], least, top);
    for (const thread of this.#holders) {
      if (thread === u) continue;
      const at = layout.clock(thread) + u;
      this.#mix(-1 - at, state[at], least, top);
    }
    for (let i = 0; i < this.#index.length; i++) {
      if (this.#column[i] === u) this.#mix(this.#index[i], heap[this.#index[i]], least, top);
    }
  }

  #mix(index: number, epoch: number, least: number, top: number): void {
    if (epoch <= least) return;
    const rank = this.#table[epoch < top ? epoch : top];
    if (rank === 0) return;
    this.a ^= mixA(index, rank);
    this.b ^= mixB(index, rank);
  }
}
