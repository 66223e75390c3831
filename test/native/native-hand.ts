// SPDX-License-Identifier: MIT
/** Test tool: the main thread's side of a worker that calls busbar/native. */
import { Worker } from 'node:worker_threads';

const PROGRAM = new URL('../../build/test/native/native.worker.js', import.meta.url);

/** A worker that makes one call at a time. */
export class NativeHand {
  readonly ended: Promise<number>;
  readonly #worker: Worker;
  #answers: Promise<unknown> = Promise.resolve();

  constructor(name = '') {
    this.#worker = new Worker(PROGRAM, { workerData: { name } });
    this.ended = new Promise((resolve) => this.#worker.once('exit', resolve));
  }

  /** The result of the call, or the error it throws. */
  ask<Result>(call: string, ...args: unknown[]): Promise<Result> {
    const answer = this.#answers.then(() => this.#ask<Result>(call, args));
    this.#answers = answer.catch(() => undefined);
    return answer;
  }

  #ask<Result>(call: string, args: unknown[]): Promise<Result> {
    return new Promise((resolve, reject) => {
      this.#worker.once('error', reject);
      this.#worker.once('message', ({ result, error }) => {
        this.#worker.off('error', reject);
        if (error === undefined) resolve(result);
        else reject(error);
      });
      this.#worker.postMessage({ call, args });
    });
  }

  /** Posts a call without waiting for what comes of it. */
  tell(call: string, ...args: unknown[]): void {
    this.#worker.postMessage({ call, args });
  }

  terminate(): Promise<number> {
    return this.#worker.terminate();
  }
}
