// SPDX-License-Identifier: MIT
/**
 * The workloads of shared-nothing's own benchmarks, B1 to B7, with the same counts, capacities and
 * payloads (a number of eight bytes).
 *
 * What differs: threads live as long as the case (there each iteration starts its own), and a
 * channel's capacity is the next power of two. Unless the id ends in `-send`, an iteration lasts
 * until the receivers have read all of it; B5 to B7 time only the sending there.
 */

import { type ChannelKind, PacketChannel, WordChannel } from 'busbar/channel';
import { hashPartitioner, type Partitioner, roundRobinPartitioner } from 'busbar/executor';
import { BufferPool, NO_BUFFER } from 'busbar/pool';
import type { BenchCase, PreparedCase } from '../bench-case.ts';
import { Crew } from './crew.ts';
import { GroupCase } from './group-case.ts';
import { NUMBER_BYTES } from './group-work.ts';
import type { NumberProducerData } from './shared-nothing.ts';

/** Messages of an iteration, where the workload does not say otherwise. */
const SIZE = 1000;
const BROADCAST_NUMBER = 42;
/** shared-nothing has an unbounded queue: here one that no iteration fills by far. */
const UNBOUNDED = 2 ** 15;
const BUFFER_BYTES = 64;

interface ChannelWorkload {
  readonly kind: ChannelKind;
  readonly size: number;
  readonly capacity: number;
  readonly producers: number;
}

export const sharedNothingCases: readonly BenchCase[] = [
  ...[10, 100, 1000, 10_000].map((size) =>
    channelCase(`sn/B1-${size}`, { kind: 'mpsc', size, capacity: size, producers: 1 }),
  ),
  ...(['spsc', 'mpsc', 'mpmc'] as const).flatMap((kind) => {
    const workload = { kind, size: SIZE, capacity: SIZE, producers: 1 };
    return [channelCase(`sn/B2-${kind}`, workload), wordCase(`sn/B2-${kind}-words`, workload)];
  }),
  channelCase('sn/B3-bounded', { kind: 'mpsc', size: SIZE, capacity: SIZE, producers: 1 }),
  channelCase('sn/B3-unbounded', { kind: 'mpsc', size: SIZE, capacity: UNBOUNDED, producers: 1 }),
  ...[1, 2, 4, 8].map((producers) => {
    const capacity = SIZE * producers;
    return channelCase(`sn/B4-${producers}`, { kind: 'mpsc', size: SIZE, capacity, producers });
  }),
  ...[2, 4, 8].flatMap((executors) => partitioned(`sn/B5-${executors}`, executors)),
  ...[2, 4, 8].flatMap((executors) => broadcast(`sn/B6-${executors}`, executors)),
  ...partitioned('sn/B7-hash', 4, hashPartitioner()),
  ...partitioned('sn/B7-round-robin', 4, roundRobinPartitioner()),
];

function channelCase(id: string, workload: ChannelWorkload): BenchCase {
  const { kind, size, producers } = workload;
  return {
    id,
    what: `${size} numbers of 8 B in packets, ${producers} to 1, ${kind}, an iteration at a time`,
    unit: size,
    threads: producers + 1,
    prepare: () => prepareChannel(workload),
  };
}

function wordCase(id: string, workload: ChannelWorkload): BenchCase {
  return {
    id,
    what: `${workload.size} bare words of 4 B, 1 to 1, ${workload.kind}, an iteration at a time`,
    unit: workload.size,
    threads: 2,
    prepare: () => prepareWords(workload),
  };
}

function partitioned(id: string, executors: number, partitioner?: Partitioner): BenchCase[] {
  return (['', '-send'] as const).map((suffix) => ({
    id: `${id}${suffix}`,
    what: `${SIZE} numbers of 8 B sent by key to ${executors} executors, which add them up`,
    unit: SIZE,
    threads: executors + 1,
    prepare: () => preparePartitioned(executors, partitioner, suffix === '-send'),
  }));
}

function broadcast(id: string, executors: number): BenchCase[] {
  return (['', '-send'] as const).map((suffix) => ({
    id: `${id}${suffix}`,
    what: `a number of 8 B to each of ${executors} executors`,
    unit: SIZE,
    threads: executors + 1,
    prepare: () => prepareBroadcast(executors, suffix === '-send'),
  }));
}

async function prepareChannel({ kind, size, ...workload }: ChannelWorkload): Promise<PreparedCase> {
  const capacity = powerOfTwo(workload.capacity);
  const pool = createPool(2 * size + 2048, workload.producers);
  const channel = PacketChannel.create(pool, { kind, capacity });
  const data = { pool: pool.handle, channel: channel.handle };
  const crew = await startProducers('number-producer', data, size, workload.producers);
  const receiver = channel.receiver();
  const takeNumber = (): number => {
    const id = receiver.tryReceiveRegion();
    if (id === NO_BUFFER) {
      const packet = receiver.receiveSync();
      if (packet === undefined) throw new Error('the channel has ended');
      const number = packet.getInt32(0, true) + packet.getInt32(4, true);
      packet.release();
      return number;
    }
    const { offset } = receiver;
    const number = pool.view.getInt32(offset, true) + pool.view.getInt32(offset + 4, true);
    pool.release(id);
    return number;
  };
  return {
    run: (ops) => runIterations(crew, ops, size, takeNumber),
    close: () => crew.closeWith(receiver, pool),
  };
}

