// SPDX-License-Identifier: MIT
import { expect, test } from 'vitest';
import { until } from '../../test/turns.ts';
import { DelimiterCodec } from '../framer/index.ts';
import { Packet } from '../packet/index.ts';
import { BufferPool, type LeakReport } from '../pool/index.ts';
import { TcpLink, TcpServer, UdpLink } from './index.ts';

const codec = (): DelimiterCodec => new DelimiterCodec('\n');

function create(): BufferPool {
  return BufferPool.create({ bufferSize: 4096, bufferCount: 16, maxThreads: 1, trackLeaks: true });
}

/** The first lines of what was created. */
function firstLines(pool: BufferPool): string[] {
  const leaks = pool.close().leaks as readonly LeakReport[];
  for (const { created } of leaks) expect(created).toMatch(/\n {4}at /);
  return leaks.map(({ created }) => created.split('\n')[0] ?? '').sort();
}

test('the report of a packet that a TCP link received names the link', async () => {
  const pool = create();
  const kept: Packet[] = [];
  const inLoop = await TcpServer.listen(pool, {
    codec,
    name: 'loop',
    handler: async (link) => {
      for await (const packet of link) kept.push(packet);
    },
  });
  const inFrame = await TcpServer.listen(pool, {
    codec,
    name: 'frame',
    handler: (link) => ({ onFrame: () => void kept.push(link.framer.takePacket()) }),
  });
  const clients: TcpLink[] = [];
  for (const { port } of [inLoop, inFrame]) {
    const client = await TcpLink.connect(pool, { port, codec });
    clients.push(client);
    await client.write('hello');
  }
  await until(() => kept.length === 2);
  // Made outside of a delivery.
  kept.push(await Packet.from(pool, 'own'));
  await Promise.all([...clients, inLoop, inFrame].map((end) => end.close()));
  const lines = firstLines(pool);
  expect(lines.slice(1)).toEqual(['received by frame', 'received by loop']);
  expect(lines[0]).toMatch(/^ {4}at /);
  for (const packet of kept) packet.release();
});

test('so does that of a UDP link', async () => {
  const pool = create();
  const kept: Packet[] = [];
  const target = await UdpLink.open(pool, {
    name: 'metrics',
    handler: () => ({ onPacket: (packet) => void kept.push(packet) }),
  });
  const source = await UdpLink.open(pool, { peer: target.local });
  await until(() => {
    if (kept.length === 0) source.tryWrite('a');
    return kept.length > 0;
  });
  await source.close();
  await target.close();
  expect(new Set(firstLines(pool))).toEqual(new Set(['received by metrics']));
  for (const packet of kept) packet.release();
});
