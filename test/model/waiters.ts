// SPDX-License-Identifier: MIT
/** Model checker: who waits on which word, in order of arrival, as `Atomics.wait`, `waitAsync` and `notify` see it. */

import {
  G_SEQUENCE,
  type StateLayout,
  SYNC_WAITER,
  W_CELL,
  W_EXPECTED,
  W_NUMBER,
  W_SEQUENCE,
  W_STATE,
  WAITER_FIELDS,
  WAITER_GHOST,
  WAITER_NONE,
  WAITER_NOTIFIED,
  WAITER_WAITING,
  WAITERS_PER_AGENT,
} from './machine-layout.ts';

/** The waiter list of all words, kept in the state block. A waiter is named by its offset there. */
export class WaiterTable {
  readonly #state: Int32Array;
  readonly #layout: StateLayout;
  /** Scratch of {@link hash}. */
  readonly #used: Int32Array;

  constructor(state: Int32Array, layout: StateLayout) {
    this.#state = state;
    this.#layout = layout;
    this.#used = new Int32Array((layout.threadCount + 1) * WAITERS_PER_AGENT);
  }

  /** True if an agent waits on a word that does not hold any more what it waits for to change. */
  missedChange(agent: number, heap: Int32Array): boolean {
    const state = this.#state;
    const first = this.#layout.waiters(agent);
    for (let i = 0; i < WAITERS_PER_AGENT; i++) {
      const waiter = first + i * WAITER_FIELDS;
      if (state[waiter + W_STATE] !== WAITER_WAITING) continue;
      if (heap[state[waiter + W_CELL]] !== state[waiter + W_EXPECTED]) return true;
    }
    return false;
  }

  add(agent: number, cell: number, number: number, expected: number): void {
    const state = this.#state;
    const first = this.#layout.waiters(agent);
    for (let i = 0; i < WAITERS_PER_AGENT; i++) {
      const waiter = first + i * WAITER_FIELDS;
      if (state[waiter + W_STATE] !== WAITER_NONE) continue;
      state[waiter + W_STATE] = WAITER_WAITING;
      state[waiter + W_CELL] = cell;
      state[waiter + W_SEQUENCE] = ++state[G_SEQUENCE];
      state[waiter + W_NUMBER] = number;
      state[waiter + W_EXPECTED] = expected;
      return;
    }
    throw new Error(`a model thread has more than ${WAITERS_PER_AGENT} waits pending`);
  }

  /** Takes the longest waiting waiter of a word out of the list; its offset, or −1. */
  notifyOne(cell: number): number {
    const state = this.#state;
    let oldest = -1;
    for (let agent = 0; agent <= this.#layout.threadCount; agent++) {
      const first = this.#layout.waiters(agent);
      for (let i = 0; i < WAITERS_PER_AGENT; i++) {
        const waiter = first + i * WAITER_FIELDS;
        if (state[waiter + W_STATE] !== WAITER_WAITING || state[waiter + W_CELL] !== cell) continue;
        if (oldest < 0 || state[waiter + W_SEQUENCE] < state[oldest + W_SEQUENCE]) oldest = waiter;
      }
    }
    if (oldest < 0) return -1;
    state[oldest + W_STATE] = WAITER_NOTIFIED;
    state[oldest + W_SEQUENCE] = ++state[G_SEQUENCE];
    return oldest;
  }

  agentOf(waiter: number): number {
    const first = this.#layout.firstWaiter;
    return Math.floor((waiter - first) / (WAITERS_PER_AGENT * WAITER_FIELDS));
  }

  isSync(waiter: number): boolean {
    return this.#state[waiter + W_NUMBER] === SYNC_WAITER;
  }

  /** The thread's sync waiter, or −1. */
  syncWaiter(agent: number): number {
    const state = this.#state;
    const first = this.#layout.waiters(agent);
    for (let i = 0; i < WAITERS_PER_AGENT; i++) {
      const waiter = first + i * WAITER_FIELDS;
      if (state[waiter + W_STATE] !== WAITER_NONE && state[waiter + W_NUMBER] === SYNC_WAITER)
        return waiter;
    }
    return -1;
  }

  /** The agent's async waiter that was notified first, or −1. */
  nextEvent(agent: number): number {
    const state = this.#state;
    const first = this.#layout.waiters(agent);
    let oldest = -1;
    for (let i = 0; i < WAITERS_PER_AGENT; i++) {
      const waiter = first + i * WAITER_FIELDS;
      if (state[waiter + W_STATE] !== WAITER_NOTIFIED || state[waiter + W_NUMBER] === SYNC_WAITER)
        continue;
      if (oldest < 0 || state[waiter + W_SEQUENCE] < state[oldest + W_SEQUENCE]) oldest = waiter;
    }
    return oldest;
  }

  remove(waiter: number): void {
    this.#state.fill(0, waiter, waiter + WAITER_FIELDS);
  }

  /** The agent dies: its waiters become ghosts. */
  bury(agent: number): void {
    const state = this.#state;
    const first = this.#layout.waiters(agent);
    for (let i = 0; i < WAITERS_PER_AGENT; i++) {
      const waiter = first + i * WAITER_FIELDS;
      if (state[waiter + W_STATE] === WAITER_WAITING) state[waiter + W_STATE] = WAITER_GHOST;
      else this.remove(waiter);
    }
  }

  /** True if the agent died while it waited on the word. */
  haunts(agent: number, cell: number): boolean {
    const state = this.#state;
    const first = this.#layout.waiters(agent);
    for (let i = 0; i < WAITERS_PER_AGENT; i++) {
      const waiter = first + i * WAITER_FIELDS;
      if (state[waiter + W_STATE] === WAITER_GHOST && state[waiter + W_CELL] === cell) return true;
    }
    return false;
  }

  /**
   * Mixes the table into a hash. Of the sequence numbers only two things matter: who of two threads came first
   * to the same word, and which of a thread's own waits was notified first.
   */
  hash(seed: number, mix: (index: number, value: number) => number): number {
    const state = this.#state;
    const used = this.#used;
    let count = 0;
    let hash = seed;
    const end = this.#layout.size;
    for (let waiter = this.#layout.firstWaiter; waiter < end; waiter += WAITER_FIELDS) {
      const status = state[waiter + W_STATE];
      if (status === WAITER_NONE) continue;
      const agent = this.agentOf(waiter);
      const cell = state[waiter + W_CELL];
      // Which slot of the table a waiter stands in does not matter: sum, do not chain.
      hash = (hash + mix(cell * 8 + status, mix(agent, state[waiter + W_NUMBER]))) | 0;
      for (let i = 0; i < count; i++) {
        const other = used[i];
        if (state[other + W_STATE] !== status) continue;
        const sameWord = state[other + W_CELL] === cell;
        const sameAgent = this.agentOf(other) === agent;
        if (status === WAITER_WAITING ? !sameWord || sameAgent : !sameAgent) continue;
        const otherFirst = state[other + W_SEQUENCE] < state[waiter + W_SEQUENCE];
        const [first, second] = otherFirst ? [other, waiter] : [waiter, other];
        const pair = mix(state[first + W_NUMBER] + 1, state[second + W_NUMBER] + 1);
        hash = (hash + mix(pair, otherFirst ? this.agentOf(other) : agent)) | 0;
      }
      used[count++] = waiter;
    }
    return hash;
  }
}
