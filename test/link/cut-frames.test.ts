// SPDX-License-Identifier: MIT
/** A frame in parts that its sender gives up: what waits behind it never becomes part of it. */
import { LengthPrefixCodec } from 'busbar/framer';
import { LoopbackNetwork, TcpLink, TcpServer } from 'busbar/link';
import { BufferPool } from 'busbar/pool';
import type { Reservation } from 'busbar/writer';
import { expect, test } from 'vitest';
import { until } from '../turns.ts';

const LARGE = { codec: () => new LengthPrefixCodec('u32'), maxFrameBytes: 2 ** 31 };
const LENGTH = 2 ** 20;
const OF_THE_FRAME = 65;
const OF_OTHERS = 66;
const CLOSED = ['ERR_BUSBAR_LINK_CLOSED', 'ERR_BUSBAR_WRITER_CLOSED'];
/** More than the lane of a writer has room for: the link cannot flush all of them at once. */
const RESERVED = 24;

test.each([
  ['TCP', 'close'],
  ['TCP', 'end'],
  ['loopback', 'close'],
  ['loopback', 'end'],
] as const)('%s: %s() within a frame, with others behind it', async (how, ending) => {
  const pool = BufferPool.create({ bufferSize: 1024, bufferCount: 96, maxThreads: 1 });
  const network = new LoopbackNetwork();
  const isTcp = how === 'TCP';
  const server = await (isTcp ? TcpServer.listen(pool, LARGE) : network.listen(pool, LARGE));
  const mine = { ...LARGE, port: server.port };
  const near = await (isTcp ? TcpLink.connect(pool, mine) : network.connect(pool, mine));
  await until(() => server.links.size > 0);
  const [far] = server.links;
  const whole: Reservation[] = [];
  // Each in a buffer of its own.
  while (whole.length < RESERVED) whole.push(await near.reserveFrame(600));
  const other = new Uint8Array(1000).fill(OF_OTHERS);
  let isBegun = false;
  const source = (async function* () {
    yield new Uint8Array(1000).fill(OF_THE_FRAME);
    isBegun = true;
    await new Promise(() => {});
  })();
  const calls = [
    near.writeFrame(LENGTH, source),
    near.write(other),
    near.writeFrame(3000, [other, other, other]),
    near.write(new Uint8Array(3000).fill(OF_OTHERS)),
    near.reserveFrame(500).then((space) => {
      space.bytes.fill(OF_OTHERS);
      space.commit();
    }),
  ];
  await until(() => isBegun);
  for (const space of whole) {
    space.bytes.fill(OF_THE_FRAME);
    space.commit();
  }
  void near[ending]();
  const results = Promise.all(calls.map((call) => call.then(String, (error) => error.code)));
  const seen = new Set<number>();
  let code: unknown;
  try {
    for await (const frame of (far as TcpLink).frames()) {
      for await (const packet of frame) {
        for (const byte of packet.bytes) seen.add(byte);
        packet.release();
      }
    }
  } catch (error) {
    code = (error as { code?: unknown }).code;
  }
  expect(seen).not.toContain(OF_OTHERS);
  expect(code).toBe('ERR_BUSBAR_LINK_TRUNCATED');
  for (const result of await results) expect(CLOSED).toContain(result);
  await server.close();
  await near.close();
  expect(pool.close()).toMatchObject({ heldByThreads: 0 });
});
