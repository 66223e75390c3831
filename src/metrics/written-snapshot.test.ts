// SPDX-License-Identifier: MIT

import * as client from 'prom-client';
import { Registry } from 'prom-client';
import { expect, test } from 'vitest';
import { LengthPrefixCodec } from '../framer/index.ts';
import { TcpServer } from '../link/index.ts';
import { BufferPool } from '../pool/index.ts';
import { SeqLock } from '../sync/index.ts';
import { WriteFlusher } from '../writer/index.ts';
import { collectFor, Monitor, type OwnMetrics, prometheusText } from './index.ts';

const makePool = (): BufferPool =>
  BufferPool.create({ bufferSize: 64, bufferCount: 8, maxThreads: 2 });

/** A lock, and the same as another thread sees it. */
function makeLock(words: number): { here: SeqLock; there: SeqLock; pool: BufferPool } {
  const pool = makePool();
  const here = SeqLock.create(pool, { words });
  return { here, there: SeqLock.attach(BufferPool.attach(pool.handle), here.handle), pool };
}

const OWN: OwnMetrics = {
  kind: 'door',
  metrics: [{ field: 'logins', type: 'counter', unit: '{login}', name: 'door.logins', help: '' }],
  read: () => ({ logins: 3 }),
};

test('a monitor shows what one of another thread has written, as it was then', async () => {
  const { here, there, pool } = makeLock(512);
  const codec = (): LengthPrefixCodec => new LengthPrefixCodec('u16');
  const server = await TcpServer.listen(pool, { codec });
  const writer = new Monitor();
  writer.watch('clients', server);
  const flusher = WriteFlusher.create(pool);
  writer.watch('writers', flusher);
  writer.watchOwn('front', OWN);
  const monitor = new Monitor();
  monitor.watch('one', here);
  expect(monitor.snapshot().objects).toEqual([]);
  expect(writer.tryWrite(there)).toBe('written');
  const { objects, metrics, health } = monitor.snapshot();
  expect(objects).toEqual([
    { kind: 'server', name: 'one/clients', stats: server.stats() },
    { kind: 'flusher', name: 'one/writers', stats: flusher.stats() },
    { kind: 'door', name: 'one/front', stats: { logins: 3 } },
  ]);
  expect(Object.keys(metrics)).toEqual(['server', 'flusher', 'door']);
  expect(metrics.door).toEqual(OWN.metrics);
  expect(health.ready).toBe(true);
  expect(prometheusText(monitor)).toContain('door_logins_total{busbar_door_name="one/front"} 3\n');
  flusher.close();
  expect(monitor.health().ready).toBe(true);
  writer.tryWrite(there);
  expect(monitor.health().reasons).toEqual(['one/writers: closed']);
  await server.close();
});

test('kinds that another thread has made are collected like those of this one', async () => {
  const { here, there } = makeLock(512);
  const writer = new Monitor();
  writer.watchOwn('front', OWN);
  writer.tryWrite(there);
  const monitor = new Monitor();
  monitor.watch('one', here);
  const registry = new Registry();
  collectFor(client, monitor, registry);
  expect(await registry.metrics()).toContain('door_logins_total{busbar_door_name="one/front"} 3');
});

test('what has no room in the lock is said to the writer and to the reader', () => {
  for (const [words, reason] of [
    [32, /^one: what is written needs 42 words, the lock has 32$/],
    // Not even the reason has room.
    [2, /^one: .* the lock has no room for an error$/],
  ] as const) {
    const { here, there } = makeLock(words);
    const writer = new Monitor();
    const monitor = new Monitor();
    monitor.watch('one', here);
    writer.watchOwn('front', OWN);
    expect(writer.tryWrite(there)).toBe('full');
    const { reasons, ready } = monitor.health();
    expect(ready).toBe(false);
    expect(reasons).toEqual([expect.stringMatching(reason)]);
  }
});

test('what a lock has that no monitor has written is an error, as is anything but a lock', () => {
  const { here } = makeLock(4);
  here.tryWrite(Int32Array.of(1, 2, 3, 4));
  const monitor = new Monitor();
  monitor.watch('one', here);
  expect(monitor.health().reasons).toEqual([
    expect.stringMatching(/^one: .*not written by monitor\.tryWrite, /),
  ]);
  expect(() => monitor.tryWrite({} as never)).toThrow(
    new TypeError('lock must be a SeqLock, got an object of type Object'),
  );
});
