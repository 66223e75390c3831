// SPDX-License-Identifier: MIT
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { ExecutorGroupOptions } from 'busbar/executor';
import type { Packet } from 'busbar/packet';
import { BufferPool } from 'busbar/pool';
import { SharedWriter, WriteFlusher } from 'busbar/writer';
import { expect, test } from 'vitest';
import { until } from '../turns.ts';
import { uncaughtDuring } from '../uncaught.ts';
import {
  company,
  createPool,
  ExecutorGroup,
  expectAllBack,
  hear,
  openGate,
  packetOf,
  tell,
  untilAtGate,
} from './company.ts';
import * as deeds from './deeds.ts';

const CRASHED = 'ERR_BUSBAR_EXECUTOR_CRASHED';

// In shared-nothing spawn() answers Ok although init fails, and nobody ever learns why.
test.each([
  ['throws', 'throw', { message: deeds.TOLD_TO_THROW }],
  ['rejects', 'reject', { message: deeds.TOLD_TO_THROW }],
  ['exits', 'exit', { code: CRASHED }],
  [
    'never returns',
    'hang',
    {
      code: 'ERR_BUSBAR_TIMEOUT',
      message: expect.stringMatching(
        /executor (0, )?1(, 2)? has not returned.* call mailbox.handle, or /,
      ),
    },
  ],
] as const)('a start in which one module %s fails, and leaves nobody', async (_, start, cause) => {
  const pool = createPool();
  const { options } = company(pool, { start, who: 1 });
  const starting = ExecutorGroup.start({
    ...options,
    count: 3,
    startTimeoutMs: start === 'hang' ? 500 : 1e9,
  });
  await expect(starting).rejects.toMatchObject({ code: 'ERR_BUSBAR_EXECUTOR_START', cause });
  expectAllBack(pool);
});

test('a start fails without the module, a function in it, or room in the pool', async () => {
  const pool = createPool();
  const { options } = company(pool);
  const code = 'ERR_BUSBAR_EXECUTOR_START';
  const nowhere = { ...options, module: '/nowhere/at-all.js' };
  await expect(ExecutorGroup.start(nowhere)).rejects.toMatchObject({
    code,
    message: expect.stringMatching(
      /started: there is no module \S*at-all\.js: paths begin at the working directory; or use /,
    ),
    cause: { code: 'ERR_MODULE_NOT_FOUND' },
  });
  const empty = { ...options, module: 'data:text/javascript,export const run = 5' };
  await expect(ExecutorGroup.start(empty)).rejects.toThrow(/must be a function, got 5/);
  await expect(ExecutorGroup.start({ ...options, count: 8 })).rejects.toMatchObject({
    code,
    cause: { code: 'ERR_BUSBAR_THREAD_SLOTS' },
  });
  expectAllBack(pool);
});

test('a thread that cannot be made takes those with it that were', async () => {
  const pool = createPool();
  const { options } = company(pool);
  let copies = 0;
  const data = {
    get words(): SharedArrayBuffer {
      if (++copies > 1) throw new Error('once is enough');
      return new SharedArrayBuffer(4 * deeds.WORDS);
    },
  };
  await expect(ExecutorGroup.start({ ...options, data })).rejects.toThrow('once is enough');
  await until(() => pool.stats().threads.length === 1);
  expectAllBack(pool);
});

test('a module may use the port of its worker for its own ends', async () => {
  const pool = createPool();
  const own = `import { parentPort } from 'node:worker_threads';
    for (const kind of ['ended', 'started', 'quiet', 'reply']) parentPort.postMessage({ kind });
    parentPort.postMessage(null);
    export const run = () => {};`;
  const module = `data:text/javascript,${encodeURIComponent(own)}`;
  const group = await ExecutorGroup.start({ pool, module, count: 1 });
  expect(await group.ping(0)).toBeGreaterThan(0);
  await group.stop();
  await group.closed;
  expectAllBack(pool);
});

test.each(['exports.run = () => {}', 'exports.default = () => {}', 'module.exports = () => {}'])(
  'a CommonJS module may say %s',
  async (source) => {
    const pool = createPool();
    const folder = mkdtempSync(join(tmpdir(), 'busbar-'));
    const module = join(folder, 'module.cjs');
    writeFileSync(module, source);
    const group = await ExecutorGroup.start({ pool, module, count: 1 });
    await group.stop();
    rmSync(folder, { recursive: true });
    expectAllBack(pool);
  },
);

