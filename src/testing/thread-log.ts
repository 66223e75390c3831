// SPDX-License-Identifier: MIT
/** Model checker: what each thread has done so far, and what it read: enough to run it again. */

import {
  OP_LIMIT,
  type StateLayout,
  T_HASH_A,
  T_HASH_B,
  T_LOG,
  T_PUBLISHED,
  T_PUBLISHED_A,
  T_PUBLISHED_B,
} from './machine-layout.ts';
import { mixA, mixB } from './memory.ts';

export class ThreadLog {
  readonly #state: Int32Array;
  readonly #layout: StateLayout;
  readonly #signatures: Int32Array[] = [];
  readonly #values: Int32Array[] = [];

  constructor(state: Int32Array, layout: StateLayout, length: number) {
    this.#state = state;
    this.#layout = layout;
    for (let thread = 0; thread < layout.threadCount; thread++) {
      this.#signatures.push(new Int32Array(length + 1));
      this.#values.push(new Int32Array(length + 1));
    }
  }

  /** Notes what a thread has done, and what it learned; returns the new length of its log. */
  append(thread: number, op: number, cell: number, value: number): number {
    const state = this.#state;
    const base = this.#layout.thread(thread);
    const at = state[base + T_LOG]++;
    const signature = op + OP_LIMIT * cell;
    this.#signatures[thread][at] = signature;
    this.#values[thread][at] = value;
    state[base + T_HASH_A] = mixA(state[base + T_HASH_A] ^ signature, value);
    state[base + T_HASH_B] = mixB(state[base + T_HASH_B] ^ signature, value);
    return at + 1;
  }

  /** Notes that a thread has left `count` values for its supervisor, and what they depend on. */
  publish(thread: number, count: number): void {
    const state = this.#state;
    const base = this.#layout.thread(thread);
    if (count <= state[base + T_PUBLISHED]) return;
    state[base + T_PUBLISHED] = count;
    state[base + T_PUBLISHED_A] = state[base + T_HASH_A];
    state[base + T_PUBLISHED_B] = state[base + T_HASH_B];
  }

  /** Operation and cell of an entry: `op + OP_LIMIT · cell`. */
  signature(thread: number, at: number): number {
    return this.#signatures[thread][at];
  }

  value(thread: number, at: number): number {
    return this.#values[thread][at];
  }
}
