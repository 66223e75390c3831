// SPDX-License-Identifier: MIT
/** Whole buffers through a bare ring of their numbers: beside `channel/buffers-batch64`. */

import type { BenchCase, PreparedCase } from '../bench-case.ts';
import { BATCH } from './channel-packets.ts';
import { Crew, ROUNDS_PER_CHECK } from './crew.ts';
import { BUFFER_BYTES, createIdRings, IdRingEnd, SLOTS } from './id-ring.ts';
import { checkMessage, nextNumber } from './message.ts';

export const idRingCases: readonly BenchCase[] = [
  {
    id: 'baseline/buffer-ring-batch64',
    what: 'channel/buffers-batch64 through a bare ring of numbers, and back through another',
    unit: BATCH * 16,
    threads: 2,
    prepare: prepareIdRings,
  },
];

async function prepareIdRings(): Promise<PreparedCase> {
  const data = createIdRings();
  const crew = await Crew.start([{ role: 'id-ring-source', data }]);
  const there = new IdRingEnd(data.there);
  const back = new IdRingEnd(data.back, SLOTS);
  const view = new DataView(data.memory);
  const ids = new Int32Array(BATCH);
  return {
    run(ops) {
      crew.begin(ops);
      let idleRounds = 0;
      for (let i = 0, number = 0; i < ops; ) {
        if (!there.tryPop(ids)) {
          if (++idleRounds % ROUNDS_PER_CHECK === 0) crew.check();
          continue;
        }
        for (let k = 0; k < BATCH; k++, number = nextNumber(number)) {
          checkMessage(view, ids[k] * BUFFER_BYTES, number);
        }
        if (!back.tryPush(ids)) throw new Error('there is room for all');
        i += BATCH;
      }
      crew.finish();
      return ops;
    },
    close: () => crew.close(),
  };
}