test('a group that is being stopped does not pause', async () => {
  const pool = createPool();
  const { options, words } = company(pool);
  const group = await ExecutorGroup.start(options);
  tell(group, pool, 0, 'block');
  await untilAtGate(words, 1);
  for (let i = 0; i < 10; i++) tell(group, pool, 0, 'drop');
  const report = group.stop({ deadlineMs: Infinity });
  const paused = group.pause(0).catch(() => {});
  openGate(words);
  expect(await report).toMatchObject({ handled: 11, dropped: 0 });
  await paused;
});

test('a group whose host has left the pool can be stopped all the same', async () => {
  const pool = createPool();
  const group = await ExecutorGroup.start(company(pool).options);
  pool.detach();
  const closed = expect(group.closed).rejects.toMatchObject({ code: 'ERR_BUSBAR_DETACHED' });
  expect(await group.stop()).toMatchObject({ handled: 0, dropped: 0 });
  await closed;
});

test('data that cannot be cloned is refused, and leaves nothing', async () => {
  const pool = createPool();
  const { options } = company(pool);
  const starting = ExecutorGroup.start({ ...options, data: { notCloneable: () => {} } });
  await expect(starting).rejects.toMatchObject({
    code: 'ERR_BUSBAR_EXECUTOR_START',
    cause: { name: 'DataCloneError' },
  });
  expectAllBack(pool);
  await (await ExecutorGroup.start(options)).stop();
  expectAllBack(pool);
});

// In shared-nothing a worker that has died is_running(), and stop() does not say why it died.
test.each([
  ['throws', 'throw', { message: deeds.TOLD_TO_THROW, code: 'TOLD' }],
  ['rejects, and nobody looks', 'reject', { message: deeds.TOLD_TO_THROW }],
  ['exits', 'exit 3', undefined],
  ['exits as if all were well', 'exit 0', undefined],
  ['uses up its memory', 'exhaust', { code: 'ERR_WORKER_OUT_OF_MEMORY' }],
])('a crash is seen at once: an executor that %s', async (_, deed, cause) => {
  const pool = createPool();
  const { options } = company(pool);
  const resourceLimits = { maxOldGenerationSizeMb: 24 };
  const group = await ExecutorGroup.start({ ...options, resourceLimits });
  for (let i = 0; i < 5; i++) tell(group, pool, 1, 'hold');
  tell(group, pool, 1, deed);
  const crash = { code: CRASHED, message: expect.stringContaining('executor 1 ("'), cause };
  await expect(group.closed).rejects.toMatchObject(cause === undefined ? { code: CRASHED } : crash);
  expect(group.stats().map(({ state }) => state)).toEqual(['ended', 'ended']);
  expect(group.stats()[1]?.lastCrash).toMatchObject({ code: CRASHED });
  const packet = packetOf(pool, 'drop');
  expect(() => group.trySendTo(0, packet)).toThrow('the channel was closed');
  packet.release();
  await group.stop();
  expectAllBack(pool);
});

test('when one crashes, the others finish what they have and end', async () => {
  const pool = createPool();
  const { options, words } = company(pool);
  const group = await ExecutorGroup.start({ ...options, count: 3 });
  const heard = hear(group);
  for (let i = 0; i < 50; i++) tell(group, pool, i % 2, 'echo');
  tell(group, pool, 2, 'throw');
  await expect(group.closed).rejects.toMatchObject({ code: CRASHED });
  expect(heard.length).toBe(50);
  expect(words[deeds.SEEN]).toBe(51);
  expect(group.stats().map(({ counters }) => counters[deeds.DEFERRED])).toEqual([1, 1, 0]);
  expectAllBack(pool);
});

test('a restart policy starts it again on the same lanes: what is queued is handled', async () => {
  const pool = createPool();
  const { options, words } = company(pool);
  const restart = { maxRestarts: 2, delayMs: 10 };
  const news: string[] = [];
  const group = await ExecutorGroup.start({
    ...options,
    restart,
    onCrash: (index, { message }) => news.push(`${index} crashed: ${message.split(', ').at(-1)}`),
    onRestart: (index) => news.push(`${index} restarted`),
  });
  const heard = hear(group);
  for (const deed of ['echo', 'hold', 'throw', 'echo', 'exit 0', 'echo', 'pass 0 echo']) {
    tell(group, pool, 1, deed);
  }
  await until(() => heard.length === 4);
  expect(heard.map(({ from }) => from).sort()).toEqual([0, 1, 1, 1]);
  expect(words[deeds.STARTS]).toBe(4);
  await until(() => news.length === 4);
  expect(news).toEqual([
    `1 crashed: ${deeds.TOLD_TO_THROW}`,
    '1 restarted',
    '1 crashed: exit code 0',
    '1 restarted',
  ]);
  const [, stats] = group.stats();
  expect(stats).toMatchObject({ restarts: 2, lastCrash: { code: CRASHED }, dropped: 0 });
  expect(await group.stop()).toMatchObject({ dropped: 0 });
  await group.closed;
  expectAllBack(pool);
});

