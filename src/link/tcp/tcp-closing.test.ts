// SPDX-License-Identifier: MIT

import { once } from 'node:events';
import { mkdtempSync, rmSync } from 'node:fs';
import { createServer, Socket } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, expect, test, vi } from 'vitest';
import { DIRECT } from '../../../test/direct.ts';
import { until } from '../../../test/turns.ts';
import { LengthPrefixCodec } from '../../framer/index.ts';
import { BufferPool } from '../../pool/index.ts';
import { type TcpHandler, TcpLink, type TcpLinkOptions, TcpServer } from '../index.ts';

const codec = (): LengthPrefixCodec => new LengthPrefixCodec('u32');

afterEach(() => {
  vi.useRealTimers();
  vi.restoreAllMocks();
});

function makePool(): BufferPool {
  return BufferPool.create({ bufferSize: 4096, bufferCount: 64, maxThreads: 2 });
}

function frameOf(text: string): Buffer {
  const frame = Buffer.alloc(4 + text.length);
  frame.writeUInt32BE(text.length);
  frame.write(text, 4);
  return frame;
}

/** Notes everything that it is told. */
function witness(): { readonly seen: string[]; readonly handler: (link: TcpLink) => TcpHandler } {
  const seen: string[] = [];
  return {
    seen,
    handler: ({ pool }) => ({
      onFrame: (offset, length) =>
        void seen.push(Buffer.from(pool.bytes.slice(offset, offset + length)).toString()),
      onEnd: () => void seen.push('end'),
      onClose: (_link, error) => void seen.push(error === undefined ? 'closed' : error.code),
    }),
  };
}

async function connectToBare(pool: BufferPool, options: Partial<TcpLinkOptions>) {
  const server = createServer({ allowHalfOpen: true });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  const accepted = once(server, 'connection');
  const { seen, handler } = witness();
  const { port } = server.address() as { port: number };
  const link = await TcpLink.connect(pool, { port, codec, handler, ...options });
  const [peer] = (await accepted) as [Socket];
  server.close();
  return { link, peer, seen };
}

test.each([
  [60_000, 5000],
  [20, 5000],
  [Infinity, 5000],
])(
  'the deadline of close (%d ms) holds when the peer ends, not that of the link (%d ms)',
  async (deadlineMs, closeDeadlineMs) => {
    const pool = makePool();
    const { link, peer, seen } = await connectToBare(pool, { closeDeadlineMs, highWaterBytes: 1 });
    peer.pause();
    const much = new Uint8Array(4000);
    // More than the system takes: the end cannot be sent.
    for (let still = 0; still < 50; still++) {
      while (link.writer.tryWrite(much)) still = 0;
      await new Promise(setImmediate);
    }
    vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout'] });
    const closed = link.close({ deadlineMs });
    peer.end();
    await until(() => seen.includes('end'));
    if (deadlineMs < closeDeadlineMs) {
      vi.advanceTimersByTime(deadlineMs - 1);
      expect(link.error).toBeUndefined();
      vi.advanceTimersByTime(1);
    } else {
      vi.advanceTimersByTime(59_999);
      expect(link.error).toBeUndefined();
      if (deadlineMs === Infinity) link.destroy();
      else vi.advanceTimersByTime(1);
    }
    await closed;
    expect(link.error?.code).toBe(deadlineMs === Infinity ? undefined : 'ERR_BUSBAR_TIMEOUT');
    expect(link.stats().lostBytes).toBeGreaterThan(0);
    expect(vi.getTimerCount()).toBe(0);
    expect(pool.stats().held).toBe(0);
    peer.destroy();
    pool.close();
  },
);

test('a later close may take the deadline away that the end of the peer has set', async () => {
  const pool = makePool();
  const { link, peer, seen } = await connectToBare(pool, { closeDeadlineMs: 5000 });
  vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout'] });
  // Behind this the link's end waits until the peer reads.
  peer.pause();
  const much = new Uint8Array(4000);
  for (let still = 0; still < 50; still++) {
    while (link.writer.tryWrite(much)) still = 0;
    await new Promise(setImmediate);
  }
  peer.end();
  await until(() => seen.includes('end'));
  expect(vi.getTimerCount()).toBe(1);
  const closed = link.close({ deadlineMs: Infinity });
  expect(vi.getTimerCount()).toBe(0);
  peer.resume();
  await closed;
  expect([link.error, link.stats().lostBytes]).toEqual([undefined, 0]);
  expect(pool.stats().held).toBe(0);
  pool.close();
});

