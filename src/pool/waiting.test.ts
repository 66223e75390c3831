// SPDX-License-Identifier: MIT
import { afterEach, expect, test, vi } from 'vitest';
import { controlWords } from '../../test/pool-audit.ts';
import { coded, drain, expectAllHome } from '../../test/pool-expectations.ts';
import { Random } from '../base/random.ts';
import { type BufferId, BufferPool, NO_BUFFER } from './index.ts';
import { NEXT_TICKET } from './pool-layout.ts';

const shape = { bufferSize: 8, bufferCount: 4, batchSize: 2, maxThreads: 6 };

/** Lets everything that needs no timer happen. */
async function settle(): Promise<void> {
  for (let i = 0; i < 5; i++) await new Promise((resolve) => setImmediate(resolve));
}

test('acquire answers at once while there are buffers', async () => {
  const pool = BufferPool.create(shape);
  const ids = await Promise.all([pool.acquire(), pool.acquire({}), pool.acquire({ timeoutMs: 0 })]);
  expect(new Set(ids).size).toBe(3);
  expect(pool.acquireSync()).not.toBe(NO_BUFFER);
  expect(pool.who().threads[0]).toMatchObject({ waits: 0, held: 4 });
});

test('a waiter gets the buffer that is released', async () => {
  const pool = BufferPool.create(shape);
  const ids = drain(pool);
  const waiting = pool.acquire();
  expect(pool.stats()).toMatchObject({ waiting: 1 });
  pool.release(ids[2]);
  expect(await waiting).toBe(ids[2]);
  expect(pool.stats()).toMatchObject({ waiting: 0, held: 4 });
  for (const id of ids) pool.release(id);
  expectAllHome(pool);
});

test('waiters of one thread are served in their order', async () => {
  const pool = BufferPool.create(shape);
  const ids = drain(pool);
  const served: number[] = [];
  const waits = [0, 1, 2, 3, 4, 5].map(async (number) => {
    const id = await pool.acquire();
    served.push(number);
    pool.release(id);
  });
  for (const id of ids) pool.release(id);
  await Promise.all(waits);
  expect(served).toEqual([0, 1, 2, 3, 4, 5]);
  expectAllHome(pool);
});

test('waiting threads are served in the order in which they began to wait', async () => {
  for (const nextTicket of [0, 0x7ffffffd, -3]) {
    const pool = BufferPool.create(shape);
    controlWords(pool)[NEXT_TICKET] = nextTicket;
    const ids = drain(pool);
    const others = Array.from({ length: 5 }, () => BufferPool.attach(pool.handle));
    const order = [3, 0, 4, 1, 2];
    const served: number[] = [];
    const waits = order.map(async (who) => {
      const id = await others[who].acquire();
      served.push(who);
      others[who].release(id);
    });
    pool.release(ids.pop() as BufferId);
    await Promise.all(waits);
    expect(served, `tickets from ${nextTicket}`).toEqual(order);
    for (const id of ids) pool.release(id);
    for (const other of others) other.detach();
    expectAllHome(pool);
  }
});

test('callers of several threads are served in the order in which they asked', async () => {
  for (const nextTicket of [0, 0x7ffffffd, -3]) {
    const a = BufferPool.create({ ...shape, bufferCount: 1, batchSize: 1 });
    controlWords(a)[NEXT_TICKET] = nextTicket;
    const b = BufferPool.attach(a.handle);
    const id = a.tryAcquire();
    const served: string[] = [];
    const wait = async (pool: BufferPool, name: string): Promise<void> => {
      const mine = await pool.acquire();
      served.push(name);
      pool.release(mine);
    };
    const asked = ['a1', 'a2', 'a3', 'b1', 'b2', 'a4', 'b3'];
    const waits = asked.map((name) => wait(name[0] === 'a' ? a : b, name));
    a.release(id);
    await Promise.all(waits);
    expect(served, `tickets from ${nextTicket}`).toEqual(asked);
    expect(a.stats().threads.map(({ waits }) => waits)).toEqual([4, 3]);
    b.detach();
    expectAllHome(a);
  }
});

