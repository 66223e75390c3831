// SPDX-License-Identifier: MIT
/** The program of an executor's thread. The group starts it; no module imports it. */

import { runThread } from './executor-program.ts';

runThread();
