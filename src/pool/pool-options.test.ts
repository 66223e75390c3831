// SPDX-License-Identifier: MIT
import { expect, test } from 'vitest';
import { BufferPool, type BufferPoolHandle, type BufferPoolOptions } from './index.ts';
import { HEADER_BUFFER_COUNT, HEADER_MAGIC, PoolLayout } from './pool-layout.ts';
import { resolvePoolOptions } from './pool-options.ts';

const shape: BufferPoolOptions = { bufferSize: 64, bufferCount: 16, maxThreads: 2 };

test('what a pool cannot be is refused by name', () => {
  const wrong: [unknown, typeof TypeError | typeof RangeError, RegExp][] = [
    [undefined, TypeError, /^options must be an object, got undefined$/],
    [null, TypeError, /^options must be an object, got null$/],
    [[], TypeError, /^options must be an object/],
    [{}, TypeError, /^bufferSize must be an integer from 1 to \d+, got undefined$/],
    [{ bufferSize: 1 }, TypeError, /^bufferCount must be an integer from 1 to \d+, got undefined$/],
    [{ ...shape, bufferSize: '64' }, TypeError, /^bufferSize must be .* got "64"$/],
    [{ ...shape, bufferSize: 0 }, RangeError, /^bufferSize must be .* got 0$/],
    [{ ...shape, bufferSize: -1 }, RangeError, /^bufferSize must be .* got -1$/],
    [{ ...shape, bufferSize: 1.5 }, RangeError, /^bufferSize must be .* got 1.5$/],
    [{ ...shape, bufferSize: NaN }, RangeError, /^bufferSize must be .* got NaN$/],
    [
      { ...shape, bufferSize: 2 ** 30 + 1 },
      RangeError,
      /^bufferSize must be .* to 1073741824, got/,
    ],
    [{ ...shape, bufferCount: 0 }, RangeError, /^bufferCount must be .* got 0$/],
    [{ ...shape, bufferCount: 2 ** 20 + 1 }, RangeError, /^bufferCount must be .* to 1048576, got/],
    [{ ...shape, bufferCount: 4n }, TypeError, /^bufferCount must be .* got 4n$/],
    [{ ...shape, batchSize: 0 }, RangeError, /^batchSize must be .* 1 to 16, got 0$/],
    [{ ...shape, batchSize: 17 }, RangeError, /^batchSize must be .* 1 to 16, got 17$/],
    [{ ...shape, maxThreads: 0 }, RangeError, /^maxThreads must be .* got 0$/],
    [{ ...shape, maxThreads: 1025 }, RangeError, /^maxThreads must be .* to 1024, got 1025$/],
    [{ ...shape, trackLeaks: 1 }, TypeError, /^trackLeaks must be true or false, got 1$/],
    [
      { ...shape, buffersize: 1 },
      TypeError,
      /no option "buffersize" \(did you mean "bufferSize"\?\); known are name, bufferSize, /,
    ],
    [
      { bufferSize: 2 ** 30, bufferCount: 2 },
      RangeError,
      /^bufferSize × bufferCount must be at mo/,
    ],
    [
      { bufferSize: 1, bufferCount: 2 ** 20, maxThreads: 1024 },
      RangeError,
      /maxThreads is too lar/,
    ],
  ];
  for (const [options, kind, message] of wrong) {
    const create = (): unknown => BufferPool.create(options as BufferPoolOptions);
    expect(create).toThrow(kind);
    expect(create).toThrow(message);
  }
});

test('defaults are applied once, and the result is frozen', () => {
  const resolved = resolvePoolOptions({ bufferSize: 64, bufferCount: 4096 });
  expect(resolved).toEqual({
    name: '',
    bufferSize: 64,
    bufferCount: 4096,
    batchSize: 64,
    maxThreads: 16,
    trackLeaks: false,
    debug: process.env.BUSBAR_DEBUG === '1',
    memory: process.env.BUSBAR_MEMORY === 'plain' ? 'plain' : 'auto',
  });
  expect(Object.isFrozen(resolved)).toBe(true);
  expect(resolvePoolOptions({ bufferSize: 64, bufferCount: 1 }).batchSize).toBe(1);
  expect(resolvePoolOptions({ bufferSize: 64, bufferCount: 640 }).batchSize).toBe(10);
});