test('a caller does not inherit the place of the one before it that gave up', async () => {
  for (const nextTicket of [0, -2]) {
    const a = BufferPool.create({ ...shape, bufferCount: 1, batchSize: 1 });
    controlWords(a)[NEXT_TICKET] = nextTicket;
    const b = BufferPool.attach(a.handle);
    const id = a.tryAcquire();
    const aborter = new AbortController();
    const a1 = a.acquire({ signal: aborter.signal });
    const b1 = b.acquire();
    const a2 = a.acquire();
    aborter.abort();
    await expect(a1).rejects.toBe(aborter.signal.reason);
    a.release(id);
    // Granted to b before anybody's turn.
    expect(a.stats().threads.map(({ waiting }) => waiting)).toEqual([true, false]);
    expect(await b1).toBe(id);
    b.release(id);
    expect(await a2).toBe(id);
    a.release(id);
    b.detach();
    expectAllHome(a);
  }
});

test('nobody jumps the queue', async () => {
  const pool = BufferPool.create(shape);
  const other = BufferPool.attach(pool.handle);
  const ids = drain(pool);
  const waiting = other.acquire();
  pool.release(ids[0]);
  expect(pool.tryAcquire()).toBe(NO_BUFFER);
  expect(await waiting).toBe(ids[0]);
  const mine = pool.acquire();
  const later = pool.acquire();
  other.release(ids[0]);
  expect(pool.tryAcquire()).toBe(NO_BUFFER);
  expect(await mine).toBe(ids[0]);
  pool.release(ids[0]);
  expect(await later).toBe(ids[0]);
});

test('a wait ends with its timeout and keeps no buffer', async () => {
  const pool = BufferPool.create(shape);
  const ids = drain(pool);
  await expect(pool.acquire({ timeoutMs: 0 })).rejects.toThrow(coded('ERR_BUSBAR_TIMEOUT'));
  await expect(pool.acquire({ timeoutMs: 1 })).rejects.toThrow('acquire, 1 ms');
  expect(() => pool.acquireSync(0)).toThrow(coded('ERR_BUSBAR_TIMEOUT'));
  expect(() => pool.acquireSync(2)).toThrow('acquireSync, 2 ms');
  expect(pool.stats().waiting).toBe(0);
  for (const id of ids) pool.release(id);
  expectAllHome(pool);
});

test('a wait ends with its signal, for its reason, and keeps no buffer', async () => {
  const pool = BufferPool.create(shape);
  const ids = drain(pool);
  const reason = new Error('enough');
  await expect(pool.acquire({ signal: AbortSignal.abort(reason) })).rejects.toBe(reason);
  const aborter = new AbortController();
  const { signal } = aborter;
  const first = pool.acquire({ signal });
  const second = pool.acquire();
  const third = pool.acquire({ signal, timeoutMs: 1e9 });
  aborter.abort(reason);
  await expect(first).rejects.toBe(reason);
  await expect(third).rejects.toBe(reason);
  pool.release(ids[0]);
  expect(await second).toBe(ids[0]);
  for (const id of ids) pool.release(id);
  expectAllHome(pool);
});

test('an aborted waiter whose buffer was already on its way gives it to the next', async () => {
  const pool = BufferPool.create(shape);
  const other = BufferPool.attach(pool.handle);
  const third = BufferPool.attach(pool.handle);
  const ids = drain(pool);
  const aborter = new AbortController();
  const first = other.acquire({ signal: aborter.signal });
  const second = third.acquire();
  // Granted in shared memory, not yet noticed by the waiter's thread:
  pool.release(ids[0]);
  aborter.abort();
  await expect(first).rejects.toThrow('aborted');
  expect(await second).toBe(ids[0]);
  third.release(ids[0]);
  for (const id of ids.slice(1)) pool.release(id);
  expectAllHome(pool);
});

test('wrong options of a wait are refused by name', async () => {
  const pool = BufferPool.create(shape);
  for (const [options, kind, message] of [
    [null, TypeError, /^options must be an object, got null$/],
    [{ timeout: 5 }, TypeError, /no option "timeout" .*; known are signal, timeoutMs$/],
    [{ timeoutMs: '5' }, TypeError, /^timeoutMs must be .* got "5"$/],
    [{ timeoutMs: -1 }, RangeError, /^timeoutMs must be .* got -1$/],
    [{ timeoutMs: NaN }, RangeError, /^timeoutMs must be .* got NaN$/],
    [{ signal: {} }, TypeError, /^signal must be an AbortSignal, got an object of type Object$/],
  ] as const) {
    const attempt = pool.acquire(options as never);
    await expect(attempt).rejects.toThrow(kind);
    await expect(attempt).rejects.toThrow(message);
  }
  expect(() => pool.acquireSync('1' as unknown as number)).toThrow(TypeError);
  expect(() => pool.acquireSync(-1)).toThrow(RangeError);
  expect(pool.who().threads[0]).toMatchObject({ acquires: 0, held: 0 });
});