async function prepareWords({ kind, size, ...workload }: ChannelWorkload): Promise<PreparedCase> {
  const capacity = powerOfTwo(workload.capacity);
  const pool = createPool(BUFFER_BYTES, workload.producers);
  const channel = WordChannel.create(pool, { kind, capacity });
  const data = { pool: pool.handle, channel: channel.handle };
  const crew = await startProducers('short-number-producer', data, size, workload.producers);
  const receiver = channel.receiver();
  const takeNumber = (): number => {
    const word = receiver.tryReceive() ?? receiver.receiveSync();
    if (word === undefined) throw new Error('the channel has ended');
    return word;
  };
  return {
    run: (ops) => runIterations(crew, ops, size, takeNumber),
    close: () => crew.closeWith(receiver, pool),
  };
}

/** Lets the producers send `size` numbers, takes them all, and so on. */
function runIterations(crew: Crew, ops: number, size: number, takeNumber: () => number): number {
  const expected = (size * (size - 1)) / 2;
  for (let done = 0; done < ops; done += size) {
    crew.begin(size);
    let sum = 0;
    for (let i = 0; i < size; i++) sum += takeNumber();
    if (sum !== expected) throw new Error(`the numbers add up to ${sum}, not to ${expected}`);
  }
  crew.finish();
  return ops;
}

async function preparePartitioned(
  count: number,
  partitioner: Partitioner | undefined,
  sendOnly: boolean,
): Promise<PreparedCase> {
  const target = await GroupCase.start({
    kind: 'numbers',
    count,
    ...(partitioner === undefined ? {} : { partitioner }),
  });
  const { group, pool } = target;
  let expectedSum = 0;
  return {
    async run(ops) {
      for (let done = 0; done < ops; done += SIZE) {
        for (let key = 0; key < SIZE; key++) {
          const packet = target.tryPacket(NUMBER_BYTES) ?? (await target.packet(NUMBER_BYTES));
          writeNumber(pool, packet.offset, key);
          if (!group.trySend(key, packet)) await group.send(key, packet);
        }
        target.expect(SIZE);
        expectedSum = (expectedSum + (SIZE * (SIZE - 1)) / 2) | 0;
        if (!sendOnly) await target.handled();
      }
      if (!sendOnly) checkSum(target, expectedSum);
      return ops;
    },
    async close() {
      await target.handled();
      checkSum(target, expectedSum);
      await target.close();
    },
  };
}

async function prepareBroadcast(count: number, sendOnly: boolean): Promise<PreparedCase> {
  const target = await GroupCase.start({ kind: 'numbers', count });
  const { group, pool } = target;
  let expectedSum = 0;
  return {
    async run(ops) {
      for (let i = 0; i < ops; i++) {
        const packet = target.tryPacket(NUMBER_BYTES) ?? (await target.packet(NUMBER_BYTES));
        writeNumber(pool, packet.offset, BROADCAST_NUMBER);
        const { full } = group.tryBroadcast(packet);
        for (const index of full) await group.sendTo(index, packet.clone());
        packet.release();
      }
      target.expect(ops * count);
      expectedSum = (expectedSum + ops * count * BROADCAST_NUMBER) | 0;
      if (sendOnly) return ops;
      await target.handled();
      checkSum(target, expectedSum);
      return ops;
    },
    async close() {
      await target.handled();
      checkSum(target, expectedSum);
      await target.close();
    },
  };
}

function checkSum(target: GroupCase, expected: number): void {
  const sum = target.sum();
  if (sum !== expected) throw new Error(`the numbers add up to ${sum}, not to ${expected}`);
}

function writeNumber(pool: BufferPool, offset: number, number: number): void {
  pool.view.setInt32(offset, number, true);
  pool.view.setInt32(offset + 4, 0, true);
}

function startProducers(
  role: string,
  data: Pick<NumberProducerData, 'pool' | 'channel'>,
  size: number,
  producers: number,
): Promise<Crew> {
  const share = size / producers;
  return Crew.start(
    Array.from({ length: producers }, (_, i) => {
      const numbers: NumberProducerData = { ...data, begin: i * share, end: (i + 1) * share };
      return { role, data: numbers };
    }),
  );
}

function createPool(buffers: number, producers: number): BufferPool {
  const bufferCount = buffers + producers * 1024;
  return BufferPool.create({ bufferSize: BUFFER_BYTES, bufferCount, maxThreads: producers + 2 });
}

function powerOfTwo(capacity: number): number {
  return 2 ** Math.ceil(Math.log2(capacity));
}
