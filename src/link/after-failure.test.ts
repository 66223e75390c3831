// SPDX-License-Identifier: MIT
/** What a reader still gets once its link has failed, and what becomes of the rest. */

import { once } from 'node:events';
import { createServer, type Socket } from 'node:net';
import { afterEach, beforeEach, expect, test, vi } from 'vitest';
import { turn, until } from '../../test/turns.ts';
import { LengthPrefixCodec } from '../framer/index.ts';
import type { Packet } from '../packet/index.ts';
import { BufferPool } from '../pool/index.ts';
import {
  LoopbackNetwork,
  TcpLink,
  type TcpLinkOptions,
  type TcpServer,
  type UdpLink,
} from './index.ts';

const codec = (): LengthPrefixCodec => new LengthPrefixCodec('u32');
const COUNT = 20;
const FRAMES = Buffer.from('\0\0\0\x01x'.repeat(COUNT), 'latin1');

beforeEach(() => {
  vi.spyOn(process, 'emitWarning').mockImplementation(() => {});
});

afterEach(() => {
  vi.restoreAllMocks();
});

/** A link to a peer that sends frames; `fail` waits until they have arrived, and resets. */
async function setUp(options: Partial<TcpLinkOptions> = {}) {
  const pool = BufferPool.create({ bufferSize: 4096, bufferCount: 16, maxThreads: 1, debug: true });
  const peers: Socket[] = [];
  const listener = createServer((socket) => peers.push(socket.on('error', () => {})));
  listener.listen(0, '127.0.0.1');
  await once(listener, 'listening');
  const { port } = listener.address() as { port: number };
  const link = await TcpLink.connect(pool, { port, codec, ...options });
  await until(() => peers.length === 1);
  /** Until all has arrived, or as much as the link reads. */
  const send = async (frames = FRAMES): Promise<void> => {
    peers[0]?.write(frames);
    await until(() => link.stats().bytesRead === frames.length || link.paused);
  };
  const reset = async (): Promise<void> => {
    peers[0]?.resetAndDestroy();
    await until(() => {
      // A paused link learns of it by its next write.
      if (link.paused && link.writable) link.tryWrite('x');
      return link.closed;
    });
    expect(link.error).toMatchObject({ code: 'ERR_BUSBAR_LINK_FAILED' });
  };
  const finish = (): void => {
    peers[0]?.destroy();
    listener.close();
    expect(pool.close()).toMatchObject({ heldByThreads: 0, inTransit: 0 });
  };
  return { pool, link, send, reset, finish };
}

type Take = (packet: Packet) => Promise<void>;
type Read = (link: TcpLink | UdpLink, take: Take) => Promise<void>;

const READERS: Readonly<Record<string, Read>> = {
  receive: async (link, take) => {
    for (let one = await link.receive(); one !== undefined; one = await link.receive()) {
      await take(one);
    }
  },
  'for await': async (link, take) => {
    for await (const packet of link) await take(packet);
  },
  handle: (link, take) => link.handle(take),
};

/** Reads; the first packet is kept until `open` is called. Resolves with what was thrown. */
function readGated(read: Read, link: TcpLink | UdpLink) {
  let open = (): void => {};
  const gate = new Promise<void>((resolve) => {
    open = resolve;
  });
  const seen = { count: 0 };
  const outcome = read(link, async (packet) => {
    seen.count++;
    await gate;
    packet.release();
  }).then(
    () => undefined,
    (error: unknown) => error,
  );
  return { seen, open, outcome };
}

test.each(Object.entries(READERS))(
  '%s: what had arrived comes first, then the error',
  async (_name, read) => {
    const { link, send, reset, finish } = await setUp();
    const { seen, open, outcome } = readGated(read, link);
    await send();
    await until(() => seen.count === 1);
    await reset();
    open();
    expect(await outcome).toBe(link.error);
    expect(seen.count).toBe(COUNT);
    finish();
  },
);

/** Frames in the first read, more than an inbox takes; some wait in the framer, some before it. */
const MANY = Buffer.from('\0\0\0\x01x'.repeat(3000), 'latin1');

test.each(
  Object.entries(READERS).flatMap(
    ([name, read]) =>
      [
        { name, read, ingest: 'direct', isPaused: false, directReadBytes: 1024 },
        { name, read, ingest: 'direct', isPaused: false, directReadBytes: 0 },
        { name, read, ingest: 'copy', isPaused: false, directReadBytes: 1024 },
        { name, read, ingest: 'copy', isPaused: true, directReadBytes: 1024 },
      ] as const,
  ),
)(
  '$name, $ingest, by $directReadBytes, paused $isPaused: also what stood behind a full inbox',
  async ({ read, ingest, isPaused, directReadBytes }) => {
    const { link, send, reset, finish } = await setUp({ ingest, directReadBytes });
    const { seen, open, outcome } = readGated(read, link);
    await send(MANY);
    await until(() => seen.count === 1);
    if (isPaused) link.pause();
    expect(link.paused).toBe(true);
    await reset();
    const arrived = Math.floor(link.stats().bytesRead / 5);
    expect(arrived).toBeGreaterThan(64);
    open();
    expect(await outcome).toBe(link.error);
    expect(seen.count).toBe(arrived);
    finish();
  },
);

