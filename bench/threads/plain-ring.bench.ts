// SPDX-License-Identifier: MIT
/** The same words through the plainest ring there is: what the machine itself costs. */

import type { BenchCase, PreparedCase } from '../bench-case.ts';
import { Crew, ROUNDS_PER_CHECK } from './crew.ts';
import { createPlainRing, PlainRingEnd } from './plain-ring.ts';

export const plainRingCases: readonly BenchCase[] = [
  {
    id: 'baseline/plain-ring',
    what: 'a word through a ring of turns and values, one load and one store on each side',
    unit: 64_000,
    threads: 2,
    prepare: preparePlainRing,
  },
];

async function preparePlainRing(): Promise<PreparedCase> {
  const data = createPlainRing();
  const crew = await Crew.start([{ role: 'plain-ring-source', data }]);
  const end = new PlainRingEnd(data);
  return {
    run(ops) {
      crew.begin(ops);
      let idleRounds = 0;
      for (let expected = 0; expected < ops; ) {
        const word = end.tryPop();
        if (word === expected) expected++;
        else if (word !== -1) throw new Error(`${word} came instead of ${expected}`);
        else if (++idleRounds % ROUNDS_PER_CHECK === 0) crew.check();
      }
      crew.finish();
      return ops;
    },
    close: () => crew.close(),
  };
}
