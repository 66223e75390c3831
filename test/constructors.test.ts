// SPDX-License-Identifier: MIT
/** `new` of any exported class makes a usable object, or says in its own words what to do. */
import { readdirSync } from 'node:fs';
import { expect, test } from 'vitest';
import { BufferPool, Datagram, Packet } from '../src/index.ts';

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

test.each([Packet, Datagram])('new %o is refused whatever it is given', (made) => {
  const pool = BufferPool.create({ bufferSize: 64, bufferCount: 1, maxThreads: 1 });
  const bufferId = pool.tryAcquire();
  const ways = made === Packet ? 'Packet.tryFrom or Packet.wrap' : 'link.receive()';
  const packet = Packet.wrap(pool, bufferId, pool.offsetOf(bufferId), 8);
  // Those of `wrap`; then those of the constructors, and what a program may make up.
  const args: unknown[] = [pool, bufferId, packet.offset, 8, 0, Symbol('packet'), {}, packet];
  for (let count = 0; count <= args.length; count++) {
    expect(() => Reflect.construct(made, args.slice(0, count))).toThrow(
      new TypeError(`new ${made.name} is refused: use ${ways}`),
    );
  }
  packet.release();
  expect(pool.close().heldByThreads).toBe(0);
});
