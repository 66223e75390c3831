// SPDX-License-Identifier: MIT
/** Messages larger than a buffer: uploads, HTTP bodies, WebSocket messages, and how they end. */
import { createHash } from 'node:crypto';
import { connect } from 'node:net';
import { type Codec, DelimiterCodec, LengthPrefixCodec } from 'busbar/framer';
import { LoopbackNetwork, TcpLink, type TcpLinkOptions, TcpServer } from 'busbar/link';
import { BufferPool } from 'busbar/pool';
import { describe, expect, test } from 'vitest';
import { HttpCodec } from '../first-day/http-codec.ts';
import { turn, until } from '../turns.ts';

const codec = (): LengthPrefixCodec => new LengthPrefixCodec('u32');
const LARGE = { codec, maxFrameBytes: 2 ** 31 };
const CLEAN = { heldByThreads: 0, inTransit: 0 };

const newPool = (bufferSize = 1024, bufferCount = 32): BufferPool =>
  BufferPool.create({ bufferSize, bufferCount, maxThreads: 1 });

/** Bytes that differ from place to place. */
function bytesOf(count: number, seed: number): Uint8Array {
  const words = new Uint32Array(Math.ceil(count / 4));
  for (let i = 0; i < words.length; i++) words[i] = Math.imul(i ^ seed, 0x9e3779b1);
  return new Uint8Array(words.buffer, 0, count);
}

const hashOf = (...pieces: Uint8Array[]): string => {
  const hash = createHash('sha1');
  for (const piece of pieces) hash.update(piece);
  return hash.digest('hex');
};

interface Ends {
  readonly near: TcpLink;
  readonly far: TcpLink;
  close(): Promise<void>;
}

async function open(
  how: string,
  pool: BufferPool,
  far: Omit<TcpLinkOptions, 'codec'>,
  near: Partial<TcpLinkOptions> = {},
): Promise<Ends> {
  const network = new LoopbackNetwork({ seed: 7, delayMs: [0, 1] });
  const ingest = how === 'copied' ? 'copy' : 'direct';
  const options = { ...LARGE, ingest, ...far } as const;
  const mine = { ...LARGE, ...near };
  const isLoopback = how === 'loopback';
  const server = isLoopback
    ? await network.listen(pool, options)
    : await TcpServer.listen(pool, options);
  const { port } = server;
  const link = isLoopback
    ? await network.connect(pool, { ...mine, port })
    : await TcpLink.connect(pool, { ...mine, port });
  await until(() => server.links.size > 0);
  const [accepted] = server.links;
  return {
    near: link,
    far: accepted as TcpLink,
    async close() {
      link.destroy();
      await link.close();
      await server.close();
      expect(pool.close()).toMatchObject(CLEAN);
    },
  };
}

