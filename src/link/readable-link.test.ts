// SPDX-License-Identifier: MIT
import { once } from 'node:events';
import { connect, type Socket } from 'node:net';
import { expect, test } from 'vitest';
import { until } from '../../test/turns.ts';
import { type Codec, DelimiterCodec, LengthPrefixCodec, VarintCodec } from '../framer/index.ts';
import { Packet } from '../packet/index.ts';
import { BufferPool } from '../pool/index.ts';
import { LoopbackNetwork } from './loopback/loopback-network.ts';
import { TcpLink } from './tcp/tcp-link.ts';
import { TcpServer, type TcpServerOptions } from './tcp/tcp-server.ts';

const u32 = () => new LengthPrefixCodec('u32');
const lines = () => new DelimiterCodec('\n');

function poolOf(bufferCount: number = 32, bufferSize: number = 4096): BufferPool {
  return BufferPool.create({ bufferSize, bufferCount, debug: true });
}

async function serve(
  pool: BufferPool,
  handler: TcpServerOptions['handler'],
  codec: () => Codec = u32,
): Promise<TcpServer> {
  return TcpServer.listen(pool, { codec, ...(handler === undefined ? {} : { handler }) });
}

async function end(pool: BufferPool, server: TcpServer): Promise<void> {
  await server.close();
  expect(pool.close()).toMatchObject({ heldByThreads: 0, inTransit: 0 });
}

/** Collects what a plain socket gets until its end. */
async function allOf(socket: Socket): Promise<string> {
  let text = '';
  for await (const data of socket.setEncoding('latin1')) text += data;
  return text;
}

test.each([
  ['u32', u32],
  ['u16 little', () => new LengthPrefixCodec('u16', { byteOrder: 'little', inclusive: true })],
  ['u24', () => new LengthPrefixCodec('u24')],
  ['u8', () => new LengthPrefixCodec('u8')],
  ['varint', () => new VarintCodec()],
  ['varint inclusive', () => new VarintCodec({ inclusive: true })],
  ['lines', lines],
])('an async echo loses nothing, in order, with %s', async (_name, codec) => {
  const pool = poolOf();
  const server = await serve(
    pool,
    async (link) => {
      for await (const packet of link) {
        await null;
        await link.write(packet);
        packet.release();
      }
    },
    codec,
  );
  const client = await TcpLink.connect(pool, { port: server.port, codec });
  const texts = Array.from({ length: 300 }, (_, i) => `${i} grüße`.padEnd((i * 7) % 200, 'x'));
  const sending = (async () => {
    for (const text of texts) await client.write(text);
    client.end();
  })();
  const received: string[] = [];
  for await (const packet of client) {
    received.push(packet.toString());
    packet.release();
  }
  await sending;
  expect(received).toEqual(texts);
  expect(client.error).toBeUndefined();
  await client.close();
  await end(pool, server);
});

test('requests before a half close are answered; then the function may write', async () => {
  const pool = poolOf();
  const server = await serve(
    pool,
    async (link) => {
      for await (const packet of link) {
        await new Promise(setImmediate);
        await link.write(packet);
        packet.release();
      }
      await link.write('bye');
    },
    lines,
  );
  const client = connect(server.port);
  client.end('one\ntwo\n');
  expect(await allOf(client)).toBe('one\ntwo\nbye\n');
  await end(pool, server);
});

test('a link whose program is slow pauses, and holds little', async () => {
  const pool = poolOf(16);
  let open = (): void => {};
  const gate = new Promise<void>((resolve) => {
    open = resolve;
  });
  let bytes = 0;
  const server = await serve(pool, async (link) => {
    await gate;
    for await (const packet of link) {
      bytes += packet.length;
      packet.release();
    }
  });
  const client = connect(server.port);
  const frame = Buffer.concat([Buffer.of(0, 0, 0x03, 0xe8), Buffer.alloc(1000)]);
  client.end(Buffer.alloc(1004 * 2000, frame));
  const isPaused = (): boolean => [...server.links].some(({ paused }) => paused);
  while (!isPaused()) await new Promise(setImmediate);
  expect(pool.stats().held).toBeLessThanOrEqual(4);
  open();
  await allOf(client);
  expect(bytes).toBe(2_000_000);
  await end(pool, server);
});

test('handle: so many at once, in order of their beginning; errors go to onError', async () => {
  const pool = poolOf();
  let running = 0;
  let most = 0;
  const failed: string[] = [];
  const begun: string[] = [];
  const server = await serve(
    pool,
    (link) =>
      link.handle(
        async (packet) => {
          begun.push(packet.toString());
          most = Math.max(most, ++running);
          await new Promise(setImmediate);
          running--;
          if (packet.toString() === '7') throw new Error('seven');
          await link.write(packet);
          packet.release();
        },
        {
          concurrency: 4,
          onError: (error, packet) => failed.push(`${(error as Error).message} ${packet}`),
        },
      ),
    lines,
  );
  const client = connect(server.port);
  const numbers = Array.from({ length: 100 }, (_, i) => `${i}`);
  client.end(`${numbers.join('\n')}\n`);
  const got = (await allOf(client)).trimEnd().split('\n');
  expect(begun).toEqual(numbers);
  expect(most).toBe(4);
  expect(failed).toEqual(['seven 7']);
  expect(got.toSorted()).toEqual(numbers.filter((n) => n !== '7').toSorted());
  await end(pool, server);
});

