// SPDX-License-Identifier: MIT
/** A worker that does compound steps for ever, until it is terminated in the midst of them. */
import { workerData } from 'node:worker_threads';
import { BufferPool, type BufferPoolHandle, NO_BUFFER } from 'busbar/pool';
import { addThenStore, compareExchangeThenAdd, withdraw } from '../../src/base/atomics.ts';
import * as at from './compound-words.ts';

const { handle, memory } = workerData as {
  readonly handle: BufferPoolHandle;
  readonly memory: SharedArrayBuffer;
};
const words = new Int32Array(memory);
const pool = BufferPool.attach(handle);
const id = pool.tryAcquire();
if (id === NO_BUFFER) throw new Error('no buffer');
pool.retain(id);
words[at.SLOT] = pool.threadSlot + 1;

for (;;) round();

function round(): void {
  addThenStore(words, at.TOTAL, 1, at.ACCOUNT, words[at.TOTAL] + 1);
  compareExchangeThenAdd(words, at.STATE, 0, 1, at.COUNT, 1);
  compareExchangeThenAdd(words, at.STATE, 1, 0, at.COUNT, -1);
  words[at.OWNER] = -1;
  words[at.LEFT] = 3;
  words[at.SHARE] = 3;
  withdraw(words, at.SHARE, at.LEFT, at.OWNER, 7);
  pool.sendInto(id, pool.offsetOf(id), 1, words, at.SENT);
  pool.receiveFrom(words, at.SENT);
  // For comparison, a step that is not compound: between the two, a function is called.
  words[at.FIRST]++;
  for (let i = 0; i < 20; i++) breathe();
  words[at.SECOND]++;
  Atomics.add(words, at.ROUNDS, 1);
}

function breathe(): void {
  words[at.BREATHS]++;
}
