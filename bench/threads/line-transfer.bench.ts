// SPDX-License-Identifier: MIT
/** What cases of two threads cannot go below: a cache line from core to core. */

import type { BenchCase, PreparedCase } from '../bench-case.ts';
import { Crew, ROUNDS_PER_CHECK } from './crew.ts';
import { BATCH, bounceFirst, createLines, tryReadLines } from './line-transfer.ts';

export const lineCases: readonly BenchCase[] = [
  {
    id: 'floor/word-round-trip',
    what: 'a word to another thread and back: a store there and a store here, both threads spin',
    unit: BATCH,
    threads: 2,
    prepare: prepareRoundTrips,
  },
  {
    id: 'floor/lines-batch64',
    what: 'a word written into each of 64 cache lines here, read there; 1024 lines in turn',
    unit: BATCH * 16,
    threads: 2,
    prepare: prepareLines,
  },
];

async function prepareRoundTrips(): Promise<PreparedCase> {
  const data = createLines();
  const crew = await Crew.start([{ role: 'line-echo', data }]);
  let next = 0;
  return {
    run(ops) {
      crew.begin(ops);
      next = bounceFirst(data, next, ops);
      crew.finish();
      return ops;
    },
    close: () => crew.close(),
  };
}

async function prepareLines(): Promise<PreparedCase> {
  const data = createLines();
  const crew = await Crew.start([{ role: 'line-writer', data }]);
  let read = 0;
  return {
    run(ops) {
      crew.begin(ops);
      let idleRounds = 0;
      for (let left = ops; left > 0; ) {
        if (tryReadLines(data, read)) {
          read = (read + BATCH) | 0;
          left -= BATCH;
        } else if (++idleRounds % ROUNDS_PER_CHECK === 0) crew.check();
      }
      crew.finish();
      return ops;
    },
    close: () => crew.close(),
  };
}
