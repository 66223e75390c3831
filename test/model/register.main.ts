// SPDX-License-Identifier: MIT
/** Test program: keeps globals when it is loaded; run with and without the registration. */

import { setImmediate as soon } from 'node:timers';
import { explore } from 'busbar/testing';

const { load, store, wait, notify } = Atomics;
const Block = SharedArrayBuffer;
const { grow } = Block.prototype;
const sizeOf = Object.getOwnPropertyDescriptor(Block.prototype, 'byteLength')?.get as () => number;
const Words = Int32Array;
const { setTimeout: later } = globalThis;
const now = performance.now;
const dateNow = Date.now;

const increments = (words: Int32Array): void => {
  store(words, 0, load(words, 0) + 1);
};

const lost = await explore({
  name: 'kept functions',
  setup: () => new Words(new Block(8)),
  threads: { a: increments, b: increments },
  check: (words) => {
    if (load(words, 0) !== 2) throw new Error('an update is lost');
  },
});

const timers = await explore({
  name: 'kept timers',
  setup: () => new Words(new Block(8)),
  threads: {
    a: (words) =>
      new Promise<void>((resolve) => {
        later(() => {
          soon(() => {
            store(words, 0, 1);
            notify(words, 0);
            resolve();
          });
        }, 1e9);
      }),
    b: (words) => wait(words, 0, 0),
  },
});

const elapsed: string[] = [];
const clocks = await explore(
  {
    name: 'kept clocks',
    setup: () => new Words(new Block(8)),
    threads: {
      a: (words) => {
        const began = [now(), dateNow()];
        wait(words, 0, 0, 5e6);
        elapsed.push(`${now() - (began[0] ?? 0)} ${dateNow() - (began[1] ?? 0)}`);
      },
    },
  },
  { timeouts: 0 },
);

const growing = await explore({
  name: 'kept grow',
  setup: () => new Words(new Block(4, { maxByteLength: 8 })),
  threads: {
    a: (words) => grow.call(words.buffer as SharedArrayBuffer, 8),
    b: (words) => {
      if (sizeOf.call(words.buffer) === 8 && load(words, 1) === 0) throw new Error('has grown');
    },
  },
});

class Tagged extends Words {
  readonly tag = 'private';
}

console.log(
  JSON.stringify({
    lost: lost.failure?.message,
    timers: timers.failure?.message ?? 'passed',
    clocks: clocks.failure?.message ?? [...new Set(elapsed)].join(),
    growing: growing.failure?.message,
    outside: [load(new Words([7]), 0), new Words(3) instanceof Int32Array, new Tagged(2).tag],
  }),
);