test('what finds no buffer behind a full inbox is dropped, and the error still comes', async () => {
  const { pool, link, send, finish } = await setUp({ ingest: 'copy' });
  const { seen, open, outcome } = readGated(READERS.receive as Read, link);
  await send(MANY);
  await until(() => seen.count === 1);
  const held = [];
  for (let id = pool.tryAcquire(); id >= 0; id = pool.tryAcquire()) held.push(id);
  link.socket.destroy(new Error('reset'));
  await until(() => link.closed);
  for (const id of held) pool.release(id);
  open();
  expect(await outcome).toBe(link.error);
  expect(link.stats().bytesRead).toBeGreaterThan(8192);
  expect(seen.count).toBe(Math.floor(4096 / 5));
  finish();
});

test.each(Object.entries(READERS))(
  '%s: the same over UDP, when its pool is closed',
  async (_name, read) => {
    const pool = BufferPool.create({ bufferSize: 4096, bufferCount: 16, maxThreads: 1 });
    const other = BufferPool.create({ bufferSize: 4096, bufferCount: 16, maxThreads: 1 });
    const network = new LoopbackNetwork();
    const here = { host: '10.0.0.1', port: 7 };
    const link = await network.open(pool, here);
    const peer = await network.open(other, { host: '10.0.0.2', peer: here });
    const { seen, open, outcome } = readGated(read, link);
    for (let i = 0; i < 3; i++) {
      peer.tryWrite(`${i}`);
      peer.flush();
    }
    await until(() => link.stats().bytesRead > 0 && seen.count === 1);
    const held = pool.stats().held;
    expect(held).toBeGreaterThan(0);
    pool.close();
    while (!link.closed) {
      peer.tryWrite('the last');
      peer.flush();
      await turn();
    }
    expect(link.error).toBeDefined();
    open();
    expect(await outcome).toBe(link.error);
    expect(seen.count).toBeGreaterThanOrEqual(3);
    await peer.close();
    expect(pool.close()).toMatchObject({ heldByThreads: 0, inTransit: 0 });
  },
);

test.each([
  ['leaves its loop', undefined],
  ['calls close', (link: TcpLink) => link.close()],
  ['calls destroy', (link: TcpLink) => link.destroy()],
])('a reader that %s gets no more; the rest is released', async (_name, end) => {
  const { pool, link, send, reset, finish } = await setUp();
  const first = link.receive();
  await send();
  (await first)?.release();
  await reset();
  expect(pool.stats().held).toBe(1);
  if (end === undefined) {
    for await (const packet of link) {
      packet.release();
      break;
    }
  } else {
    (await link.receive())?.release();
    await end(link);
  }
  expect(pool.stats().held).toBe(0);
  expect(link.tryReceive()).toBeUndefined();
  await expect(link.receive()).rejects.toBe(link.error);
  finish();
});

test('what nobody reads is released at the failure, and a later read gets the error', async () => {
  const { pool, link, send, reset, finish } = await setUp();
  await send();
  expect(pool.stats().held).toBe(1);
  await reset();
  expect(pool.stats().held).toBe(0);
  await expect(link.receive()).rejects.toBe(link.error);
  await expect(link[Symbol.asyncIterator]().next()).rejects.toBe(link.error);
  await expect(link.handle(() => {})).rejects.toBe(link.error);
  finish();
});

test('an abort is no failure: what waits is released at once', async () => {
  const abort = new AbortController();
  const { pool, link, send, finish } = await setUp({ signal: abort.signal });
  const first = link.receive();
  await send();
  (await first)?.release();
  abort.abort();
  await until(() => link.closed);
  expect(pool.stats().held).toBe(0);
  await expect(link.receive()).rejects.toMatchObject({ code: 'ERR_BUSBAR_LINK_CLOSED' });
  finish();
});

test('an async handler that reads later gets them; what it leaves is released', async () => {
  const pool = BufferPool.create({ bufferSize: 4096, bufferCount: 16, maxThreads: 1, debug: true });
  const network = new LoopbackNetwork();
  const where = { host: '10.0.0.1', port: 7, codec };
  let link: TcpLink | undefined;
  let open = (): void => {};
  const gate = new Promise<void>((resolve) => {
    open = resolve;
  });
  const seen: string[] = [];
  const handler = async (mine: TcpLink): Promise<void> => {
    link = mine;
    await gate;
    for (let i = 0; i < 2; i++) {
      const packet = await mine.receive();
      seen.push(`${packet}`);
      packet?.release();
    }
  };
  const server: TcpServer = await network.listen(pool, { ...where, handler });
  const client = await network.connect(pool, { ...where, localAddress: '10.0.0.2' });
  for (const text of ['one', 'two', 'three']) client.tryWrite(text);
  await until(() => link !== undefined && link.stats().bytesRead === 3 * 4 + 11);
  network.reset('10.0.0.1', '10.0.0.2');
  await until(() => link?.closed === true);
  expect(link?.error).toMatchObject({ code: 'ERR_BUSBAR_LINK_FAILED' });
  open();
  await until(() => seen.length === 2);
  await until(() => pool.stats().held === 0);
  expect(seen).toEqual(['one', 'two']);
  await Promise.all([client.close(), server.close()]);
  expect(pool.close()).toMatchObject({ heldByThreads: 0, inTransit: 0 });
});