test('handle without onError: the link closes, and the promise rejects', async () => {
  const pool = poolOf();
  const server = await serve(pool, undefined);
  const client = await TcpLink.connect(pool, { port: server.port, codec: u32 });
  await client.write('x');
  while (server.links.size === 0) await new Promise(setImmediate);
  const [link] = server.links as Set<TcpLink>;
  const handled = link?.handle(async () => {
    throw new Error('bad request');
  });
  await expect(handled).rejects.toThrow('bad request');
  expect(link?.error).toMatchObject({ code: 'ERR_BUSBAR_LINK_CLOSED' });
  await client.close();
  await end(pool, server);
});

test('a reset ends the loop with the error of the link, and nothing else', async () => {
  const pool = poolOf();
  const ended: unknown[] = [];
  const server = await serve(pool, async (link) => {
    try {
      for await (const packet of link) {
        packet.release();
        client.resetAndDestroy();
      }
    } catch (error) {
      ended.push(error);
      throw error;
    }
  });
  const client = connect(server.port);
  await once(client, 'connect');
  client.write('\0\0\0\x01x');
  while (ended.length === 0) await new Promise(setImmediate);
  expect(ended[0]).toMatchObject({ code: 'ERR_BUSBAR_LINK_FAILED' });
  await end(pool, server);
});

test.each([
  ['returns', false],
  ['throws what the link failed with', true],
])('a function that %s after a failure leaves no packet behind', async (_, throws) => {
  const pool = poolOf();
  let resolve: () => void = () => {};
  const promise = new Promise<void>((done) => {
    resolve = done;
  });
  const server = await serve(pool, async (link) => {
    for await (const packet of link) {
      packet.release();
      socket.resetAndDestroy();
      while (link.error === undefined) await new Promise(setImmediate);
      resolve();
      if (throws) throw link.error;
      return;
    }
  });
  const socket = connect(server.port, '127.0.0.1');
  socket.on('error', () => {});
  socket.write(Buffer.from('\0\0\0\x01a'.repeat(20), 'latin1'));
  await promise;
  await end(pool, server);
});

test('a peer that ends within a frame: the loop throws after what came before', async () => {
  const pool = poolOf();
  let count = 0;
  let error: unknown;
  const server = await serve(pool, async (link) => {
    try {
      for await (const packet of link) {
        count++;
        packet.release();
      }
    } catch (thrown) {
      error = thrown;
    }
  });
  const client = connect(server.port);
  client.end('\0\0\0\x01x\0\0\0\x09half');
  await allOf(client);
  expect([count, (error as { code?: string })?.code]).toEqual([1, 'ERR_BUSBAR_LINK_TRUNCATED']);
  await end(pool, server);
});

test('write waits for a peer that reads slowly, in order, and can give up', async () => {
  const pool = poolOf();
  const network = new LoopbackNetwork({ automatic: false });
  const where = { host: '10.0.0.1', port: 7 };
  let got = '';
  const server = await network.listen(pool, { ...where, codec: lines });
  const client = await network.connect(pool, {
    ...where,
    localAddress: '10.0.0.2',
    codec: lines,
    highWaterBytes: 8192,
  });
  const text = 'y'.repeat(1000);
  const writes: Promise<void>[] = [];
  for (let i = 0; i < 200; i++) writes.push(client.write(`${i} ${text}`));
  await expect(client.write('z', { timeoutMs: 1 })).rejects.toMatchObject({
    code: 'ERR_BUSBAR_TIMEOUT',
  });
  // The writer's, and what the stream takes at once.
  expect(client.bufferedBytes).toBeLessThan(8192 + client.socket.writableHighWaterMark + 8192);
  const running = network.run();
  while (server.links.size === 0) await new Promise(setImmediate);
  const [link] = server.links as Set<TcpLink>;
  for (let i = 0; i < 200; i++) {
    const packet = (await link?.receive()) as Packet;
    got += `${packet.toString().split(' ')[0]} `;
    packet.release();
    void network.run();
  }
  await Promise.all(writes);
  await running;
  expect(got.trimEnd().split(' ')).toEqual(Array.from({ length: 200 }, (_, i) => `${i}`));
  const closing = client.close();
  await Promise.all([closing, server.close(), network.run()]);
});