test.each(['handler', 'loop'] as const)(
  'what a %s had in hand is shown, and can be sent again',
  async (reads) => {
    const pool = createPool();
    const { options } = company(pool, { reads });
    const shown: string[] = [];
    const again: Packet[] = [];
    const tags: number[] = [];
    const group = await ExecutorGroup.start({
      ...options,
      restart: {},
      onCrash: (index, _crash, inHand) => {
        for (const { from, packet } of inHand) {
          shown.push(`${index} had ${packet} from ${from}`);
          tags.push(packet.tag);
          if (packet.toString() === 'hold') again.push(packet.clone());
        }
      },
    });
    const heard = hear(group);
    const tagged = packetOf(pool, 'pass 1 hold');
    tagged.tag = 77;
    expect(group.trySendTo(0, tagged)).toBe(true);
    await until(() => group.stats()[1]?.handled === 1);
    // The throw comes within a run of packets; those before it were released or sent.
    for (const deed of ['drop', 'echo', 'hold', 'drop', 'throw', 'echo']) {
      tell(group, pool, 1, deed);
    }
    await until(() => heard.length === 2 && again.length === 2);
    expect(tags.sort()).toEqual([0, 0, 77]);
    expect(shown.sort()).toEqual([
      '1 had hold from 0',
      `1 had hold from ${group.count}`,
      `1 had throw from ${group.count}`,
    ]);
    for (const packet of again) await group.sendTo(1, packet);
    await until(() => group.stats()[1]?.queued === 0);
    expect(await group.stop()).toMatchObject({ dropped: 0, leaked: 2, terminated: [] });
    expectAllBack(pool);
  },
);

test('a listener that throws, or releases what it was shown, does no harm', async () => {
  const pool = createPool();
  const { options } = company(pool);
  const uncaught = await uncaughtDuring(async () => {
    const group = await ExecutorGroup.start({
      ...options,
      onCrash: (_index, _crash, inHand) => {
        inHand[0]?.packet.release();
        throw new Error('the listener');
      },
    });
    for (const deed of ['hold', 'throw']) tell(group, pool, 0, deed);
    await expect(group.closed).rejects.toMatchObject({ code: CRASHED });
    expect(await group.stop()).toMatchObject({ leaked: 0, terminated: [] });
  });
  expect(uncaught).toEqual(['the listener']);
  expectAllBack(pool);
});

test('writers of a dead executor can be recovered before its slot is free', async () => {
  const pool = createPool();
  const { options } = company(pool);
  const flusher = WriteFlusher.create(pool);
  const writer = SharedWriter.create(flusher);
  const news: string[] = [];
  const held = (slot: number): number | undefined =>
    pool.who().threads.find((thread) => thread.slot === slot)?.held;
  const group = await ExecutorGroup.start({
    ...options,
    onDeath: (index, slot) => {
      news.push(`${index} holds ${held(slot)}`);
      writer.recover(slot);
      flusher.recover(slot);
    },
    onCrash: (index) => news.push(`${index} crashed, ${pool.stats().threads.length} are left`),
  });
  tell(group, pool, 1, 'hold');
  tell(group, pool, 1, 'throw');
  await expect(group.closed).rejects.toMatchObject({ code: CRASHED });
  // The other one has left the pool by itself.
  expect(news).toEqual(['1 holds 2', '1 crashed, 2 are left']);
  writer.close();
  expectAllBack(pool);
});

test('a restart policy has an end', async () => {
  const pool = createPool();
  const { options, words } = company(pool);
  const group = await ExecutorGroup.start({ ...options, restart: { maxRestarts: 2 } });
  for (let i = 0; i < 3; i++) tell(group, pool, 0, 'throw');
  await expect(group.closed).rejects.toMatchObject({ code: CRASHED });
  expect(words[deeds.STARTS]).toBe(4);
  expect(group.stats()[0]).toMatchObject({ restarts: 2, state: 'ended' });
  expectAllBack(pool);
});

