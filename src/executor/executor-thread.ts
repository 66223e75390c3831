// SPDX-License-Identifier: MIT
/** The program of an executor's thread: the group starts it, nobody imports it. */

import { parentPort, workerData } from 'node:worker_threads';
import { ExecutorLife } from './executor-life.ts';
import type { Assignment } from './messages.ts';
import { throwUncaught } from './uncaught.ts';

const assignment = workerData as Assignment | undefined;
if (parentPort === null || assignment?.kind !== 'busbar/executor') {
  throw new Error('this is the program of an executor; use ExecutorGroup.start()');
}
new ExecutorLife(parentPort, assignment).start().catch(throwUncaught);
