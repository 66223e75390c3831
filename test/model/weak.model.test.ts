// SPDX-License-Identifier: MIT
/**
 * The scenarios of busbar's shared words, repeated with racy words under ECMAScript's memory model:
 * one read in each schedule may return an older write, or one that is made later.
 */

import { channelCases, channelDeathCases } from './channel-scenarios.ts';
import type { ChannelModule } from './channel-words.ts';
import { type Case, exploreAll, type Part } from './coverage.ts';
import { mortal } from './mortal.ts';
import { deathCases } from './pool-death-scenarios.ts';
import { livingParts } from './pool-scenarios.ts';
import type { PoolModule } from './pool-words.ts';
import { type SegmentModule, segmentScenario } from './segment-scenario.ts';
import { type WriterModule, writerCases, writerDeathCases } from './writer-scenarios.ts';

const STATES = 8000;

const module: ChannelModule & PoolModule & WriterModule & SegmentModule = {
  ...(await mortal<Pick<ChannelModule, 'BufferPool' | 'NO_BUFFER'>>('pool/index.ts')),
  ...(await mortal<Pick<ChannelModule, 'Packet'>>('packet/index.ts')),
  ...(await mortal<Pick<ChannelModule, 'PacketChannel' | 'WordChannel'>>('channel/index.ts')),
  ...(await mortal<Omit<WriterModule, 'BufferPool'>>('writer/index.ts')),
  ...(await mortal<Pick<SegmentModule, 'SegmentRing'>>('writer/segment-ring.ts')),
};

function weakly<Shared>({ scenario, quick, long }: Case<Shared>): Case<Shared> {
  const weak = { memory: 'es', weakReads: 1 } as const;
  return {
    scenario: { ...scenario, name: `weak: ${scenario.name}` },
    quick: { ...quick, ...weak, preemptions: 0, states: STATES },
    long: { ...long, ...weak, preemptions: 1 },
  };
}

/** One scenario of a kind is enough where others differ in counts only. */
const ONE_SLOT = /^(?:spsc|mpsc|mpmc) 1: (?!from position)/;

const channels = [...channelCases(module), ...channelDeathCases(module)];

const parts: Part<unknown>[] = [
  {
    name: 'channels: weak memory',
    operations: 'as above',
    cases: channels.filter(({ scenario }) => ONE_SLOT.test(scenario.name)).map(weakly),
  },
  {
    name: 'pool: weak memory',
    operations: 'as above',
    cases: [...livingParts(module).flatMap(({ cases }) => cases), ...deathCases(module)].map(
      weakly,
    ),
  },
  {
    name: 'writers: weak memory',
    operations: 'as above',
    cases: [
      ...[...writerCases(module), ...writerDeathCases(module)].map(weakly),
      weakly({ scenario: segmentScenario(module), quick: {}, long: {} }) as never,
    ],
  },
] as Part<unknown>[];

exploreAll('weak', parts);
