// SPDX-License-Identifier: MIT
/** Soak: the example broker on two executors, as `npm start` runs it, observed from inside. */

import { BroadcastChannel } from 'node:worker_threads';
import { BrokerGroup } from '../../broker/broker-group.ts';
import type { Part } from './part.ts';
import { type Reading, touchPages } from './reading.ts';

export const EXECUTORS = 2;
const KIB = 1024;
const MIB = 1024 * KIB;
/** Little room, so that a slow consumer is cut off within a second or two. */
const OPTIONS = {
  port: 0,
  maxPendingBytes: 2 * MIB,
  maxConnections: 200,
  poolBytes: 64 * MIB,
};
/** The host asks its executors here, and they answer. */
export const QUESTIONS = 'soak questions';
export const ANSWERS = 'soak answers';

export async function makeBroker(): Promise<Part> {
  const module = new URL('./observed-broker.worker.js', import.meta.url);
  let crashed: Error | undefined;
  const broker = await BrokerGroup.start(OPTIONS, {
    executors: EXECUTORS,
    module,
    onCrash: (_index, error) => {
      crashed ??= error;
    },
  });
  touchPages(broker.pool);
  const questions = new BroadcastChannel(QUESTIONS);
  const answers = new BroadcastChannel(ANSWERS);
  return {
    ports: [broker.port],
    pool: broker.pool,
    tallies: [],
    async readThreads() {
      if (crashed !== undefined) throw crashed;
      const readings = await ask(questions, answers);
      return Object.assign({}, ...readings) as Reading;
    },
    async close() {
      questions.close();
      answers.close();
      await broker.drain();
      if (crashed !== undefined) throw crashed;
    },
  };
}

/** One reading from each executor. */
function ask(questions: BroadcastChannel, answers: BroadcastChannel): Promise<Reading[]> {
  return new Promise((resolve) => {
    const readings: Reading[] = [];
    answers.onmessage = (event): void => {
      readings.push((event as { data: Reading }).data);
      if (readings.length === EXECUTORS) resolve(readings);
    };
    questions.postMessage('read');
  });
}
