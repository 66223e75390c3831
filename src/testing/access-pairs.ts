// SPDX-License-Identifier: MIT
/** Model checker: coverage of pairs of accesses that were met in both orders. */

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
 * Two accesses of different threads to one word, at least one of which writes, are a pair. Their
 * order is recorded; writes of other threads in between do not matter.
 *
 * The accesses of the current schedule are kept in order. When the explorer goes back, later ones
 * are overwritten.
 */
export class AccessPairs {
  readonly #memory: ModelMemory;
  readonly #machine: Machine;
  readonly #order: Met[] = [];
  /** By the pair's places: bit 1 for the order of the key, bit 2 for the reverse. */
  readonly #pairs = new Map<string, number>();

  constructor(machine: Machine) {
    this.#memory = machine.memory;
    this.#machine = machine;
  }

  /** Records an access of a thread. */
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

  /** The number of accesses of all threads so far, including the current one. */
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