test('the largest shapes are within the limits that are documented', () => {
  const most = { bufferSize: 1, bufferCount: 2 ** 20, maxThreads: 100 };
  expect(resolvePoolOptions(most)).toMatchObject(most);
  const bytes = { bufferSize: 2048, bufferCount: 2 ** 20 - 1, maxThreads: 1 };
  expect(resolvePoolOptions(bytes)).toMatchObject(bytes);
  expect(resolvePoolOptions({ bufferSize: 2 ** 30, bufferCount: 1 })).toBeDefined();
  expect(() => resolvePoolOptions({ ...bytes, bufferCount: 2 ** 20 })).toThrow(RangeError);
});

test('words that different threads write lie 128 bytes apart', () => {
  for (const [count, threads, batch] of [
    [1, 1, 1],
    [7, 3, 2],
    [1000, 64, 64],
  ] as const) {
    const layout = new PoolLayout(count, threads, batch);
    const ends = [layout.stripe(0), layout.thread(0), layout.buffer(0), layout.refs(0)];
    expect([...ends].sort((a, b) => a - b)).toEqual(ends);
    expect(layout.thread(1) - layout.thread(0)).toBeGreaterThanOrEqual(96 + 1 + batch * 1.5);
    expect(layout.shares(0) - layout.refs(0)).toBe(count);
    if (threads === 1) continue;
    expect(layout.stripe(1) - layout.stripe(0)).toBeGreaterThanOrEqual(32);
    expect(layout.refs(1) - (layout.shares(0) + count)).toBeGreaterThanOrEqual(32);
    expect(layout.shares(threads - 1) + count).toBeLessThanOrEqual(layout.wordCount);
  }
});

test('a handle survives structured clone and opens the same pool', () => {
  const pool = BufferPool.create(shape);
  const other = BufferPool.attach(structuredClone(pool.handle));
  expect(other).toMatchObject({ bufferSize: 64, bufferCount: 16, maxThreads: 2, threadSlot: 1 });
  const id = pool.tryAcquire();
  pool.bytes[pool.offsetOf(id)] = 77;
  expect(other.bytes[other.offsetOf(id)]).toBe(77);
  expect(() => BufferPool.attach(pool.handle)).toThrow(
    expect.objectContaining({
      code: 'ERR_BUSBAR_THREAD_SLOTS',
      message: expect.stringContaining('maxThreads is 2'),
    }),
  );
});

test('what is no handle is refused', () => {
  const pool = BufferPool.create(shape);
  const { handle } = pool;
  const bigger = BufferPool.create({ ...shape, bufferCount: 17 }).handle;
  const wider = BufferPool.create({ ...shape, bufferSize: 8192 }).handle;
  const zeroes = new SharedArrayBuffer(handle.control.byteLength);
  const spoilt = (index: number, value: number): SharedArrayBuffer => {
    const control = new SharedArrayBuffer(handle.control.byteLength);
    const words = new Int32Array(control);
    words.set(new Int32Array(handle.control));
    words[index] = value;
    return control;
  };
  const wrong = [
    undefined,
    null,
    5,
    'busbar/pool',
    {},
    [],
    pool,
    { ...handle, kind: 'busbar/flusher' },
    { ...handle, version: 0 },
    { ...handle, version: undefined },
    { ...handle, control: undefined },
    { ...handle, data: new ArrayBuffer(handle.data.byteLength) },
    { ...handle, control: handle.data },
    { ...handle, control: handle.data, data: handle.control },
    { ...handle, control: zeroes },
    { ...handle, control: new SharedArrayBuffer(0) },
    { ...handle, control: new SharedArrayBuffer(7) },
    { ...handle, data: new SharedArrayBuffer(64) },
    { ...handle, data: wider.data },
    { ...handle, data: wider.data, memory: wider.memory },
    { ...handle, memory: { buffer: handle.data } },
    { ...handle, memory: null },
    { ...handle, memory: bigger.memory ?? {} },
    { ...handle, control: bigger.control },
    { ...handle, control: spoilt(HEADER_MAGIC, 1) },
    { ...handle, control: spoilt(HEADER_BUFFER_COUNT, 15) },
    { ...handle, control: spoilt(HEADER_BUFFER_COUNT, -16) },
    { ...handle, control: spoilt(HEADER_BUFFER_COUNT, 0x7fffffff) },
  ];
  for (const value of wrong) {
    expect(() => BufferPool.attach(value as BufferPoolHandle)).toThrow(
      expect.objectContaining({ code: 'ERR_BUSBAR_BAD_HANDLE' }),
    );
  }
  expect(pool.stats().threads.length).toBe(1);
});
