// SPDX-License-Identifier: MIT
/** Links of every kind, read and written by programs that await. */
import { inspect } from 'node:util';
import { Datagram, type TcpLink, type UdpLink } from 'busbar/link';
import type { Packet } from 'busbar/packet';
import { BufferPool } from 'busbar/pool';
import { describe, expect, test } from 'vitest';
import { framed, numberOf, upTo } from '../numbered.ts';
import { settle, turn, until } from '../turns.ts';
import { type LinkKind, linkKinds } from './kinds.ts';

type Both = TcpLink | UdpLink;

async function open(kind: LinkKind): Promise<{ near: Both; far: Both; close(): Promise<void> }> {
  const pool = BufferPool.create({ bufferSize: 4096, bufferCount: 48, maxThreads: 1 });
  const end = { pool, events: undefined };
  const pair = await kind.open({ ...end, highWaterBytes: 16_384 }, end);
  const near = pair.near as Both;
  const far = pair.far as Both;
  return {
    near,
    far,
    async close() {
      near.destroy();
      far.destroy();
      await pair.close();
      await until(() => near.closed && far.closed);
      expect(pool.close()).toMatchObject({ heldByThreads: 0, inTransit: 0 });
    },
  };
}

/** The payload of a numbered message, without its length. */
const message = (n: number, length: number): Uint8Array => framed(n, length).subarray(2);

const idOf = ({ pool, offset, length }: Packet): number => numberOf(pool.bytes, offset, length);

describe.each(linkKinds.map((kind) => [kind.name, kind] as const))('%s', (_name, kind) => {
  test('for await has every message, in order, and writers that wait', async () => {
    const { near, far, close } = await open(kind);
    const got: number[] = [];
    const reading = (async () => {
      for await (const packet of far) {
        got.push(idOf(packet));
        if (packet instanceof Datagram) {
          expect(inspect(packet)).toMatch(/^Datagram.*127\.0\.0\.1/s);
          expect([packet.sourcePort, packet.truncated]).toEqual([
            (near as UdpLink).local.port,
            false,
          ]);
          expect(packet.source().toString()).toBe(`127.0.0.1:${packet.sourcePort}`);
          expect(packet.sourceHost).toBe(0x7f000001);
        } else {
          expect(kind.isStream).toBe(true);
        }
        packet.release();
        if (got.length === 300) break;
      }
    })();
    for (let n = 0; n < 300; n++) {
      await near.write(message(n, 8 + (n % 500)));
      // A datagram that finds no room would be lost.
      if (!kind.isStream && n % 20 === 19) await until(() => got.length > n);
    }
    await reading;
    expect(got).toEqual(upTo(300));
    await near.drained();
    await close();
  });

  test('receive, tryReceive and handle: in order, or so many at once as allowed', async () => {
    const { near, far, close } = await open(kind);
    await expect(far.receive({ timeoutMs: 0 })).rejects.toMatchObject({
      code: 'ERR_BUSBAR_TIMEOUT',
    });
    const first = far.receive();
    for (let n = 0; n < 8; n++) await near.write(message(n, 100));
    const taken = [await first];
    await until(() => {
      const packet = far.tryReceive();
      if (packet !== undefined) taken.push(packet);
      return taken.length === 3;
    });
    for (const [n, packet] of taken.entries()) {
      expect(packet && idOf(packet)).toBe(n);
      packet?.release();
    }
    const begun: number[] = [];
    let running = 0;
    let most = 0;
    const handling = far.handle(
      async (packet) => {
        begun.push(idOf(packet));
        most = Math.max(most, ++running);
        await turn();
        await turn();
        running--;
        if (begun.at(-1) === 7 && running === 0) throw new Error('a bug');
        packet.release();
      },
      { concurrency: 2 },
    );
    await expect(handling).rejects.toThrow('a bug');
    expect([begun, most]).toEqual([[3, 4, 5, 6, 7], 2]);
    expect(far.error).toMatchObject({ code: 'ERR_BUSBAR_LINK_CLOSED' });
    await close();
  });

  test('a program that does not read is left behind with bounded memory', async () => {
    const { near, far, close } = await open(kind);
    let written = 0;
    for (let still = 0; still < 30; still++) {
      while (written < 5000 && near.writable && near.tryWrite(message(written, 1000))) {
        written++;
        still = 0;
      }
      near.flush();
      await turn();
    }
    expect(far.paused).toBe(true);
    expect(far.pool.stats().held).toBeLessThan(kind.isStream ? 32 : 24);
    const packet = await far.receive();
    expect(packet && idOf(packet)).toBe(0);
    packet?.release();
    await close();
  });

  test('in place, texts and packets; a link with callbacks is not read otherwise', async () => {
    const { near, far, close } = await open(kind);
    const texts: string[] = [];
    const reading = far.handle((packet) => {
      texts.push(`${packet}`);
      packet.release();
    });
    const space = await near.reserveFrame(20);
    near.pool.bytes.set([104, 105], space.offset);
    space.commit(2);
    await near.write('grüße');
    const later = near.tryReserveFrame(1);
    later?.abort();
    await until(() => texts.length === 2);
    expect(texts).toEqual(['hi', 'grüße']);
    await expect(far.receive()).rejects.toThrow(/handle\(\)/);
    near.destroy();
    far.destroy();
    await reading.catch(() => {});
    await settle();
    await expect(near.write('late')).rejects.toMatchObject({ code: 'ERR_BUSBAR_WRITER_CLOSED' });
    await close();
  });
});
