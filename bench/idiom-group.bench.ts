// SPDX-License-Identifier: MIT
/** Names to two threads by key and back, as the tour has it, beside `postMessage`. */

import { once } from 'node:events';
import { Worker } from 'node:worker_threads';
import { ExecutorGroup } from 'busbar/executor';
import { Packet } from 'busbar/packet';
import { BufferPool } from 'busbar/pool';
import type { BenchCase, PreparedCase } from './bench-case.ts';

const WORKER = new URL('./idiom-group.worker.js', import.meta.url);
const BATCH = 1000;
const NAMES = ['ann', 'bob', 'cleo', 'dan', 'eve', 'fay', 'gus', 'hal'];
const COUNT = 2;

export const idiomGroupCases: readonly BenchCase[] = [
  {
    id: 'idiom/group-send',
    what: 'a name: await group.send(name, packet), mailbox.handle, back by host.trySend',
    unit: BATCH,
    threads: 3,
    prepare: prepareGroup,
  },
  {
    id: 'idiom/group-request',
    what: 'the same by await group.request and mailbox.respond, 1000 in flight',
    unit: BATCH,
    threads: 3,
    prepare: prepareRequests,
  },
  {
    id: 'idiom/group-postMessage',
    what: 'the same by postMessage to two workers, and back',
    unit: BATCH,
    threads: 3,
    prepare: prepareWorkers,
  },
];

/** Says when the expected number of names has come back. */
class Count {
  #left = 0;
  #done: () => void = () => {};

  take(length: number): void {
    if (length >= 3 && --this.#left === 0) this.#done();
  }

  expect(count: number): Promise<void> {
    this.#left = count;
    return new Promise((resolve) => {
      this.#done = resolve;
    });
  }
}

const nameOf = (i: number): string => NAMES[i % NAMES.length] as string;

async function startGroup(way: 'handle' | 'respond'): Promise<ExecutorGroup> {
  const pool = BufferPool.create({ bufferSize: 1024, bufferCount: 4 * BATCH, maxThreads: 4 });
  return ExecutorGroup.start({ pool, module: WORKER, count: COUNT, data: way });
}

async function prepareGroup(): Promise<PreparedCase> {
  const group = await startGroup('handle');
  const count = new Count();
  group.mailbox.handle((packet) => {
    count.take(packet.length);
    packet.release();
  });
  return {
    async run(ops) {
      const finished = count.expect(ops);
      for (let i = 0; i < ops; i++) {
        const name = nameOf(i);
        const packet = Packet.tryFrom(group.pool, name) ?? (await Packet.from(group.pool, name));
        await group.send(name, packet);
      }
      await finished;
      return ops;
    },
    async close() {
      await group.stop();
    },
  };
}

async function prepareRequests(): Promise<PreparedCase> {
  const group = await startGroup('respond');
  const ask = async (name: string): Promise<number> => {
    using reply = await group.request(name, await Packet.from(group.pool, name));
    return reply.length;
  };
  return {
    async run(ops) {
      let bytes = 0;
      for (let i = 0; i < ops; i += BATCH) {
        const lengths = await Promise.all(Array.from({ length: BATCH }, (_, n) => ask(nameOf(n))));
        for (const length of lengths) bytes += length;
      }
      return bytes;
    },
    async close() {
      await group.stop();
    },
  };
}

async function prepareWorkers(): Promise<PreparedCase> {
  const count = new Count();
  const workers = Array.from({ length: COUNT }, () => new Worker(WORKER, { workerData: 'port' }));
  // All at once: while one is waited for, another may have come online.
  await Promise.all(workers.map((worker) => once(worker, 'online')));
  for (const worker of workers) worker.on('message', (name: string) => count.take(name.length));
  return {
    async run(ops) {
      const finished = count.expect(ops);
      for (let i = 0; i < ops; i++) workers[i % COUNT]?.postMessage(nameOf(i));
      await finished;
      return ops;
    },
    async close() {
      await Promise.all(workers.map((worker) => worker.terminate()));
    },
  };
}
