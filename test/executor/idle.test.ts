// SPDX-License-Identifier: MIT
import { get } from 'node:http';
import type { ExecutorGroup as Group, Idle } from 'busbar/executor';
import { expect, test } from 'vitest';
import { turn, until } from '../turns.ts';
import { createPool, ExecutorGroup, expectAllBack, hear, moduleUrl, tell } from './company.ts';
import { PORT, TICKS } from './server.worker.ts';

const IDLE: readonly Idle[] = ['adaptive', 'spin', 'poll', 'park'];

/** What the server of an executor answers. */
function request(group: Group, path: string): Promise<string> {
  const port = group.stats()[0]?.counters[PORT];
  return new Promise((resolve, reject) => {
    get({ host: '127.0.0.1', port, path, agent: false }, (response) => {
      let text = '';
      response.setEncoding('utf8');
      response.on('data', (part: string) => {
        text += part;
      });
      response.on('end', () => resolve(text));
    }).on('error', reject);
  });
}

const cases = IDLE.flatMap((idle) => [
  { idle, data: 'idle' },
  { idle, data: 'busy' },
]);

test.each(cases)('sockets, timers and the mailbox are served: $idle, $data', async (way) => {
  const pool = createPool();
  const options = { pool, module: moduleUrl('server'), count: 1, ...way };
  const group = await ExecutorGroup.start(options);
  const heard = hear(group);
  const ticks = (): number => group.stats()[0]?.counters[TICKS] as number;
  for (let i = 0; i < 20; i++) {
    const before = ticks();
    tell(group, pool, 0, `packet ${i}`);
    expect(await request(group, `/${i}`)).toBe(`executor-0 got /${i}`);
    await until(() => heard.length === i + 1 && ticks() > before);
  }
  expect(await group.ping(0)).toBeGreaterThan(0);
  await group.stop();
  await group.closed;
  expectAllBack(pool);
});

test.each(['adaptive', 'park'] as const)(
  'an idle executor takes no turns at all in the strategy %s',
  async (idle) => {
    const pool = createPool();
    const options = { pool, module: moduleUrl('server'), count: 2, idle };
    const group = await ExecutorGroup.start(options);
    const heard = hear(group);
    for (let round = 0; round < 3; round++) {
      tell(group, pool, 0, 'wake up');
      await until(() => heard.length === round + 1);
      await until(() => group.stats().every(({ state }) => state === 'parked'));
      const before = group.stats().map(({ turns, parks }) => ({ turns, parks }));
      const ticks = group.stats()[0]?.counters[TICKS] as number;
      // Its timer goes on, the loop does not.
      await until(() => (group.stats()[0]?.counters[TICKS] as number) > ticks + 20);
      expect(group.stats().map(({ turns, parks }) => ({ turns, parks }))).toEqual(before);
    }
    await group.stop();
    expectAllBack(pool);
  },
);

test.each(['spin', 'poll'] as const)('an executor never parks in the strategy %s', async (idle) => {
  const pool = createPool();
  const options = { pool, module: moduleUrl('server'), count: 1, idle };
  const group = await ExecutorGroup.start(options);
  await until(() => (group.stats()[0]?.turns ?? 0) > 2000);
  for (let i = 0; i < 100; i++) await turn();
  expect(group.stats()[0]).toMatchObject({ parks: 0, state: 'running' });
  await group.stop();
  expectAllBack(pool);
});
