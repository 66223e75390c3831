// SPDX-License-Identifier: MIT
import { expect, test } from 'vitest';
import { BufferPool } from './buffer-pool.ts';

test('a ring to its own thread that throws on a full stack is tried by the next', async () => {
  const pool = BufferPool.create({ bufferSize: 64, bufferCount: 4 });
  let calls = 0;
  pool.doorbell.listen(() => calls++);
  const { then } = Promise.prototype;
  // biome-ignore lint/suspicious/noThenProperty: stands for the call that finds no stack.
  Promise.prototype.then = (): never => {
    throw new RangeError('Maximum call stack size exceeded');
  };
  try {
    expect(() => pool.doorbell.ringHere()).toThrow(RangeError);
  } finally {
    // biome-ignore lint/suspicious/noThenProperty: back to what it was.
    Promise.prototype.then = then;
  }
  pool.doorbell.ringHere();
  await Promise.resolve();
  expect(calls).toBe(1);
  pool.close();
});