describe.each(['TCP', 'copied', 'loopback'])('%s', (how) => {
  test('frames of all lengths, one after the other, to onFramePart and to frames()', async () => {
    const lengths = [0, 1, 900, 1020, 1021, 5000, 3, 300_000, 1024, 70_000, 5];
    const sent = lengths.map((length, i) => bytesOf(length, i));
    const got: string[] = [];
    const parts: Uint8Array[] = [];
    let next = 0;
    const { near, far, close } = await open(how, newPool(), {
      handler: () => ({
        onFramePart(offset, length, position, rest, _id, link) {
          expect(position).toBe(next);
          expect(rest).toBe((lengths[got.length] as number) - position - length);
          if (lengths[got.length] === 1020) expect([position, rest]).toEqual([0, 0]);
          parts.push(link.pool.bytes.slice(offset, offset + length));
          next = rest === 0 ? 0 : position + length;
          if (rest === 0) got.push(hashOf(...parts.splice(0)));
        },
      }),
    });
    const back = (async () => {
      const hashes: string[] = [];
      for await (const frame of near.frames()) {
        const hash = createHash('sha1');
        let count = 0;
        for await (const packet of frame) {
          hash.update(packet.bytes);
          count += packet.length;
          packet.release();
        }
        expect(count).toBe(frame.length);
        hashes.push(hash.digest('hex'));
        if (hashes.length === lengths.length) return hashes;
      }
      return hashes;
    })();
    // Callers that do not wait for each other are served in order.
    for (const end of [near, far]) void Promise.all(sent.map((bytes) => end.write(bytes)));
    const hashes = sent.map((bytes) => hashOf(bytes));
    expect(await back).toEqual(hashes);
    await until(() => got.length === lengths.length);
    expect(got).toEqual(hashes);
    expect(near.pool.stats().held).toBeLessThan(12);
    await close();
  });

  test('what a program does not read of a frame is dropped, and the link goes on', async () => {
    const { near, far, close } = await open(how, newPool(), {});
    const sent = [bytesOf(20_000, 1), bytesOf(7, 2), bytesOf(30_000, 3), bytesOf(9, 4)];
    void Promise.all(sent.map((bytes) => near.write(bytes)));
    const seen: (number | undefined)[] = [];
    for await (const frame of far.frames()) {
      seen.push(frame.length);
      if (seen.length === 1) (await frame.receive())?.release();
      if (seen.length === 3) break;
    }
    for await (const frame of far.frames()) {
      seen.push(frame.length);
      break;
    }
    expect(seen).toEqual([20_000, 7, 30_000, 9]);
    await close();
  });

  test('a frame that its peer does not end is an error, and leaves nothing', async () => {
    for (const end of ['end', 'destroy', 'local'] as const) {
      const { near, far, close } = await open(how, newPool(), {});
      const source = (async function* () {
        yield bytesOf(10_000, 1);
        await until(() => read >= 10_000);
        if (end === 'end') near.end();
        else if (end === 'destroy') near.destroy();
        else void far.close();
        await until(() => isOver);
        yield bytesOf(10_000, 2);
      })();
      let read = 0;
      let isOver = false;
      const writing = near.writeFrame(20_000, source).catch((error) => error);
      const reading = (async () => {
        for await (const frame of far.frames()) {
          for await (const packet of frame) {
            read += packet.length;
            packet.release();
          }
        }
      })();
      const codes = end === 'local' ? /TRUNCATED/ : /TRUNCATED|LINK_FAILED/;
      await expect(reading).rejects.toMatchObject({ code: expect.stringMatching(codes) });
      expect(read).toBe(10_000);
      isOver = true;
      await writing;
      await close();
    }
  });
});

test('an upload of 100 MiB in constant memory', async () => {
  const pool = newPool(65_536, 64);
  const { near, far, close } = await open('TCP', pool, {});
  const piece = bytesOf(1 << 20, 5);
  const sent = createHash('sha1');
  async function* file(): AsyncGenerator<Uint8Array> {
    for (let i = 0; i < 100; i++) {
      piece[0] = i;
      sent.update(piece);
      yield piece;
    }
  }
  const writing = near.writeFrame(100 << 20, file());
  const got = createHash('sha1');
  let held = 0;
  for await (const frame of far.frames()) {
    expect(frame.length).toBe(100 << 20);
    for await (const packet of frame) {
      got.update(packet.bytes);
      packet.release();
      held = Math.max(held, pool.stats().held);
    }
    break;
  }
  await writing;
  expect(got.digest('hex')).toBe(sent.digest('hex'));
  expect(held).toBeLessThan(32);
  await close();
});

/** A payload of 17 bytes whose second piece comes after `goOn`. */
function hesitating() {
  let goOn = (): void => {};
  const pause = new Promise<void>((resolve) => {
    goOn = resolve;
  });
  const source = (async function* () {
    yield 'a text, ';
    await pause;
    yield 'and bytes';
  })();
  return { source, goOn: () => goOn() };
}

