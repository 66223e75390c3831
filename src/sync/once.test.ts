// SPDX-License-Identifier: MIT
import { expect, test } from 'vitest';
import { turn } from '../../test/turns.ts';
import { Packet } from '../packet/index.ts';
import { BufferPool } from '../pool/index.ts';
import { Once, type OnceOptions } from './index.ts';

const notOwner = expect.objectContaining({ code: 'ERR_BUSBAR_NOT_OWNER' });
const fail = (): never => {
  throw new Error('on purpose');
};

/** Onces of one pool: attached twice, this thread counts as two. */
function two(options?: OnceOptions) {
  const pool = BufferPool.create({ bufferSize: 64, bufferCount: 1, maxThreads: 4 });
  const other = BufferPool.attach(pool.handle);
  const a = Once.create(pool, options);
  return { pool, other, a, b: Once.attach(other, a.handle) };
}

test('one makes it, the others find it', async () => {
  const { a, b } = two();
  let calls = 0;
  const make = async (): Promise<number> => {
    calls++;
    await turn();
    return -7;
  };
  expect([a.state, a.value]).toEqual(['open', undefined]);
  const runs = [a.run(make), b.run(make), b.run(make, { timeoutMs: 1e9 })];
  await Promise.resolve();
  expect([b.tryRun(() => 1), b.beginSync(1), a.state]).toEqual(['busy', 'timeout', 'running']);
  expect(await Promise.all(runs)).toEqual(['done', 'done', 'done']);
  expect([calls, a.value, b.value, b.tryBegin(), b.runSync(fail)]).toEqual([
    1,
    -7,
    -7,
    'done',
    'done',
  ]);
});

test('rsm Once: a closure that panics leaves nobody locked out', async () => {
  const { a, b } = two();
  const failing = a.run(async () => {
    await turn();
    return fail();
  });
  const waiting = b.run(() => 5);
  await expect(failing).rejects.toThrow('on purpose');
  expect([await waiting, a.value, b.ownerDied]).toEqual(['done', 5, false]);
});

test('with poison, a closure that throws is the last', async () => {
  const { a, b } = two({ onError: 'poison' });
  expect(a.tryBegin()).toBe('begun');
  const waiting = b.begin();
  await turn();
  a.fail();
  expect([await waiting, b.beginSync(), a.tryRun(() => 1), a.state]).toEqual(
    Array(4).fill('poisoned'),
  );
  const c = two({ onError: 'poison' }).a;
  expect(() => c.runSync(fail)).toThrow('on purpose');
  expect([c.runSync(() => 1), c.value]).toEqual(['poisoned', undefined]);
});

test('rsm Once: a re-entrant run is told that it would wait for itself', async () => {
  const { a } = two();
  const deadlock = expect.objectContaining({ code: 'ERR_BUSBAR_DEADLOCK' });
  expect(() =>
    a.runSync(() => {
      a.runSync(() => 1);
      return 2;
    }),
  ).toThrow(deadlock);
  expect([a.runSync(() => 3), a.value]).toEqual(['done', 3]);
});

test('if the thread that makes it dies, the next one does, and is told', async () => {
  const { a, b, other, pool } = two();
  expect(b.tryBegin()).toBe('begun');
  const waiting = a.begin();
  await turn();
  other.detach();
  expect([await waiting, a.ownerDied]).toEqual(['begun', true]);
  a.fail();
  const c = Once.attach(BufferPool.attach(pool.handle), a.handle);
  expect([c.beginSync(), c.ownerDied]).toEqual(['begun', false]);
  c.finish();
  expect([a.value, a.recover()]).toEqual([0, false]);
});

test('waits that end early say how, and keep no other from making it', async () => {
  const { a, b } = two();
  a.tryBegin();
  const controller = new AbortController();
  const waits = [
    b.begin({ signal: controller.signal }),
    b.begin({ timeoutMs: 1 }),
    b.run(fail, { signal: AbortSignal.abort() }),
  ];
  const next = b.begin();
  controller.abort();
  expect(await Promise.all(waits)).toEqual(['aborted', 'timeout', 'aborted']);
  a.fail();
  expect(await next).toBe('begun');
});

test('only who makes it finishes it; arguments and handles are checked', async () => {
  const { a, b, pool } = two();
  expect(() => a.finish(1)).toThrow(notOwner);
  expect(() => a.fail()).toThrow(notOwner);
  a.tryBegin();
  expect(() => b.finish()).toThrow(notOwner);
  expect(() => a.finish(2 ** 31)).toThrow(RangeError);
  a.finish(1);
  expect(() => a.finish(2)).toThrow(notOwner);
  expect(a.value).toBe(1);
  expect(() => Once.create(pool, { onError: 'no' } as never)).toThrow(/^onError must/);
  expect(() => a.runSync(7 as never)).toThrow(/^make must/);
  await expect(a.run(7 as never)).rejects.toThrow(/^make must/);
  const c = Once.create(pool);
  expect(() => c.runSync(() => 'one' as never)).toThrow(/^value must/);
  expect(c.state).toBe('open');
  const bad = expect.objectContaining({ code: 'ERR_BUSBAR_BAD_HANDLE' });
  expect(() => Once.attach(pool, pool.handle as never)).toThrow(bad);
  expect(JSON.stringify(a)).toBe('{"type":"Once","state":"done","value":1}');
});

test('a packet: each thread gets its own on the same bytes', async () => {
  const { pool, other, a, b } = two();
  expect([a.tryPacket(), a.value]).toEqual([undefined, undefined]);
  const result = await a.run(async () => Packet.from(pool, 'a table'));
  expect([result, a.value, b.value, b.runSync(fail)]).toEqual(['done', 7, 7, 'done']);
  const packets = [a.tryPacket(), b.tryPacket(), b.tryPacket()];
  expect(packets.map(String)).toEqual(['a table', 'a table', 'a table']);
  expect(packets.map((packet) => packet?.pool)).toEqual([pool, other, other]);
  expect(pool.tryAcquire()).toBe(-1);
  for (const packet of packets) packet?.release();
  // The once keeps it.
  expect([pool.tryAcquire(), String(b.tryPacket())]).toEqual([-1, 'a table']);
  const c = Once.create(pool);
  c.runSync(() => 3);
  expect([c.value, c.tryPacket()]).toEqual([3, undefined]);
  pool.detach();
  expect(() => a.tryPacket()).toThrow(expect.objectContaining({ code: 'ERR_BUSBAR_DETACHED' }));
});

test('a packet that cannot be taken is not lost', async () => {
  const { pool, a, b } = two();
  const elsewhere = BufferPool.create({ bufferSize: 64, bufferCount: 1 });
  const foreign = (): Packet => Packet.tryFrom(elsewhere, 'x') as Packet;
  expect(() => a.runSync(foreign)).toThrow(/^value must be a packet of its pool/);
  await expect(a.run(async () => foreign())).rejects.toThrow(/^value must/);
  expect([a.state, elsewhere.stats().held]).toEqual(['open', 0]);
  const packet = Packet.tryFrom(pool, 'y') as Packet;
  expect(() => a.finish(packet)).toThrow(notOwner);
  expect(a.tryBegin()).toBe('begun');
  expect(() => b.finish(packet)).toThrow(notOwner);
  a.finish(packet);
  expect(() => packet.release()).toThrow(/used after it was released/);
  expect([String(b.tryPacket()), a.value]).toEqual(['y', 1]);
});
