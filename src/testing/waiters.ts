// SPDX-License-Identifier: MIT
/**
 * Model checker: the lists of waiters of all words, in order of arrival, for `Atomics.wait`,
 * `waitAsync` and `notify`.
 */

import {
  G_SEQUENCE,
  G_WAITERS_A,
  G_WAITERS_B,
  G_WAITERS_END,
  type StateLayout,
  SYNC_WAITER,
  T_EVENTS,
  T_WAITS,
  W_AGENT,
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
} from './machine-layout.ts';
import { mixA, mixB } from './memory.ts';

/** The waiter list of all words, kept in the state block. A waiter is named by its offset there. */
export class WaiterTable {
  readonly #state: Int32Array;
  readonly #layout: StateLayout;

  constructor(state: Int32Array, layout: StateLayout) {
    this.#state = state;
    this.#layout = layout;
  }

  /** The word that an agent waits on and that no longer holds what it waits for; or −1. */
  missedChange(agent: number, heap: Int32Array): number {
    const state = this.#state;
    for (let waiter = this.#first(agent); waiter >= 0; waiter = this.#next(waiter, agent)) {
      if (state[waiter + W_STATE] !== WAITER_WAITING) continue;
      const cell = state[waiter + W_CELL];
      if (heap[cell] !== state[waiter + W_EXPECTED]) return cell;
    }
    return -1;
  }

  /** True if an agent waits for something that another can bring. */
  hasAny(agent: number): boolean {
    return this.#state[this.#layout.thread(agent) + T_WAITS] > 0;
  }

