// SPDX-License-Identifier: MIT
/** The shared words of executors under the model checker. */

import { exploreAll } from './coverage.ts';
import { executorDeathParts } from './executor-deaths.ts';
import { executorExceptionParts, loadExecutors } from './executor-exceptions.ts';
import { executorParts } from './executor-scenarios.ts';
import { mortal } from './mortal.ts';

const module = await loadExecutors(mortal);

exploreAll('executor', [
  ...executorParts(module),
  ...executorDeathParts(module),
  ...executorExceptionParts(module),
]);
