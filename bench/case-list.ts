// SPDX-License-Identifier: MIT
/** Every benchmark case, in the order of the report. */

import { baselineCases } from './baseline.bench.ts';
import type { BenchCase } from './bench-case.ts';
import { calibrationCases } from './calibration.bench.ts';
import { framerCases } from './framer.bench.ts';
import { packetCases } from './packet.bench.ts';
import { poolCases } from './pool.bench.ts';
import { writerCases } from './writer.bench.ts';

export const benchCases: readonly BenchCase[] = [
  ...calibrationCases,
  ...poolCases,
  ...packetCases,
  ...framerCases,
  ...writerCases,
  ...baselineCases,
];

/** The case called `id`. */
export function caseNamed(id: string): BenchCase {
  const found = benchCases.find((candidate) => candidate.id === id);
  if (found === undefined) throw new RangeError(`there is no benchmark case called ${id}`);
  return found;
}
