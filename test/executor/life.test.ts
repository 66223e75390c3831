// SPDX-License-Identifier: MIT
import { spawn } from 'node:child_process';
import { existsSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { Packet } from 'busbar/packet';
import type { BufferPool } from 'busbar/pool';
import { expect, test } from 'vitest';
import { Random } from '../../src/base/random.ts';
import type { ExecutorSlot } from '../../src/executor/executor-slot.ts';
import type { GroupState } from '../../src/executor/group-state.ts';
import { testSeed } from '../threads/worker-crew.ts';
import { turn, until } from '../turns.ts';
import { belongings, company, createPool, ExecutorGroup, expectAllBack, tell } from './company.ts';
import * as deeds from './deeds.ts';

const collect = globalThis.gc as () => void;

// In shared-nothing dropping a handle leaks a thread that spins for ever.
test('a group whose handle is dropped stops, and what was sent is handled', async () => {
  const pool = createPool();
  const words = await startAndForget(pool);
  await until(() => {
    collect();
    const { threads, inTransit } = pool.who();
    return threads.length === 1 && inTransit === 0;
  });
  expect(words[deeds.SEEN]).toBe(20);
  expectAllBack(pool);
});

/** Returns the words alone: no variable of the test keeps the group. */
async function startAndForget(pool: BufferPool): Promise<Int32Array> {
  const { options, words } = company(pool);
  const group = await ExecutorGroup.start(options);
  for (let i = 0; i < 20; i++) tell(group, pool, i % 2, 'echo');
  return words;
}

test('starts and stops leave no thread, file or buffer behind', async () => {
  const pool = createPool();
  const { options } = company(pool);
  const cycle = async (): Promise<void> => {
    const group = await ExecutorGroup.start(options);
    for (let i = 0; i < 20; i++) tell(group, pool, i % 2, 'pass 0 pass 1 drop');
    await group.stop();
    await group.closed;
  };
  await cycle();
  if (!existsSync('/proc/self/task')) return;
  const cycles = 12;
  const before = belongings();
  for (let i = 0; i < cycles; i++) await cycle();
  const after = belongings();
  // The test runner and the engine begin threads when they like; a leak grows with each cycle.
  expect(after.threads - before.threads).toBeLessThan(cycles / 2);
  expect(after.files - before.files).toBeLessThan(cycles / 2);
  expectAllBack(pool);
});

test.each([
  ['unref', 'lets the process end'],
  ['stop', 'ends, and the process with it'],
  ['drop', 'is collected, and the process ends'],
])('a group that is told to %s %s', async (how) => {
  const program = new URL('../../build/test/executor/life.main.js', import.meta.url);
  const child = spawn(process.execPath, ['--expose-gc', fileURLToPath(program), how], {
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  let output = '';
  child.stdout.on('data', (data) => {
    output += data;
  });
  const code = await new Promise((resolve) => child.on('exit', resolve));
  expect({ code, output }).toEqual({ code: 0, output: 'started\n' });
});

test('groups that are killed at random moments give every buffer back', async () => {
  const seed = testSeed();
  const random = new Random(seed);
  const pool = createPool(64);
  try {
    for (let round = 0; round < 12; round++) {
      await liveAndDie(pool, random);
      expectAllBack(pool);
    }
  } catch (error) {
    console.error(`BUSBAR_TEST_SEED=${seed} npx vitest run test/executor/life.test.ts`);
    throw error;
  }
});

test('executors that are killed come back, and lose only what they had in hand', async () => {
  const seed = testSeed();
  const random = new Random(seed);
  const pool = createPool(64);
  const { options, words } = company(pool);
  const restart = { maxRestarts: 1000 };
  const group = await ExecutorGroup.start({ ...options, restart, laneCapacity: 16 });
  const { slots } = Reflect.get(group, 'state') as GroupState;
  const killed = new Set<ExecutorSlot['worker']>();
  let owed = 0;
  while (killed.size < 12) {
    for (let i = random.below(30); i > 0; i--) {
      const hops = random.below(4);
      const path = Array.from({ length: hops }, () => `pass ${random.below(2)} `).join('');
      const packet = Packet.tryFrom(pool, new TextEncoder().encode(`${path}drop`));
      if (packet === undefined) break;
      if (group.trySendTo(random.below(2), packet)) owed += hops + 1;
      else packet.release();
    }
    for (let i = random.below(20); i > 0; i--) await turn();
    const { worker } = slots[random.below(2)] as ExecutorSlot;
    if (worker.startReport === undefined || killed.has(worker) || !random.chance(0.05)) continue;
    worker.terminate();
    killed.add(worker);
    await worker.ended;
  }
  await until(() => group.stats().reduce((sum, { restarts }) => sum + restarts, 0) === killed.size);
  expect(await group.stop()).toMatchObject({ dropped: 0 });
  await group.closed;
  // A packet in hand is lost with all its way; one that finds a full lane is dropped by its holder.
  const lost = owed - (words[deeds.SEEN] as number) - (words[deeds.REFUSED] as number);
  const power = { seed, owed, kills: killed.size, lost };
  expect(lost, JSON.stringify(power)).toBeGreaterThanOrEqual(0);
  expect(lost, JSON.stringify(power)).toBeLessThanOrEqual(4 * killed.size);
  expectAllBack(pool);
});

/** A group does and dies by chance. */
async function liveAndDie(pool: BufferPool, random: Random): Promise<void> {
  const count = 1 + random.below(3);
  const reads = (['handler', 'loop', 'poll'] as const)[random.below(3)] as 'handler';
  const { options } = company(pool, { reads });
  const restart = { maxRestarts: 1000, withinMs: 0 };
  const group = await ExecutorGroup.start({
    ...options,
    count,
    laneCapacity: 1 << random.below(6),
    ...(random.chance(0.5) ? { restart } : {}),
  });
  let crash: unknown;
  group.closed.catch((error) => {
    crash = error;
  });
  group.mailbox.handle((packet) => packet.release());
  const last = random.below(400);
  for (let i = 0; i < last && crash === undefined; i++) {
    const to = random.below(count);
    const hops = Array.from({ length: random.below(6) }, () => `pass ${random.below(count)} `);
    const ends = random.chance(0.02) ? ['throw', 'exit 0', 'reject'] : ['drop', 'echo', 'hold'];
    const text = hops.join('') + ends[random.below(3)];
    const packet = Packet.tryFrom(pool, new TextEncoder().encode(text));
    if (packet !== undefined && !trySend(group, to, packet)) packet.release();
    if (random.chance(0.3)) await turn();
  }
  const mode = random.chance(0.3) ? 'drain' : 'now';
  await group.stop({ mode, deadlineMs: random.below(3) * 5 });
}

function trySend(group: ExecutorGroup, to: number, packet: Packet): boolean {
  try {
    return group.trySendTo(to, packet);
  } catch (error) {
    expect(error).toMatchObject({ code: 'ERR_BUSBAR_CHANNEL_CLOSED' });
    return false;
  }
}