test('waiters are refused when the pool closes, in every thread', async () => {
  const pool = BufferPool.create(shape);
  const other = BufferPool.attach(pool.handle);
  const ids = drain(pool);
  const waits = [pool.acquire(), other.acquire(), other.acquire({ timeoutMs: 1e9 })];
  const ends = Promise.allSettled(waits);
  pool.close();
  for (const end of await ends) {
    expect(end).toMatchObject({ status: 'rejected', reason: coded('ERR_BUSBAR_POOL_CLOSED') });
  }
  for (const id of ids) pool.release(id);
  expectAllHome(pool);
});

test('waiters are refused when their thread detaches, and others get the buffers', async () => {
  const pool = BufferPool.create(shape);
  const other = BufferPool.attach(pool.handle);
  const third = BufferPool.attach(pool.handle);
  const ids = drain(pool);
  const refused = expect(other.acquire()).rejects.toThrow(coded('ERR_BUSBAR_DETACHED'));
  const granted = third.acquire();
  pool.release(ids[0]);
  other.detach();
  await refused;
  expect(await granted).toBe(ids[0]);
  third.release(ids[0]);
  third.detach();
  for (const id of ids.slice(1)) pool.release(id);
  expectAllHome(pool);
});

test('a thread that hoards gives its cache up at its next call while another waits', async () => {
  const pool = BufferPool.create(shape);
  const hoarder = BufferPool.attach(pool.handle);
  const ids = [hoarder.tryAcquire(), hoarder.tryAcquire()];
  hoarder.release(ids[0]);
  const mine = drain(pool);
  expect(mine.length).toBe(2);
  expect(pool.stats().freeCached).toBe(1);
  const waiting = pool.acquire();
  hoarder.release(ids[1]);
  expect([ids[0], ids[1]]).toContain(await waiting);
  expect(pool.stats().freeCached).toBe(0);
  expect(pool.tryAcquire()).not.toBe(NO_BUFFER);
});

test('the cache of an idle thread is given back when another needs it', async () => {
  const pool = BufferPool.create(shape);
  const idle = BufferPool.attach(pool.handle);
  idle.release(idle.tryAcquire());
  const { freeCached } = pool.stats();
  expect(freeCached).toBeGreaterThan(0);
  const mine = drain(pool);
  expect(mine.length).toBe(4 - freeCached);
  while (mine.length < 4) mine.push(await pool.acquire());
  expect(new Set(mine).size).toBe(4);
  expect(pool.stats().threads[1]).toMatchObject({ slot: 1, cached: 0, giveBacks: 1 });
});

test('an idle thread is heard again and again, also after it has blocked', async () => {
  const pool = BufferPool.create(shape);
  const idle = BufferPool.attach(pool.handle);
  for (let i = 0; i < 20; i++) {
    idle.release(idle.tryAcquire());
    expect(pool.stats().threads[1]?.cached).toBeGreaterThan(0);
    const all: BufferId[] = [];
    while (all.length < 4) all.push(await pool.acquire());
    expect(() => idle.acquireSync(0)).toThrow(coded('ERR_BUSBAR_TIMEOUT'));
    for (const id of all) pool.release(id);
    if (i % 2 === 0) await settle();
  }
  expect(pool.stats().threads[1]?.giveBacks).toBe(20);
  expectAllHome(pool);
});

test('a blocking wait is served behind the waiters that came before it', async () => {
  const pool = BufferPool.create(shape);
  const ids = drain(pool);
  const before = pool.acquire();
  expect(() => pool.acquireSync(0)).toThrow(coded('ERR_BUSBAR_TIMEOUT'));
  pool.release(ids[0]);
  pool.release(ids[1]);
  expect(pool.acquireSync(0)).toBe(ids[1]);
  expect(await before).toBe(ids[0]);
});