test('meanwhile a frame in parts is under way, other calls wait or return "not now"', async () => {
  const { near, far, close } = await open('loopback', newPool(), {});
  const { source, goOn } = hesitating();
  const writing = near.writeFrame(17, source);
  await turn();
  expect(near.tryWrite('x')).toBe(false);
  expect(near.tryReserveFrame(1)).toBeUndefined();
  const packet = await import('busbar/packet').then((m) => m.Packet.tryFrom(near.pool, '\0\0\0\0'));
  if (packet === undefined) throw new Error('no buffer');
  expect(near.trySend(packet)).toBe(false);
  packet.release();
  const next = near.write('next');
  goOn();
  await Promise.all([writing, next]);
  const texts: string[] = [];
  for await (const frame of far.frames()) {
    let text = '';
    for await (const part of frame) {
      text += part.toString();
      part.release();
    }
    texts.push(text);
    if (texts.length === 2) break;
  }
  expect(texts).toEqual(['a text, and bytes', 'next']);
  await close();
});

test('a call that gives up in its turn harms neither link nor frame under way', async () => {
  const { near, far, close } = await open('loopback', newPool(), {});
  const { source, goOn } = hesitating();
  const writing = near.writeFrame(17, source);
  await turn();
  const long = new Uint8Array(5000);
  const late = { code: 'ERR_BUSBAR_TIMEOUT' };
  await expect(near.writeFrame(1, ['x'], { timeoutMs: 1 })).rejects.toMatchObject(late);
  await expect(near.write(long, { timeoutMs: 1 })).rejects.toMatchObject(late);
  await expect(near.write(long, { timeoutMs: -1 })).rejects.toThrow(RangeError);
  const signal = AbortSignal.abort(new Error('enough'));
  await expect(near.writeFrame(1, ['x'], { signal })).rejects.toThrow('enough');
  expect([near.closed, near.error]).toEqual([false, undefined]);
  goOn();
  await writing;
  for await (const frame of far.frames()) {
    expect(frame.length).toBe(17);
    break;
  }
  await close();
});

/** Gives 3 bytes, then nothing, whatever happens. */
function silent(isEnded: () => void, asked = () => {}): AsyncIterable<string> {
  let count = 0;
  const next = (): Promise<IteratorResult<string>> => {
    if (count++ === 0) return Promise.resolve({ done: false, value: 'abc' });
    asked();
    return new Promise(() => {});
  };
  const end = (): Promise<never> => {
    isEnded();
    return new Promise(() => {});
  };
  return { [Symbol.asyncIterator]: () => ({ next, return: end }) };
}

test.each(['timeoutMs', 'signal', 'destroy', 'close', 'end', 'peer'] as const)(
  'a source that stays silent: %s ends the frame, the link, and who waits',
  async (how) => {
    const { near, far, close } = await open('loopback', newPool(), {});
    let ends = 0;
    const ending = new AbortController();
    const limits = how === 'timeoutMs' ? { timeoutMs: 20 } : { signal: ending.signal };
    const settled: string[] = [];
    const asked = new Promise<void>((resolve) => {
      const writing = near.writeFrame(
        10,
        silent(() => ends++, resolve),
        limits,
      );
      writing.catch((error) => settled.push(`frame ${error.code ?? error.message}`));
    });
    const next = near.write('next').catch(() => settled.push('next'));
    await asked;
    if (how === 'signal') ending.abort(new Error('enough'));
    else if (how === 'peer') far.destroy();
    else if (how !== 'timeoutMs') void near[how]();
    await next;
    const code = how === 'timeoutMs' ? 'ERR_BUSBAR_TIMEOUT' : 'ERR_BUSBAR_LINK_CLOSED';
    expect(settled).toEqual([`frame ${how === 'signal' ? 'enough' : code}`, 'next']);
    expect(ends).toBe(1);
    await close();
  },
);

test('a source that ends its own link within next() is ended after that', async () => {
  const { near, close } = await open('loopback', newPool(), {});
  let isEnded = false;
  const source = (function* () {
    try {
      yield 'abc';
      near.destroy();
      yield 'def';
    } finally {
      isEnded = true;
    }
  })();
  const closed = { code: 'ERR_BUSBAR_LINK_CLOSED' };
  await expect(near.writeFrame(10, source)).rejects.toMatchObject(closed);
  expect(isEnded).toBe(true);
  await close();
});

