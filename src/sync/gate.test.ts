// SPDX-License-Identifier: MIT
import { expect, test } from 'vitest';
import { turn } from '../../test/turns.ts';
import { BufferPool } from '../pool/index.ts';
import { Gate, type GateOptions } from './index.ts';

/** Gates of one pool: attached twice, this thread counts as two. */
function two(options?: GateOptions) {
  const pool = BufferPool.create({ bufferSize: 64, bufferCount: 1, maxThreads: 4 });
  const other = BufferPool.attach(pool.handle);
  const a = Gate.create(pool, options);
  return { pool, other, a, b: Gate.attach(other, a.handle) };
}

test('a gate lets through while it is open', async () => {
  const { a, b } = two();
  expect([a.isOpen, a.tryEnter(), b.enterSync(1)]).toEqual([false, 'closed', 'timeout']);
  const waits = [a.enter(), b.enter(), b.enter({ timeoutMs: 1e9 })];
  await turn();
  expect([a.open(), b.open()]).toEqual(['opened', 'already']);
  expect(await Promise.all(waits)).toEqual(['entered', 'entered', 'entered']);
  expect([b.enterSync(), a.entries, a.close(), b.tryEnter()]).toEqual([
    'entered',
    4,
    'closed',
    'closed',
  ]);
});

test('a batch: so many enter, then it is closed until it is opened again', async () => {
  const { a, b } = two({ batch: 2 });
  const served: string[] = [];
  const waits = ['a', 'b', 'a', 'b'].map(async (name) => {
    served.push(await (name === 'a' ? a : b).enter());
  });
  await turn();
  a.open();
  await Promise.race(waits);
  for (let i = 0; i < 10; i++) await turn();
  expect([served.length, a.isOpen, a.entries]).toEqual([2, false, 2]);
  expect([b.open(), a.entries]).toEqual(['opened', 0]);
  await Promise.all(waits);
  expect([served.length, a.isOpen]).toEqual([4, false]);
});

test('who enters decides, inside the gate, whether it stays open', async () => {
  const { a, b } = two();
  a.open();
  const seen: unknown[] = [];
  const decide = (entries: number): boolean => {
    seen.push(entries, b.tryEnter(), a.isOpen);
    return entries < 2;
  };
  expect([a.tryDecide(decide), await b.decide(decide)]).toEqual(['entered', 'entered']);
  expect([b.decideSync(decide, 1), a.tryDecide(decide)]).toEqual(['timeout', 'closed']);
  expect(seen).toEqual([1, 'busy', true, 2, 'busy', true]);
});

test('rsm Gate: close() of a closed gate returns, and so does that of one inside', () => {
  const { a, b } = two();
  expect(a.close()).toBe('already');
  a.open();
  const result = a.tryDecide(() => {
    expect([b.close(), b.close(), b.isOpen]).toEqual(['closed', 'already', false]);
    return true;
  });
  expect([result, a.isOpen, a.entries]).toEqual(['entered', false, 1]);
});

test('rsm Gate: a second open() lets no second one through', () => {
  const { a, b } = two({ batch: 1 });
  expect([a.open(), b.open(), a.tryEnter(), b.tryEnter()]).toEqual([
    'opened',
    'already',
    'entered',
    'closed',
  ]);
  a.open();
  a.tryDecide(() => {
    // Opened anew while one is inside: it counts from 0, and stays open.
    expect([b.open(), b.close(), b.open(), b.entries]).toEqual(['already', 'closed', 'opened', 0]);
    return false;
  });
  expect(a.isOpen).toBe(false);
});

test.each([1, 2, 3])('a batch of %i: the last entry of one does not close the next', (batch) => {
  const { a, b } = two({ batch });
  const decides = (): string =>
    a.tryDecide(() => {
      expect([b.close(), b.open(), b.tryEnter()]).toEqual(['closed', 'opened', 'busy']);
      return true;
    });
  a.open();
  for (let i = 1; i < batch; i++) a.tryEnter();
  expect([decides(), a.isOpen, a.entries]).toEqual(['entered', true, 0]);
  for (let i = 0; i < batch; i++) expect(b.tryEnter()).toBe('entered');
  expect([b.tryEnter(), a.entries]).toEqual(['closed', batch]);
});

test('a decision that throws, or whose thread dies, does not count', async () => {
  const { a, b, other } = two();
  a.open();
  expect(() => a.tryDecide(() => expect.unreachable('on purpose'))).toThrow('on purpose');
  expect(() => a.tryDecide(() => 1 as never)).toThrow(TypeError);
  await expect(b.decide(() => expect.unreachable('on purpose'))).rejects.toThrow('on purpose');
  expect([a.isOpen, a.entries]).toEqual([true, 0]);
  const result = b.tryDecide(() => {
    other.detach();
    return true;
  });
  // The entry of the thread that has left does not count.
  expect([result, a.tryEnter(), a.entries]).toEqual(['entered', 'entered', 1]);
});

test('waits that end early say how; a thread that decides does not wait for itself', async () => {
  const { a, b } = two();
  const controller = new AbortController();
  const waits = [
    b.enter({ signal: controller.signal }),
    b.enter({ timeoutMs: 1 }),
    b.decide(() => true, { signal: AbortSignal.abort() }),
  ];
  const next = b.enter();
  controller.abort();
  expect(await Promise.all(waits)).toEqual(['aborted', 'timeout', 'aborted']);
  a.open();
  expect(await next).toBe('entered');
  const deadlock = expect.objectContaining({ code: 'ERR_BUSBAR_DEADLOCK' });
  expect(() => a.tryDecide(() => a.enterSync() === 'entered')).toThrow(deadlock);
});

test('arguments and handles are checked', async () => {
  const { a, b, pool, other } = two();
  expect(() => Gate.create(pool, { batch: 0 })).toThrow(/^batch must/);
  expect(() => a.enterSync(-1)).toThrow(/^timeoutMs must/);
  expect(() => a.tryDecide(7 as never)).toThrow(/^decide must/);
  await expect(a.decide(7 as never)).rejects.toThrow(/^decide must/);
  const bad = expect.objectContaining({ code: 'ERR_BUSBAR_BAD_HANDLE' });
  expect(() => Gate.attach(pool, pool.handle as never)).toThrow(bad);
  expect(JSON.stringify(a)).toBe('{"type":"Gate","isOpen":false,"entries":0}');
  other.detach();
  const detached = expect.objectContaining({ code: 'ERR_BUSBAR_DETACHED' });
  for (const call of [b.open, b.close, b.tryEnter]) expect(() => call.call(b)).toThrow(detached);
});
