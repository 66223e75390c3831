// SPDX-License-Identifier: MIT
import { once } from 'node:events';
import { connect } from 'node:net';
import { Duplex } from 'node:stream';
import { expect, test } from 'vitest';
import { until } from '../../test/turns.ts';
import { nextUncaught } from '../../test/uncaught.ts';
import type { BusbarError } from '../base/errors.ts';
import { type Codec, DelimiterCodec, LengthPrefixCodec } from '../framer/index.ts';
import { BufferPool } from '../pool/index.ts';
import { LocalWriter, WriteFlusher } from '../writer/index.ts';
import {
  LoopbackNetwork,
  type TcpHandler,
  TcpLink,
  type TcpLinkOptions,
  TcpServer,
  UdpLink,
} from './index.ts';

type Done = (error?: Error | null) => void;

const codec = (): LengthPrefixCodec => new LengthPrefixCodec('u32');
const ignore = (): TcpHandler => ({ onFrame() {} });
const makePool = (): BufferPool =>
  BufferPool.create({ bufferSize: 4096, bufferCount: 32, maxThreads: 2 });

/** A stream that nothing comes from; `write` takes what goes in. */
function makeStream(write: (chunk: Uint8Array, done: Done) => void = (_c, done) => done()): Duplex {
  return new Duplex({ read() {}, write: (chunk, _encoding, done) => write(chunk, done) });
}

/** A link on a stream, and what its `onClose` is told. */
function makeLink(
  pool: BufferPool,
  stream: Duplex,
  handler: Partial<TcpHandler> = {},
  options: Partial<TcpLinkOptions> = {},
): { link: TcpLink; reasons: (BusbarError | undefined)[] } {
  const reasons: (BusbarError | undefined)[] = [];
  const onClose: TcpHandler['onClose'] = (_link, error) => {
    reasons.push(error);
  };
  const all = { onFrame() {}, onClose, ...handler };
  return { link: TcpLink.adopt(pool, stream, { codec, handler: () => all, ...options }), reasons };
}

function expectNoneHeld(pool: BufferPool): void {
  expect(pool.stats().held).toBe(0);
  pool.close();
}

test('what is no writer id is refused, and the link closes as ever', async () => {
  const pool = makePool();
  const { link } = makeLink(pool, makeStream());
  for (const bad of [-1, NaN, 1.5, 99_999, 2 ** 31, 'x', undefined]) {
    expect(() => link.addWriter(bad as number)).toThrow(/writerId/);
    expect(() => link.removeWriter(bad as number)).toThrow(/writerId/);
  }
  link.destroy();
  expect(link.socket.destroyed).toBe(true);
  await link.close();
  expectNoneHeld(pool);
});

test('an error of onEnd closes the link and is thrown on', async () => {
  const pool = makePool();
  const stream = makeStream();
  const { link, reasons } = makeLink(pool, stream, {
    onEnd() {
      throw new Error('a bug');
    },
  });
  const uncaught = nextUncaught();
  stream.push(null);
  expect((await uncaught).message).toBe('a bug');
  expect(stream.destroyed).toBe(true);
  await link.close();
  expect(reasons).toMatchObject([{ code: 'ERR_BUSBAR_LINK_CLOSED', cause: { message: 'a bug' } }]);
  expectNoneHeld(pool);
});

test('an error of onDrained closes the link, and is not thrown within a write', async () => {
  const pool = makePool();
  const calls: Done[] = [];
  const stream = makeStream((_chunk, done) => calls.push(done));
  const onDrained = (): void => {
    throw new Error('a bug');
  };
  const options = { highWaterBytes: 100, lowWaterBytes: 10 };
  const { link, reasons } = makeLink(pool, stream, { onDrained }, options);
  link.writer.tryWrite(new Uint8Array(200));
  expect(link.flush()).toBe(false);
  expect(calls).toHaveLength(1);
  await new Promise(setImmediate);
  const uncaught = nextUncaught();
  calls[0]();
  expect((await uncaught).message).toBe('a bug');
  expect(stream.destroyed).toBe(true);
  await link.close();
  expect(reasons).toMatchObject([{ code: 'ERR_BUSBAR_LINK_CLOSED', cause: { message: 'a bug' } }]);
  expectNoneHeld(pool);
});

