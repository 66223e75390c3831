// SPDX-License-Identifier: MIT
/** Soak: an executor of the broker that reports its state on request. */

import { BroadcastChannel } from 'node:worker_threads';
import type { ExecutorContext } from 'busbar/executor';
import { run as runBroker } from '../../broker/broker.worker.ts';
import { ANSWERS, QUESTIONS } from './broker-part.ts';
import { ThreadReader } from './reading.ts';

export function run(context: ExecutorContext): Promise<void> {
  const reader = new ThreadReader(`executor ${context.index}`);
  const questions = new BroadcastChannel(QUESTIONS);
  const answers = new BroadcastChannel(ANSWERS);
  questions.unref();
  answers.unref();
  questions.onmessage = (): void => answers.postMessage(reader.read());
  context.defer(() => {
    reader.close();
    questions.close();
    answers.close();
  });
  return runBroker(context);
}