  add(agent: number, cell: number, number: number, expected: number): void {
    const state = this.#state;
    const end = this.#layout.used(state);
    let waiter = this.#layout.firstWaiter;
    while (waiter < end && state[waiter + W_STATE] !== WAITER_NONE) waiter += WAITER_FIELDS;
    if (waiter === end) {
      if (end + WAITER_FIELDS > this.#layout.size) throw new Error('too many waits are pending');
      state[G_WAITERS_END]++;
    }
    state[waiter + W_STATE] = WAITER_WAITING;
    state[waiter + W_AGENT] = agent;
    state[waiter + W_CELL] = cell;
    state[waiter + W_SEQUENCE] = ++state[G_SEQUENCE];
    state[waiter + W_NUMBER] = number;
    state[waiter + W_EXPECTED] = expected;
    this.#contribute(waiter, 1);
    this.#count(waiter, 1);
  }

  /** Takes the longest waiting waiter of a word out of the list; its offset, or −1. */
  notifyOne(cell: number): number {
    const state = this.#state;
    const end = this.#layout.used(state);
    let oldest = -1;
    for (let waiter = this.#layout.firstWaiter; waiter < end; waiter += WAITER_FIELDS) {
      if (state[waiter + W_STATE] !== WAITER_WAITING || state[waiter + W_CELL] !== cell) continue;
      if (oldest < 0 || state[waiter + W_SEQUENCE] < state[oldest + W_SEQUENCE]) oldest = waiter;
    }
    if (oldest < 0) return -1;
    this.#contribute(oldest, -1);
    state[oldest + W_STATE] = WAITER_NOTIFIED;
    state[oldest + W_SEQUENCE] = ++state[G_SEQUENCE];
    this.#contribute(oldest, 1);
    const agent = state[oldest + W_AGENT];
    if (agent < this.#layout.threadCount && !this.isSync(oldest)) {
      state[this.#layout.thread(agent) + T_EVENTS]++;
    }
    return oldest;
  }

  agentOf(waiter: number): number {
    return this.#state[waiter + W_AGENT];
  }

  isSync(waiter: number): boolean {
    return this.#state[waiter + W_NUMBER] === SYNC_WAITER;
  }

  /** The thread's sync waiter, or −1. */
  syncWaiter(agent: number): number {
    let waiter = this.#first(agent);
    while (waiter >= 0 && !this.isSync(waiter)) waiter = this.#next(waiter, agent);
    return waiter;
  }

  /** The agent's async waiter that was notified first, or −1. */
  nextEvent(agent: number): number {
    const state = this.#state;
    let oldest = -1;
    if (state[this.#layout.thread(agent) + T_EVENTS] === 0) return oldest;
    for (let waiter = this.#first(agent); waiter >= 0; waiter = this.#next(waiter, agent)) {
      if (state[waiter + W_STATE] !== WAITER_NOTIFIED || this.isSync(waiter)) continue;
      if (oldest < 0 || state[waiter + W_SEQUENCE] < state[oldest + W_SEQUENCE]) oldest = waiter;
    }
    return oldest;
  }

  remove(waiter: number): void {
    const state = this.#state;
    this.#contribute(waiter, -1);
    this.#count(waiter, -1);
    const agent = state[waiter + W_AGENT];
    if (agent < this.#layout.threadCount && state[waiter + W_STATE] === WAITER_NOTIFIED) {
      if (!this.isSync(waiter)) state[this.#layout.thread(agent) + T_EVENTS]--;
    }
    state.fill(0, waiter, waiter + WAITER_FIELDS);
  }

  /** The agent dies: its waiters become ghosts. */
  endAll(agent: number): void {
    const state = this.#state;
    for (let waiter = this.#first(agent); waiter >= 0; waiter = this.#next(waiter, agent)) {
      if (state[waiter + W_STATE] === WAITER_NOTIFIED) this.remove(waiter);
      if (state[waiter + W_STATE] !== WAITER_WAITING) continue;
      this.#contribute(waiter, -1);
      state[waiter + W_STATE] = WAITER_GHOST;
      this.#contribute(waiter, 1);
    }
  }

  /** True if the agent died while it waited on the word. */
  haunts(agent: number, cell: number): boolean {
    const state = this.#state;
    for (let waiter = this.#first(agent); waiter >= 0; waiter = this.#next(waiter, agent)) {
      if (state[waiter + W_STATE] === WAITER_GHOST && state[waiter + W_CELL] === cell) return true;
    }
    return false;
  }

  #count(waiter: number, change: number): void {
    const agent = this.#state[waiter + W_AGENT];
    if (agent < this.#layout.threadCount) {
      this.#state[this.#layout.thread(agent) + T_WAITS] += change;
    }
  }

  #first(agent: number): number {
    return this.#next(this.#layout.firstWaiter - WAITER_FIELDS, agent);
  }

  /** The agent's next waiter in the table, or −1. */
  #next(waiter: number, agent: number): number {
    const state = this.#state;
    const end = this.#layout.used(state);
    for (let next = waiter + WAITER_FIELDS; next < end; next += WAITER_FIELDS) {
      if (state[next + W_STATE] !== WAITER_NONE && state[next + W_AGENT] === agent) return next;
    }
    return -1;
  }

  /**
   * Adds what the waiter, as it stands now, contributes to the hash of the table (sign −1: takes it
   * away).
   *
   * Of the sequence numbers only two things matter: who of two threads came first to the same word,
   * and which of a thread's own waits was notified first. Which slot of the table a waiter stands
   * in does not matter.
   */
  #contribute(waiter: number, sign: number): void {
    const state = this.#state;
    const status = state[waiter + W_STATE];
    const cell = state[waiter + W_CELL];
    const agent = this.agentOf(waiter);
    const name = mixA(agent, state[waiter + W_NUMBER]);
    let a = mixA(cell * 4 + status, name);
    let b = mixB(cell * 4 + status, name);
    const end = this.#layout.used(state);
    for (let other = this.#layout.firstWaiter; other < end; other += WAITER_FIELDS) {
      if (state[other + W_STATE] !== status || other === waiter) continue;
      const sameAgent = this.agentOf(other) === agent;
      const related = status === WAITER_NOTIFIED ? sameAgent : !sameAgent;
      if (!related || (!sameAgent && state[other + W_CELL] !== cell)) continue;
      const otherName = mixA(this.agentOf(other), state[other + W_NUMBER]);
      const otherFirst = state[other + W_SEQUENCE] < state[waiter + W_SEQUENCE];
      const first = otherFirst ? otherName : name;
      const second = otherFirst ? name : otherName;
      a += mixA(first, second);
      b += mixB(first, second);
    }
    state[G_WAITERS_A] += sign * (a | 0);
    state[G_WAITERS_B] += sign * (b | 0);
  }
}
