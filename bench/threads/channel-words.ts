// SPDX-License-Identifier: MIT
/** The threads of the channel cases that carry bare words: who sends, and who else receives. */

import {
  type ChannelHandle,
  WordChannel,
  type WordReceiver,
  type WordSender,
} from 'busbar/channel';
import { BufferPool, type BufferPoolHandle } from 'busbar/pool';
import { NOTHING, type Outcome } from './control.ts';
import type { Role } from './role.ts';

/** Messages a channel holds: as many as crossbeam's and flume's in the figures we compare with. */
export const CAPACITY = 1024;
/** Each of several producers sends `sequence × 2 + itself`, so that there are two at most. */
export const PRODUCERS_MAX = 2;
/** Said by each producer when its turn is over, where receivers cannot know it from the count. */
const END_OF_TURN = -1;

export interface WordChannelData {
  readonly pool: BufferPoolHandle;
  readonly channel: ChannelHandle;
}

export interface WordProducerData extends WordChannelData {
  /** Which of the producers it is, and how many there are. */
  readonly producer: number;
  readonly producers: number;
  readonly batch: number;
  /** Waits asleep when the channel is full, because other threads of the case need the core. */
  readonly sleeps: boolean;
  /** Shows that its turn is over. */
  readonly marksEnd: boolean;
}

/** A thread that sends `ops / producers` words a turn. */
export function createWordProducer(data: WordProducerData): Role {
  const pool = BufferPool.attach(data.pool);
  const sender = WordChannel.attach(pool, data.channel).sender();
  const words = new Int32Array(data.batch);
  return {
    run(ops) {
      const count = ops / data.producers;
      if (data.batch > 1) sendBatches(sender, words, count);
      else if (data.sleeps) sendAsleep(sender, count, data.producer);
      else sendSpinning(sender, count);
      if (data.marksEnd) sender.sendSync(END_OF_TURN);
      return NOTHING;
    },
    close() {
      sender.close();
      pool.detach();
    },
  };
}

/** A thread that receives beside the measuring one. */
export function createWordConsumer(data: WordChannelData): Role {
  const pool = BufferPool.attach(data.pool);
  const receiver = WordChannel.attach(pool, data.channel).receiver();
  return {
    run: () => receiveUntilEnd(receiver),
    close() {
      receiver.close();
      pool.detach();
    },
  };
}

/** Receives words of two producers until one of them says that its turn is over. */
export function receiveUntilEnd(receiver: WordReceiver): Outcome {
  let count = 0;
  let sum = 0;
  let last0 = -1;
  let last1 = -1;
  for (;;) {
    const word = receiver.tryReceive() ?? receiver.receiveSync();
    if (word === undefined) throw new Error('the channel has ended');
    if (word === END_OF_TURN) return { count, sum };
    const sequence = word >> 1;
    if ((word & 1) === 0) {
      if (sequence <= last0) throwOrder(sequence, last0);
      last0 = sequence;
    } else {
      if (sequence <= last1) throwOrder(sequence, last1);
      last1 = sequence;
    }
    sum = (sum + sequence) | 0;
    count++;
  }
}

/** What all sequences of `producers` producers add up to, modulo 2³². */
export function sumOfSequences(ops: number, producers: number): number {
  const each = BigInt(ops / producers);
  return Number(BigInt.asIntN(32, (BigInt(producers) * each * (each - 1n)) / 2n));
}

function sendSpinning(sender: WordSender, count: number): void {
  for (let i = 0; i < count; i++) while (!sender.trySend(i));
}

function sendAsleep(sender: WordSender, count: number, producer: number): void {
  for (let i = 0; i < count; i++) {
    const word = i * PRODUCERS_MAX + producer;
    if (!sender.trySend(word)) sender.sendSync(word);
  }
}

function sendBatches(sender: WordSender, words: Int32Array, count: number): void {
  const { length } = words;
  for (let i = 0; i < count; i += length) {
    for (let k = 0; k < length; k++) words[k] = i + k;
    for (let begin = 0; begin < length; ) begin += sender.trySendBatch(words, begin, length);
  }
}

function throwOrder(sequence: number, last: number): never {
  throw new Error(`${sequence} came after ${last}`);
}
