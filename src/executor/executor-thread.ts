// SPDX-License-Identifier: MIT
/**
 * `busbar/executor-thread`: the program of an executor's thread, an entry point for bundlers.
 *
 * The group starts it; a program does not import it.
 */

import { runThread } from './executor-program.ts';

runThread();