test('a link that could not be made does not hear its signal', async () => {
  const pool = makePool();
  const abort = new AbortController();
  const { signal } = abort;
  const flusher = WriteFlusher.create(pool, { writerCount: 1 });
  flusher.close();
  const closed = expect.objectContaining({ code: 'ERR_BUSBAR_FLUSHER_CLOSED' });
  const stream = makeStream();
  expect(() => makeLink(pool, stream, {}, { flusher, signal })).toThrow(closed);
  const udp = { peer: { host: '127.0.0.1', port: 9 }, handler: () => ({ onMessage() {} }) };
  await expect(UdpLink.open(pool, { ...udp, flusher, signal })).rejects.toEqual(closed);
  abort.abort();
  await until(() => stream.destroyed);
  expectNoneHeld(pool);
});

test('a server forgets a link whose onClose throws', async () => {
  const pool = makePool();
  const server = await TcpServer.listen(pool, {
    codec,
    handler: () => ({
      onFrame() {},
      onClose() {
        throw new Error('a bug');
      },
    }),
  });
  const uncaught = nextUncaught();
  connect(server.port, '127.0.0.1').end().resume();
  expect((await uncaught).message).toBe('a bug');
  expect(server.links.size).toBe(0);
  await server.close();
  expectNoneHeld(pool);
});

test('a link whose writer was closed can be closed, and sends what others write', async () => {
  const pool = makePool();
  const flusher = WriteFlusher.create(pool, { writerCount: 4 });
  const chunks: string[] = [];
  const stream = makeStream((chunk, done) => {
    chunks.push(String(chunk));
    done();
  });
  const { link, reasons } = makeLink(pool, stream, {}, { flusher });
  const other = new LocalWriter(flusher);
  link.addWriter(other.id);
  link.writer.tryWrite(Buffer.from('own'));
  link.writer.close();
  expect(link.writable).toBe(false);
  other.tryWrite(Buffer.from('other'));
  other.flush();
  link.flush();
  const closed = link.close();
  stream.push(null);
  await closed;
  expect(chunks.join()).toBe('own,other');
  expect(reasons).toEqual([undefined]);
  other.close();
  flusher.close();
  expectNoneHeld(pool);
});

test('a link whose writer was closed ends when its peer does', async () => {
  const pool = makePool();
  const server = await TcpServer.listen(pool, {
    codec,
    handler: (link) => {
      link.writer.close();
      return ignore();
    },
  });
  const socket = connect(server.port, '127.0.0.1').resume();
  await once(socket.end(), 'close');
  await server.close();
  expect(server.links.size).toBe(0);
  expectNoneHeld(pool);
});

test('what is no stream, or is destroyed already, becomes no link', () => {
  const pool = makePool();
  for (const bad of [undefined, null, 5, {}]) {
    expect(() => makeLink(pool, bad as unknown as Duplex)).toThrow(/socket must be a Duplex/);
  }
  const destroyed = expect.objectContaining({ code: 'ERR_BUSBAR_LINK_CLOSED' });
  expect(() => makeLink(pool, makeStream().destroy())).toThrow(destroyed);
  expectNoneHeld(pool);
});

for (const regions of [1, 3]) {
  test(`a stream that throws fails its own link and no other (regions: ${regions})`, async () => {
    const pool = makePool();
    const calls: Done[] = [];
    const bad = makeStream((_chunk, done) => {
      calls.push(done);
      throw new Error('a bad stream');
    });
    let received = 0;
    const good = makeStream((chunk, done) => {
      received += chunk.length;
      done();
    });
    const failing = makeLink(pool, bad);
    const working = makeLink(pool, good);
    const message = new Uint8Array(3000);
    for (let round = 1; round <= 3; round++) {
      const uncaught = round === 1 ? nextUncaught() : undefined;
      if (round === 1) {
        // First in the list of what is sent at the end of the turn.
        for (let i = 0; i < regions; i++) failing.link.writer.tryWrite(message);
      }
      working.link.writer.tryWrite(message);
      if (uncaught !== undefined) expect((await uncaught).message).toBe('a bad stream');
      await new Promise(setImmediate);
      await new Promise(setImmediate);
      expect(received).toBe(round * message.length);
    }
    // A stream may throw and call back all the same.
    for (const done of calls) done();
    await failing.link.close();
    expect(failing.reasons).toMatchObject([
      { code: 'ERR_BUSBAR_LINK_FAILED', cause: { message: 'a bad stream' } },
    ]);
    const { lostBytes, queuedBytes } = failing.link.stats();
    expect({ lostBytes, queuedBytes }).toEqual({ lostBytes: regions * 3000, queuedBytes: 0 });
    working.link.destroy();
    await working.link.close();
    expectNoneHeld(pool);
  });
}

