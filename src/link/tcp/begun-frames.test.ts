// SPDX-License-Identifier: MIT
import { once } from 'node:events';
import { connect, type Socket } from 'node:net';
import { PassThrough } from 'node:stream';
import { afterEach, expect, test, vi } from 'vitest';
import { until } from '../../../test/turns.ts';
import { CustomCodec, DelimiterCodec, type Framer, LengthPrefixCodec } from '../../framer/index.ts';
import { BufferPool } from '../../pool/index.ts';
import { LoopbackNetwork, type TcpHandler, TcpLink, TcpServer } from '../index.ts';

const codec = (): LengthPrefixCodec => new LengthPrefixCodec('u32');

afterEach(() => {
  vi.useRealTimers();
});

const echo = (link: TcpLink): TcpHandler => ({
  onFrame: (offset, length) =>
    void link.writer.tryWrite(link.pool.bytes, offset - 4, offset + length),
});

async function client(port: number, text: string): Promise<Socket> {
  const socket = connect(port, '127.0.0.1');
  await once(socket, 'connect');
  socket.write(text);
  return socket;
}

// First in this file: an earlier test could have started the one timer of all links by real time.
test('a frame not complete in time ends the link, however often a byte comes', async () => {
  vi.useFakeTimers({ toFake: ['setInterval', 'clearInterval', 'clearTimeout'] });
  const pool = BufferPool.create({ bufferSize: 4096, bufferCount: 4, maxThreads: 1 });
  const network = new LoopbackNetwork({ seed: 1, automatic: false });
  const seen: string[] = [];
  const server = await network.listen(pool, {
    host: '10.0.0.1',
    port: 7,
    codec,
    frameTimeoutMs: 1000,
    handler: () => ({
      onFrame: (_offset, length) => void seen.push(`frame of ${length}`),
      onClose: (_link, error) => void seen.push(`${error?.code}`),
    }),
  });
  const peer = await network.connect(pool, {
    host: '10.0.0.1',
    port: 7,
    codec,
    handler: () => ({ onFrame: () => {} }),
  });
  const send = async (...bytes: number[]): Promise<void> => {
    peer.writer.tryWrite(Uint8Array.of(...bytes));
    await network.run();
  };
  // Complete frames, each followed by the beginning of another, are no reason.
  await send(0, 0);
  for (let i = 0; i < 20; i++) {
    vi.advanceTimersByTime(500);
    await send(0, 1, 9, 0, 0);
  }
  expect(seen).toEqual(Array(20).fill('frame of 1'));
  vi.advanceTimersByTime(500);
  await send(1, 0);
  vi.advanceTimersByTime(500);
  await send(1);
  expect(seen.length).toBe(20);
  // While the program has paused it does not count.
  const [link] = server.links;
  link?.pause();
  vi.advanceTimersByTime(60_000);
  link?.resume();
  await network.run();
  expect(seen.length).toBe(20);
  for (let i = 0; i < 3; i++) {
    vi.advanceTimersByTime(400);
    await send(1);
  }
  await network.run();
  expect(seen.at(-1)).toBe('ERR_BUSBAR_TIMEOUT');
  vi.advanceTimersByTime(1000);
  expect(vi.getTimerCount()).toBe(0);
  await peer.close();
  await server.close();
  expect(pool.stats().held).toBe(0);
});

test.each([64, 1000])(
  '%d connections with one byte each hold no buffer; others are served',
  async (count) => {
    const pool = BufferPool.create({ bufferSize: 4096, bufferCount: 64, maxThreads: 1 });
    const server = await TcpServer.listen(pool, { codec, handler: echo });
    const slow: Socket[] = [];
    for (let i = 0; i < count; i++) slow.push(await client(server.port, '\0'));
    const read = (): number =>
      [...server.links].reduce((sum, link) => sum + link.stats().bytesRead, 0);
    await until(() => read() === count);
    expect(pool.stats().held).toBe(0);
    const asking = await client(server.port, '\0\0\0\x05hello');
    const [answer] = await once(asking, 'data');
    expect(String(answer)).toBe('\0\0\0\x05hello');
    // And what they have begun goes on.
    slow[0]?.write('\0\0\x02hi');
    const [late] = await once(slow[0] as Socket, 'data');
    expect(String(late)).toBe('\0\0\0\x02hi');
    for (const socket of [...slow, asking]) socket.destroy();
    await server.close();
    expect(pool.stats().held).toBe(0);
  },
);

