// SPDX-License-Identifier: MIT
/** Model checker: which accesses, by their places in the program, were met in both orders. */

import type { Machine } from './machine.ts';
import { isWrite, OP_EVENT, T_LOG } from './machine-layout.ts';
import { CELL_SILENT, type ModelMemory } from './memory.ts';
import { placesNow, placeText } from './places.ts';
import type { AccessPair, PairCoverage } from './scenario.ts';

interface Met {
  readonly thread: number;
  readonly cell: number;
  readonly writes: boolean;
  readonly place: string;
}

const BOTH = 3;

/**
 * Two accesses of different threads to one word, at least one of which writes, are a pair. It is
 * noted in which order they came, with no other write of a third one looked at in between.
 *
 * The accesses of the present schedule stand in the order in which they came, as many as all
 * threads have made; when the explorer goes back, later ones are written over.
 */
export class AccessPairs {
  readonly #memory: ModelMemory;
  readonly #machine: Machine;
  readonly #order: Met[] = [];
  /** By the pair's places: 1 for the order of the text, 2 for the other one. */
  readonly #pairs = new Map<string, number>();

  constructor(machine: Machine) {
    this.#memory = machine.memory;
    this.#machine = machine;
  }

  /** A thread has made an access. */
  note(thread: number, op: number, cell: number): void {
    const at = this.#made - 1;
    this.#order.length = Math.min(this.#order.length, at);
    while (this.#order.length < at) this.#order.push(NOTHING);
    if (op >= OP_EVENT || (this.#memory.flags[cell] & CELL_SILENT) !== 0) {
      this.#order.push(NOTHING);
      return;
    }
    const place = placeText(placesNow()[0]);
    const present = { thread, cell, writes: isWrite(op), place };
    for (let i = at - 1; i >= 0; i--) {
      const before = this.#order[i];
      if (before.cell !== cell || before.thread === thread) continue;
      if (before.writes || present.writes) this.#meet(before.place, place);
      if (before.writes) break;
    }
    this.#order.push(present);
  }

  /** How many accesses all threads have made up to now, the present one included. */
  get #made(): number {
    const { layout, state } = this.#machine;
    let made = 0;
    for (let i = 0; i < layout.threadCount; i++) made += state[layout.thread(i) + T_LOG];
    return made;
  }

  coverage(): PairCoverage {
    const oneOrder: AccessPair[] = [];
    let both = 0;
    for (const [pair, orders] of this.#pairs) {
      const [first, second] = pair.split('\n');
      if (orders === BOTH) both++;
      else if (orders === 1) oneOrder.push({ first, second });
      else oneOrder.push({ first: second, second: first });
    }
    oneOrder.sort((a, b) => (`${a.first} ${a.second}` < `${b.first} ${b.second}` ? -1 : 1));
    return { both, oneOrder };
  }

  #meet(first: string, second: string): void {
    const forth = first <= second;
    const pair = forth ? `${first}\n${second}` : `${second}\n${first}`;
    const order = first === second ? BOTH : forth ? 1 : 2;
    this.#pairs.set(pair, (this.#pairs.get(pair) ?? 0) | order);
  }
}

const NOTHING: Met = { thread: -1, cell: -1, writes: false, place: '' };
