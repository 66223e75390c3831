// SPDX-License-Identifier: MIT
/** Handlers that do something to a link while another one sends, or is being made. */
import { connect } from 'node:net';
import { Duplex } from 'node:stream';
import { afterEach, expect, test, vi } from 'vitest';
import { settle, turn, until } from '../../test/turns.ts';
import { uncaughtDuring } from '../../test/uncaught.ts';
import { LengthPrefixCodec } from '../framer/index.ts';
import { Packet } from '../packet/index.ts';
import { BufferPool } from '../pool/index.ts';
import { LocalWriter, WriteFlusher } from '../writer/index.ts';
import { LoopbackNetwork, type TcpHandler, TcpLink, TcpServer, UdpLink } from './index.ts';

const codec = (): LengthPrefixCodec => new LengthPrefixCodec('u32');
const ignore = (): TcpHandler => ({ onFrame() {} });
/** Sending there is not allowed without leave, which is an error at once. */
const BROADCAST = { host: '255.255.255.255', port: 9 };

afterEach(() => {
  vi.restoreAllMocks();
});

function frameOf(length: number): Uint8Array {
  const frame = new Uint8Array(4 + length).fill(1);
  new DataView(frame.buffer).setUint32(0, length);
  return frame;
}

/** A server that counts frames. */
async function makeServer(pool: BufferPool) {
  const got = { frames: 0 };
  const server = await TcpServer.listen(pool, {
    codec,
    handler: () => ({ onFrame: () => void got.frames++ }),
  });
  return { server, got };
}

/** A message longer than is worth waiting with: its link sends within the drain's turn. */
const BIG = 30_000;
const big = Uint8Array.of(BIG >>> 8, BIG & 0xff, ...new Uint8Array(BIG));

test.each(['end', 'close', 'destroy'] as const)(
  'a handler that is told of a failed send may %s another link: nothing is lost in silence',
  async (how) => {
    const pool = BufferPool.create({ bufferSize: 32_768, bufferCount: 64, maxThreads: 2 });
    const { server, got } = await makeServer(pool);
    let errors = 0;
    const udp = await UdpLink.open(pool, {
      handler: () => ({
        onMessage() {},
        onError() {
          if (errors++ === 0) void tcp[how]();
        },
      }),
    });
    const writer = udp.writerTo(BROADCAST);
    const tcp = await TcpLink.connect(pool, { port: server.port, codec, handler: ignore });
    for (let i = 0; i < 4; i++) writer.tryWrite(big);
    for (let i = 0; i < 10; i++) tcp.writer.tryWrite(frameOf(100));
    await until(() => tcp.closed);
    await until(() => server.links.size === 0);
    expect(errors).toBeGreaterThan(0);
    const { bytesWritten, lostBytes } = tcp.stats();
    expect(bytesWritten + lostBytes).toBe(1040);
    expect(got.frames * 104).toBe(bytesWritten);
    if (how !== 'destroy') expect(lostBytes).toBe(0);
    await udp.close();
    await server.close();
    expect(pool.stats().held).toBe(0);
    pool.close();
  },
);

/** Each side is read by the other at once, within its write. */
class Side extends Duplex {
  other: Side | undefined;
  #taken: (() => void) | undefined;

  override _read(): void {
    const taken = this.#taken;
    this.#taken = undefined;
    taken?.();
  }

  override _write(chunk: Uint8Array, _encoding: string, done: () => void): void {
    const { other } = this;
    if (other === undefined) throw new Error('half a pair');
    other.#taken = done;
    other.push(chunk);
  }
}