test('a codec() that returns no codec is refused before anything is read', async () => {
  const pool = makePool();
  for (const bad of [null, undefined, {}, LengthPrefixCodec, Promise.resolve(codec())]) {
    const options = { codec: () => bad as never };
    const stream = makeStream();
    expect(() => makeLink(pool, stream, {}, options)).toThrow(/^codec must return a Codec, got /);
    expect(stream.destroyed).toBe(true);
    const opening = TcpLink.connect(pool, { port: 1, handler: ignore, ...options });
    await expect(opening).rejects.toThrow(/^codec must return a Codec, got /);
    const listening = TcpServer.listen(pool, { handler: ignore, ...options });
    await expect(listening).rejects.toThrow(/^codec must return a Codec, got /);
  }
  // A server has asked once before it listens.
  let calls = 0;
  const errors: Error[] = [];
  const server = await TcpServer.listen(pool, {
    codec: () => (calls++ === 0 ? codec() : (null as never)),
    handler: ignore,
    onError: (error) => void errors.push(error),
  });
  await once(connect(server.port, '127.0.0.1').resume(), 'close');
  expect(errors).toMatchObject([{ message: 'codec must return a Codec, got null' }]);
  expect([errors[0] instanceof TypeError, server.refused, server.links.size]).toEqual([true, 1, 0]);
  await server.close();
  expectNoneHeld(pool);
});

test('a handler takes things in one way, and has no misspelt members', async () => {
  const pool = makePool();
  const tcp = (handler: object): TcpLink => makeLink(pool, makeStream(), handler).link;
  const udp = (handler: object): Promise<UdpLink> =>
    UdpLink.open(pool, { handler: () => ({ onMessage() {}, ...handler }) });
  expect(() => tcp({ onFrames() {} })).toThrow(/with either onFrames or onFrame or onFramePart$/);
  expect(() => tcp({ onFrame: 3 })).toThrow(/^handler.onFrame must be a function, got 3$/);
  expect(() => tcp({ onFrames: null })).toThrow(/with either onFrames or onFrame or onFramePart$/);
  expect(() => tcp({ onClse() {} })).toThrow(
    /^handler has no option "onClse" \(did you mean "onClose"\?\); known are onFrames/,
  );
  await expect(udp({ onClse() {} })).rejects.toThrow(
    /^handler has no .* "onClse" .*; known are onMes/,
  );
  await expect(udp({ onClose: 3 })).rejects.toThrow(/^handler.onClose must be a function, got 3$/);
  const bare = Object.assign(Object.create(null), { onFrame() {}, onClse() {} });
  const adopt = (handler: TcpHandler): TcpLink =>
    TcpLink.adopt(pool, makeStream(), { codec, handler: () => handler });
  expect(() => adopt(bare)).toThrow(/"onClse"/);
  class Connection implements TcpHandler {
    frames = 0;
    onFrame(): void {
      this.frames++;
    }
  }
  const link = adopt(new Connection());
  link.destroy();
  await link.close();
  expectNoneHeld(pool);
});

