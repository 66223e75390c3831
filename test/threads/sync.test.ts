// SPDX-License-Identifier: MIT
/** Synchronization primitives between real threads, some of which are ended while they use them. */
import { BufferPool } from 'busbar/pool';
import {
  Barrier,
  Countdown,
  Event,
  Gate,
  Mutex,
  NO_SIGNAL,
  Once,
  RwLock,
  Semaphore,
  SeqLock,
  SignalTree,
  WaitGroup,
} from 'busbar/sync';
import { afterEach, expect, test } from 'vitest';
import { Random } from '../../src/base/random.ts';
import { scaled } from '../effort.ts';
import { turn, until } from '../turns.ts';
import * as at from './sync-board.ts';
import { createPool, endTeams, replay, seed, Team, THREADS } from './sync-team.ts';

/** Deaths that are tried at most until enough of them have hit. */
const KILLS_MAX = 200;

afterEach(endTeams);

const orders = ['barging', 'lifo', 'fair'] as const;

/**
 * Keeps the lock, or all permits, for some turns, again and again, until another thread has given
 * up: those that wait without a limit give nothing up, so that to keep it once may not do.
 */
async function keepUntilGivenUp(
  { board }: Team,
  take: () => Promise<unknown>,
  give: () => unknown,
): Promise<void> {
  while (Atomics.load(board, at.GIVEN_UP) === 0) {
    expect(await take(), replay).toBe('acquired');
    for (let i = 0; i < 100 && Atomics.load(board, at.GIVEN_UP) === 0; i++) await turn();
    give();
  }
}

test.each(orders)('a %s mutex: threads count together, and nothing is lost', async (order) => {
  const pool = createPool();
  const mutex = Mutex.create(pool, { order });
  const team = new Team(pool, mutex.handle);
  // This thread takes part.
  let own = 0;
  for (let i = 0; i < scaled(100); i++) {
    expect(await mutex.lock(), replay).toBe('acquired');
    team.board[at.FIRST]++;
    if (i % 10 === 0) await turn();
    team.board[at.SECOND]++;
    mutex.unlock();
    own++;
    if (i % 20 === 0) await team.reaches(1);
  }
  await team.reaches(scaled(150));
  await keepUntilGivenUp(
    team,
    () => mutex.lock(),
    () => mutex.unlock(),
  );
  await team.stop();
  const { board } = team;
  expect([board[at.FIRST], board[at.SECOND]], replay).toEqual([team.done + own, team.done + own]);
  expect(board[at.HEIRS], replay).toBe(0);
  expect(mutex.state, replay).toBe('free');
});

/** Kills threads until that many locks were inherited. Each death leaves at most one use undone. */
async function killUntilInherited(team: Team, random: Random, heirs: number): Promise<void> {
  const { board } = team;
  let kills = 0;
  while (Atomics.load(board, at.HEIRS) < heirs && kills < KILLS_MAX) {
    await team.reaches(1 + random.below(30));
    await team.kill(random.below(team.workers.length));
    kills++;
  }
  await team.reaches(50);
  await team.stop();
  expect(board[at.HEIRS], replay).toBeGreaterThan(0);
  const undone = board[at.FIRST] - team.done;
  expect(undone, replay).toBeGreaterThanOrEqual(0);
  expect(undone, replay).toBeLessThanOrEqual(kills);
}

test.each(['barging', 'fair'] as const)(
  'a %s mutex whose holders die: no thread hangs, and the next one is told',
  { timeout: 600_000 },
  async (order) => {
    const random = new Random(seed);
    const pool = createPool();
    const mutex = Mutex.create(pool, { order });
    const team = new Team(pool, mutex.handle);
    await killUntilInherited(team, random, scaled(1));
    mutex.recover();
    expect(mutex.state, replay).toBe('free');
  },
);

/** For each primitive that serves in turn: makes it; has it; waits for it in another object. */
const IN_TURN = {
  'fair mutex': async (pool: BufferPool, other: BufferPool) => {
    const mutex = Mutex.create(pool, { order: 'fair' });
    const next = Mutex.attach(other, mutex.handle);
    return {
      handle: mutex.handle,
      take: () => mutex.lock(),
      wait: () => next.lock(),
      give: () => mutex.unlock(),
    };
  },
  'read-write lock': async (pool: BufferPool, other: BufferPool) => {
    const lock = RwLock.create(pool);
    const next = RwLock.attach(other, lock.handle);
    return {
      handle: lock.handle,
      take: () => lock.write(),
      wait: () => next.write(),
      give: () => lock.unlockWrite(),
    };
  },
  semaphore: async (pool: BufferPool, other: BufferPool) => {
    const permits = Semaphore.create(pool, { permits: 3, owned: true });
    const next = Semaphore.attach(other, permits.handle);
    return {
      handle: permits.handle,
      take: () => permits.acquire(3),
      wait: () => next.acquire(),
      give: () => permits.release(3),
    };
  },
};

