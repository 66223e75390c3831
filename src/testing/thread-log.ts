// SPDX-License-Identifier: MIT
/** Model checker: logs of the threads' accesses and of the values read, to replay them. */

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

const LENGTH = 256;

export class ThreadLog {
  readonly #state: Int32Array;
  readonly #layout: StateLayout;
  readonly #signatures: Int32Array[] = [];
  readonly #operands: Int32Array[] = [];
  readonly #values: Int32Array[] = [];

  constructor(state: Int32Array, layout: StateLayout) {
    this.#state = state;
    this.#layout = layout;
    for (let thread = 0; thread < layout.threadCount; thread++) {
      this.#signatures.push(new Int32Array(LENGTH));
      this.#operands.push(new Int32Array(LENGTH));
      this.#values.push(new Int32Array(LENGTH));
    }
  }

  /** Appends an access of a thread, with its operands and the value it read. */
  append(thread: number, op: number, cell: number, operands: number, value: number): void {
    const state = this.#state;
    const base = this.#layout.thread(thread);
    const at = state[base + T_LOG]++;
    if (at === this.#values[thread].length) this.#grow(thread);
    const signature = op + OP_LIMIT * cell;
    this.#signatures[thread][at] = signature;
    this.#operands[thread][at] = operands;
    this.#values[thread][at] = value;
    state[base + T_HASH_A] = mixA(state[base + T_HASH_A] ^ signature, value);
    state[base + T_HASH_B] = mixB(state[base + T_HASH_B] ^ signature, value);
  }

  /**
   * Records that a thread has left `count` values for its supervisor, and what they depend on.
   * False if it had before.
   */
  publish(thread: number, count: number): boolean {
    const state = this.#state;
    const base = this.#layout.thread(thread);
    if (count <= state[base + T_PUBLISHED]) return false;
    state[base + T_PUBLISHED] = count;
    state[base + T_PUBLISHED_A] = state[base + T_HASH_A];
    state[base + T_PUBLISHED_B] = state[base + T_HASH_B];
    return true;
  }

  /** Operation and cell of an entry: `op + OP_LIMIT · cell`. */
  signature(thread: number, at: number): number {
    return this.#signatures[thread][at];
  }

  operands(thread: number, at: number): number {
    return this.#operands[thread][at];
  }

  value(thread: number, at: number): number {
    return this.#values[thread][at];
  }

  /** Per thread: signatures, operands and values. */
  copy(): readonly (readonly Int32Array[])[] {
    return this.#values.map((values, t) => [this.#signatures[t], this.#operands[t], values]);
  }

  load(copy: readonly (readonly Int32Array[])[]): void {
    copy.forEach(([signatures, operands, values], thread) => {
      this.#signatures[thread] = signatures;
      this.#operands[thread] = operands;
      this.#values[thread] = values;
    });
  }

  #grow(thread: number): void {
    for (const arrays of [this.#signatures, this.#operands, this.#values]) {
      const longer = new Int32Array(arrays[thread].length * 2);
      longer.set(arrays[thread]);
      arrays[thread] = longer;
    }
  }
}
