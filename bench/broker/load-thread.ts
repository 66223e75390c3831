// SPDX-License-Identifier: MIT
/**
 * The harness's handle on one load thread: prepares an end of a scenario, runs it, returns the
 * result.
 */

import { Worker } from 'node:worker_threads';
import type { LoadAnswer, LoadCommand, LoadResult } from './scenario.ts';

const RUN_TIMEOUT_MS = 120_000;

export class LoadThread {
  readonly #worker: Worker = new Worker(new URL('./load.worker.js', import.meta.url));

  /** Resolves to the port of the server when the end is connected and waits. */
  async prepare(command: LoadCommand): Promise<number> {
    const answer = await this.#ask(command);
    if (answer.kind === 'ready') return answer.port;
    throw unexpected(command.task, answer);
  }

  /** Runs what was prepared. */
  async run(): Promise<LoadResult> {
    const answer = await this.#ask('go');
    if (answer.kind === 'done') return answer.result;
    throw unexpected('go', answer);
  }

  async close(): Promise<void> {
    await this.#worker.terminate();
  }

  #ask(message: LoadCommand | 'go'): Promise<LoadAnswer> {
    const worker = this.#worker;
    return new Promise((resolve, reject) => {
      const timer = setTimeout(() => {
        settle();
        reject(new Error('a load thread has not finished: messages were lost'));
      }, RUN_TIMEOUT_MS);
      const onMessage = (answer: LoadAnswer): void => {
        settle();
        resolve(answer);
      };
      const onError = (error: Error): void => {
        settle();
        reject(error);
      };
      const settle = (): void => {
        clearTimeout(timer);
        worker.off('message', onMessage).off('error', onError);
      };
      worker.once('message', onMessage).once('error', onError);
      worker.postMessage(message);
    });
  }
}

function unexpected(what: string, answer: LoadAnswer): Error {
  return new Error(
    answer.kind === 'failed' ? answer.reason : `${what} was answered ${answer.kind}`,
  );
}
