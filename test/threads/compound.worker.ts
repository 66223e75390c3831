// SPDX-License-Identifier: MIT
/** Test worker: does compound steps in a loop until it is terminated. */
import { workerData } from 'node:worker_threads';
import { BufferPool, type BufferPoolHandle } from 'busbar/pool';
import { addThenStore, withdraw } from '../../src/base/atomics.ts';
import * as at from './compound-words.ts';

const { handle, memory } = workerData as {
  readonly handle: BufferPoolHandle;
  readonly memory: SharedArrayBuffer;
};
const words = new Int32Array(memory);
const pool = BufferPool.attach(handle);
const id = pool.acquireSync();
pool.retain(id);
words[at.SLOT] = pool.threadSlot + 1;

for (;;) round();

function round(): void {
  addThenStore(words, at.TOTAL, 1, at.ACCOUNT, words[at.TOTAL] + 1);
  words[at.OWNER] = -1;
  words[at.LEFT] = 3;
  words[at.SHARE] = 3;
  withdraw(words, at.SHARE, at.LEFT, at.OWNER, 7);
  pool.moveInto(id, pool.offsetOf(id), 1, words, at.SENT);
  pool.moveFrom(words, at.SENT);
  // For comparison, steps that are not compound: a call in the middle, or two calls. They are done
  // often, so that a good part of the kills falls here.
  for (let i = 0; i < 20; i++) {
    words[at.FIRST]++;
    Atomics.add(words, at.STEPS, 1);
    words[at.SECOND]++;
    const seen = words[at.CALLED_FIRST];
    Atomics.compareExchange(words, at.CALLED_FIRST, seen, seen + 1);
    Atomics.add(words, at.CALLED_SECOND, 1);
  }
  const before = Atomics.add(words, at.CALLED, 1);
  words[at.BEHIND] = before + 1;
  words[at.FURTHER_BEHIND] = before + 1;
  Atomics.add(words, at.ROUNDS, 1);
}