test.each(Object.keys(IN_TURN) as (keyof typeof IN_TURN)[])(
  'a %s goes on while the thread that is next is blocked elsewhere',
  async (kind) => {
    const pool = createPool();
    const { handle, take, wait, give } = await IN_TURN[kind](pool, BufferPool.attach(pool.handle));
    const team = new Team(pool, handle);
    await team.reaches(1);
    expect(await take(), replay).toBe('acquired');
    const waiting = wait();
    give();
    // Those who came before it have their turns; all others must pass over it.
    const enough = team.done + THREADS + 2;
    for (let i = 0; i < 1000 && team.done < enough; i++) Atomics.wait(team.board, at.STOP, 0, 20);
    expect(team.done, replay).toBeGreaterThanOrEqual(enough);
    expect(await waiting, replay).toBe('acquired');
  },
);

test.each(['lockSync', 'lock', 'tryLock', 'guard'] as const)(
  '%s gets the lock of a thread that was ended while it held it, and says so',
  async (way) => {
    const pool = createPool();
    const mutex = Mutex.create(pool);
    const team = new Team(pool, mutex.handle, { count: 1, isHolder: true });
    await team.reaches(1);
    expect(mutex.tryLock()).toBe('busy');
    const end = team.workers[0].terminate();
    // Where this thread blocks, nothing tells it of the end but the mutex.
    if (way === 'lockSync') expect(mutex.lockSync()).toBe('acquired');
    else if (way === 'lock') expect(await mutex.lock()).toBe('acquired');
    else if (way === 'guard') expect((await mutex.guard()).ownerDied).toBe(true);
    else await until(() => mutex.tryLock() === 'acquired');
    expect(mutex.ownerDied).toBe(true);
    mutex.unlock();
    await end;
  },
);

test('a read-write lock: threads read and count together, and nothing is lost', async () => {
  const pool = createPool();
  const lock = RwLock.create(pool);
  const team = new Team(pool, lock.handle);
  const { board } = team;
  for (let i = 0; i < scaled(50); i++) {
    expect(await lock.read(), replay).toBe('acquired');
    expect(board[at.FIRST], replay).toBe(board[at.SECOND]);
    if (i % 10 === 0) await turn();
    expect(board[at.FIRST], replay).toBe(board[at.SECOND]);
    lock.unlockRead();
    if (i % 20 === 0) await team.reaches(1);
  }
  await team.reaches(scaled(100));
  await team.stop();
  expect([board[at.FIRST], board[at.SECOND]], replay).toEqual([team.done, team.done]);
  expect([board[at.HEIRS], lock.state], replay).toEqual([0, 'free']);
});

test('a read-write lock whose users die: no thread hangs, and the next ones are told', {
  timeout: 600_000,
}, async () => {
  const random = new Random(seed);
  const pool = createPool();
  const lock = RwLock.create(pool);
  const team = new Team(pool, lock.handle, { mayDie: true });
  await killUntilInherited(team, random, scaled(1));
  lock.recover();
  expect(lock.state, replay).toBe('free');
});

test.each(['readSync', 'read', 'tryRead', 'writeSync', 'write', 'tryWrite'] as const)(
  '%s gets the read-write lock of a thread that was ended while it held it',
  async (way) => {
    const pool = createPool();
    const lock = RwLock.create(pool);
    const writes = way.includes('ead');
    const team = new Team(pool, lock.handle, { count: 1, isHolder: true, writes });
    await team.reaches(1);
    expect(lock.state).toBe(writes ? 'writing' : 'reading');
    const end = team.workers[0].terminate();
    if (way === 'tryRead' || way === 'tryWrite') await until(() => lock[way]() === 'acquired');
    else expect(await lock[way]()).toBe('acquired');
    // A reader has changed nothing.
    expect(lock.ownerDied).toBe(writes);
    await end;
  },
);

