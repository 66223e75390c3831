// SPDX-License-Identifier: MIT
/** One suite of contracts, over everything that carries a bus. */
import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest';
import { CARRIERS } from './carriers.ts';
import { CASES, type Case, rolesOf } from './cases.ts';
import type { Stage } from './party.ts';

test('the contracts are numbered, each once', () => {
  const found = CASES.map(({ text }) => text.split(' ')[0]);
  expect(new Set(found).size).toBe(found.length);
  for (const number of found) expect(number).toMatch(/^\d\.\d+$/);
});

function says({ needs }: Case, { isOneBus, isOnePool, replace }: Stage): boolean {
  if (needs === 'several buses') return !isOneBus;
  if (needs === 'one pool') return isOnePool;
  return needs !== 'deaths' || replace !== undefined;
}

for (const carrier of CARRIERS) {
  describe(carrier.name, () => {
    let stage: Stage;
    beforeAll(async () => {
      stage = await carrier.start();
    });
    afterEach(async () => {
      for (const party of stage.parties) await party.reset();
    });
    afterAll(() => stage.end());

    for (const each of CASES.filter(({ isFinal }) => isFinal !== true)) {
      test(each.text, async ({ skip }) => {
        if (!says(each, stage)) return skip(`it is about ${each.needs}`);
        await each.run(rolesOf(stage));
      });
    }
  });

  describe(`${carrier.name}, to the end`, () => {
    for (const each of CASES.filter(({ isFinal }) => isFinal === true)) {
      test(each.text, async ({ skip }) => {
        const stage = await carrier.start();
        try {
          if (!says(each, stage)) return skip(`it is about ${each.needs}`);
          await each.run(rolesOf(stage));
        } finally {
          await stage.end();
        }
      });
    }
  });
}
