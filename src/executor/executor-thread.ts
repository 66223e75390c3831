// SPDX-License-Identifier: MIT
/** The program of an executor's thread. The group starts it; no module imports it. */

import { parentPort, workerData } from 'node:worker_threads';
import { throwLater } from '../base/throw-later.ts';
import { ExecutorLife } from './executor-life.ts';
import type { Assignment } from './messages.ts';

const assignment = workerData as Assignment | undefined;
if (parentPort === null || assignment?.kind !== 'busbar/executor') {
  throw new Error('this is the program of an executor; use ExecutorGroup.start()');
}
new ExecutorLife(parentPort, assignment).start().catch(throwLater);
