// SPDX-License-Identifier: MIT
/** What a bus costs whose publisher and subscriber are different threads. */

import { Bus } from 'busbar/bus';
import { ExecutorGroup } from 'busbar/executor';
import { BufferPool } from 'busbar/pool';
import type { BenchCase } from '../bench-case.ts';

const MODULE = new URL('./threads/bus.worker.js', import.meta.url);

export const busThreadCases: readonly BenchCase[] = [
  {
    id: 'bus/publish-deliver-64B-executors',
    what: '64 bytes from one executor to another, one subscriber that reads a byte',
    unit: 1000,
    threads: 2,
    async prepare() {
      const pool = BufferPool.create({ bufferSize: 16_384, bufferCount: 1024, maxThreads: 4 });
      const group = await ExecutorGroup.start({ pool, module: MODULE, count: 2 });
      const bus = Bus.join(group);
      await bus.flush();
      return {
        async run(ops) {
          (await bus.request('publish', String(ops))).release();
          const sum = await bus.request('sum', '');
          const result = Number(sum.text());
          sum.release();
          return result;
        },
        async close() {
          await group.stop();
          bus.close();
          pool.detach();
        },
      };
    },
  },
];
