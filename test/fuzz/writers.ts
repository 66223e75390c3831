// SPDX-License-Identifier: MIT
/** Fuzz target: valid operations on writers in random order, against a plain list. */
import { runOracle } from '../threads/writer-oracle.ts';
import type { SeedTarget } from './target.ts';

/** Objects of one shared writer; 0: a local one. */
const OBJECTS_MAX = 4;
const STEPS = 100;

export const writers: SeedTarget = {
  name: 'writers',
  execution: `${STEPS} operations on a local writer, or on several objects of a shared one`,
  executionsInTests: 20,
  run: (seed) => runOracle(seed % (OBJECTS_MAX + 1), STEPS, seed),
};