test('a semaphore: threads take one or several permits, and none is lost', async () => {
  const pool = createPool();
  const semaphore = Semaphore.create(pool, { permits: 3, owned: true });
  const team = new Team(pool, semaphore.handle);
  for (let i = 0; i < scaled(50); i++) {
    const count = 1 + (i % 3);
    expect(await semaphore.acquire(count), replay).toBe('acquired');
    expect(Atomics.load(team.board, at.INSIDE), replay).toBeLessThanOrEqual(3 - count);
    expect(semaphore.release(count), replay).toBe('released');
    if (i % 20 === 0) await team.reaches(1);
  }
  await team.reaches(scaled(150));
  await keepUntilGivenUp(
    team,
    () => semaphore.acquire(3),
    () => semaphore.release(3),
  );
  await team.stop();
  expect(semaphore.permits, replay).toBe(3);
});

test('a semaphore whose holders die: no thread hangs, each permit comes back once', async () => {
  const random = new Random(seed);
  const pool = createPool();
  const semaphore = Semaphore.create(pool, { permits: 3, owned: true });
  const team = new Team(pool, semaphore.handle, { mayDie: true });
  for (let kills = 0; kills < scaled(4); kills++) {
    await team.reaches(1 + random.below(30));
    await team.kill(random.below(team.workers.length));
  }
  await team.reaches(50);
  await team.stop();
  semaphore.recover();
  expect(semaphore.permits, replay).toBe(3);
});

test.each(['acquireSync', 'acquire'] as const)(
  '%s gets the permits of a thread that was ended while it held them',
  async (way) => {
    const pool = createPool();
    const semaphore = Semaphore.create(pool, { permits: 3, owned: true });
    const team = new Team(pool, semaphore.handle, { count: 1, isHolder: true });
    await team.reaches(1);
    expect(semaphore.permits).toBe(0);
    const end = team.workers[0].terminate();
    if (way === 'acquireSync') expect(semaphore.acquireSync(2)).toBe('acquired');
    else expect(await semaphore.acquire(2)).toBe('acquired');
    expect(semaphore.permits).toBe(1);
    await end;
  },
);

test('an auto event lets one thread through for each time that it was set', async () => {
  const pool = createPool();
  const event = Event.create(pool, { reset: 'auto' });
  const team = new Team(pool, event.handle);
  let sets = 0;
  while (team.done < scaled(150)) {
    if (event.set() === 'set') sets++;
    else await turn();
    if (team.failed !== undefined) throw team.failed;
  }
  await team.stop();
  expect(team.done + Number(event.isSet), replay).toBe(sets);
});

test('a manual event lets every waiting thread through', async () => {
  const pool = createPool();
  const event = Event.create(pool);
  const team = new Team(pool, event.handle);
  event.set();
  for (let id = 0; id < THREADS; id++) {
    await until(() => team.failed !== undefined || Atomics.load(team.board, at.DONE + id) > 0);
  }
  await team.stop();
});

const MANY = 200;

test('rsm Countdown: of many threads one runs it, again and again', async () => {
  const pool = createPool();
  const all = Array.from({ length: MANY }, () => Countdown.create(pool, THREADS));
  const team = new Team(pool, all[0].handle, { more: all.map(({ handle }) => handle) });
  expect(await all[MANY - 1].wait(), replay).toBe('done');
  await team.reaches(0);
  await team.stop();
  expect(Array.from(team.board.subarray(at.MADE, at.MADE + MANY))).toEqual(Array(MANY).fill(1));
});

test('onces whose makers die: no thread hangs, and each is made once, or by one that was told', {
  timeout: 600_000,
}, async () => {
  const random = new Random(seed);
  const pool = createPool();
  const all = Array.from({ length: MANY }, () => Once.create(pool));
  const team = new Team(pool, all[0].handle, { more: all.map(({ handle }) => handle) });
  for (let kills = 0; kills < scaled(2); kills++) {
    await team.reaches(1 + random.below(20));
    await team.kill(random.below(team.workers.length));
  }
  await until(() => team.failed !== undefined || all[MANY - 1].state === 'done');
  await team.stop();
  const made = team.board.subarray(at.MADE, at.MADE + MANY);
  const again = made.reduce((sum, times) => sum + times - 1, 0);
  expect([again, all[MANY - 1].value], replay).toEqual([team.board[at.HEIRS], MANY - 1]);
});

