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

export interface WordConsumerData extends WordChannelData {
  readonly batch: number;
}

/** Both ends of a channel in one thread. */
export interface Ends {
  readonly sender: WordSender;
  readonly receiver: WordReceiver;
}

export function endsOf(channel: WordChannel): Ends {
  return { sender: channel.sender(), receiver: channel.receiver() };
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
      if (data.batch > 1) sendBatches(sender, words, count, data);
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
export function createWordConsumer(data: WordConsumerData): Role {
  const pool = BufferPool.attach(data.pool);
  const ends = endsOf(WordChannel.attach(pool, data.channel));
  const words = new Int32Array(data.batch);
  return {
    run: () => receiveUntilEnd(ends, words),
    close() {
      ends.sender.close();
      ends.receiver.close();
      pool.detach();
    },
  };
}

/** Receives what is there, or sleeps until one word comes. Returns how many are in `words`. */
export function receiveSome(receiver: WordReceiver, words: Int32Array): number {
  const count = words.length === 1 ? 0 : receiver.tryReceiveBatch(words);
  if (count > 0) return count;
  const word = receiver.tryReceive() ?? receiver.receiveSync();
  if (word === undefined) throw new Error('the channel has ended');
  words[0] = word;
  return 1;
}

/**
 * Receives words of two producers until one of them says that its turn is over. Each of two
 * receivers needs one such message, so a second one in the same batch is sent on.
 */
export function receiveUntilEnd(channel: Ends, words: Int32Array): Outcome {
  let count = 0;
  let ends = 0;
  let sum = 0;
  let last0 = -1;
  let last1 = -1;
  while (ends === 0) {
    const there = receiveSome(channel.receiver, words);
    for (let k = 0; k < there; k++) {
      const word = words[k];
      if (word === END_OF_TURN) {
        ends++;
        continue;
      }
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
  if (ends > 1) channel.sender.sendSync(END_OF_TURN);
  return { count, sum };
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

function sendBatches(
  sender: WordSender,
  words: Int32Array,
  count: number,
  { sleeps, producer }: WordProducerData,
): void {
  const { length } = words;
  const step = sleeps ? PRODUCERS_MAX : 1;
  for (let i = 0; i < count; i += length) {
    for (let k = 0; k < length; k++) words[k] = (i + k) * step + (sleeps ? producer : 0);
    for (let begin = 0; begin < length; ) {
      const sent = sender.trySendBatch(words, begin, length);
      begin += sent;
      if (sent === 0 && sleeps) sender.sendSync(words[begin++]);
    }
  }
}

function throwOrder(sequence: number, last: number): never {
  throw new Error(`${sequence} came after ${last}`);
}
