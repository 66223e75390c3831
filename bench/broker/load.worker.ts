// SPDX-License-Identifier: MIT
/** A load thread: prepares one end of a scenario on command, and runs it on `go`. */

import { parentPort } from 'node:worker_threads';
import { prepareBlast, preparePublishers } from './publish.ts';
import { prepareRequester, prepareResponder } from './request.ts';
import type { LoadAnswer, LoadCommand, LoadTask } from './scenario.ts';
import { prepareSubscribers } from './subscribe.ts';

let prepared: LoadTask | undefined;

parentPort?.on('message', async (message: LoadCommand | 'go') => {
  try {
    if (message !== 'go') {
      prepared = await prepare(message);
      answer({ kind: 'ready', port: prepared.port });
    } else if (prepared !== undefined) {
      answer({ kind: 'done', result: await prepared.run() });
    }
  } catch (error) {
    answer({ kind: 'failed', reason: (error as Error).message });
  }
});

function answer(message: LoadAnswer): void {
  parentPort?.postMessage(message);
}

function prepare({ task, port, executors, scenario }: LoadCommand): Promise<LoadTask> {
  const target = { port, executors };
  if (scenario.kind === 'flow') {
    if (task === 'publish') return preparePublishers(target, scenario);
    if (task === 'subscribe') return prepareSubscribers(target, scenario);
    if (task === 'blast') return prepareBlast(scenario);
  } else {
    if (task === 'request') return prepareRequester(target, scenario);
    if (task === 'respond') return prepareResponder(target, scenario);
  }
  throw new RangeError(`${task} has no part in ${scenario.id}`);
}
