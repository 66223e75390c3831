// SPDX-License-Identifier: MIT
/** Model checker: time limit and progress reports of a run. */

import { wantsProgress } from './model-environment.ts';
import type { ModelProgress } from './scenario.ts';

/** Time between two reports. */
const INTERVAL_MS = 2_000;
/** Time between two checkpoints. */
const CHECKPOINT_MS = 30_000;

/** The real clock, even while a scenario runs and the clock is replaced. */
const clock = performance;
const now = clock.now.bind(clock);
const errorOutput = process.stderr;

export class RunWatch {
  readonly #beganMs: number = now();
  readonly #limitMs: number;
  readonly #tell: ((progress: ModelProgress) => void) | undefined;
  #toldMs = this.#beganMs;
  #keptMs = this.#beganMs;

  constructor(limitMs: number, tell: ((progress: ModelProgress) => void) | undefined) {
    this.#limitMs = limitMs;
    this.#tell = tell ?? (wantsProgress(process.env) ? printProgress : undefined);
  }

  get elapsedMs(): number {
    return now() - this.#beganMs;
  }

  /** True once the time limit has passed. */
  get isOver(): boolean {
    return this.elapsedMs >= this.#limitMs;
  }

  /** True now and then: time for a checkpoint. */
  isTimeToKeep(): boolean {
    const at = now();
    if (at - this.#keptMs < CHECKPOINT_MS) return false;
    this.#keptMs = at;
    return true;
  }

  /** Reports progress, if wanted and the last report was long enough ago. */
  look(progress: () => Omit<ModelProgress, 'elapsedMs'>): void {
    if (this.#tell === undefined) return;
    const at = now();
    if (at - this.#toldMs < INTERVAL_MS) return;
    this.#toldMs = at;
    this.#tell({ ...progress(), elapsedMs: at - this.#beganMs });
  }
}

function printProgress({ scenario, schedules, states, elapsedMs }: ModelProgress): void {
  const seconds = (elapsedMs / 1000).toFixed(0);
  errorOutput.write(`${scenario}: ${schedules} schedules, ${states} states, ${seconds} s\n`);
}
