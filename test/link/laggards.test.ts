// SPDX-License-Identifier: MIT
/** Links, of which some have peers that do not read: the others get everything. */

import { LengthPrefixCodec } from 'busbar/framer';
import { LoopbackNetwork, TcpLink, type TcpLinkOptions, TcpServer } from 'busbar/link';
import { Packet, PacketWriter } from 'busbar/packet';
import { BufferPool } from 'busbar/pool';
import { expect, test } from 'vitest';
import { until } from '../turns.ts';

const codec = (): LengthPrefixCodec => new LengthPrefixCodec('u32');

interface Shape {
  readonly links: number;
  readonly laggards: number;
  readonly messageBytes: number;
  readonly bufferSize: number;
}

interface Crowd {
  readonly pool: BufferPool;
  readonly server: TcpServer;
  readonly quick: readonly TcpLink[];
  readonly still: readonly TcpLink[];
  /** Messages that a quick peer got. */
  readonly received: ReadonlyMap<TcpLink, number>;
  close(): Promise<void>;
}

/** Peers in a pool of their own; `pool` has as many buffers as it plans. */
async function gather(shape: Shape, packets: boolean, onLoopback: boolean): Promise<Crowd> {
  const { links, laggards, messageBytes, bufferSize } = shape;
  const draft = BufferPool.create({ bufferSize, bufferCount: 1, maxThreads: 1 });
  const { bufferCount } = draft.plan({ links, laggards, messageBytes, packets });
  const pool = BufferPool.create({ bufferSize, bufferCount, maxThreads: 1 });
  const peers = BufferPool.create({ bufferSize: 4096, bufferCount: 4096, maxThreads: 1 });
  const network = new LoopbackNetwork({ seed: 1 });
  const host = '127.0.0.1';
  const options = { codec, handler: () => ({ onFrame() {} }) };
  const server = onLoopback
    ? await network.listen(pool, { ...options, host, port: 7 })
    : await TcpServer.listen(pool, { ...options, host });
  const received = new Map<TcpLink, number>();
  const still: TcpLink[] = [];
  const quick: TcpLink[] = [];
  for (let i = 0; i < links; i++) {
    const connecting: TcpLinkOptions = {
      codec,
      handler: (link) => ({
        onFrame(_offset, length) {
          const count = received.get(link);
          if (count !== undefined && length === messageBytes - 4) received.set(link, count + 1);
        },
      }),
    };
    const where = { ...connecting, host, port: server.port };
    const peer = await (onLoopback ? network.connect(peers, where) : TcpLink.connect(peers, where));
    if (i < laggards) peer.pause();
    (i < laggards ? still : quick).push(peer);
    if (i >= laggards) received.set(peer, 0);
  }
  await until(() => server.links.size === links);
  const close = async (): Promise<void> => {
    for (const link of [...still, ...quick, ...server.links]) link.destroy();
    await server.close();
    await until(() => [...still, ...quick].every((link) => link.closed));
    expect([pool.stats().held, peers.stats().held]).toEqual([0, 0]);
  };
  return { pool, server, quick, still, received, close };
}

function message(length: number): Buffer {
  const bytes = Buffer.alloc(length);
  bytes.writeUInt32BE(length - 4);
  return bytes;
}

const THOUSAND = { links: 1000, laggards: 100, messageBytes: 1000, bufferSize: 4096 };

test('of 1000 links 100 stand still: 900 get every packet', async () => {
  const { pool, server, quick, received, close } = await gather(THOUSAND, true, true);
  const bytes = message(THOUSAND.messageBytes);
  const writer = new PacketWriter(pool);
  let sent = 0;
  let refused = 0;
  const fan = async (turns: number, make: () => Packet | undefined): Promise<void> => {
    for (let turn = 0; turn < turns; turn++) {
      for (let i = 0; i < 5; i++) {
        using packet = make();
        if (packet === undefined) throw new Error(`no buffer for message ${sent}`);
        for (const link of server.links) {
          const copy = packet.clone();
          if (link.trySend(copy)) continue;
          refused++;
          copy.release();
        }
        sent++;
      }
      await until(() => [...received.values()].every((count) => count === sent));
    }
    expect([...new Set(quick.map((link) => received.get(link)))]).toEqual([sent]);
  };
  await fan(20, () => writer.tryWrite(bytes));
  // Of 100 kB each, a connection holds some, so that less than a byte in four waits here.
  expect(pool.stats().held).toBeLessThan(30);
  // A buffer for each message, as in a first attempt: the laggards hold their share.
  await fan(40, () => Packet.tryFrom(pool, bytes));
  expect(refused).toBeGreaterThan(0);
  expect([...server.links].filter((link) => link.writable).length).toBe(900);
  expect(pool.stats().held).toBeLessThanOrEqual(pool.bufferCount / 2 + 1);
  writer.close();
  await close();
}, 60_000);

test('the same with a writer for each, asked whether it is writable', async () => {
  const { pool, server, quick, received, close } = await gather(THOUSAND, false, true);
  const bytes = message(THOUSAND.messageBytes);
  let sent = 0;
  for (let turn = 0; turn < 60; turn++) {
    for (const link of server.links) {
      for (let i = 0; i < 3 && link.writable; i++) {
        if (!link.writer.tryWrite(bytes)) throw new Error(`no buffer in turn ${turn}`);
      }
    }
    sent += 3;
    await until(() => [...received.values()].every((count) => count === sent));
  }
  expect([...new Set(quick.map((link) => received.get(link)))]).toEqual([sent]);
  expect([...server.links].filter((link) => link.writable).length).toBe(900);
  // And the buffer that each of their writers has begun.
  expect(pool.stats().held).toBeLessThanOrEqual(pool.bufferCount / 2 + THOUSAND.laggards);
  await close();
}, 60_000);

test('over TCP, a peer that stands still takes its share of the pool, and no more', async () => {
  const shape = { links: 10, laggards: 1, messageBytes: 4096, bufferSize: 4096 };
  const { pool, server, quick, received, close } = await gather(shape, true, false);
  const bytes = message(shape.messageBytes);
  let sent = 0;
  const isStalled = (): boolean => [...server.links].some((link) => !link.writable);
  for (let more = 100; more > 0; more -= isStalled() ? 1 : 0) {
    const packet = Packet.tryFrom(pool, bytes);
    if (packet === undefined) throw new Error(`no buffer for message ${sent}`);
    for (const link of server.links) {
      const copy = packet.clone();
      if (!link.trySend(copy)) copy.release();
    }
    packet.release();
    sent++;
    await until(() => [...received.values()].every((count) => count === sent));
  }
  expect([...new Set(quick.map((link) => received.get(link)))]).toEqual([sent]);
  expect(pool.stats().held).toBeLessThanOrEqual(pool.bufferCount / 4 + 1);
  await close();
}, 60_000);
