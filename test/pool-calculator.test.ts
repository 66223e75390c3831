// SPDX-License-Identifier: MIT
/** The calculator of the sizing guide says what the pool says. */

import { BufferPool } from 'busbar/pool';
import { expect, test } from 'vitest';
import { planText } from '../docs/site/pool-calculator.mjs';

test('the calculator shows the plan of a pool', () => {
  const [bufferSize, bufferCount] = [16384, 512];
  const pool = BufferPool.create({ bufferSize, bufferCount, maxThreads: 1 });
  for (const links of [0, 1, 10, 1000]) {
    for (const laggards of [0, links]) {
      for (const requestBytes of [0, 256, 257]) {
        for (const packets of [false, true]) {
          const use = { links, laggards, messageBytes: 115, requestBytes, packets };
          expect(planText({ bufferSize, bufferCount, ...use })).toBe(pool.plan(use).text);
        }
      }
    }
  }
});

test('it says what is wrong with a field', () => {
  const fields = { bufferSize: 4096, bufferCount: 1, links: 1, messageBytes: 1 };
  expect(planText({ ...fields, laggards: 2 })).toMatch(/laggards/);
  expect(planText({ ...fields, links: NaN })).toMatch(/links/);
  expect(planText({ ...fields, messageBytes: 4097 })).toMatch(/messageBytes/);
});