test('a server does not listen with options of which no link can be made', async () => {
  const pool = makePool();
  const other = makePool();
  const wrong: [object, RegExp][] = [
    [{ writer: 5 }, /writer must be an object, got 5/],
    [{ writer: { flush: 'x' } }, /flush must be/],
    [{ writer: { headroom: 1e9 } }, /headroom/],
    [{ flusher: 5 }, /flusher must be/],
    [{ flusher: WriteFlusher.create(other) }, /flusher must be a WriteFlusher of the same pool/],
    [{ onError: 5 }, /onError must be a function/],
    [{ host: 5 }, /host must be a string/],
    [{ host: '' }, /^host must not be empty, got ""$/],
  ];
  for (const [options, message] of wrong) {
    const all = { codec, handler: ignore, ...options };
    await expect(TcpServer.listen(pool, all)).rejects.toThrow(message);
    if ('onError' in options) continue;
    await expect(TcpLink.connect(pool, { port: 1, ...all })).rejects.toThrow(message);
  }
  const small: readonly [Codec, RegExp][] = [
    [new LengthPrefixCodec('u32'), /^maxFrameBytes must hold the codec's prefix, 4 bytes, got 3$/],
    [
      new DelimiterCodec('====', { tooLong: 'skip' }),
      /^maxFrameBytes .* delimiter, 4 bytes, got 3/,
    ],
    [{} as Codec, /^codec must return a Codec, got an object/],
  ];
  for (const [wrongCodec, message] of small) {
    const all = { codec: () => wrongCodec, handler: ignore, maxFrameBytes: 3 };
    await expect(TcpServer.listen(pool, all)).rejects.toThrow(message);
    await expect(TcpLink.connect(pool, { port: 1, ...all })).rejects.toThrow(message);
    await expect(new LoopbackNetwork().listen(pool, { port: 1, ...all })).rejects.toThrow(message);
  }
  const make = { codec, handler: ignore };
  for (const [options, message] of [
    [{ path: '' }, /^path must not be empty/],
    [{ port: 1, localAddress: '' }, /^localAddress must not be empty/],
    [{ port: 1, localAddress: 'x' }, /^localAddress must be an IPv4 or IPv6 address, got "x"$/],
  ] as const) {
    const refused = await TcpLink.connect(pool, { ...make, ...options }).catch((error) => error);
    expect(refused).toBeInstanceOf(RangeError);
    expect(refused.message).toMatch(message);
  }
  await expect(TcpServer.listen(pool, { ...make, path: '' })).rejects.toThrow(RangeError);
  expectNoneHeld(pool);
  other.close();
});

test.each(['close', 'destroy'] as const)(
  'a stream that never says what became of a write does not keep the link from its %s',
  async (how) => {
    const pool = makePool();
    const { link, reasons } = makeLink(
      pool,
      makeStream(() => {}),
    );
    link.writer.tryWrite(new Uint8Array(100));
    await until(() => link.stats().writes === 1);
    if (how === 'destroy') link.destroy();
    await link.close({ deadlineMs: 1 });
    expect(reasons).toHaveLength(1);
    expect(link.stats()).toMatchObject({ bytesWritten: 0, lostBytes: 100, queuedBytes: 0 });
    expectNoneHeld(pool);
  },
);

test('an option is read once: what is checked is what is used', async () => {
  const pool = makePool();
  const options = (port: unknown) => {
    let reads = 0;
    return Object.defineProperty({ codec, handler: ignore }, 'port', {
      enumerable: true,
      get: () => (reads++ === 0 ? port : { odd: 1 }),
    }) as never;
  };
  const server = await TcpServer.listen(pool, options(0));
  const link = await TcpLink.connect(pool, options(server.port));
  await Promise.all([link.close(), server.close()]);
  await expect(TcpLink.connect(pool, options('x'))).rejects.toThrow(/^port must be an integer/);
});

test('a handler may pause and resume its link before anything has come', async () => {
  const pool = makePool();
  const server = await TcpServer.listen(pool, { codec, handler: ignore });
  const handler = (link: TcpLink): TcpHandler => {
    link.pause();
    link.resume();
    return { onFrame() {} };
  };
  const link = await TcpLink.connect(pool, { port: server.port, codec, handler });
  expect(link.closed).toBe(false);
  await Promise.all([link.close(), server.close()]);
});

test.each(['close', 'destroy'] as const)(
  'a UDP handler that calls %s and throws leaves no buffer behind',
  async (end) => {
    const pool = makePool();
    const errors: unknown[] = [];
    const others = process.listeners('uncaughtException');
    process.removeAllListeners('uncaughtException');
    process.on('uncaughtException', (error) => errors.push(error));
    try {
      const link = await UdpLink.open(pool, {
        handler: (own) => ({
          onMessage() {
            void own[end]();
            throw new TypeError('thrown');
          },
        }),
      });
      const peer = await UdpLink.open(pool, { handler: () => ({ onMessage() {} }) });
      peer.writerTo({ host: '127.0.0.1', port: link.local.port }).tryWrite(Uint8Array.of(0, 1, 7));
      peer.flush();
      await until(() => link.closed);
      peer.destroy();
      await until(() => errors.length > 0 && pool.stats().held === 0);
    } finally {
      process.removeAllListeners('uncaughtException');
      for (const listener of others) process.on('uncaughtException', listener);
    }
  },
);

test('a payload whose class reports another length is written by its own', async () => {
  const pool = makePool();
  const { link } = makeLink(pool, makeStream());
  class Lying extends Uint8Array {
    override get length(): number {
      return {} as number;
    }
  }
  await link.write(new Lying(5));
  expect(link.tryWrite(new Lying(5))).toBe(true);
  expect(link.bufferedBytes).toBe(18);
  link.destroy();
});

test('who forgets the pool is told so', async () => {
  const must = /^pool must be a BufferPool, got/;
  await expect(TcpServer.listen({ codec } as never, undefined as never)).rejects.toThrow(must);
  await expect(TcpLink.connect({ port: 1, codec } as never, undefined as never)).rejects.toThrow(
    must,
  );
  await expect(UdpLink.open({ mode: 'packed' } as never, undefined as never)).rejects.toThrow(must);
});
