// SPDX-License-Identifier: MIT
/**
 * Bugs of memory order, planted one at a time: an engine on x86 does not show them, and the checker
 * only with `memory: 'es'`.
 */

import type { ModelOptions, ModelReport, Scenario } from 'busbar/testing';
import { afterAll, expect, test } from 'vitest';
import { sampled } from '../effort.ts';
import { channelCases } from './channel-scenarios.ts';
import type { ChannelModule } from './channel-words.ts';
import { loadPlanted, removeCopy, sources } from './copies.ts';
import { isWhole, Notes, type Planted } from './coverage.ts';
import { findFailure } from './find-failure.ts';
import { MORTAL, mortal } from './mortal.ts';
import type { Load } from './planted.ts';
import { type SegmentModule, segmentScenario } from './segment-scenario.ts';
import { seqLockCases } from './seq-lock-scenarios.ts';
import type { SyncModule } from './sync-words.ts';

interface WeakBug {
  readonly what: string;
  readonly entry: string;
  readonly from: string;
  readonly to: string;
  scenario(load: Load): Promise<Scenario<unknown>>;
}

const BUGS: readonly WeakBug[] = [
  {
    what: 'mpsc: take looks at TURN plainly, and throws the value of the ordered load away',
    entry: 'channel/slot-ring.ts',
    from: 'const seen = loadAcquire(words, at);',
    to: 'loadAcquire(words, at); const seen = turn;',
    scenario: async (load) => {
      const module: ChannelModule = {
        ...(await load<Pick<ChannelModule, 'BufferPool' | 'NO_BUFFER'>>('pool/index.ts')),
        ...(await load<Pick<ChannelModule, 'Packet'>>('packet/index.ts')),
        ...(await load<Pick<ChannelModule, 'PacketChannel' | 'WordChannel'>>('channel/index.ts')),
      };
      const name = 'mpsc 1: sendSync, receiveSync';
      const found = channelCases(module).find(({ scenario }) => scenario.name === name);
      if (found === undefined) throw new Error(`no scenario ${name}`);
      return found.scenario as Scenario<unknown>;
    },
  },
  {
    what: 'shared writer: the claimant writes BUFFER = 0 plainly',
    entry: 'writer/segment-ring.ts',
    from: 'storeRelease(words, segment + BUFFER, 0);',
    to: 'words[segment + BUFFER] = 0;',
    scenario: async (load) => {
      const module: SegmentModule = {
        ...(await load<Pick<SegmentModule, 'BufferPool'>>('pool/index.ts')),
        ...(await load<Pick<SegmentModule, 'SegmentRing'>>('writer/segment-ring.ts')),
      };
      return segmentScenario(module) as Scenario<unknown>;
    },
  },
  {
    what: 'seqlock: the copies are read plainly',
    entry: 'sync/seq-lock.ts',
    from: 'target[i] = loadSeqCst(words, copy + i);',
    to: 'target[i] = words[copy + i];',
    scenario: async (load) => {
      const module: SyncModule = {
        ...(await load<Pick<SyncModule, 'BufferPool' | 'NO_BUFFER'>>('pool/index.ts')),
        ...(await load<Omit<SyncModule, 'BufferPool' | 'NO_BUFFER'>>('sync/index.ts')),
      };
      return seqLockCases(module)[0].scenario as unknown as Scenario<unknown>;
    },
  },
];

const WEAK: ModelOptions = { memory: 'es', weakReads: 1 };
const OPTIONS: ModelOptions = { preemptions: 0, timeouts: 0, polls: 0, states: 40_000 };

async function hunt(bug: WeakBug, load: Load, options: ModelOptions): Promise<ModelReport> {
  return findFailure(await bug.scenario(load), { ...OPTIONS, ...options });
}

const notes = new Notes<Planted>('weak', 'planted');
const table: string[] = [];
afterAll(() => {
  console.log(table.join('\n'));
});

test('each bug can be planted', () => {
  // Code changes, and what was to be replaced may be gone.
  for (const { entry, from } of BUGS) expect(sources().get(entry)).toContain(from);
});

for (const bug of isWhole ? BUGS : sampled(BUGS)) {
  test(bug.what, { timeout: 300_000 }, async () => {
    const variant = `weak-mutant-${process.pid}-${BUGS.indexOf(bug)}`;
    const plant = (text: string): string => text.replace(bug.from, bug.to);
    const planted: Load = (module) =>
      loadPlanted(MORTAL, { variant, entry: bug.entry, plant }, module);
    try {
      const found = await hunt(bug, planted, WEAK);
      const kind = found.failure?.kind;
      notes.add({ bug: bug.what, foundBy: kind && `${found.scenario}: ${kind}` });
      table.push(`${bug.what}: ${found.schedules} schedules, ${kind ?? 'NOT FOUND'}`);
      expect(kind).toMatch(/^(?:data race|assertion)$/);
      // The last line says where the order was missing.
      expect(found.failure?.trace).toMatch(/written later|an older write|not the last write/);
      // The bugs are found within some schedules: `npm test` need not go on to the end to see that
      // neither the other memory nor the right code shows them.
      const bound = isWhole ? {} : { states: 2_000 };
      const asBefore = await hunt(bug, planted, bound);
      const right = await hunt(bug, mortal, { ...WEAK, ...bound });
      expect([asBefore.failure?.kind, right.failure?.trace]).toEqual([undefined, undefined]);
      if (isWhole) expect([asBefore.covered, right.covered]).toEqual([0, 0]);
    } finally {
      removeCopy(variant);
    }
  });
}
