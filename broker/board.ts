// SPDX-License-Identifier: MIT
/**
 * Example broker: state that executors publish to each other, in shared words.
 *
 *   one block, a line of 32 words (128 bytes) for each executor
 *
 *   word     unit     written by    read by    access
 *   CLIENTS  clients  the executor  executors  atomic
 *   BURDEN   bytes    the executor  executors  atomic
 *
 * BURDEN is the number of bytes that wait for that client of the executor for which most bytes
 * wait. The host clears the words of a dead executor.
 */

import type { Elsewhere } from 'busbar/bus';

const CLIENTS = 0;
const BURDEN = 1;
const LINE_WORDS = 32;

export class Board {
  /** Structured-cloneable: pass it to the executors. */
  readonly memory: SharedArrayBuffer;
  readonly #words: Int32Array;

  constructor(memory: SharedArrayBuffer) {
    this.memory = memory;
    this.#words = new Int32Array(memory);
  }

  static create(count: number): Board {
    return new Board(new SharedArrayBuffer(count * LINE_WORDS * Int32Array.BYTES_PER_ELEMENT));
  }

  /** Clears the words of an executor that has ended. */
  clear(index: number): void {
    this.setClients(index, 0);
    this.setBurden(index, 0);
  }

  setClients(index: number, clients: number): void {
    Atomics.store(this.#words, index * LINE_WORDS + CLIENTS, clients);
  }

  /** Clients of all executors. */
  get clients(): number {
    let clients = 0;
    for (let at = CLIENTS; at < this.#words.length; at += LINE_WORDS) {
      clients += Atomics.load(this.#words, at);
    }
    return clients;
  }

  setBurden(index: number, bytes: number): void {
    Atomics.store(this.#words, index * LINE_WORDS + BURDEN, bytes);
  }

  /** What the back-pressure of an executor is told of the clients of the others. */
  elsewhere(index: number): Elsewhere {
    return {
      note: (bytes) => this.setBurden(index, bytes),
      isHeaviest: (bytes) => {
        const own = index * LINE_WORDS + BURDEN;
        for (let at = BURDEN; at < this.#words.length; at += LINE_WORDS) {
          if (at !== own && Atomics.load(this.#words, at) > bytes) return false;
        }
        return true;
      },
    };
  }
}
