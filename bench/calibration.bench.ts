// SPDX-License-Identifier: MIT
/** One uncontended atomic addition: the unit "A" in which every other case is judged. */

import type { BenchCase } from './bench-case.ts';
import { addAtomically } from './yardstick.ts';

export const CALIBRATION_ID = 'calibration/atomics-add';

export const calibrationCases: readonly BenchCase[] = [
  {
    id: CALIBRATION_ID,
    what: 'Atomics.add on a word that no other thread touches',
    unit: 100_000,
    threads: 1,
    prepare: () => ({ run: addAtomically, close() {} }),
  },
];