test('after its own end a link still gets what the peer sends, until it ends too', async () => {
  const pool = makePool();
  const { link, peer, seen } = await connectToBare(pool, {});
  link.writer.tryWrite(frameOf('question'));
  link.end();
  const chunks: Buffer[] = [];
  peer.on('data', (chunk) => chunks.push(chunk));
  await once(peer, 'end');
  expect(Buffer.concat(chunks)).toEqual(frameOf('question'));
  expect(link.writable).toBe(false);
  for (const text of ['one', 'two']) {
    peer.write(frameOf(text));
    await until(() => seen.at(-1) === text);
  }
  peer.end();
  await until(() => seen.includes('closed'));
  expect(seen).toEqual(['one', 'two', 'end', 'closed']);
  expect(pool.stats().held).toBe(0);
  pool.close();
});

test('with allowHalfOpen a link writes on after the end of its peer, until it ends', async () => {
  const pool = makePool();
  const { link, peer, seen } = await connectToBare(pool, { allowHalfOpen: true });
  peer.end(frameOf('last words'));
  await until(() => seen.includes('end'));
  const chunks: Buffer[] = [];
  peer.on('data', (chunk) => chunks.push(chunk));
  for (const text of ['one', 'two']) {
    expect(link.writable).toBe(true);
    link.writer.tryWrite(frameOf(text));
    const bytes = chunks.length;
    await until(() => chunks.length > bytes);
  }
  const ended = once(peer, 'end');
  link.end();
  await ended;
  await until(() => seen.includes('closed'));
  expect(Buffer.concat(chunks)).toEqual(Buffer.concat([frameOf('one'), frameOf('two')]));
  expect(seen).toEqual(['last words', 'end', 'closed']);
  expect([link.error, link.stats().lostBytes]).toEqual([undefined, 0]);
  expect(pool.stats().held).toBe(0);
  pool.close();
});

test('TCP_NODELAY is set unless it was refused, keep-alive only if it was asked for', async () => {
  const pool = makePool();
  const noDelay = vi.spyOn(Socket.prototype, 'setNoDelay');
  const keepAlive = vi.spyOn(Socket.prototype, 'setKeepAlive');
  const first = await connectToBare(pool, {});
  expect(noDelay.mock.calls).toEqual([[true]]);
  expect(keepAlive).not.toHaveBeenCalled();
  const second = await connectToBare(pool, { noDelay: false, keepAliveMs: 30_000 });
  expect(noDelay).toHaveBeenCalledTimes(1);
  expect(keepAlive.mock.calls).toEqual([[true, 30_000]]);
  for (const { link, peer } of [first, second]) {
    link.destroy();
    await link.close();
    peer.destroy();
  }
  pool.close();
});

if (process.platform !== 'win32') {
  test('Unix sockets carry frames both ways, straight into the pool', async () => {
    const pool = makePool();
    const folder = mkdtempSync(join(tmpdir(), 'busbar-'));
    const path = join(folder, 'socket');
    const server = await TcpServer.listen(pool, {
      path,
      codec,
      // A read may bring more than a writer takes at once.
      handler: async (link) => {
        for await (const packet of link) {
          await link.write(packet);
          packet.release();
        }
      },
    });
    expect([server.host, server.port]).toEqual([path, 0]);
    const { seen, handler } = witness();
    const link = await TcpLink.connect(pool, { path, codec, handler });
    const texts = Array.from({ length: 200 }, (_, i) => `${i}: ${'x'.repeat(i * 7)}`);
    for (const text of texts) {
      while (!link.writer.tryWrite(frameOf(text))) await new Promise(setImmediate);
    }
    await until(() => seen.length >= texts.length);
    expect(seen).toEqual(texts);
    expect(link.ingest).toBe(DIRECT);
    await link.close();
    await server.close();
    expect(link.stats().lostBytes).toBe(0);
    expect(pool.stats().held).toBe(0);
    const gone = await TcpLink.connect(pool, { path, codec, handler }).catch((error) => error);
    expect(gone).toMatchObject({ code: 'ERR_BUSBAR_LINK_REFUSED', cause: { code: 'ENOENT' } });
    rmSync(folder, { recursive: true });
    pool.close();
  });
}

test('close sends what was committed behind an open reservation, which it ends', async () => {
  for (const count of [1, 40]) {
    const pool = BufferPool.create({ bufferSize: 1024, bufferCount: 128, maxThreads: 2 });
    const { link, peer } = await connectToBare(pool, {});
    let received = 0;
    peer.on('data', (chunk) => {
      received += chunk.length;
    });
    peer.on('end', () => peer.end());
    expect(link.writer.tryReserve(10)).toBeGreaterThanOrEqual(0);
    let accepted = 0;
    for (let i = 0; i < count; i++) if (link.writer.tryWrite(new Uint8Array(900))) accepted += 900;
    await link.close();
    expect(link.stats()).toMatchObject({ bytesWritten: accepted, lostBytes: 0 });
    expect(received).toBe(accepted);
    expect(pool.stats().held).toBe(0);
    pool.close();
  }
});
