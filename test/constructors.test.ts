// SPDX-License-Identifier: MIT
/** `new` of any exported class makes a usable object, or says in its own words what to do. */
import { readdirSync } from 'node:fs';
import { expect, test } from 'vitest';
import { BufferPool, Packet } from '../src/index.ts';

const SRC = new URL('../src/', import.meta.url);
const FOLDERS = readdirSync(SRC, { withFileTypes: true })
  .filter((entry) => entry.isDirectory() && entry.name !== 'testing')
  .map(({ name }) => name);

/** What the engine says when code meets a value that it did not expect. */
const BY_ENGINE = /undefined \(|is not a |is not iterable|not an object|Cannot |of undefined/;

test.each(FOLDERS)('new of what busbar/%s exports', async (folder) => {
  const path = new URL(`${folder}/index.ts`, SRC).href;
  const exported: object = await import(path).catch(() => ({}));
  const wrong: string[] = [];
  for (const [name, value] of Object.entries(exported)) {
    if (!/^class\b/.test(`${value}`)) continue;
    for (const args of [[], [{}], [{}, { bufferSize: 64 }], ['127.0.0.1', 80]]) {
      try {
        new value(...args);
      } catch (error) {
        const { message } = error as Error;
        if (BY_ENGINE.test(message)) wrong.push(`${name}: ${message}`);
      }
    }
  }
  expect(wrong).toEqual([]);
});

test('new Packet is refused also with the arguments of wrap', () => {
  const pool = BufferPool.create({ bufferSize: 64, bufferCount: 1, maxThreads: 1 });
  const bufferId = pool.tryAcquire();
  expect(() => Reflect.construct(Packet, [pool, bufferId, pool.offsetOf(bufferId), 8])).toThrow(
    new TypeError('new Packet is refused: use Packet.tryFrom or Packet.wrap'),
  );
  Packet.wrap(pool, bufferId, pool.offsetOf(bufferId), 8).release();
  expect(pool.close().heldByThreads).toBe(0);
});
