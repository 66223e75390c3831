// SPDX-License-Identifier: MIT
/** Soak: the command line. */

import { parseArgs } from 'node:util';
import { readCount, UsageError } from '../../bench/command-line.ts';
import { arbitrarySeed } from '../../src/base/random.ts';
import { PLANTS, type Plant } from './part.ts';
import { JUDGED_MINUTES_MIN, warmUpOf } from './verdict.ts';

export const USAGE = `The broker and the links under full load, all at once, in seven processes:
are memory, descriptors and free buffers flat, do latencies stay, is every message right?

  npm run soak -- --minutes N [options]

  --minutes N      how long, at least 4; the first quarter is warm-up and not judged
  --seed S         of chance; without, one is drawn
  --json FILE      write everything measured to FILE
  --svg FILE       and draw it
  --minute-ms MS   make minutes shorter than 60000 ms
  --plant KIND     keep a buffer, an array or a descriptor of the TCP server at each of the twelve
                   samples of a minute, to see it found (repeatable)
  --help           print this and stop

Ends with 0 if all is fine, with 1 if something was wrong, did not come back or is not flat, with 2
if it could not be asked for.
`;

const MINUTE_MS = 60_000;
const SEED_MAX = 2 ** 32 - 1;

export interface SoakSettings {
  readonly minutes: number;
  readonly minuteMs: number;
  readonly seed: number;
  readonly plants: readonly Plant[];
  readonly jsonFile: string | undefined;
  readonly svgFile: string | undefined;
}

/**
 * Reads the arguments; undefined: help is asked for. **Throws** UsageError, and what `parseArgs`
 * throws.
 */
export function readCommandLine(args: readonly string[]): SoakSettings | undefined {
  const { values } = parseArgs({
    args: [...args],
    options: {
      minutes: { type: 'string' },
      seed: { type: 'string' },
      json: { type: 'string' },
      svg: { type: 'string' },
      'minute-ms': { type: 'string', default: String(MINUTE_MS) },
      plant: { type: 'string', multiple: true, default: [] },
      help: { type: 'boolean', default: false },
    },
  });
  if (values.help) return undefined;
  if (values.minutes === undefined) throw new UsageError('--minutes must say how long');
  const minutes = readCount('--minutes', values.minutes);
  if (minutes - warmUpOf(minutes) < JUDGED_MINUTES_MIN) {
    throw new UsageError(`--minutes ${minutes} leaves too few to judge after the warm-up`);
  }
  const seed = values.seed === undefined ? arbitrarySeed() : Number(values.seed);
  if (!Number.isInteger(seed) || seed < 0 || seed > SEED_MAX) {
    throw new UsageError(`--seed must be a whole number below 2³², got ${values.seed}`);
  }
  const plants = values.plant.map((text) => {
    const plant = PLANTS.find((known) => known === text);
    if (plant !== undefined) return plant;
    throw new UsageError(`--plant must be one of ${PLANTS.join(', ')}, got ${text}`);
  });
  const minuteMs = readCount('--minute-ms', values['minute-ms']);
  return { minutes, minuteMs, seed, plants, jsonFile: values.json, svgFile: values.svg };
}
