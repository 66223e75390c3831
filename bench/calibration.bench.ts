// SPDX-License-Identifier: MIT
/**
 * The yardstick: one uncontended atomic addition is the unit "A" in which every other case is
 * judged.
 */

import type { BenchCase } from './bench-case.ts';

export const CALIBRATION_ID = 'calibration/atomics-add';

/** Bytes to either side of the word, so that nothing else can share its cache line. */
const APART_BYTES = 256;

export const calibrationCases: readonly BenchCase[] = [
  {
    id: CALIBRATION_ID,
    what: 'Atomics.add on a word that no other thread touches',
    unit: 100_000,
    threads: 1,
    prepare() {
      const words = new Int32Array(new SharedArrayBuffer(2 * APART_BYTES));
      const index = APART_BYTES / Int32Array.BYTES_PER_ELEMENT;
      return {
        run(ops) {
          for (let i = 0; i < ops; i++) Atomics.add(words, index, 1);
          return words[index];
        },
        close() {},
      };
    },
  },
];