test('the rest of a stream without its last delimiter can be had', async () => {
  const pool = BufferPool.create({ bufferSize: 1024, bufferCount: 4, maxThreads: 1 });
  const lines: string[] = [];
  const stream = new PassThrough();
  const link = TcpLink.adopt(pool, stream, {
    codec: () => new DelimiterCodec('\n'),
    handler: ({ framer }) => ({
      onFrame: () => void lines.push(framer.takePacket().toString()),
      onEnd: () => {
        if (framer.finishFrame()) lines.push(`rest ${framer.takePacket()}`);
      },
    }),
  });
  stream.write('one\ntw');
  await until(() => link.framer.pendingBytes === 2);
  (link.framer as Framer).invariants();
  expect(link.framer.frameBufferId).toBeLessThan(0);
  stream.end('o');
  await until(() => lines.includes('rest two'));
  link.destroy();
});

const THROWN: readonly unknown[] = [
  undefined,
  null,
  Number.NaN,
  'text',
  Symbol('s'),
  Object.freeze({}),
  new Error('bad'),
  new Proxy(new Error('proxy'), {
    getPrototypeOf: () => {
      throw new Error('a trap');
    },
  }),
];

test.each(THROWN.map((thrown) => [thrown]))(
  'what a codec throws closes the link as malformed',
  async (thrown) => {
    const pool = BufferPool.create({ bufferSize: 256, bufferCount: 8, maxThreads: 1 });
    const stream = new PassThrough();
    let closed: unknown;
    const link = TcpLink.adopt(pool, stream, {
      codec: () =>
        new CustomCodec(() => {
          throw thrown;
        }),
      handler: () => ({
        onFrame: () => {},
        onClose: (_link, error) => {
          closed = error;
        },
      }),
    });
    stream.write('x');
    await until(() => link.closed);
    expect(closed).toBe(link.error);
    expect(link.error?.code).toBe('ERR_BUSBAR_FRAME_MALFORMED');
    expect(Object.is(link.error?.cause, thrown)).toBe(true);
    expect(pool.stats().held).toBe(0);
  },
);

/** A stream whose end of a line is kept outside of the pool, of which no buffer is free. */
async function begunLine(onEnd: (link: TcpLink) => void) {
  const pool = BufferPool.create({ bufferSize: 1024, bufferCount: 1, maxThreads: 1 });
  const closed: unknown[] = [];
  const stream = new PassThrough();
  const link = TcpLink.adopt(pool, stream, {
    codec: () => new DelimiterCodec('\n'),
    handler: () => ({
      onFrame: () => {},
      onEnd,
      onClose: (_link, error) => void closed.push(error?.code),
    }),
  });
  stream.write('begun');
  await until(() => link.framer.pendingBytes === 5 && pool.stats().held === 0);
  return { pool, stream, link, closed, bufferId: pool.tryAcquire() };
}

test('a link that is closing drops the line begun, and finishFrame() needs no buffer', async () => {
  const ends: boolean[] = [];
  const { pool, stream, link, closed, bufferId } = await begunLine(({ framer }) => {
    ends.push(framer.finishFrame());
  });
  const closing = link.close();
  stream.end();
  await closing;
  expect(closed).toEqual([undefined]);
  expect(ends.every((hasFrame) => !hasFrame)).toBe(true);
  pool.release(bufferId);
});

test('without a buffer finishFrame() fails the framer with a code, for good', async () => {
  const { pool, link, bufferId } = await begunLine(() => {});
  const { framer } = link;
  const exhausted = expect.objectContaining({ code: 'ERR_BUSBAR_POOL_EXHAUSTED' });
  expect(() => framer.finishFrame()).toThrow(exhausted);
  pool.release(bufferId);
  expect(() => framer.finishFrame()).toThrow(exhausted);
  link.destroy();
});

test('what the framer throws in onEnd is the error of the link, and is not thrown on', async () => {
  const { pool, stream, closed, bufferId } = await begunLine(({ framer }) => {
    (framer as Framer).close();
    framer.finishFrame();
  });
  stream.end();
  pool.release(bufferId);
  await until(() => closed.length === 1);
  expect(closed).toEqual(['ERR_BUSBAR_FRAMER_CLOSED']);
});
