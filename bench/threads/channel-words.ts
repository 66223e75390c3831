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
    run: () => receiveTurn(ends, words),
    close() {
      ends.sender.close();
      ends.receiver.close();
      pool.detach();
    },
  };
}

/** Receives what is there, or sleeps until one word comes. Returns how many are in `words`. */
export function receiveSome(receiver: WordReceiver, words: Int32Array): number {
  const count = receiver.tryReceiveBatch(words);
  if (count > 0) return count;
  words[0] = receiveOne(receiver);
  return 1;
}

/** Receives the next word; sleeps until it comes. */
export function receiveOne(receiver: WordReceiver): number {
  const word = receiver.tryReceive() ?? receiver.receiveSync();
  if (word === undefined) throw new Error('the channel has ended');
  return word;
}

/** What a receiver has seen of two producers. Each one's sequences must ascend. */
class Tally {
  count = 0;
  sum = 0;
  private last0 = -1;
  private last1 = -1;

  add(word: number): void {
    const sequence = word >> 1;
    if ((word & 1) === 0) {
      if (sequence <= this.last0) throwOrder(sequence, this.last0);
      this.last0 = sequence;
    } else {
      if (sequence <= this.last1) throwOrder(sequence, this.last1);
      this.last1 = sequence;
    }
    this.sum = (this.sum + sequence) | 0;
    this.count++;
  }
}

/** Receives words of two producers one by one until one of them says that its turn is over. */
function receiveUntilEnd(receiver: WordReceiver): Outcome {
  const tally = new Tally();
  for (;;) {
    const word = receiveOne(receiver);
    if (word === END_OF_TURN) return { count: tally.count, sum: tally.sum };
    tally.add(word);
  }
}

/** Receives a turn one by one if `words` has room for one only, else by batches. */
export function receiveTurn(ends: Ends, words: Int32Array): Outcome {
  return words.length === 1 ? receiveUntilEnd(ends.receiver) : receiveBatchesUntilEnd(ends, words);
}

/**
 * The same by batches. Each of two receivers needs one message that ends the turn, so a second one
 * in the same batch is sent on.
 */
function receiveBatchesUntilEnd({ receiver, sender }: Ends, words: Int32Array): Outcome {
  const tally = new Tally();
  let ends = 0;
  while (ends === 0) {
    const there = receiveSome(receiver, words);
    for (let k = 0; k < there; k++) {
      if (words[k] === END_OF_TURN) ends++;
      else tally.add(words[k]);
    }
  }
  if (ends > 1) sender.sendSync(END_OF_TURN);
  return { count: tally.count, sum: tally.sum };
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
