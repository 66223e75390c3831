// SPDX-License-Identifier: MIT
/** The same messages through ringbuf.js, which copies them in and out. */

import type { BenchCase, PreparedCase } from '../bench-case.ts';
import { createStorage, type RingData, RingEnd } from './baseline-ring.ts';
import { Crew, ROUNDS_PER_CHECK } from './crew.ts';
import { checkMessage, MESSAGE_BYTES, nextNumber } from './message.ts';

const BATCH = 64;

export const ringCases: readonly BenchCase[] = [
  ring('baseline/ringbuf-64B', 1, false),
  ring('baseline/ringbuf-64B-batch64', BATCH, false),
  ring('baseline/ringbuf-64B-batch64-words', BATCH, true),
];

function ring(id: string, batch: number, words: boolean): BenchCase {
  return {
    id,
    what: `ringbuf.js of ${words ? 'Int32Array' : 'Uint8Array'}, 64 B, ${batch} at a time`,
    unit: BATCH * 16,
    threads: 2,
    prepare: () => prepareRing({ storage: createStorage(words), batch, words }),
  };
}

async function prepareRing(data: RingData): Promise<PreparedCase> {
  const crew = await Crew.start([{ role: 'ring-source', data }]);
  const end = new RingEnd(data);
  const { batch } = data;
  let idleRounds = 0;
  const idle = (): void => {
    if (++idleRounds % ROUNDS_PER_CHECK === 0) crew.check();
  };
  return {
    run(ops) {
      crew.begin(ops);
      let number = 0;
      for (let i = 0; i < ops; i += batch) {
        end.pop(idle);
        for (let k = 0; k < batch; k++, number = nextNumber(number)) {
          checkMessage(end.view, k * MESSAGE_BYTES, number);
        }
      }
      crew.finish();
      return ops;
    },
    close: () => crew.close(),
  };
}