test('write after the end is refused; while it waits, too', async () => {
  const pool = poolOf();
  const server = await serve(pool, async () => await new Promise<void>(() => {}));
  const client = await TcpLink.connect(pool, {
    port: server.port,
    codec: u32,
    highWaterBytes: 1024,
  });
  const writes: Promise<unknown>[] = [];
  for (let i = 0; i < 3000; i++) writes.push(client.write(Buffer.alloc(4000)).catch((e) => e));
  client.destroy();
  const last = (await Promise.all(writes)).at(-1);
  expect(last).toMatchObject({ code: 'ERR_BUSBAR_WRITER_CLOSED' });
  await expect(client.write('x')).rejects.toMatchObject({ code: 'ERR_BUSBAR_WRITER_CLOSED' });
  server.destroy();
});

test('frames written in place, shorter than reserved', async () => {
  const pool = poolOf();
  for (const codec of [u32, lines, () => new VarintCodec()]) {
    const server = await serve(pool, undefined, codec);
    const client = await TcpLink.connect(pool, { port: server.port, codec });
    const space = await client.reserveFrame(200);
    expect(space.length).toBe(200);
    pool.bytes.set(new TextEncoder().encode('hello'), space.offset);
    space.commit(5);
    const other = client.tryReserveFrame(3);
    other?.bytes.set([97, 98, 99]);
    other?.commit();
    client.tryReserveFrame(9)?.abort();
    while (server.links.size === 0) await new Promise(setImmediate);
    const [link] = server.links as Set<TcpLink>;
    for (const text of ['hello', 'abc']) {
      const packet = await link?.receive();
      expect(packet?.toString()).toBe(text);
      packet?.release();
    }
    server.destroy();
    await client.close();
  }
  pool.close();
});

test('what cannot be framed is refused, and changes nothing', async () => {
  const pool = poolOf();
  const server = await serve(pool, undefined, lines);
  const client = await TcpLink.connect(pool, { port: server.port, codec: lines });
  expect(() => client.tryWrite('one\ntwo')).toThrow('the payload holds the delimiter');
  expect(() => client.tryWrite(7 as never)).toThrow('payload must be bytes, a string or a Packet');
  const bytes = Uint8Array.of(120, 97, 98, 120);
  expect(client.tryWrite(bytes, 1, 3)).toBe(true);
  while (server.links.size === 0) await new Promise(setImmediate);
  const [link] = server.links as Set<TcpLink>;
  const packet = await link?.receive();
  expect(`${packet}`).toBe('ab');
  packet?.release();
  const only = { measure: () => 1, payloadSkip: 0, payloadTrim: 0 };
  const deaf = await TcpLink.connect(pool, { port: server.port, codec: () => only });
  expect(() => deaf.tryWrite('x')).toThrow('has no encode');
  deaf.destroy();
  server.destroy();
  await client.close();
});

test('one way to read a link', async () => {
  const pool = poolOf();
  const server = await serve(pool, () => ({ onFrame() {} }));
  const client = await TcpLink.connect(pool, { port: server.port, codec: u32 });
  while (server.links.size === 0) await new Promise(setImmediate);
  const [link] = server.links as Set<TcpLink>;
  expect(() => link?.tryReceive()).toThrow('the link has callbacks');
  await expect(link?.receive()).rejects.toThrow('the link has callbacks');
  void client.handle(() => {}).catch(() => {});
  await expect(client.receive()).rejects.toThrow('read by handle() already');
  await client.close();
  await end(pool, server);
});

test('a packet for another pool is copied as well', async () => {
  const pool = poolOf();
  const other = BufferPool.create({ bufferSize: 64, bufferCount: 2 });
  const server = await serve(pool, async (link) => {
    for await (const packet of link) {
      await link.write(`${packet}!`);
      packet.release();
    }
  });
  const client = await TcpLink.connect(pool, { port: server.port, codec: u32 });
  const packet = Packet.tryFrom(other, 'hello') as Packet;
  await client.write(packet);
  packet.release();
  const reply = await client.receive();
  expect(`${reply}`).toBe('hello!');
  reply?.release();
  await client.close();
  await end(pool, server);
});

test.each([
  [
    'for await',
    async (link: TcpLink) => {
      for await (const packet of link) packet.release();
    },
  ],
  ['handle', (link: TcpLink) => link.handle((packet) => packet.release())],
])('the deadline of a close holds for a link that is read by %s', async (_name, handler) => {
  const pool = poolOf();
  // A day: without the deadline of the close the test would not end.
  const options = { codec: u32, handler, closeDeadlineMs: 86_400_000 };
  const server = await TcpServer.listen(pool, options);
  const socket = connect({ port: server.port, host: '127.0.0.1', allowHalfOpen: true });
  await once(socket, 'connect');
  socket.write(Buffer.from([0, 0, 0, 1, 7]));
  await until(() => server.links.size > 0);
  const [link] = server.links;
  await link.close({ deadlineMs: 1 });
  expect(link.error).toMatchObject({ code: 'ERR_BUSBAR_TIMEOUT' });
  socket.destroy();
  await end(pool, server);
});
