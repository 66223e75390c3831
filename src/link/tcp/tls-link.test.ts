// SPDX-License-Identifier: MIT
import { once } from 'node:events';
import { connect, createServer, type TLSSocket } from 'node:tls';
import { expect, test } from 'vitest';
import { LengthPrefixCodec } from '../../framer/index.ts';
import { BufferPool } from '../../pool/index.ts';
import { type TcpHandler, TcpLink } from '../index.ts';

/** A key that both sides know: TLS without certificates. */
const psk = Buffer.from('6275736261722d627573626172', 'hex');
const tls = { ciphers: 'PSK', minVersion: 'TLSv1.2', maxVersion: 'TLSv1.2' } as const;
const codec = (): LengthPrefixCodec => new LengthPrefixCodec('u32');

async function pair() {
  const server = createServer({ ...tls, pskCallback: () => psk, allowHalfOpen: true });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  const accepted = once(server, 'secureConnection').then(([socket]) => socket as TLSSocket);
  const { port } = server.address() as { port: number };
  const client = connect({
    ...tls,
    port,
    host: '127.0.0.1',
    pskCallback: () => ({ psk, identity: 'test' }),
    checkServerIdentity: () => undefined,
  });
  await once(client, 'secureConnect');
  return { server, client, served: await accepted };
}

/** Sends each frame back as it came, prefix and all. */
function echo(link: TcpLink): TcpHandler {
  return {
    onFrame(offset, length) {
      expect(link.writer.tryWrite(link.pool.bytes, offset - 4, offset + length)).toBe(true);
    },
  };
}

test('a TLS socket becomes a link whose bytes are copied once', async () => {
  const pool = BufferPool.create({ bufferSize: 16384, bufferCount: 128, maxThreads: 2 });
  const { server, client, served } = await pair();
  const count = 500;
  const lengths: number[] = [];
  let wrong = 0;
  let done: () => void = () => {};
  const arrived = new Promise<void>((resolve) => {
    done = resolve;
  });
  const far = TcpLink.adopt(pool, served, { codec, handler: echo });
  const near = TcpLink.adopt(pool, client, {
    codec,
    handler: () => ({
      onFrame(offset, length) {
        const expected = lengths.length & 0xff;
        for (let i = 0; i < length; i++) if (pool.bytes[offset + i] !== expected) wrong++;
        lengths.push(length);
        if (lengths.length === count) done();
      },
    }),
  });
  expect([near.ingest, far.ingest]).toEqual(['copy', 'copy']);
  for (let i = 0; i < count; i++) {
    const frame = Buffer.alloc(4 + i, i);
    frame.writeUInt32BE(i);
    expect(near.writer.tryWrite(frame)).toBe(true);
  }
  await arrived;
  expect(wrong).toBe(0);
  expect(lengths).toEqual(Array.from({ length: count }, (_, i) => i));
  expect(near.stats().directReads).toBe(0);
  // Past its stream, bytes would travel as they are.
  expect(near.stats().directWrites).toBe(0);
  await Promise.all([near.close(), far.close()]);
  expect(pool.stats().held).toBe(0);
  server.close();
  pool.close();
});

test('a TLS link that is destroyed in the midst of a write gives every buffer back', async () => {
  const pool = BufferPool.create({ bufferSize: 16384, bufferCount: 128, maxThreads: 2 });
  const { server, client, served } = await pair();
  served.pause();
  let closed: () => void = () => {};
  const gone = new Promise<void>((resolve) => {
    closed = resolve;
  });
  const link = TcpLink.adopt(pool, client, {
    codec,
    handler: () => ({ onFrame() {}, onClose: () => closed() }),
  });
  const bytes = new Uint8Array(8000);
  let accepted = 0;
  for (let still = 0; still < 100; still++) {
    const { bytesWritten } = link.stats();
    for (; link.writer.tryWrite(bytes); still = 0) accepted += bytes.length;
    await new Promise(setImmediate);
    if (link.stats().bytesWritten > bytesWritten) still = 0;
  }
  expect(link.bufferedBytes).toBeGreaterThan(0);
  link.destroy();
  await gone;
  const { bytesWritten, lostBytes } = link.stats();
  expect(bytesWritten + lostBytes).toBe(accepted);
  expect(pool.stats().held).toBe(0);
  served.destroy();
  server.close();
  pool.close();
});
