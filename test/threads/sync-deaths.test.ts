// SPDX-License-Identifier: MIT
/**
 * Events and countdowns between real threads, some of which are ended while they wait, set, count
 * or run: no other waits for ever, and nothing happens twice. (The other primitives: sync.test.ts.)
 */
import { Countdown, Event } from 'busbar/sync';
import { afterEach, expect, test } from 'vitest';
import { Random } from '../../src/base/random.ts';
import { scaled } from '../effort.ts';
import { turn, until } from '../turns.ts';
import * as at from './sync-board.ts';
import { createPool, endTeams, replay, seed, Team, THREADS } from './sync-team.ts';

afterEach(endTeams);

test.each(['auto', 'manual'] as const)(
  'an event, %s: no wait hangs, though threads die that wait for it, or set it',
  { timeout: 600_000 },
  async (reset) => {
    const random = new Random(seed);
    const pool = createPool();
    const event = Event.create(pool, { reset });
    const team = new Team(pool, event.handle, { mayDie: true });
    let sets = 0;
    const setUntil = async (isSo: () => boolean): Promise<void> => {
      while (!isSo()) {
        if (team.failed !== undefined) throw team.failed;
        if (event.set() === 'set') sets++;
        await turn();
        // Whoever waited before is let through all the same.
        if (reset === 'manual') event.reset();
      }
    };
    const setDuring = async (work: Promise<void>): Promise<void> => {
      let isOver = false;
      const over = work.finally(() => {
        isOver = true;
      });
      await setUntil(() => isOver);
      await over;
    };
    const deaths = scaled(6);
    for (let i = 0; i < deaths; i++) {
      const enough = team.done + 1 + random.below(40);
      await setUntil(() => team.done >= enough);
      await setDuring(team.kill(random.below(THREADS)));
    }
    // Ends only if every wait does.
    await setDuring(team.stop());
    if (reset === 'manual') return;
    // Each that died may have been let through, or have been about to set it.
    const lost = sets + team.board[at.FIRST] - team.done - Number(event.isSet);
    expect(lost, replay).toBeGreaterThanOrEqual(0);
    expect(lost, replay).toBeLessThanOrEqual(deaths);
  },
);

const MANY = 200;

test('countdowns whose threads die: each is run once, or has failed for all', {
  timeout: 600_000,
}, async () => {
  const random = new Random(seed);
  const pool = createPool();
  const all = Array.from({ length: MANY }, () => Countdown.create(pool, 1));
  const more = all.map(({ handle }) => handle);
  const team = new Team(pool, more[0], { more, mayDie: true });
  const { board } = team;
  let kills = 0;
  let failures = 0;
  for (const [i, countdown] of all.entries()) {
    // So many others, or more, have come before this thread.
    const others = random.below(THREADS);
    const joined = () => Atomics.load(board, at.JOINED + i);
    await until(() => team.failed !== undefined || joined() >= others);
    const dies = random.chance(0.06);
    const killing = dies ? team.kill(random.below(THREADS)) : undefined;
    if (dies) kills++;
    if (random.chance(0.5)) await turn();
    countdown.run(() => Atomics.add(board, at.MADE + i, 1));
    const end = await countdown.wait();
    const ran = Atomics.load(board, at.MADE + i);
    expect(end === 'done' ? [ran] : [end, ran > 1], `${i}, ${replay}`).toEqual(
      end === 'done' ? [1] : ['failed', false],
    );
    if (end === 'failed') failures++;
    await killing;
    if (team.failed !== undefined) throw team.failed;
  }
  await team.stop();
  expect(failures, replay).toBeLessThanOrEqual(kills);
});
