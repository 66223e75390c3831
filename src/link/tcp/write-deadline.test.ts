// SPDX-License-Identifier: MIT
import { once } from 'node:events';
import { connect } from 'node:net';
import { Duplex } from 'node:stream';
import { afterEach, expect, test, vi } from 'vitest';
import { until } from '../../../test/turns.ts';
import { LengthPrefixCodec } from '../../framer/index.ts';
import { BufferPool } from '../../pool/index.ts';
import { TcpLink, TcpServer } from '../index.ts';

const codec = (): LengthPrefixCodec => new LengthPrefixCodec('u32');

afterEach(() => {
  vi.useRealTimers();
});

function fakeTicks(): void {
  vi.useFakeTimers({ toFake: ['setInterval', 'clearInterval', 'clearTimeout'] });
}

test('a peer that takes nothing is given up, and what waited for it is lost', async () => {
  fakeTicks();
  const pool = BufferPool.create({ bufferSize: 16384, bufferCount: 64, maxThreads: 1 });
  const closed: string[] = [];
  const server = await TcpServer.listen(pool, {
    codec,
    writeTimeoutMs: 1000,
    handler: () => ({
      onFrame() {},
      onClose: (_link, error) => void closed.push(`${error?.code} ${error?.message}`),
    }),
  });
  const peer = connect(server.port, '127.0.0.1').pause();
  await once(peer, 'connect');
  await until(() => server.links.size === 1);
  const [link] = server.links;
  const fill = async (): Promise<void> => {
    const chunk = new Uint8Array(8000);
    for (let still = 0; still < 20; still++) {
      if (link?.writer.tryWrite(chunk)) still = 0;
      await new Promise(setImmediate);
    }
  };
  await fill();
  expect(link?.writable).toBe(false);
  // As long as it reads now and then it stays, however long that takes.
  for (let i = 0; i < 20; i++) {
    vi.advanceTimersByTime(900);
    const before = link?.stats().bytesWritten ?? 0;
    peer.resume();
    await until(() => (link?.stats().bytesWritten ?? 0) > before || link?.closed === true);
    peer.pause();
    await fill();
  }
  expect(closed).toEqual([]);
  vi.advanceTimersByTime(1300);
  await until(() => closed.length === 1);
  expect(closed[0]).toMatch(
    /^ERR_BUSBAR_TIMEOUT .*a write within 1000 ms; the peer took none of \d+ bytes$/,
  );
  expect(link?.stats().lostBytes).toBeGreaterThan(0);
  expect(vi.getTimerCount()).toBe(0);
  peer.destroy();
  await server.close();
  expect(pool.stats().held).toBe(0);
});

test('a long write of which the system takes some at a time is no reason', async () => {
  fakeTicks();
  const pool = BufferPool.create({ bufferSize: 65536, bufferCount: 64, maxThreads: 1 });
  const stream = new Duplex({ read() {}, write() {} });
  const handle = { writeQueueSize: 40_000 };
  Object.assign(stream, { _handle: handle });
  const link = TcpLink.adopt(pool, stream, {
    codec,
    writeTimeoutMs: 500,
    handler: () => ({ onFrame() {} }),
  });
  link.writer.tryWrite(new Uint8Array(40_000));
  await until(() => link.stats().writes === 1);
  for (let i = 0; i < 50; i++) {
    handle.writeQueueSize -= 10;
    vi.advanceTimersByTime(400);
  }
  expect(link.closed).toBe(false);
  vi.advanceTimersByTime(800);
  await until(() => link.closed);
  expect(link.error?.code).toBe('ERR_BUSBAR_TIMEOUT');
  expect(link.stats().lostBytes).toBe(40_000);
  expect(pool.stats().held).toBe(0);
});

test('without a limit a link waits', async () => {
  fakeTicks();
  const pool = BufferPool.create({ bufferSize: 65536, bufferCount: 64, maxThreads: 1 });
  const stream = new Duplex({ read() {}, write() {} });
  const handler = () => ({ onFrame() {} });
  const link = TcpLink.adopt(pool, stream, { codec, writeTimeoutMs: Infinity, handler });
  link.writer.tryWrite(new Uint8Array(100));
  await until(() => link.stats().writes === 1);
  expect(vi.getTimerCount()).toBe(0);
  link.destroy();
});

test('the option is checked', () => {
  const pool = BufferPool.create({ bufferSize: 1024, bufferCount: 4, maxThreads: 1 });
  const options = { codec, handler: () => ({ onFrame() {} }), writeTimeoutMs: -1 };
  const stream = new Duplex();
  expect(() => TcpLink.adopt(pool, stream, options)).toThrow(/writeTimeoutMs/);
});
