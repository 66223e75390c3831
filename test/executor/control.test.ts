// SPDX-License-Identifier: MIT
import { readFileSync } from 'node:fs';
import { native, topology } from 'busbar/native';
import { expect, test } from 'vitest';
import { turn, until } from '../turns.ts';
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

// In shared-nothing a Ping is never answered.
test('a ping is answered, by a parked executor and by one that is never idle', async () => {
  const pool = createPool();
  const { options } = company(pool);
  const group = await ExecutorGroup.start(options);
  await until(() => group.stats().every(({ state }) => state === 'parked'));
  expect(await group.ping(1)).toBeGreaterThan(0);
  tell(group, pool, 0, 'bounce');
  expect(await group.ping(0)).toBeGreaterThan(0);
  expect(await group.ping(1)).toBeGreaterThan(0);
  await group.stop({ deadlineMs: 10 });
  await group.closed;
  expectAllBack(pool);
});

test('a pause leaves the mailbox alone, and what waits in it in order', async () => {
  const pool = createPool();
  const { options, words } = company(pool, { reads: 'loop' });
  const group = await ExecutorGroup.start({ ...options, laneCapacity: 8 });
  await group.pause();
  expect(group.stats().map(({ state }) => state)).toEqual(['paused', 'paused']);
  for (let i = 1; i <= 8; i++) tell(group, pool, 0, `count 0 ${i}`);
  const packet = packetOf(pool, 'count 0 9');
  expect(group.trySendTo(0, packet)).toBe(false);
  for (let i = 0; i < 100; i++) await turn();
  expect(await group.ping(0)).toBeGreaterThan(0);
  expect(words[deeds.SEEN]).toBe(0);
  expect(group.stats()[0]).toMatchObject({ queued: 8, handled: 0, state: 'paused' });
  await group.resume(0);
  await until(() => words[deeds.SEEN] === 8);
  expect(group.trySendTo(0, packet)).toBe(true);
  expect(group.stats()[1]?.state).toBe('paused');
  expect(await group.stop()).toMatchObject({ handled: 9, dropped: 0 });
  expect(words[deeds.ASTRAY]).toBe(0);
  expectAllBack(pool);
});

test('a paused group drains when it is stopped', async () => {
  const pool = createPool();
  const { options } = company(pool);
  const group = await ExecutorGroup.start(options);
  await group.pause();
  for (let i = 0; i < 30; i++) tell(group, pool, i % 2, 'drop');
  expect(await group.stop()).toMatchObject({ handled: 30, dropped: 0 });
  expectAllBack(pool);
});

test('an executor that is stuck shows, one that is parked does not', async () => {
  const pool = createPool();
  const { options, words } = company(pool);
  const group = await ExecutorGroup.start(options);
  tell(group, pool, 0, 'block');
  await untilAtGate(words, 1);
  await until(() => (group.stats()[0]?.sinceTurnMs ?? 0) > 50);
  await until(() => group.stats()[1]?.state === 'parked');
  const [stuck, idle] = group.stats();
  expect(stuck).toMatchObject({ state: 'running', handled: 0 });
  expect(idle?.sinceTurnMs).toBe(0);
  openGate(words);
  await until(() => group.stats()[0]?.state === 'parked');
  await group.stop();
  expectAllBack(pool);
});

test('counters of the module are seen from outside', async () => {
  const pool = createPool();
  const { options } = company(pool);
  const group = await ExecutorGroup.start(options);
  for (let i = 0; i < 7; i++) tell(group, pool, 1, 'drop');
  await until(() => group.stats()[1]?.handled === 7);
  expect(group.stats()[1]?.counters).toEqual([7, ...new Array(15).fill(0)]);
  await group.stop();
});

test('each executor runs on its own cpu, as the kernel sees it, or says why not', async () => {
  const pool = createPool();
  const { options } = company(pool);
  const { allowed } = topology();
  const last = allowed.at(-1)?.cpu as number;
  const group = await ExecutorGroup.start({ ...options, count: 3, pin: [last] });
  const { affinity } = native.features;
  if (affinity.available) {
    const heard = hear(group);
    for (let i = 0; i < 3; i++) tell(group, pool, i, 'thread');
    await until(() => heard.length === 3);
    for (const { text } of heard) {
      const status = readFileSync(`/proc/self/task/${text}/status`, 'utf8');
      expect(/^Cpus_allowed_list:\s*(.*)$/m.exec(status)?.[1]).toBe(String(last));
      expect(/^Name:\s*(.*)$/m.exec(status)?.[1]).toMatch(/^executor-[012]$/);
    }
  }
  for (const { cpu, unpinned } of group.stats()) {
    expect({ cpu, unpinned }).toEqual(
      affinity.available ? { cpu: last, unpinned: '' } : { unpinned: affinity.reason },
    );
  }
  await group.stop();
  const loose = await ExecutorGroup.start({ ...options, pin: 'none' });
  expect(loose.stats()[0]).toMatchObject({ cpu: undefined, unpinned: 'not asked for' });
  await loose.stop();
});
