// SPDX-License-Identifier: MIT
/** Pool, channels and shared writers whose counters wrap within a few operations. */

import { NEXT_TICKET } from '../../src/pool/pool-layout.ts';
import { type CarrierModule, carrierParts } from './carrier-scenarios.ts';
import { ChannelBodies, channelScenario } from './channel-scenarios.ts';
import type { ChannelModule, ChannelShared } from './channel-words.ts';
import { type Case, exploreAll, type Part } from './coverage.ts';
import { attachedTo, type PoolBody, poolScenario } from './pool-scenarios.ts';
import { makePool, type PoolShared } from './pool-words.ts';
import { shrunk } from './shrunk.ts';
import type { WriterModule } from './writer-scenarios.ts';
import { smallWriterParts } from './writer-small.ts';

const module: ChannelModule = {
  ...(await shrunk<Pick<ChannelModule, 'BufferPool' | 'NO_BUFFER'>>('pool/index.ts')),
  ...(await shrunk<Pick<ChannelModule, 'Packet'>>('packet/index.ts')),
  ...(await shrunk<Pick<ChannelModule, 'PacketChannel' | 'WordChannel'>>('channel/index.ts')),
};

const writers: WriterModule = {
  ...(await shrunk<Pick<WriterModule, 'BufferPool'>>('pool/index.ts')),
  ...(await shrunk<Omit<WriterModule, 'BufferPool'>>('writer/index.ts')),
};

const carriers: CarrierModule = {
  BufferPool: module.BufferPool,
  NO_BUFFER: module.NO_BUFFER,
  ...(await shrunk<Pick<CarrierModule, 'PoolLayout'>>('pool/pool-layout.ts')),
  ...(await shrunk<Pick<CarrierModule, 'ENTRY_COUNT'>>('pool/carrier-layout.ts')),
};

function poolCases(): Case<PoolShared>[] {
  const shape = { bufferCount: 1, batchSize: 1, maxThreads: 2 };
  const comesAndGoes: PoolBody = ({ handle }) => {
    const pool = module.BufferPool.attach(handle);
    const id = pool.tryAcquire();
    if (id >= 0) pool.release(id);
    pool.detach();
  };
  const waits = attachedTo(module)((pool) => {
    pool.release(pool.acquireSync());
    pool.release(pool.acquireSync());
  });
  const coming = poolScenario(
    module,
    'small: 5 threads attach at a slot',
    { ...shape, maxThreads: 5 },
    { a: comesAndGoes, b: comesAndGoes, c: comesAndGoes, d: comesAndGoes, e: comesAndGoes },
  );
  const beginAt = (ticket: number): Case<PoolShared> => ({
    scenario: poolScenario(
      module,
      `small: tickets from ${ticket}`,
      shape,
      { a: waits, b: waits },
      {
        setup: () => {
          const shared = makePool(module, shape);
          new Int32Array(shared.handle.control)[NEXT_TICKET] = ticket;
          return shared;
        },
      },
    ),
    quick: { preemptions: 1, states: 10_000 },
    long: { preemptions: 2 },
  });
  return [
    {
      scenario: { ...coming, prepares: [] },
      quick: { preemptions: 0, states: 2_000 },
      long: { preemptions: 1 },
    },
    beginAt(2 ** 31 - 1),
    beginAt(-1),
  ];
}

function channelCases(): Case<ChannelShared>[] {
  const bodies = new ChannelBodies(module);
  const sends = (from: number, count: number) =>
    bodies.gives((giver, sent) => {
      for (let i = 0; i < count; i++) {
        giver.sendSync(16 * from + i);
        sent.push(16 * from + i);
      }
    });
  const receives = (count: number) =>
    bodies.takes((taker, received) => {
      for (let i = 0; i < count; i++) received.push(taker.receiveSync() as number);
    });
  const cases: Case<ChannelShared>[] = [];
  for (const kind of ['mpsc', 'mpmc'] as const) {
    for (const capacity of [1, 2]) {
      const scenario = channelScenario(
        module,
        'small: laps of 2 bits, 2 senders',
        { kind, capacity, carries: 'words' },
        { a: sends(1, 5), b: sends(2, 1), r: receives(6) },
      );
      cases.push({
        scenario,
        quick: { preemptions: 1, timeouts: 0, polls: 0, states: 10_000 },
        long: { preemptions: 2, timeouts: 0, polls: 0 },
      });
    }
  }
  return [...cases, ...lateWakingCases()];
}

/** A sender that waits is woken once half of the slots are free. */
function lateWakingCases(): Case<ChannelShared>[] {
  const bodies = new ChannelBodies(module);
  const sends = (count: number) =>
    bodies.gives((giver, sent) => {
      for (let i = 0; i < count; i++) {
        giver.sendSync(i);
        sent.push(i);
      }
    });
  const waits = (count: number) =>
    bodies.gives(async (giver, sent) => {
      for (let i = 0; i < count; i++) {
        await giver.send(i);
        sent.push(i);
      }
    });
  const takes = (count: number) =>
    bodies.takes((taker, received) => {
      for (let i = 0; i < count; i++) received.push(taker.receiveSync() as number);
    });
  const late = (
    name: string,
    threads: Record<string, ReturnType<typeof sends>>,
    leavesSome = false,
  ) => ({
    scenario: channelScenario(
      module,
      `late waking: ${name}`,
      { kind: 'spsc', capacity: 4, carries: 'words' },
      threads,
      { leavesSome },
    ),
    quick: { preemptions: 1, states: 5_000 },
    long: { preemptions: 2 },
  });
  return [
    late('7 messages, both block', { a: sends(7), r: takes(7) }),
    late('7 messages, the sender has promises', { a: waits(7), r: takes(7) }),
    late('the receiver takes one and no more', { a: sends(5), r: takes(1) }, true),
    late('the receiver takes one, the sender has promises', { a: waits(5), r: takes(1) }, true),
  ];
}

const parts: Part<never>[] = [
  {
    name: 'pool: few bits',
    operations: 'attach, detach, tryAcquire, acquireSync, release',
    cases: poolCases() as unknown as Case<never>[],
  },
  {
    name: 'channels: few bits',
    operations: 'sendSync, receiveSync',
    cases: channelCases() as unknown as Case<never>[],
  },
];

exploreAll('carriers', carrierParts(carriers));
exploreAll('shrunk', [...parts, ...(smallWriterParts(writers) as unknown as Part<never>[])]);