test('a frame with fewer or more bytes than its length closes the link', async () => {
  for (const pieces of [['ab'], ['abc', 'de']]) {
    const handler = () => ({ onFramePart() {} });
    const { near, far, close } = await open('loopback', newPool(), { handler });
    await expect(near.writeFrame(4, pieces)).rejects.toThrow(/^the source has/);
    expect(near.error).toMatchObject({ code: 'ERR_BUSBAR_LINK_CLOSED' });
    await until(() => far.closed);
    await close();
  }
});

test('a frame in parts waits for its peer, at most as long as it may', async () => {
  const { near, far, close } = await open('TCP', newPool(), {}, { highWaterBytes: 4096 });
  far.pause();
  const ending = new AbortController();
  const writing = near.write(new Uint8Array(64 << 20), { signal: ending.signal });
  await until(() => !near.writable);
  expect(near.pool.stats().held).toBeLessThan(24);
  ending.abort(new Error('enough'));
  await expect(writing).rejects.toThrow('enough');
  expect(near.closed || near.error !== undefined).toBe(true);
  far.destroy();
  await close();
});

test('an iterator whose next() gives no object ends the link, as any failed source', async () => {
  const { far, close } = await open('loopback', newPool(), {});
  const source = { [Symbol.iterator]: () => ({ next: () => 7 }) };
  const writing = far.writeFrame(5, source as never);
  await expect(writing).rejects.toThrow(/^next\(\) of source must return/);
  expect(far.error).toMatchObject({ code: 'ERR_BUSBAR_LINK_CLOSED' });
  await close();
});

test('misuse is told: callbacks of whole frames, packets, codecs with an end', async () => {
  const pool = newPool();
  const lines = () => new DelimiterCodec('\n');
  const { near, far, close } = await open('loopback', pool, {}, { codec: lines });
  await expect(near.writeFrame(5, ['hello'])).rejects.toThrow(/encodes: 'head'/);
  for (const source of ['hello', new Uint8Array(5), 5, null, {}]) {
    const writing = far.writeFrame(5, source as never);
    await expect(writing).rejects.toThrow(/^source must be an iterable of pieces, got /);
  }
  for (const iterator of [3, null, {}, { next: 3 }]) {
    const writing = far.writeFrame(5, { [Symbol.asyncIterator]: () => iterator } as never);
    await expect(writing).rejects.toThrow(/^the iterator of source must have next\(\), got /);
  }
  await expect(near.write('x'.repeat(2000))).rejects.toMatchObject({
    code: 'ERR_BUSBAR_MESSAGE_TOO_LARGE',
  });
  expect(near.tryWrite('goes on')).toBe(true);
  const beyond = /frames\(\)/;
  expect(() => far.tryReceive()).toThrow(beyond);
  await expect(far.receive()).rejects.toThrow(beyond);
  await expect(far.handle(() => {})).rejects.toThrow(beyond);
  expect(() => far[Symbol.asyncIterator]()).toThrow(beyond);
  const handler = () => ({ onFrame() {} });
  await expect(open('loopback', pool, {}, { handler })).rejects.toThrow(/onFramePart in place of/);
  const skipping = { codec: () => new DelimiterCodec('\n', { tooLong: 'skip' }) };
  await expect(open('loopback', pool, {}, skipping)).rejects.toThrow(/maxFrameBytes/);
  near.destroy();
  await close();
});