test('barriers whose parties die: no thread hangs, and the others learn of it', {
  timeout: 600_000,
}, async () => {
  const random = new Random(seed);
  const pool = createPool();
  const all = Array.from({ length: MANY }, () => Barrier.create(pool));
  const team = new Team(pool, all[0].handle, { more: all.map(({ handle }) => handle) });
  for (const [i, barrier] of all.entries()) {
    barrier.done();
    expect(await barrier.wait(), replay).toBe('done');
    if (i % 50 === 10) await team.kill(random.below(team.workers.length));
  }
  await team.stop();
  expect(
    all.every(({ count }) => count === 0),
    replay,
  ).toBe(true);
});

test.each([0, 3])('rsm Gate: threads in batches of four, %i of which die', async (deaths) => {
  const random = new Random(seed);
  const pool = createPool();
  const gate = Gate.create(pool, { batch: 4 });
  const team = new Team(pool, gate.handle, { mayDie: deaths > 0 });
  const rounds = scaled(20);
  for (let i = 0; i < rounds; i++) {
    expect(gate.open(), replay).toBe('opened');
    await until(() => team.failed !== undefined || !gate.isOpen);
    expect(gate.entries, replay).toBe(4);
    if (i < deaths) await team.kill(random.below(team.workers.length));
  }
  await team.stop();
  // Each that died may have entered before it was counted.
  const lost = 4 * rounds - team.done;
  expect(lost, replay).toBeGreaterThanOrEqual(0);
  expect(lost, replay).toBeLessThanOrEqual(deaths);
});

test.each([0, 6])('a seqlock: every snapshot is whole, though %i threads die', async (deaths) => {
  const random = new Random(seed);
  const pool = createPool();
  const lock = SeqLock.create(pool, { words: 100 });
  const team = new Team(pool, lock.handle);
  const seen = new Int32Array(lock.length);
  for (let i = 0; i < Math.max(deaths, scaled(2)); i++) {
    await team.reaches(1 + random.below(60));
    if (i < deaths) await team.kill(random.below(team.workers.length));
    // Whoever has died while it wrote, readers go on.
    expect(lock.readSync(seen), replay).toBe('read');
    expect(new Set(seen).size, replay).toBe(1);
  }
  await team.reaches(20);
  await team.stop();
  expect(lock.writeSync(new Int32Array(lock.length).fill(-1)), replay).toBe('written');
  expect([lock.tryRead(seen), ...new Set(seen)], replay).toEqual(['read', -1]);
  // Each death may have ended a thread between its write and the count of it.
  const lost = lock.count - 1 - team.done;
  expect(lost, replay).toBeGreaterThanOrEqual(0);
  expect(lost, replay).toBeLessThanOrEqual(deaths);
});

test.each([0, 8])('a signal tree: no signal is lost, though %i threads die', async (deaths) => {
  const random = new Random(seed);
  const pool = createPool();
  const tree = SignalTree.create(pool, { signals: at.SIGNALS * at.SIGNAL_STEP });
  const team = new Team(pool, tree.handle);
  const { board } = team;
  for (let i = 0; i < Math.max(deaths, scaled(2)); i++) {
    await team.reaches(1 + random.below(100));
    if (i < deaths) await team.kill(random.below(team.workers.length));
  }
  await team.reaches(20);
  await team.stop();
  tree.recover();
  for (let index = tree.tryTake(); index !== NO_SIGNAL; index = tree.tryTake()) {
    board[at.SECOND] += Atomics.exchange(board, at.MADE + index / at.SIGNAL_STEP, 0);
  }
  for (let nth = 0; nth < at.SIGNALS; nth++) {
    expect(tree.isSet(nth * at.SIGNAL_STEP), replay).toBe(false);
  }
  // A thread that died may have counted what it did not send, or taken what it did not count.
  const left = board.subarray(at.MADE, at.MADE + at.SIGNALS);
  const words = left.reduce((sum, count) => sum + Math.sign(count), 0);
  expect(words, replay).toBeLessThanOrEqual(deaths);
  if (deaths === 0) expect(board[at.FIRST], replay).toBe(board[at.SECOND]);
});

test.each([0, 6])('a wait group: no wait hangs, though %i threads die', async (deaths) => {
  const random = new Random(seed);
  const pool = createPool();
  const group = WaitGroup.create(pool);
  const team = new Team(pool, group.handle);
  for (let i = 0; i < Math.max(deaths, scaled(2)); i++) {
    await team.reaches(1 + random.below(60));
    if (i < deaths) await team.kill(random.below(team.workers.length));
    expect(await group.wait(), replay).toBe('done');
  }
  await team.stop();
  expect([await group.wait(), group.count], replay).toEqual(['done', 0]);
});