test('nor if streams deliver within a write, to a handler that closes another link', async () => {
  const pool = BufferPool.create({ bufferSize: 32_768, bufferCount: 64, maxThreads: 2 });
  const { server, got } = await makeServer(pool);
  const sides = [new Side(), new Side()];
  sides[0].other = sides[1];
  sides[1].other = sides[0];
  let closing: Promise<void> | undefined;
  const left = TcpLink.adopt(pool, sides[0], { codec, handler: ignore });
  const right = TcpLink.adopt(pool, sides[1], {
    codec,
    handler: () => ({
      onFrame() {
        closing ??= tcp.close();
      },
    }),
  });
  const tcp = await TcpLink.connect(pool, { port: server.port, codec, handler: ignore });
  for (let i = 0; i < 3; i++) left.writer.tryWrite(frameOf(20_000));
  for (let i = 0; i < 10; i++) tcp.writer.tryWrite(frameOf(100));
  await until(() => tcp.closed);
  await closing;
  expect(tcp.stats()).toMatchObject({ bytesWritten: 1040, lostBytes: 0 });
  await until(() => got.frames === 10);
  left.destroy();
  right.destroy();
  await server.close();
  await until(() => pool.stats().held === 0);
  pool.close();
});

test('what such a handler throws reaches neither the sender nor another link', async () => {
  const pool = BufferPool.create({ bufferSize: 65_536, bufferCount: 64, maxThreads: 2 });
  const { server, got } = await makeServer(pool);
  const open = (): Promise<UdpLink> =>
    UdpLink.open(pool, {
      handler: () => ({
        onMessage() {},
        onError() {
          throw new Error('of the handler');
        },
      }),
    });
  const messages = await uncaughtDuring(async () => {
    const sender = await open();
    for (let i = 0; i < 2; i++) {
      const id = pool.tryAcquire();
      const packet = Packet.wrap(pool, id, pool.offsetOf(id), 50_000);
      expect(sender.trySend(packet, BROADCAST)).toBe(true);
      expect(packet.released).toBe(true);
    }
    await until(() => sender.closed);
    const writing = await open();
    const writer = writing.writerTo(BROADCAST);
    for (let i = 0; i < 4; i++) writer.tryWrite(big);
    writer.flush();
    const tcp = await TcpLink.connect(pool, { port: server.port, codec, handler: ignore });
    tcp.writer.tryWrite(frameOf(100));
    tcp.end();
    await until(() => tcp.closed && writing.closed);
    expect(tcp.stats()).toMatchObject({ bytesWritten: 104, lostBytes: 0 });
    await turn();
  });
  expect(new Set(messages)).toEqual(new Set(['of the handler']));
  expect(got.frames).toBe(1);
  await server.close();
  expect(pool.stats().held).toBe(0);
  pool.close();
});

test.each(['close', 'destroy'] as const)(
  'a server that its own handler tells to %s takes the new link along',
  async (how) => {
    const pool = BufferPool.create({ bufferSize: 1024, bufferCount: 16, maxThreads: 2 });
    for (const network of [undefined, new LoopbackNetwork()]) {
      let ended: Promise<void> | undefined;
      const options = {
        codec,
        port: network === undefined ? 0 : 7000,
        handler: (): TcpHandler => {
          ended = Promise.resolve(server[how]());
          return { onFrame() {} };
        },
      };
      const server = await (network?.listen(pool, options) ?? TcpServer.listen(pool, options));
      const client = await (network ?? TcpLink).connect(pool, {
        port: server.port,
        codec,
        handler: ignore,
      });
      await until(() => client.closed && ended !== undefined);
      await ended;
      await until(() => server.links.size === 0);
      expect(pool.stats().held).toBe(0);
    }
    pool.close();
  },
);

test('what writers of others flush when their link has ended counts as lost', async () => {
  const pool = BufferPool.create({ bufferSize: 4096, bufferCount: 64, maxThreads: 2 });
  const flusher = WriteFlusher.create(pool, { writerCount: 8 });
  const links: TcpLink[] = [];
  const server = await TcpServer.listen(pool, {
    flusher,
    codec,
    allowHalfOpen: true,
    handler: (link) => {
      links.push(link);
      return { onFrame() {} };
    },
  });
  const peer = connect({ port: server.port, host: '127.0.0.1', allowHalfOpen: true });
  peer.resume();
  await until(() => links.length === 1);
  const [link] = links;
  const writer = new LocalWriter(flusher);
  link.addWriter(writer.id);
  const write = (): void => {
    expect(writer.tryWrite(new Uint8Array(1000))).toBe(true);
    writer.flush();
  };
  link.end();
  write();
  await until(() => link.stats().lostBytes === 1000);
  peer.end();
  await until(() => link.closed);
  write();
  await until(() => link.stats().lostBytes === 2000);
  expect(link.stats().bytesWritten).toBe(0);
  writer.close();
  await server.close();
  await until(() => pool.stats().held === 0);
  flusher.close();
  pool.close();
});