test('HTTP: bodies of any length, between requests without one', async () => {
  const pool = newPool(4096, 16);
  const server = await TcpServer.listen(pool, {
    codec: () => new HttpCodec(),
    maxFrameBytes: 1 << 24,
    handler: async (link) => {
      for await (const request of link.frames()) {
        const hash = createHash('sha1');
        let head = '';
        for await (const packet of request) {
          // The head is in the first packet: the codec has seen all of it.
          const at = head === '' ? Buffer.from(packet.bytes).indexOf('\r\n\r\n') + 4 : 0;
          head ||= Buffer.from(packet.bytes.slice(0, at)).toString();
          hash.update(packet.bytes.subarray(at));
          packet.release();
        }
        const body = `${head.split(' ', 2).join(' ')} ${hash.digest('hex')}\n`;
        await link.drained();
        link.writer.tryWrite(`HTTP/1.1 200 OK\r\ncontent-length: ${body.length}\r\n\r\n${body}`);
      }
    },
  });
  const bodies = [bytesOf(3_000_000, 1), bytesOf(0, 0), bytesOf(100, 2), bytesOf(5000, 3)];
  const socket = connect(server.port).setEncoding('latin1');
  for (const [i, body] of bodies.entries()) {
    socket.write(`POST /${i} HTTP/1.1\r\nContent-Length: ${body.length}\r\n\r\n`);
    socket.write(body);
  }
  let text = '';
  for await (const data of socket) {
    text += data;
    if (text.includes('POST /3')) break;
  }
  expect(text.match(/^POST.*$/gm)).toEqual(bodies.map((body, i) => `POST /${i} ${hashOf(body)}`));
  await server.close();
  expect(pool.close()).toMatchObject(CLEAN);
});

/** Frames of RFC 6455, as a server gets them: masked. The head stays before the payload. */
class WebSocketCodec implements Codec {
  payloadSkip = 0;
  readonly payloadTrim = 0;

  measure(bytes: Uint8Array, begin: number, end: number): number {
    const { buffer, byteOffset, byteLength } = bytes;
    const view = new DataView(buffer, byteOffset, byteLength);
    if (end - begin < 2) return 0;
    const short = view.getUint8(begin + 1) & 127;
    const extra = short < 126 ? 0 : short === 126 ? 2 : 8;
    this.payloadSkip = 2 + extra + 4;
    if (end - begin < this.payloadSkip) return 0;
    if (extra === 0) return this.payloadSkip + short;
    const long = extra === 2 ? view.getUint16(begin + 2) : Number(view.getBigUint64(begin + 2));
    return this.payloadSkip + long;
  }
}

function webSocketFrame(opcode: number, isLast: boolean, payload: Uint8Array): Uint8Array {
  const head = Buffer.alloc(14);
  head[0] = (isLast ? 128 : 0) | opcode;
  head[1] = 128 | 127;
  head.writeBigUInt64BE(BigInt(payload.length), 2);
  head.set([1, 2, 3, 4], 10);
  return Buffer.concat([head, payload.map((byte, i) => byte ^ (head[10 + (i & 3)] as number))]);
}

test('WebSocket: a message in fragments beyond a buffer, with a ping between them', async () => {
  const pool = newPool(4096, 16);
  const message: number[] = [];
  const seen: string[] = [];
  const mask = new Uint8Array(4);
  let head = 0;
  const server = await TcpServer.listen(pool, {
    codec: () => new WebSocketCodec(),
    maxFrameBytes: 1 << 20,
    handler: (link) => ({
      onFramePart(offset, length, position, rest) {
        if (position === 0) {
          const begin = offset - (link.framer.codec?.payloadSkip as number);
          head = pool.bytes[begin] as number;
          mask.set(pool.bytes.subarray(offset - 4, offset));
        }
        for (let i = 0; i < length; i++) {
          const byte = (pool.bytes[offset + i] as number) ^ (mask[(position + i) & 3] as number);
          if ((head & 15) !== 9) message.push(byte);
        }
        if (rest === 0) seen.push(`${head & 15}${head & 128 ? ' last' : ''}`);
      },
    }),
  });
  const whole = bytesOf(150_000, 9);
  const socket = connect(server.port);
  socket.write(webSocketFrame(2, false, whole.subarray(0, 70_000)));
  socket.write(webSocketFrame(9, true, bytesOf(4, 1)));
  socket.write(webSocketFrame(0, false, whole.subarray(70_000, 140_000)));
  socket.write(webSocketFrame(0, true, whole.subarray(140_000)));
  await until(() => seen.length === 4);
  expect(seen).toEqual(['2', '9 last', '0', '0 last']);
  expect(hashOf(Uint8Array.from(message))).toBe(hashOf(whole));
  socket.destroy();
  await server.close();
  expect(pool.close()).toMatchObject(CLEAN);
});
