// SPDX-License-Identifier: MIT
/** Handlers of borrowed bytes that return a promise: refused on every kind of link, at once. */
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { LengthPrefixCodec } from 'busbar/framer';
import { LoopbackNetwork, TcpLink, type TcpLinkOptions, TcpServer, UdpLink } from 'busbar/link';
import { native } from 'busbar/native';
import { BufferPool } from 'busbar/pool';
import { expect, test } from 'vitest';
import { until } from '../turns.ts';
import { nextUncaught } from '../uncaught.ts';
import { linkKinds } from './kinds.ts';
import { Trial } from './trial.ts';

const REFUSED = { code: 'ERR_BUSBAR_HANDLER_RESULT' };

test.each(linkKinds.map((kind) => [kind.name, kind] as const))('%s', async (_name, kind) => {
  let calls = 0;
  const onMessage = async (): Promise<void> => {
    calls++;
    await undefined;
    throw new Error('nobody hears this');
  };
  const trial = await Trial.open(kind, { farEvents: { onMessage } });
  const thrown = nextUncaught();
  while (trial.got.length + calls === 0) {
    trial.send(0, 100);
    trial.near.flush();
    await new Promise(setImmediate);
  }
  const error = await thrown;
  expect(error).toMatchObject(REFUSED);
  expect(error.message).toContain('for await (const packet of link)');
  await until(() => trial.far.closed);
  expect([trial.far.error?.cause, calls]).toEqual([error, 1]);
  await trial.close();
});

type Open = (
  pool: BufferPool,
  options: TcpLinkOptions,
  codec: TcpLinkOptions['codec'],
) => Promise<[TcpServer, TcpLink]>;

const opening: Readonly<Record<string, Open>> = {
  async TCP(pool, options, codec) {
    const server = await TcpServer.listen(pool, options);
    return [server, await TcpLink.connect(pool, { codec, port: server.port })];
  },
  async 'Unix socket'(pool, options, codec) {
    const folder = mkdtempSync(join(tmpdir(), 'busbar-'));
    const path = process.platform === 'win32' ? `\\\\.\\pipe\\${folder}` : join(folder, 'socket');
    const server = await TcpServer.listen(pool, { ...options, path });
    const link = await TcpLink.connect(pool, { codec, path });
    rmSync(folder, { recursive: true });
    return [server, link];
  },
  async loopback(pool, options, codec) {
    const network = new LoopbackNetwork();
    const server = await network.listen(pool, options);
    return [server, await network.connect(pool, { codec, port: server.port })];
  },
};

test.each(Object.entries(opening))('%s: onFrames, onFramePart', async (_name, open) => {
  for (const which of ['onFrames', 'onFramePart'] as const) {
    const pool = BufferPool.create({ bufferSize: 1024, bufferCount: 32, maxThreads: 1 });
    const codec = (): LengthPrefixCodec => new LengthPrefixCodec('u32');
    const limit = which === 'onFramePart' ? { maxFrameBytes: 1 << 20 } : {};
    let calls = 0;
    let closing: Error | undefined;
    const handler = () => ({
      [which]: async () => {
        calls++;
      },
      onClose(_link: unknown, error: Error | undefined) {
        closing = error;
      },
    });
    const [server, link] = await open(pool, { codec, handler, ...limit }, codec);
    const thrown = nextUncaught();
    await link.write('hello');
    const error = await thrown;
    expect(error).toMatchObject(REFUSED);
    await until(() => closing !== undefined);
    expect([calls, closing?.cause]).toEqual([1, error]);
    link.destroy();
    await link.close();
    await server.close();
    expect(pool.close()).toMatchObject({ heldByThreads: 0, inTransit: 0 });
  }
});

// Without the shim there are none.
if (native.features.udp.available) {
  test('datagrams of a Unix socket', async () => {
    const folder = mkdtempSync(join(tmpdir(), 'busbar-'));
    const path = join(folder, 'socket');
    const pool = BufferPool.create({ bufferSize: 1024, bufferCount: 64, maxThreads: 1 });
    const far = await UdpLink.open(pool, { path, handler: () => ({ onMessage: async () => {} }) });
    const near = await UdpLink.open(pool, {
      path: join(folder, 'other'),
      peer: { path },
      handler: () => ({ onMessage() {} }),
    });
    const thrown = nextUncaught();
    await near.write('hello');
    expect(await thrown).toMatchObject(REFUSED);
    await until(() => far.closed);
    await near.close();
    rmSync(folder, { recursive: true });
    expect(pool.close()).toMatchObject({ heldByThreads: 0, inTransit: 0 });
  });
}