test('waits that end in every way at random never lose a buffer nor the order', async () => {
  const random = new Random(11);
  const first = BufferPool.create({ ...shape, bufferCount: 3, batchSize: 1 });
  const pools = [first, ...Array.from({ length: 5 }, () => BufferPool.attach(first.handle))];
  const held: { pool: BufferPool; id: BufferId }[] = [];
  const ends: Promise<unknown>[] = [];
  const aborters: AbortController[] = [];
  let served = 0;
  let failed = 0;
  for (let i = 0; i < 3000; i++) {
    const pool = pools[random.below(6)];
    const action = random.below(10);
    if (action < 4) {
      const aborter = new AbortController();
      if (random.chance(0.5)) aborters.push(aborter);
      const options = random.chance(0.3)
        ? { timeoutMs: random.below(3), signal: aborter.signal }
        : { signal: aborter.signal };
      const wait = pool.acquire(options).then(
        (id) => {
          served++;
          held.push({ pool, id });
        },
        () => failed++,
      );
      ends.push(wait);
    } else if (action < 7) {
      const [one] = held.splice(random.below(held.length || 1), 1);
      one?.pool.release(one.id);
    } else if (action < 8) {
      const [aborter] = aborters.splice(random.below(aborters.length || 1), 1);
      aborter?.abort();
    } else if (action < 9) {
      const id = pool.tryAcquire();
      if (id !== NO_BUFFER) held.push({ pool, id });
    } else {
      await settle();
    }
  }
  let open = true;
  const done = Promise.all(ends).then(() => {
    open = false;
  });
  while (open) {
    for (const { pool, id } of held.splice(0)) pool.release(id);
    await settle();
  }
  await done;
  for (const { pool, id } of held.splice(0)) pool.release(id);
  expect(served + failed).toBe(ends.length);
  expect(served).toBeGreaterThan(100);
  expect(failed).toBeGreaterThan(100);
  expectAllHome(first);
});

test.each(['by one signal', 'last first', 'first first'])(
  '10 000 waits are given up %s, and nothing is left of them',
  async (order) => {
    const pool = BufferPool.create({ ...shape, bufferCount: 1, batchSize: 1 });
    const id = pool.tryAcquire();
    const one = new AbortController();
    const aborters = Array.from({ length: 10_000 }, () =>
      order === 'by one signal' ? one : new AbortController(),
    );
    let refused = 0;
    const waits = aborters.map(({ signal }) =>
      pool.acquire({ signal }).catch((error) => {
        // Not by expect, which takes longer than the wait.
        if (error === signal.reason) refused++;
      }),
    );
    await settle();
    if (order === 'last first') aborters.reverse();
    for (const aborter of aborters) aborter.abort();
    await Promise.all(waits);
    expect(refused).toBe(aborters.length);
    expect(pool.stats().waiting).toBe(0);
    pool.release(id);
    expect(pool.tryAcquire()).toBe(id);
    pool.release(id);
    expectAllHome(pool);
  },
);

afterEach(() => {
  vi.useRealTimers();
  vi.restoreAllMocks();
});

test('a wait of a second warns once of who holds the buffers', async () => {
  const warn = vi.spyOn(process, 'emitWarning').mockImplementation(() => {});
  vi.useFakeTimers();
  const pool = BufferPool.create({ ...shape, name: 'mine' });
  const ids = drain(pool);
  const waits = [pool.acquire(), pool.acquire()];
  vi.advanceTimersByTime(500);
  expect(warn).not.toHaveBeenCalled();
  vi.advanceTimersByTime(5000);
  expect(warn.mock.calls).toEqual([
    [
      'no buffer has become free within 1000 ms; 4 of 4 buffers of pool "mine" are held; ' +
        'thread 0: 4 packet',
      { type: 'BusbarPool', code: 'BUSBAR_POOL' },
    ],
  ]);
  pool.release(ids[0]);
  ids[0] = await (waits[0] as Promise<BufferId>);
  vi.advanceTimersByTime(5000);
  expect(warn).toHaveBeenCalledTimes(2);
  pool.release(ids[1]);
  ids[1] = await (waits[1] as Promise<BufferId>);
  for (const id of ids) pool.release(id);
  expectAllHome(pool);
});

test('so does a thread that blocks', () => {
  const warn = vi.spyOn(process, 'emitWarning').mockImplementation(() => {});
  let nowMs = 0;
  vi.spyOn(performance, 'now').mockImplementation(() => (nowMs += 100));
  const pool = BufferPool.create(shape);
  const ids = drain(pool);
  expect(() => pool.acquireSync(5000)).toThrow('acquireSync, 5000 ms');
  expect(warn).toHaveBeenCalledTimes(1);
  for (const id of ids) pool.release(id);
  expectAllHome(pool);
});