test('old crashes do not count for ever', async () => {
  const pool = createPool();
  const { options, words } = company(pool);
  const group = await ExecutorGroup.start({
    ...options,
    restart: { maxRestarts: 1, withinMs: 0 },
  });
  for (let i = 0; i < 3; i++) tell(group, pool, 0, 'throw');
  await until(() => words[deeds.STARTS] === 5);
  await group.stop();
  await group.closed;
  expectAllBack(pool);
});

test('whoever waits for room outlives a restart, and is refused by an end', async () => {
  const pool = createPool();
  const { options, words } = company(pool);
  const policy: Partial<ExecutorGroupOptions> = { restart: { maxRestarts: 1 }, laneCapacity: 2 };
  const group = await ExecutorGroup.start({ ...options, ...policy });
  const heard = hear(group);
  tell(group, pool, 0, 'block');
  await untilAtGate(words, 1);
  tell(group, pool, 0, 'throw');
  const waits = [group.sendTo(0, packetOf(pool, 'echo')), group.sendTo(0, packetOf(pool, 'throw'))];
  Atomics.store(words, deeds.GATE, 1);
  Atomics.notify(words, deeds.GATE);
  await Promise.all(waits);
  const closed = expect(group.closed).rejects.toMatchObject({ code: CRASHED });
  let refused: { code: string } | undefined;
  while (refused === undefined) {
    const packet = packetOf(pool, 'drop');
    await group.sendTo(0, packet).catch((error) => {
      refused = error;
      packet.release();
    });
  }
  expect(refused).toMatchObject({ code: 'ERR_BUSBAR_CHANNEL_CLOSED' });
  await closed;
  expect(heard.length).toBe(1);
  expectAllBack(pool);
});

test('a stop while a restart is delayed does not wait for it', async () => {
  const pool = createPool();
  const { options } = company(pool);
  const group = await ExecutorGroup.start({ ...options, restart: { delayMs: 1e9 } });
  const closed = expect(group.closed).rejects.toMatchObject({ code: CRASHED });
  tell(group, pool, 0, 'throw');
  tell(group, pool, 0, 'echo');
  await until(() => group.stats()[0]?.lastCrash !== undefined);
  expect(await group.stop()).toMatchObject({ dropped: 1 });
  await closed;
  expectAllBack(pool);
});

const ALIVE = expect.objectContaining({ code: 'ERR_BUSBAR_THREAD_ALIVE' });

/** The slots that executors have in the pool. */
function slotsOf(pool: BufferPool): number[] {
  const slots = pool.stats().threads.map(({ slot }) => slot);
  return slots.filter((slot) => slot !== pool.threadSlot);
}

test('an executor that was asked about often while it was busy is reclaimed', async () => {
  const pool = createPool();
  const { options, words } = company(pool);
  const group = await ExecutorGroup.start({ ...options, count: 1 });
  tell(group, pool, 0, 'hold');
  tell(group, pool, 0, 'spin');
  await untilAtGate(words, 1);
  const [slot] = slotsOf(pool);
  for (let i = 0; i < 200; i++) {
    expect(() => pool.reclaim(slot)).toThrow(ALIVE);
    if (i < 9) expect(() => pool.declareExited(slot)).toThrow(ALIVE);
  }
  await group.stop({ mode: 'now', deadlineMs: 1 });
  await group.closed;
  expectAllBack(pool);
});

test('a group goes on if others have reclaimed its dead, and live in its slot', async () => {
  const pool = createPool();
  const { options, words } = company(pool);
  const deaths: number[] = [];
  const group = await ExecutorGroup.start({
    ...options,
    count: 1,
    restart: { maxRestarts: 1 },
    onDeath: (_, slot) => deaths.push(slot),
  });
  const heard = hear(group);
  const [slot] = slotsOf(pool);
  tell(group, pool, 0, 'exit 3');
  // Nothing of the group's runs meanwhile in this thread.
  while (pool.reclaimDead().length === 0);
  const stranger = BufferPool.attach(pool.handle);
  expect(stranger.threadSlot).toBe(slot);
  const id = stranger.tryAcquire();
  await until(() => Atomics.load(words, deeds.STARTS) === 2);
  expect(deaths).toEqual([]);
  tell(group, pool, 0, 'echo');
  await until(() => heard.length === 1);
  stranger.release(id);
  stranger.detach();
  await group.stop();
  await group.closed;
  expectAllBack(pool);
});