test('many links may have one signal, without a warning', async () => {
  const warnings: unknown[] = [];
  const note = (warning: unknown): void => void warnings.push(warning);
  process.on('warning', note);
  const pool = BufferPool.create({ bufferSize: 1024, bufferCount: 64, maxThreads: 2 });
  const abort = new AbortController();
  const { signal } = abort;
  const network = new LoopbackNetwork();
  const server = await network.listen(pool, { port: 7000, codec, handler: ignore, signal });
  const links: TcpLink[] = [];
  for (let i = 0; i < 20; i++) {
    links.push(await network.connect(pool, { port: 7000, codec, handler: ignore, signal }));
  }
  await until(() => server.links.size === 20);
  links[0].destroy();
  await until(() => links[0].closed && server.links.size === 19);
  abort.abort(new Error('enough'));
  await until(() => links.every((link) => link.closed) && server.links.size === 0);
  expect(links[0].error).toBe(undefined);
  for (const link of links.slice(1)) {
    expect(link.error).toMatchObject({ cause: { message: 'enough' } });
  }
  await turn();
  process.off('warning', note);
  expect(warnings).toEqual([]);
  expect(pool.stats().held).toBe(0);
  pool.close();
});

/** What is pushed into it arrives within the call, as with a stream that works by itself. */
function pushable(options: ConstructorParameters<typeof Duplex>[0] = {}): Duplex {
  return new Duplex({ read() {}, write: (_chunk, _encoding, done) => done(), ...options });
}

test('a stream that delivers within the handler waits until it returns', async () => {
  const pool = BufferPool.create({ bufferSize: 4096, bufferCount: 8, maxThreads: 2 });
  const stream = pushable();
  const seen: (readonly number[])[] = [];
  const push = (number: number): void => {
    const frame = frameOf(1000).fill(number, 4);
    stream.push(frame.subarray(0, 600));
    stream.push(frame.subarray(600));
  };
  let nested = 0;
  const link = TcpLink.adopt(pool, stream, {
    codec,
    handler: () => ({
      onFrame(offset, length) {
        expect(nested++).toBe(0);
        const number = pool.bytes[offset];
        if (number < 20) push(number + 1);
        seen.push([...new Set(pool.bytes.subarray(offset, offset + length))]);
        nested--;
      },
    }),
  });
  await turn();
  push(1);
  await until(() => seen.length === 20);
  expect(seen).toEqual(Array.from({ length: 20 }, (_, i) => [i + 1]));
  link.destroy();
  await until(() => link.closed);
  expect(pool.stats().held).toBe(0);
  pool.close();
});

test('an empty chunk, which streams of objects have, is nothing', async () => {
  const pool = BufferPool.create({ bufferSize: 1024, bufferCount: 8, maxThreads: 2 });
  const stream = pushable({ readableObjectMode: true });
  let frames = 0;
  const handler = (): TcpHandler => ({ onFrame: () => void frames++ });
  const link = TcpLink.adopt(pool, stream, { codec, handler });
  await turn();
  for (const chunk of [new Uint8Array(0), frameOf(10), new Uint8Array(0)]) stream.push(chunk);
  await until(() => frames === 1);
  await settle();
  expect(link.stats()).toMatchObject({ reads: 3, exhaustions: 0, bytesRead: 14 });
  expect(link.error).toBe(undefined);
  link.destroy();
  await until(() => link.closed);
  expect(pool.stats().held).toBe(0);
  pool.close();
});
