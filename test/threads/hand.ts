// SPDX-License-Identifier: MIT
/** Test tool: the main thread's side of a worker that executes commands. */
import { Worker } from 'node:worker_threads';
import type { BufferPool } from 'busbar/pool';
import { turn } from '../turns.ts';
import { workerUrl } from './worker-crew.ts';

/** A call to make. */
export interface Question {
  readonly id: number;
  readonly call: string;
  readonly args: readonly unknown[];
}

/** What came of it. */
export interface Answer {
  readonly id: number;
  readonly result?: unknown;
  readonly error?: { readonly code: string | undefined; readonly message: string };
}

/** A worker with a pool object of its own. */
export class Hand {
  readonly words: Int32Array<SharedArrayBuffer> = new Int32Array(new SharedArrayBuffer(64));
  readonly ended: Promise<number>;
  slot = -1;
  readonly #worker: Worker;
  readonly #open = new Map<
    number,
    { resolve: (value: never) => void; reject: (e: Error) => void }
  >();
  #asked = 0;

  private constructor(pool: BufferPool, words: Int32Array<SharedArrayBuffer> | undefined) {
    if (words !== undefined) this.words = words;
    const workerData = { handle: pool.handle, words: this.words.buffer };
    this.#worker = new Worker(workerUrl('hand'), { workerData });
    this.#worker.on('message', ({ id, result, error }: Answer) => {
      const { resolve, reject } = this.#open.get(id) ?? {};
      this.#open.delete(id);
      if (error === undefined) resolve?.(result as never);
      else reject?.(Object.assign(new Error(error.message), { code: error.code }));
    });
    this.ended = new Promise((resolve) => {
      this.#worker.on('error', () => {});
      this.#worker.on('exit', resolve);
    });
  }

  static async attach(pool: BufferPool, words?: Int32Array<SharedArrayBuffer>): Promise<Hand> {
    const hand = new Hand(pool, words);
    hand.slot = await hand.ask('slot');
    return hand;
  }

  /** Calls a method of the worker's pool, or one of its other deeds. */
  ask<T>(call: string, ...args: unknown[]): Promise<T> {
    const id = this.#asked++;
    const answer = new Promise<T>((resolve, reject) => {
      this.#open.set(id, { resolve, reject });
    });
    // A killed worker does not reply, and no caller may be waiting.
    answer.catch(() => {});
    this.#worker.postMessage({ id, call, args } satisfies Question);
    return answer;
  }

  /** Waits until the worker has counted a word up to a value. */
  async reaches(index: number, value: number): Promise<void> {
    while (Atomics.load(this.words, index) < value) await turn();
  }

  async terminate(): Promise<void> {
    await this.#worker.terminate();
    await this.ended;
  }
}
