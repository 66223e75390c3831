// SPDX-License-Identifier: MIT
/**
 * Bugs planted in the buffer pool, one at a time: the model checker finds them. BUSBAR_MODEL=long
 * plants all of them.
 */

import { afterAll, expect, test } from 'vitest';
import { loadCopy } from './copies.ts';
import { explore } from './index.ts';
import { makeMortal } from './mortal.ts';
import { type Mutant, mutantsOf } from './mutants.ts';
import { deathCases } from './pool-death-scenarios.ts';
import { livingCases } from './pool-scenarios.ts';
import type { PoolModule } from './pool-words.ts';

const isLong = process.env.BUSBAR_MODEL === 'long';
const table: string[] = [];

/** Statistics: wrong numbers there are no matter of interleavings. */
const COUNTERS = /\b(?:ACQUIRES|ACQUIRES_HIGH|REFILLS|OVERFLOWS|WAITS|RECLAIMS|GIVE_BACKS)\b/;

const MODULES = [
  'base/parker.ts',
  'base/atomics.ts',
  'pool/free-list.ts',
  'pool/pool-thread.ts',
  'pool/waiting.ts',
  'pool/liveness.ts',
  'pool/reclaim.ts',
  'pool/doorbell.ts',
  'pool/buffer-references.ts',
  'pool/buffer-pool.ts',
];

/** What finds the mutant, or undefined. */
async function hunt(mutant: Mutant, variant: string): Promise<string | undefined> {
  const module = await loadCopy<PoolModule>(variant, 'pool/index.ts', (entry, text, target) =>
    makeMortal(entry === mutant.entry ? mutant.text : text, target),
  );
  for (const item of [...livingCases(module), ...deathCases(module)]) {
    const report = await explore(item.scenario, { ...item.quick, states: 20_000, polls: 4 });
    if (report.failure !== undefined) return `${item.scenario.name}: ${report.failure.kind}`;
  }
  return undefined;
}

afterAll(() => {
  console.log(table.join('\n'));
});

const all = MODULES.flatMap((module) => mutantsOf(module, COUNTERS));
const sampled = isLong ? all : all.filter((_, i) => i % 16 === 7);

test('bugs planted in the pool are found', { timeout: 7_200_000 }, async () => {
  let found = 0;
  for (const mutant of sampled) {
    const by = await hunt(mutant, `mutant-${all.indexOf(mutant)}`).catch(
      (error) => `setup: ${error}`,
    );
    if (by !== undefined) found++;
    const place = `${mutant.entry}:${mutant.line}`.padEnd(32);
    const what = mutant.what.slice(0, 70).padEnd(72);
    const verdict = by === undefined ? 'NOT FOUND  ' : 'found      ';
    table.push(`${verdict}${mutant.kind.padEnd(6)}${place}${what}${by ?? ''}`);
  }
  table.push(`${found} of ${sampled.length} found`);
  expect(found).toBeGreaterThan(sampled.length / 2);
});
