// SPDX-License-Identifier: MIT
import { expect, test } from 'vitest';
import { until } from '../turns.ts';
import { company, createPool, ExecutorGroup, openGate, tell, untilAtGate } from './company.ts';

test('executors and lanes are named, also while their threads are stuck', async () => {
  const pool = createPool();
  pool.nameThread('main');
  const { options, words } = company(pool);
  const group = await ExecutorGroup.start({ ...options, name: 'parser' });
  for (const deed of ['hold', 'hold', 'pass 1 hold', 'block']) tell(group, pool, 0, deed);
  await untilAtGate(words, 1);
  tell(group, pool, 0, 'drop');
  await until(() => group.stats()[1]?.handled === 1);
  const { holders, threads, inTransit, held, text } = pool.who();
  expect(threads.map(({ name }) => name).sort()).toEqual(['main', 'parser-0', 'parser-1']);
  const nameOf = (slot: number | undefined): string | undefined =>
    threads.find((thread) => thread.slot === slot)?.name;
  const found = holders.map(({ slot, kind, name, count }) => [nameOf(slot), kind, name, count]);
  expect(found.sort()).toEqual([
    [undefined, 'lane', 'main → parser-0', 1],
    ['parser-0', 'packet', '', 2],
    ['parser-1', 'packet', '', 1],
  ]);
  expect({ held, inTransit }).toEqual({ held: 4, inTransit: 1 });
  expect(text).toContain('parser-0 (slot');
  openGate(words);
  expect(await group.stop()).toMatchObject({ leaked: 3 });
  expect(pool.who().holders).toEqual([]);
  pool.close();
});
