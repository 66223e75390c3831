// SPDX-License-Identifier: MIT
import { expect, test } from 'vitest';
import { turn } from '../../test/turns.ts';
import { BufferPool } from '../pool/index.ts';
import { Event, type EventReset } from './index.ts';

/** Events of one pool: attached twice, this thread counts as two. */
function two(reset?: EventReset) {
  const pool = BufferPool.create({ bufferSize: 64, bufferCount: 1, maxThreads: 4 });
  const other = BufferPool.attach(pool.handle);
  const a = Event.create(pool, reset === undefined ? {} : { reset });
  return { pool, other, a, b: Event.attach(other, a.handle) };
}

test('a manual event lets all through until it is reset', async () => {
  const { a, b } = two();
  expect(a.resets).toBe('manual');
  const waits = [a.wait(), b.wait(), b.wait()];
  expect(b.tryWait()).toBe('unset');
  expect(b.waitSync(1)).toBe('timeout');
  expect(a.set()).toBe('set');
  expect(a.set()).toBe('already');
  expect(await Promise.all(waits)).toEqual(['set', 'set', 'set']);
  expect([a.tryWait(), b.waitSync(), await b.wait()]).toEqual(['set', 'set', 'set']);
  b.reset();
  expect(a.isSet).toBe(false);
  expect(a.tryWait()).toBe('unset');
});

test('a manual event that is reset at once lets through those who wait already', async () => {
  const { a, b } = two();
  const waits = [a.wait(), b.wait()];
  a.set();
  a.reset();
  const late = a.wait({ timeoutMs: 20 });
  expect(await Promise.all(waits)).toEqual(['set', 'set']);
  expect(await late).toBe('timeout');
});

test('an auto event lets one through for each time it is set', async () => {
  const { a, b } = two('auto');
  const served: string[] = [];
  const waits = [a.wait().then(() => served.push('a')), b.wait().then(() => served.push('b'))];
  await turn();
  expect(a.set()).toBe('set');
  await waits[0];
  await turn();
  expect(served).toEqual(['a']);
  expect(a.isSet).toBe(false);
  expect(b.set()).toBe('set');
  await waits[1];
  expect(served).toEqual(['a', 'b']);
});

test('setting an auto event again, by whatever thread, changes nothing', () => {
  const { a, b } = two('auto');
  expect([a.set(), b.set(), a.set()]).toEqual(['set', 'already', 'already']);
  expect([a.tryWait(), b.tryWait(), a.tryWait()]).toEqual(['set', 'unset', 'unset']);
});

test('waits that end early say how, and leave the event to the next', async () => {
  const { a, b } = two('auto');
  const controller = new AbortController();
  const waits = [
    a.wait({ signal: controller.signal }),
    a.wait({ timeoutMs: 1 }),
    a.wait({ signal: AbortSignal.abort() }),
  ];
  const next = b.wait();
  controller.abort();
  expect(await Promise.all(waits)).toEqual(['aborted', 'timeout', 'aborted']);
  a.set();
  expect(await next).toBe('set');
});

test('a waiting thread that leaves does not keep the event from the others', async () => {
  const { a, b, other } = two('auto');
  const left = b.wait().catch((error) => error.code);
  const next = a.wait();
  other.detach();
  a.set();
  expect(await next).toBe('set');
  expect(await left).toBe('ERR_BUSBAR_DETACHED');
  expect(() => b.set()).toThrow(expect.objectContaining({ code: 'ERR_BUSBAR_DETACHED' }));
});

test('arguments and handles are checked', () => {
  const { a, pool } = two();
  const create = () => Event.create(pool, { reset: 'never' } as never);
  expect(create).toThrow(/^reset must be one of/);
  expect(() => a.waitSync(-1)).toThrow(/^timeoutMs must/);
  const bad = expect.objectContaining({ code: 'ERR_BUSBAR_BAD_HANDLE' });
  expect(() => Event.attach(pool, pool.handle as never)).toThrow(bad);
  expect(JSON.stringify(a)).toBe('{"type":"Event","resets":"manual","isSet":false}');
});
