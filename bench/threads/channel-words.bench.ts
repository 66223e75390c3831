// SPDX-License-Identifier: MIT
/** What a bare word costs from thread to thread, for each kind of channel. */

import { WordChannel } from 'busbar/channel';
import { BufferPool } from 'busbar/pool';
import type { BenchCase, PreparedCase } from '../bench-case.ts';
import {
  CAPACITY,
  endsOf,
  PRODUCERS_MAX,
  receiveOne,
  receiveSome,
  receiveTurn,
  sumOfSequences,
  type WordChannelData,
  type WordProducerData,
} from './channel-words.ts';
import { Crew, type Part, ROUNDS_PER_CHECK } from './crew.ts';

const BATCH = 64;
/** Two producers, whole batches. */
const UNIT = 1000 * BATCH;

export const wordCases: readonly BenchCase[] = [
  {
    id: 'channel/spsc-stream',
    what: 'trySend of a word here, tryReceive there, one by one, two threads',
    unit: UNIT,
    threads: 2,
    prepare: prepareStream,
  },
  {
    id: 'channel/spsc-batch64',
    what: 'trySendBatch of 64 words here, tryReceiveBatch there, two threads',
    unit: UNIT,
    threads: 2,
    prepare: prepareBatches,
  },
  {
    id: 'channel/mpsc-2p',
    what: 'two threads send words one by one, a third receives them',
    unit: UNIT,
    threads: 3,
    prepare: () => prepareTwoProducers(1),
  },
  {
    id: 'channel/mpmc-2p2c',
    what: 'two threads send words one by one, two others receive them',
    unit: UNIT,
    threads: 4,
    prepare: () => prepareTwoConsumers(1),
  },
  {
    id: 'channel/mpsc-batch64',
    what: 'two threads trySendBatch 64 words, a third does tryReceiveBatch',
    unit: 2 * UNIT,
    threads: 3,
    prepare: () => prepareTwoProducers(BATCH),
  },
  {
    id: 'channel/mpmc-batch64',
    what: 'two threads trySendBatch 64 words, two others do tryReceiveBatch',
    unit: 2 * UNIT,
    threads: 4,
    prepare: () => prepareTwoConsumers(BATCH),
  },
  {
    id: 'channel/same-thread',
    what: 'trySend of a word and tryReceive, one thread',
    unit: UNIT,
    threads: 1,
    prepare: prepareSameThread,
  },
];

async function prepareStream(): Promise<PreparedCase> {
  const { pool, channel, data } = createChannel('spsc');
  const crew = await Crew.start([producerPart(data, 0, { producers: 1 })]);
  const receiver = channel.receiver();
  return {
    run(ops) {
      crew.begin(ops);
      let idleRounds = 0;
      for (let expected = 0; expected < ops; ) {
        const word = receiver.tryReceive();
        if (word === expected) expected++;
        else if (word !== undefined) throw new Error(`${word} came instead of ${expected}`);
        else if (++idleRounds % ROUNDS_PER_CHECK === 0) crew.check();
      }
      crew.finish();
      return ops;
    },
    close: () => crew.closeWith(receiver, pool),
  };
}

async function prepareBatches(): Promise<PreparedCase> {
  const { pool, channel, data } = createChannel('spsc');
  const crew = await Crew.start([producerPart(data, 0, { producers: 1, batch: BATCH })]);
  const receiver = channel.receiver();
  const words = new Int32Array(BATCH);
  return {
    run(ops) {
      crew.begin(ops);
      let idleRounds = 0;
      for (let expected = 0; expected < ops; ) {
        const count = receiver.tryReceiveBatch(words, 0, BATCH);
        for (let k = 0; k < count; k++, expected++) {
          if (words[k] !== expected) throw new Error(`${words[k]} came instead of ${expected}`);
        }
        if (count === 0 && ++idleRounds % ROUNDS_PER_CHECK === 0) crew.check();
      }
      crew.finish();
      return ops;
    },
    close: () => crew.closeWith(receiver, pool),
  };
}

async function prepareTwoProducers(batch: number): Promise<PreparedCase> {
  const { pool, channel, data } = createChannel('mpsc');
  const crew = await Crew.start([0, 1].map((one) => producerPart(data, one, { batch })));
  const receiver = channel.receiver();
  const words = new Int32Array(batch);
  return {
    run(ops) {
      crew.begin(ops);
      let next0 = 0;
      let next1 = 0;
      for (let i = 0; i < ops; ) {
        const count = batch === 1 ? 1 : receiveSome(receiver, words);
        for (let k = 0; k < count; k++) {
          const word = batch === 1 ? receiveOne(receiver) : words[k];
          const expected = (word & 1) === 0 ? next0++ : next1++;
          if (word >> 1 !== expected) throw new Error(`${word >> 1} came instead of ${expected}`);
        }
        i += count;
      }
      crew.finish();
      return next0 + next1;
    },
    close: () => crew.closeWith(receiver, pool),
  };
}

async function prepareTwoConsumers(batch: number): Promise<PreparedCase> {
  const { pool, channel, data } = createChannel('mpmc');
  const marks = { batch, marksEnd: true };
  const crew = await Crew.start([
    producerPart(data, 0, marks),
    producerPart(data, 1, marks),
    { role: 'word-consumer', data: { ...data, batch } },
  ]);
  const ends = endsOf(channel);
  const words = new Int32Array(batch);
  return {
    run(ops) {
      crew.begin(ops);
      const mine = receiveTurn(ends, words);
      crew.finish();
      const other = crew.outcome(2);
      const sum = (mine.sum + other.sum) | 0;
      if (mine.count + other.count !== ops || sum !== sumOfSequences(ops, PRODUCERS_MAX)) {
        throw new Error(`${ops} sent; received ${mine.count} and ${other.count}, or not the same`);
      }
      return sum;
    },
    close: () => {
      ends.sender.close();
      return crew.closeWith(ends.receiver, pool);
    },
  };
}

function prepareSameThread(): PreparedCase {
  const { pool, channel } = createChannel('spsc');
  const sender = channel.sender();
  const receiver = channel.receiver();
  return {
    run(ops) {
      let sum = 0;
      for (let i = 0; i < ops; i++) {
        sender.trySend(i);
        const word = receiver.tryReceive();
        if (word !== i) throw new Error(`${word} came instead of ${i}`);
        sum = (sum + word) | 0;
      }
      return sum;
    },
    close() {
      sender.close();
      receiver.close();
      pool.detach();
    },
  };
}

function createChannel(kind: 'spsc' | 'mpsc' | 'mpmc') {
  // The channel needs a pool for its threads; no buffer of it is used here.
  const pool = BufferPool.create({ bufferSize: 64, bufferCount: 64 });
  const channel = WordChannel.create(pool, { kind, capacity: CAPACITY });
  const data: WordChannelData = { pool: pool.handle, channel: channel.handle };
  return { pool, channel, data };
}

function producerPart(
  data: WordChannelData,
  producer: number,
  { producers = PRODUCERS_MAX, batch = 1, marksEnd = false },
): Part {
  const sleeps = producers > 1;
  const whole: WordProducerData = { ...data, producer, producers, batch, sleeps, marksEnd };
  return { role: 'word-producer', data: whole };
}
