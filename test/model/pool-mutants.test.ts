// SPDX-License-Identifier: MIT
/**
 * Bugs planted in the pool and what is built on it, one at a time: the model checker finds them.
 * BUSBAR_MODEL=long plants all of them and lists those not found.
 */

import type { ModelOptions, Scenario } from 'busbar/testing';
import { afterAll, expect, test } from 'vitest';
import { sampled } from '../effort.ts';
import { loadPlanted, removeCopy } from './copies.ts';
import { isLong, isWhole, Notes, type Planted } from './coverage.ts';
import { findFailure } from './find-failure.ts';
import { MORTAL } from './mortal.ts';
import { type Mutant, mutantsOf } from './mutants.ts';
import { deathCases } from './pool-death-scenarios.ts';
import { livingParts } from './pool-scenarios.ts';
import type { PoolModule } from './pool-words.ts';
import { type WriterModule, writerCases, writerDeathCases } from './writer-scenarios.ts';

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
  'pool/share-accounts.ts',
  'pool/buffer-pool.ts',
  'pool/pool-deaths.ts',
  'writer/lane.ts',
  'writer/shared-delivery.ts',
  'writer/write-flusher.ts',
  'writer/flusher-deaths.ts',
  'writer/receiver-bell.ts',
];

const LAST = 'send to 2 threads, write if alone';

/**
 * Planted in test runs, every fourth in `npm test`: a few, by what their text says, and the
 * scenario to begin with.
 */
const PICKED: readonly (readonly [string, Mutant['kind'], RegExp, string])[] = [
  ['base/parker.ts', 'drop', /notify/, 'acquireSync, release'],
  ['pool/free-list.ts', 'drop', /OWNER\] = slot/, 'refill and overflow, 2 threads'],
  ['pool/free-list.ts', 'split', /\(words, at, chain, claim\)/, 'refill and overflow, 2 threads'],
  ['pool/waiting.ts', 'split', /GRANT, WAITING/, 'acquireSync, hoarder'],
  ['pool/reclaim.ts', 'drop', /putOne\(id/, 'death: send, receive'],
  ['pool/buffer-references.ts', 'drop', /TransitMark\)\] = 0/, 'death: send, receive'],
  ['pool/buffer-references.ts', 'drop', /buffer \+ OWNER\] = slot/, LAST],
  ['pool/buffer-references.ts', 'drop', /= this\.alone;/, 'death: send the only reference'],
  ['pool/buffer-references.ts', 'drop', /\] = this\.threadSlot;/, 'death: send the only reference'],
];

interface Case {
  readonly scenario: Scenario<unknown>;
  readonly quick: ModelOptions;
}

/** What finds the mutant, or undefined. */
async function hunt(mutant: Mutant, variant: string, first: string): Promise<string | undefined> {
  const bug = { variant, entry: mutant.entry, plant: () => mutant.text };
  const load = <Exports>(module: string): Promise<Exports> => loadPlanted(MORTAL, bug, module);
  const pool = await load<PoolModule>('pool/index.ts');
  const writer = { ...pool, ...(await load<Omit<WriterModule, 'BufferPool'>>('writer/index.ts')) };
  const cases = [
    ...livingParts(pool).flatMap(({ cases }) => cases),
    ...deathCases(pool),
    ...writerCases(writer),
    ...writerDeathCases(writer),
  ] as unknown as Case[];
  cases.sort((a, b) => Number(b.scenario.name === first) - Number(a.scenario.name === first));
  for (const item of cases) {
    const report = await findFailure(item.scenario, { ...item.quick, states: 20_000, polls: 4 });
    if (report.failure !== undefined) return `${item.scenario.name}: ${report.failure.kind}`;
  }
  return undefined;
}

afterAll(() => {
  console.log(table.join('\n'));
});

const all = MODULES.flatMap((module) => mutantsOf(module, COUNTERS));
const picked = new Map<Mutant, string>();
for (const [entry, kind, what, first] of PICKED) {
  const mutant = all.find((m) => m.entry === entry && m.kind === kind && what.test(m.what));
  if (mutant !== undefined) picked.set(mutant, first);
}

test('planted bugs are found', { timeout: 14_400_000 }, async () => {
  // Code changes, and what was to be picked may be gone: then pick something else.
  expect(picked.size).toBe(PICKED.length);
  const planted = isLong ? all : isWhole ? [...picked.keys()] : sampled([...picked.keys()]);
  const notes = new Notes<Planted>('pool', 'planted');
  const missed: Mutant[] = [];
  for (const mutant of planted) {
    const variant = `mutant-${process.pid}-${all.indexOf(mutant)}`;
    // A mutant may fail already in setup: as good as found.
    const by = await hunt(mutant, variant, picked.get(mutant) ?? '').catch(
      (error) => `setup: ${error}`,
    );
    removeCopy(variant);
    if (by === undefined) missed.push(mutant);
    const bug = `${mutant.entry}:${mutant.line}: ${mutant.kind} ${mutant.what}`;
    notes.add({ bug: bug.slice(0, 90), foundBy: by });
    const place = `${mutant.entry}:${mutant.line}`.padEnd(32);
    const what = mutant.what.slice(0, 70).padEnd(72);
    const verdict = by === undefined ? 'NOT FOUND  ' : 'found      ';
    table.push(`${verdict}${mutant.kind.padEnd(6)}${place}${what}${by ?? ''}`);
  }
  table.push(`${planted.length - missed.length} of ${planted.length} found`);
  expect(missed.filter((mutant) => picked.has(mutant))).toEqual([]);
});
