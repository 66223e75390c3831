// SPDX-License-Identifier: MIT
/** One suite of contracts, over everything that carries a bus. */
import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest';
import { CARRIERS } from './carriers.ts';
import { CASES, rolesOf } from './cases.ts';
import type { Stage } from './party.ts';

test('the contracts are numbered, each once', () => {
  const found = CASES.map(({ text }) => text.split(' ')[0]);
  expect(new Set(found).size).toBe(found.length);
  for (const number of found) expect(number).toMatch(/^\d\.\d+$/);
});

for (const carrier of CARRIERS) {
  const cases = CASES.filter(({ needs }) => needs === undefined || carrier.has.includes(needs));

  describe(carrier.name, () => {
    let stage: Stage;
    beforeAll(async () => {
      stage = await carrier.start();
    });
    afterEach(async () => {
      for (const party of stage.parties) await party.reset();
    });
    afterAll(() => stage.end());

    for (const each of cases.filter(({ isFinal }) => isFinal !== true)) {
      test(each.text, async () => {
        await each.run(rolesOf(stage));
      });
    }
  });

  describe(`${carrier.name}, to the end`, () => {
    for (const each of cases.filter(({ isFinal }) => isFinal === true)) {
      test(each.text, async () => {
        const stage = await carrier.start();
        try {
          await each.run(rolesOf(stage));
        } finally {
          await stage.end();
        }
      });
    }
  });
}
