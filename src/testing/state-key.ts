// SPDX-License-Identifier: MIT
/**
 * Model checker: a key of the present state of a run, equal for two states that have the same
 * futures: memory, what each thread has read, the order of race clocks, and the waiters.
 */

import type { ClockRanks } from './clock-ranks.ts';
import type { MachineParts } from './machine-contract.ts';
import {
  DEAD,
  G_EXCEPTIONS,
  G_KILLS,
  G_WAITERS_A,
  G_WAITERS_B,
  IDLE,
  T_FINISHED,
  T_HASH_A,
  T_HASH_B,
  T_LATE,
  T_PUBLISHED,
  T_PUBLISHED_A,
  T_PUBLISHED_B,
  T_STATUS,
  T_TIMED,
  T_TIMEOUTS,
} from './machine-layout.ts';
import { mixA, mixB } from './memory.ts';

const GONE = 64;

export class StateKey {
  a = 0;
  b = 0;
  /** True once `check` has looked at what threads return: that is then a part of the state. */
  resultsMatter = false;
  readonly #parts: MachineParts;
  readonly #ranks: ClockRanks;
  readonly #isGone = (thread: number): boolean => this.isGone(thread);

  constructor(parts: MachineParts, ranks: ClockRanks) {
    this.#parts = parts;
    this.#ranks = ranks;
  }

  /** `current` continues if it can; `favored` runs next; each a thread or −1. */
  compute(current: number, favored: number): void {
    const { state, memory, layout, limits } = this.#parts;
    const hits = state[G_KILLS] + 32 * state[G_EXCEPTIONS] + 1024 * (favored + 1);
    this.a = memory.hashA ^ mixA(current + 1, hits);
    this.b = memory.hashB ^ mixB(current + 1, hits);
    for (let thread = 0; thread < layout.threadCount; thread++) this.#addThread(thread);
    this.a = mixA(this.a, state[G_WAITERS_A]);
    this.b = mixB(this.b, state[G_WAITERS_B]);
    if (!limits.races) return;
    this.#ranks.compute(this.#isGone);
    this.a ^= this.#ranks.a;
    this.b ^= this.#ranks.b;
  }

  #addThread(thread: number): void {
    const { state, layout } = this.#parts;
    const base = layout.thread(thread);
    const status = state[base + T_STATUS];
    if (this.isGone(thread)) {
      // What it has read does not matter any more; what it has returned does if `check` reads that.
      this.a = mixA(this.a ^ (this.resultsMatter ? state[base + T_HASH_A] : 0), GONE);
      this.b = mixB(this.b ^ (this.resultsMatter ? state[base + T_HASH_B] : 0), GONE);
      return;
    }
    const brief =
      status |
      (state[base + T_FINISHED] << 3) |
      (state[base + T_TIMED] << 4) |
      (state[base + T_LATE] << 6) |
      (state[base + T_TIMEOUTS] << 8);
    // Of what a dead thread knew, only what it had left for its supervisor counts.
    const isDead = status === DEAD;
    const told = isDead ? DEAD | (state[base + T_PUBLISHED] << 4) : brief;
    this.a = mixA(this.a ^ state[base + (isDead ? T_PUBLISHED_A : T_HASH_A)], told);
    this.b = mixB(this.b ^ state[base + (isDead ? T_PUBLISHED_B : T_HASH_B)], told);
  }

  /** True if the thread has come to its end, and nothing can call it again. */
  isGone(thread: number): boolean {
    const { state, layout, waiters } = this.#parts;
    const base = layout.thread(thread);
    if (state[base + T_STATUS] !== IDLE || state[base + T_FINISHED] === 0) return false;
    return state[base + T_TIMED] === 0 && !waiters.hasAny(thread);
  }
}
