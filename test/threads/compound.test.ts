// SPDX-License-Identifier: MIT
import { Worker } from 'node:worker_threads';
import { BufferPool } from 'busbar/pool';
import { expect, test } from 'vitest';
import { Random } from '../../src/base/random.ts';
import { TOTAL as BUFFER_TOTAL } from '../../src/pool/pool-layout.ts';
import { scaled } from '../effort.ts';
import { auditPool, controlLayout, controlWords } from '../pool-audit.ts';
import * as at from './compound-words.ts';
import { testSeed, workerUrl } from './worker-crew.ts';

/** Rounds that a worker lives at most: long enough for every tier of the compiler. */
const ROUNDS_MAX = 300_000;
const AT_ONCE = 4;
/** At least so many kills; then more of them, up to the limit, until one has hit within a step. */
const KILLS = 20;
const KILLS_MAX = 2000;

/** Lets a worker do compound steps and ends it after this many rounds. Returns its words. */
async function liveAndDie(pool: BufferPool, rounds: number): Promise<Int32Array> {
  const memory = new SharedArrayBuffer(4 * at.COMPOUND_WORDS);
  const words = new Int32Array(memory);
  const worker = new Worker(workerUrl('compound'), { workerData: { handle: pool.handle, memory } });
  const failed = new Promise<never>((_, reject) => worker.on('error', reject));
  const ended = new Promise((resolve) => worker.on('exit', resolve));
  while (Atomics.load(words, at.ROUNDS) < rounds) {
    await Promise.race([new Promise((resolve) => setImmediate(resolve)), failed]);
  }
  void worker.terminate();
  await Promise.race([ended, failed]);
  return words;
}

test('a killed thread has done a call and the plain stores behind it, or none', async () => {
  const seed = testSeed();
  const random = new Random(seed);
  const pool = BufferPool.create({ bufferSize: 64, bufferCount: 16, maxThreads: AT_ONCE + 1 });
  const control = controlWords(pool);
  const layout = controlLayout(pool);
  const torn = { storeThenCall: 0, callThenCall: 0 };
  let kills = 0;
  while (kills < scaled(KILLS) || (torn.storeThenCall === 0 && kills < KILLS_MAX)) {
    kills += AT_ONCE;
    const lives = Array.from({ length: AT_ONCE }, () =>
      liveAndDie(pool, 1 + random.below(random.chance(0.5) ? 1000 : ROUNDS_MAX)),
    );
    for (const words of await Promise.all(lives)) {
      const slot = words[at.SLOT] - 1;
      expect(words[at.ACCOUNT]).toBe(words[at.TOTAL]);
      const withdrawn = [words[at.SHARE], words[at.LEFT], words[at.OWNER]];
      expect([
        [3, 3, -1],
        [0, 0, 7],
      ]).toContainEqual(withdrawn);
      // A store, then a call; and a call, then a call.
      if (words[at.FIRST] !== words[at.SECOND]) torn.storeThenCall++;
      if (words[at.CALLED_FIRST] !== words[at.CALLED_SECOND]) torn.callThenCall++;
      // A call, then plain stores: all of them or none.
      expect(words[at.BEHIND]).toBe(words[at.CALLED]);
      expect(words[at.FURTHER_BEHIND]).toBe(words[at.CALLED]);
      // Never behind the call: what follows it belongs to it.
      expect([0, 1]).toContain(words[at.FIRST] - words[at.STEPS]);
      expect(words[at.SECOND]).toBe(words[at.STEPS]);
      const id = words[at.SENT];
      const inTransit = words[at.SENT + 3] & 0xffff;
      const shares = control[layout.shares(slot) + id];
      expect(shares + inTransit).toBe(control[layout.buffer(id) + BUFFER_TOTAL]);
      expect(control[layout.refs(slot) + id]).toBe(inTransit > 0 ? 1 : 2);
      pool.reclaim(slot);
      if (inTransit > 0) pool.release(pool.moveFrom(words, at.SENT));
    }
    expect(auditPool(pool), `replay with BUSBAR_TEST_SEED=${seed}`).toEqual([]);
    expect(pool.who()).toMatchObject({ held: 0, inTransit: 0 });
  }
  // Some kills hit between the store and the call of a step that is not compound: kills hit where
  // they may. How many fall between two calls depends on what the engine has inlined.
  console.log(`of ${kills} kills: ${JSON.stringify(torn)}`);
  expect(torn.storeThenCall).toBeGreaterThan(0);
});
