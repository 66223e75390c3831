// SPDX-License-Identifier: MIT
/** What a server reads leaves buffers for what it writes. */

import { once } from 'node:events';
import { connect, type Socket } from 'node:net';
import { expect, test } from 'vitest';
import { BufferAllowance } from '../../framer/buffer-allowance.ts';
import { Framer, LengthPrefixCodec } from '../../framer/index.ts';
import { BufferPool } from '../../pool/index.ts';
import { type TcpLink, TcpServer } from '../index.ts';

const codec = (): LengthPrefixCodec => new LengthPrefixCodec('u32');

test('permits are as many as said, and go to the one that has waited longest', async () => {
  const allowance = new BufferAllowance(2);
  expect([allowance.tryTake(), allowance.tryTake(), allowance.tryTake()]).toEqual([
    true,
    true,
    false,
  ]);
  const served: string[] = [];
  const leaving = new AbortController();
  const wait = (name: string, signal: AbortSignal): Promise<unknown> =>
    allowance.take(signal).then(
      () => served.push(name),
      (reason) => served.push(`${name}: ${reason}`),
    );
  const never = new AbortController().signal;
  const all = [wait('a', leaving.signal), wait('b', never), wait('c', never)];
  expect(allowance.isWanted).toBe(true);
  leaving.abort('left');
  allowance.giveBack();
  allowance.giveBack();
  await Promise.all(all);
  expect(served.sort()).toEqual(['a: left', 'b', 'c']);
  expect([allowance.isWanted, allowance.tryTake()]).toEqual([false, false]);
  allowance.giveBack();
  expect(allowance.tryTake()).toBe(true);
});

test('a framer has one permit while it holds buffers', () => {
  const pool = BufferPool.create({ bufferSize: 256, bufferCount: 8, maxThreads: 1 });
  const allowance = new BufferAllowance(2);
  expect(allowance.tryTake()).toBe(true);
  const [one, other] = [0, 1].map(() => {
    const framer = new Framer(pool, codec(), { maxFrameBytes: 256 });
    framer.limitTo(allowance);
    return framer;
  });
  expect(one.lend()).toBeGreaterThanOrEqual(0);
  expect(other.lend()).toBe(-1);
  // It moves to another buffer while a packet keeps the first.
  one.feed(Uint8Array.of(0, 0, 0, 200, ...new Uint8Array(200), 0, 0, 0, 100));
  const packet = one.tryReceive();
  expect([one.next(), one.nextBuffer()]).toEqual([false, true]);
  expect(other.lend()).toBe(-1);
  one.close();
  expect(other.lend()).toBeGreaterThanOrEqual(0);
  // Given one that it had waited for as well, it has one too many, which goes back.
  other.providePermit();
  expect(other.releaseIdle()).toBe(false);
  expect([allowance.tryTake(), allowance.tryTake()]).toEqual([true, false]);
  other.close();
  expect([allowance.tryTake(), allowance.tryTake()]).toEqual([true, false]);
  packet?.release();
  expect(pool.stats().held).toBe(0);
});

/** More peers than buffers, each with a frame on its way that needs one to be passed on. */
test('more peers than buffers do not stop each other', async () => {
  const pool = BufferPool.create({ bufferSize: 4096, bufferCount: 8, maxThreads: 1 });
  const peers = 64;
  const payload = 'x'.repeat(1000);
  const links: TcpLink[] = [];
  const waiting = new Set<TcpLink>();
  const server = await TcpServer.listen(pool, {
    codec,
    handler: (link) => {
      const index = links.push(link) - 1;
      const { framer } = link;
      let isLeft = false;
      return {
        // Each frame goes to the next link; one for which there is no buffer stays where it is.
        onFrames() {
          const { writer } = links[(index + 1) % peers];
          while (isLeft || framer.next()) {
            const begin = framer.frameOffset - 4;
            isLeft = !writer.tryWrite(pool.bytes, begin, begin + 4 + framer.frameLength);
            if (!isLeft) continue;
            link.pause();
            waiting.add(link);
            return;
          }
        },
      };
    },
  });
  const sockets: Socket[] = [];
  const answers: Promise<number>[] = [];
  for (let i = 0; i < peers; i++) {
    const socket = connect(server.port, '127.0.0.1');
    sockets.push(socket);
    answers.push(
      new Promise((resolve) => {
        let bytes = 0;
        socket.on('data', (chunk) => {
          bytes += chunk.length;
          if (bytes >= 2 * (4 + payload.length)) resolve(bytes);
        });
      }),
    );
    await once(socket, 'connect');
  }
  const frame = Buffer.from(`\0\0\x03\xe8${payload}`, 'latin1');
  const both = Buffer.concat([frame, frame]);
  const turn = (): Promise<void> => new Promise((resolve) => setImmediate(resolve));
  for (const [begin, end] of [
    [0, 600],
    [600, 1500],
    [1500, both.length],
  ]) {
    for (const socket of sockets) socket.write(both.subarray(begin, end));
    await turn();
  }
  let isDone = false;
  const all = Promise.all(answers).then((bytes) => {
    isDone = true;
    return bytes;
  });
  while (!isDone) {
    await turn();
    const now = [...waiting];
    waiting.clear();
    for (const link of now) link.resume();
  }
  expect(await all).toEqual(Array(peers).fill(both.length));
  for (const socket of sockets) socket.destroy();
  await server.close();
  expect(pool.stats().held).toBe(0);
});

test('what can be set is checked', async () => {
  const pool = BufferPool.create({ bufferSize: 4096, bufferCount: 8, maxThreads: 1 });
  const listen = (readBuffersMax: number): Promise<TcpServer> =>
    TcpServer.listen(pool, { codec, handler: () => ({ onFrame: () => {} }), readBuffersMax });
  await expect(listen(0)).rejects.toThrow('readBuffersMax');
  await expect(listen(9)).rejects.toThrow('readBuffersMax');
  await (await listen(8)).close();
});
