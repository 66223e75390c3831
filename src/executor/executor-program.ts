// SPDX-License-Identifier: MIT
/** Which file the threads of executors run, also where busbar has become part of a bundle. */

import { existsSync } from 'node:fs';
import { pathToFileURL } from 'node:url';
import { parentPort, workerData } from 'node:worker_threads';
import { BusbarError } from '../base/errors.ts';
import { throwLater } from '../base/throw-later.ts';
import { ExecutorLife } from './executor-life.ts';
import type { Assignment } from './messages.ts';

/** This file, or the bundle that it has become part of. */
const HERE: string | undefined = import.meta.url ?? ownName();
const PROGRAM = './executor-thread.js';

/**
 * The program of a thread that runs this module.
 *
 * In a bundle: `executor-thread.js` beside it, or the bundle itself if that is the module, which
 * the thread loads in any case.
 *
 * **Throws** ERR_BUSBAR_EXECUTOR_START if there is neither.
 */
export function programOf(module: string): URL {
  if (HERE !== undefined) {
    // Tests run this file as it is, with the threads of the build.
    if (/\/executor\/executor-program\.ts$/.test(HERE))
      return new URL('../../dist/executor/executor-thread.js', HERE);
    const program = new URL(PROGRAM, HERE);
    if (isThere(program)) return program;
    if (module === HERE) return new URL(HERE);
  }
  const what = 'the bundle lacks executor-thread.js, see "Bundles" in the README of busbar';
  throw new BusbarError('ERR_BUSBAR_EXECUTOR_START', what);
}

/** In a bundle of CommonJS, which has no `import.meta.url`. */
function ownName(): string | undefined {
  return typeof __filename === 'string' ? pathToFileURL(__filename).href : undefined;
}

/** Whether a file is there, and may be read. */
export function isThere(file: URL): boolean {
  try {
    return existsSync(file);
  } catch {
    return false; // the permission model of Node denies reading it
  }
}

let isRunning = false;

/** Runs in a new thread, once: where bundles share code, both callers may stand in one file. */
export function runThread(): void {
  if (isRunning) return;
  isRunning = true;
  const assignment = workerData as Assignment | undefined;
  if (parentPort === null || assignment?.kind !== 'busbar/executor') {
    throw new Error('this is the program of an executor; use ExecutorGroup.start()');
  }
  new ExecutorLife(parentPort, assignment).start().catch(throwLater);
}

// The bundle is the program.
if (HERE !== undefined && (workerData as Assignment | null)?.program === HERE) runThread();
