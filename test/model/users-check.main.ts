// SPDX-License-Identifier: MIT
/**
 * Test program: uses `busbar/testing` from the built package as a user would: checks a use of a
 * channel, and finds the bug in a hand-written queue.
 */

import { type ChannelHandle, WordChannel } from 'busbar/channel';
import { BufferPool, type BufferPoolHandle } from 'busbar/pool';
import {
  expectPassed,
  explore,
  formatFailure,
  hintsOf,
  replay,
  type Scenario,
} from 'busbar/testing';

/** One thread sends through a channel of busbar's, another one blocks for what comes. */
const relay: Scenario<{ pool: BufferPoolHandle; channel: ChannelHandle }> = {
  name: 'three words through a channel',
  setup: () => {
    const pool = BufferPool.create({ bufferSize: 64, bufferCount: 1, maxThreads: 3 });
    const channel = WordChannel.create(pool, { kind: 'spsc', capacity: 2 });
    pool.detach();
    return { pool: pool.handle, channel: channel.handle };
  },
  threads: {
    sender: (shared, self) => {
      const pool = BufferPool.attach(shared.pool);
      const sender = WordChannel.attach(pool, shared.channel).sender();
      self.begin();
      for (const word of [1, 2, 3]) sender.sendSync(word);
      sender.close();
    },
    receiver: (shared, self) => {
      const pool = BufferPool.attach(shared.pool);
      const receiver = WordChannel.attach(pool, shared.channel).receiver();
      self.begin();
      const words: number[] = [];
      for (let word = receiver.receiveSync(); word !== undefined; word = receiver.receiveSync()) {
        words.push(word);
      }
      return words;
    },
  },
  prepares: ['sender', 'receiver'],
  racy: ({ pool, channel }) => hintsOf(pool, channel),
  check: (_, { results }) => {
    if (String(results.receiver) !== '1,2,3') throw new Error(`received ${results.receiver}`);
  },
};

/**
 *   words   TAIL │ HEAD │ slot 0 │ slot 1        a slot that is empty holds 0
 *
 * A queue of positive numbers from several threads to one.
 */
class Queue {
  static readonly CAPACITY = 2;
  protected readonly words: Int32Array;

  constructor(words: Int32Array) {
    this.words = words;
  }

  /** False if it is full. */
  tryPush(value: number): boolean {
    const { words } = this;
    const tail = Atomics.load(words, 0);
    if (tail - Atomics.load(words, 1) === Queue.CAPACITY) return false;
    if (!this.claim(tail)) return this.tryPush(value);
    Atomics.store(words, 2 + (tail % Queue.CAPACITY), value);
    return true;
  }

  /** Undefined if it is empty, or a value is only on its way. */
  tryPop(): number | undefined {
    const { words } = this;
    const head = Atomics.load(words, 1);
    const value = Atomics.exchange(words, 2 + (head % Queue.CAPACITY), 0);
    if (value === 0) return undefined;
    Atomics.store(words, 1, head + 1);
    return value;
  }

  protected claim(tail: number): boolean {
    return Atomics.compareExchange(this.words, 0, tail, tail + 1) === tail;
  }
}

/** Two threads may have seen the same tail, and both of them think that the slot is theirs. */
class BuggyQueue extends Queue {
  protected override claim(tail: number): boolean {
    Atomics.store(this.words, 0, tail + 1);
    return true;
  }
}

function pushes(Kind: typeof Queue): Scenario<Int32Array> {
  const names = ['TAIL', 'HEAD', 'slot 0', 'slot 1'];
  return {
    name: `two threads push into a ${Kind.name}`,
    setup: () => new Int32Array(new SharedArrayBuffer(16)),
    threads: {
      a: (words) => new Kind(words).tryPush(1),
      b: (words) => new Kind(words).tryPush(2),
    },
    check: (words, { results }) => {
      const queue = new Kind(words);
      const popped = [queue.tryPop(), queue.tryPop()];
      for (const [name, value] of [
        ['a', 1],
        ['b', 2],
      ] as const) {
        if (results[name] === true && !popped.includes(value)) throw new Error(`${value} is lost`);
      }
    },
    nameWord: () => (_, word) => names[word],
  };
}

const relayed = await explore(relay, { preemptions: 1, timeouts: 0, polls: 0 });
expectPassed(relayed, { leftOut: ['preemptions', 'stale reads', 'timeouts'] });
const right = await explore(pushes(Queue));
expectPassed(right);
console.log(JSON.stringify([relayed, right]));

const wrong = await explore(pushes(BuggyQueue));
console.log(formatFailure(wrong));
const again = await replay(pushes(BuggyQueue), wrong.failure?.schedule ?? '');
console.log(again.failure?.trace === wrong.failure?.trace ? 'replayed' : 'not replayed');
