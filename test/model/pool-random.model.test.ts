// SPDX-License-Identifier: MIT
/**
 * Random programs on the buffer pool with random schedules and threads that die. `npm run model`
 * runs more of them, BUSBAR_MODEL=long many more.
 */

import { formatFailure, sample } from 'busbar/testing';
import { expect, test } from 'vitest';
import { Random } from '../../src/base/random.ts';
import type { BufferId, BufferPool } from '../../src/pool/index.ts';
import { scaled } from '../effort.ts';
import { isLong, isWhole } from './coverage.ts';
import { mortal } from './mortal.ts';
import { allowing, attachedTo, type PoolBody, poolScenario } from './pool-scenarios.ts';
import {
  checkAllFree,
  isHint,
  isOwnerWord,
  isStatistic,
  type PoolModule,
  type PoolShared,
} from './pool-words.ts';

const PROGRAMS = isLong ? 2000 : isWhole ? 40 : scaled(3);
const SCHEDULES = isLong ? 200 : 15;
const SEED = Number(process.env.BUSBAR_MODEL_SEED ?? 1);

const module = await mortal<PoolModule>('pool/index.ts');

type Step =
  | 'acquire'
  | 'acquireSync'
  | 'retain'
  | 'release'
  | 'send'
  | 'receive'
  | 'stats'
  | 'reclaimDead';
const STEPS: readonly Step[] = [
  'acquire',
  'acquire',
  'acquireSync',
  'retain',
  'release',
  'release',
  'send',
  'send',
  'receive',
  'receive',
  'stats',
  'reclaimDead',
];

/**
 * Where threads leave packets for each other: a flag and four words each. Flag 0: empty, 1: full,
 * 2: somebody is at it.
 */
const MAILBOXES = 3;
const MAILBOX_WORDS = 5;

/**
 * One thread's steps; in the end it gives everything up and empties the mailboxes that it finds
 * full.
 */
function body(steps: readonly Step[]): PoolBody {
  return attachedTo(module)((pool, { words }) => {
    const held: BufferId[] = [];
    for (const step of steps) perform(step, pool, words, held);
    for (const id of held) pool.release(id);
  });
}

function perform(step: Step, pool: BufferPool, words: Int32Array, held: BufferId[]): void {
  switch (step) {
    case 'acquire': {
      const id = pool.tryAcquire();
      if (id >= 0) held.push(id);
      return;
    }
    case 'acquireSync': {
      const id = allowing(['ERR_BUSBAR_TIMEOUT'], () => pool.acquireSync(15));
      if (id !== undefined) held.push(id);
      return;
    }
    case 'retain':
      if (held.length === 0) return;
      pool.retain(held[0]);
      held.push(held[0]);
      return;
    case 'release':
      if (held.length > 0) pool.release(held.shift() as BufferId);
      return;
    case 'send':
      if (held.length > 0) send(pool, words, held);
      return;
    case 'receive':
      receive(pool, words, held);
      return;
    case 'stats':
      pool.stats();
      return;
    case 'reclaimDead':
      pool.reclaimDead();
  }
}

function send(pool: BufferPool, words: Int32Array, held: BufferId[]): void {
  for (let box = 0; box < MAILBOXES; box++) {
    const at = box * MAILBOX_WORDS;
    if (Atomics.compareExchange(words, at, 0, 2) !== 0) continue;
    const id = held.pop() as BufferId;
    pool.bytes[pool.offsetOf(id)] = id;
    pool.moveInto(id, pool.offsetOf(id), 1, words, at + 1);
    Atomics.store(words, at, 1);
    return;
  }
}

function receive(pool: BufferPool, words: Int32Array, held: BufferId[]): void {
  for (let box = 0; box < MAILBOXES; box++) {
    const at = box * MAILBOX_WORDS;
    if (Atomics.compareExchange(words, at, 1, 2) !== 1) continue;
    const id = pool.moveFrom(words, at + 1);
    held.push(id);
    Atomics.store(words, at, 0);
    return;
  }
}

/** Takes what is still in transit out of the mailboxes; then everything must be free. */
function check(shared: PoolShared): void {
  const pool = module.BufferPool.attach(shared.handle);
  for (let box = 0; box < MAILBOXES; box++) {
    const at = box * MAILBOX_WORDS + 1;
    if ((shared.words[at + 3] & 0xffff) !== 0) pool.release(pool.moveFrom(shared.words, at));
  }
  checkAllFree(shared);
}

test(`random programs lose no buffer (seed ${SEED})`, { timeout: 3_600_000 }, async () => {
  const random = new Random(SEED);
  let schedules = 0;
  let deaths = 0;
  const began = performance.now();
  for (let i = 0; i < PROGRAMS; i++) {
    const threadCount = random.between(2, 3);
    const shape = {
      bufferCount: random.between(1, 4),
      batchSize: 1,
      maxThreads: 2 * threadCount + 1,
    };
    const threads: Record<string, PoolBody> = {};
    const listing: string[] = [];
    for (let t = 0; t < threadCount; t++) {
      const steps = Array.from(
        { length: random.between(3, 7) },
        () => STEPS[random.below(STEPS.length)],
      );
      threads[`t${t}`] = body(steps);
      listing.push(`t${t}: ${steps.join(' ')}`);
    }
    const name = `program ${i} of seed ${SEED}, ${JSON.stringify(shape)}\n${listing.join('\n')}\n`;
    const scenario = poolScenario(module, name, shape, threads, {
      prepares: [...Object.keys(threads), 'supervisor'],
      racy: (shared) => (block, word) =>
        isHint(shared, block, word) ||
        isOwnerWord(shared, block, word) ||
        isStatistic(shared, block, word),
      supervisor: (shared, dead, self) => {
        const pool = module.BufferPool.attach(shared.handle);
        self.begin();
        pool.reclaim(dead.published[0] as number);
      },
      check,
    });
    const report = await sample(scenario, {
      seed: random.next(),
      schedules: SCHEDULES,
      kills: random.below(3),
      deaths: 'calls',
    });
    expect(formatFailure(report)).toBe('');
    schedules += report.schedules;
    deaths += report.kills;
  }
  const ms = Math.round(performance.now() - began);
  console.log(
    `${PROGRAMS} programs, ${schedules} schedules, in ${deaths} of them a thread died, ${ms} ms`,
  );
});
