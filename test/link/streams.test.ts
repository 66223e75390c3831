// SPDX-License-Identifier: MIT
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import type { Socket } from 'node:net';
import { LengthPrefixCodec } from 'busbar/framer';
import { type Link, type TcpHandler, TcpLink, TcpServer } from 'busbar/link';
import { type BufferId, BufferPool } from 'busbar/pool';
import { describe, expect, test } from 'vitest';
import { framed, numberOf, upTo } from '../numbered.ts';
import { auditPool } from '../pool-audit.ts';
import { until } from '../turns.ts';
import { linkKinds } from './kinds.ts';
import { Trial } from './trial.ts';

const CONNECTIONS = 1000;
/** As many as wait to be accepted without being dropped. */
const AT_ONCE = 100;
const ANSWERS = 3;

const codec = (): LengthPrefixCodec => new LengthPrefixCodec('u16');
const kinds = linkKinds.filter(({ isStream }) => isStream);

/** Writes until the far end, which does not read, has stopped it. */
async function fill(trial: Trial): Promise<number> {
  let n = 0;
  for (let still = 0; still < 50; still++) {
    const { bytesWritten } = trial.near.stats();
    while (trial.send(n, 4000)) {
      n++;
      still = 0;
    }
    trial.near.flush();
    await new Promise(setImmediate);
    if (trial.near.stats().bytesWritten > bytesWritten) still = 0;
  }
  return n;
}

describe.each(kinds.map((kind) => [kind.name, kind] as const))('%s', (_name, kind) => {
  test('a peer that is gone in the midst of a write fails the link, to the byte', async () => {
    const trial = await Trial.open(kind);
    trial.far.pause();
    await fill(trial);
    expect(trial.near.bufferedBytes).toBeGreaterThan(0);
    trial.cut();
    await until(() => trial.near.closed);
    expect(trial.near.error).toMatchObject({
      code: 'ERR_BUSBAR_LINK_FAILED',
      cause: { code: expect.stringMatching(/^(ECONNRESET|EPIPE)$/) },
    });
    const { bytesWritten, lostBytes, queuedBytes } = trial.near.stats();
    expect(lostBytes).toBeGreaterThan(0);
    expect([bytesWritten + lostBytes, queuedBytes]).toEqual([trial.written, 0]);
    expect(trial.near.writable).toBe(false);
    await trial.close();
  });

  test('close() with a deadline drops the rest after it, to the byte, and says so', async () => {
    const trial = await Trial.open(kind);
    trial.far.pause();
    await fill(trial);
    await trial.near.close({ deadlineMs: 5 });
    expect(trial.near.error).toMatchObject({ code: 'ERR_BUSBAR_TIMEOUT' });
    const { bytesWritten, lostBytes } = trial.near.stats();
    expect(lostBytes).toBeGreaterThan(0);
    expect(bytesWritten + lostBytes).toBe(trial.written);
    trial.far.destroy();
    await trial.close();
  });

  test.each(['paused', 'without buffers'])(
    'an end that comes while the link is %s is told after all that came before it',
    async (state) => {
      const heard: number[] = [];
      const trial = await Trial.open(kind, {
        onMessage(link) {
          heard.push(trial.got.at(-1) as number);
          if (state !== 'paused') return;
          link.pause();
          setImmediate(() => link.resume());
        },
        farEvents: { onEnd: () => void heard.push(-2) },
      });
      const ids: BufferId[] = [];
      if (state !== 'paused') {
        for (let id = trial.farPool.tryAcquire(); id >= 0; id = trial.farPool.tryAcquire()) {
          ids.push(id);
        }
      }
      for (let n = 0; n < 5; n++) trial.send(n, 20);
      const closed = trial.near.close();
      if (ids.length > 0) await until(() => trial.far.stats().exhaustions > 0);
      for (let turn = 0; turn < 10; turn++) await new Promise(setImmediate);
      for (const id of ids) trial.farPool.release(id);
      await closed;
      expect(heard).toEqual([0, 1, 2, 3, 4, -2]);
      await until(() => trial.far.closed);
      expect(trial.far.error).toBe(undefined);
      await trial.close();
    },
  );

  test('a writer that leaves a stalled link for another is not stopped any more', async () => {
    const stalled = await Trial.open(kind);
    const pool = stalled.nearPool;
    const free = await kind.open(
      { pool, events: { onMessage() {} } },
      { pool, events: { onMessage: (_offset, length) => void lengths.push(length) } },
    );
    const lengths: number[] = [];
    stalled.far.pause();
    const { writer } = free.near;
    stalled.near.addWriter(writer.id);
    await fill(stalled);
    // One region for the link that is full already, and the flusher keeps it.
    writer.tryWrite(framed(0, 10));
    writer.flush();
    await new Promise(setImmediate);
    free.near.addWriter(writer.id);
    writer.tryWrite(framed(0, 20));
    writer.flush();
    await until(() => lengths.includes(20));
    stalled.near.destroy();
    await Promise.all([free.near.close(), free.far.close()]);
    await free.close();
    await stalled.close();
  });

  test('one half may end while the other goes on', async () => {
    const ends: string[] = [];
    const answers: number[] = [];
    const trial = await Trial.open(kind, {
      far: { allowHalfOpen: true },
      farEvents: {
        onEnd(link) {
          ends.push('near');
          link.writer.tryWrite(framed(7, 50));
          (link as TcpLink).end();
        },
      },
      nearEvents: {
        onMessage: (offset, length, link: Link) =>
          void answers.push(numberOf(link.pool.bytes, offset, length)),
        onEnd: () => void ends.push('far'),
      },
    });
    trial.send(0, 50);
    (trial.near as TcpLink).end();
    expect([trial.near.writable, trial.near.closed]).toEqual([false, false]);
    await until(() => trial.near.closed && trial.far.closed);
    expect([trial.got, answers, ends]).toEqual([[0], [7], ['near', 'far']]);
    expect([trial.near.error, trial.far.error]).toEqual([undefined, undefined]);
    await trial.close();
  });
});

test.each(['direct', 'copy'] as const)(
  'a thousand connections come, talk and go, and every buffer is back (%s)',
  async (ingest) => {
    const pool = BufferPool.create({ bufferSize: 1024, bufferCount: 3000, maxThreads: 2 });
    const server = await TcpServer.listen(pool, {
      codec,
      ingest,
      handler: (link) => ({
        onFrame(offset, length) {
          expect(link.writer.tryWrite(pool.bytes, offset - 2, offset + length)).toBe(true);
        },
      }),
    });
    const got: number[][] = [];
    const open = async (i: number): Promise<TcpLink> => {
      const list: number[] = [];
      got[i] = list;
      const handler = (): TcpHandler => ({
        onFrame: (offset, length) => void list.push(numberOf(pool.bytes, offset, length)),
      });
      return TcpLink.connect(pool, { port: server.port, codec, ingest, handler });
    };
    const links: TcpLink[] = [];
    for (let i = 0; i < CONNECTIONS; i += AT_ONCE) {
      const batch = Array.from({ length: AT_ONCE }, (_, k) => open(i + k));
      links.push(...(await Promise.all(batch)));
    }
    await until(() => server.links.size === CONNECTIONS);
    expect(pool.stats().held).toBe(0);
    for (const link of links) {
      for (let n = 0; n < ANSWERS; n++) {
        expect(link.writer.tryWrite(framed(n, 20 + n))).toBe(true);
      }
    }
    await until(() => got.every((list) => list.length === ANSWERS));
    for (const list of got) expect(list).toEqual(upTo(ANSWERS));
    expect(links[0].ingest).toBe(ingest);
    const ways: readonly ((link: TcpLink) => unknown)[] = [
      (link) => link.close(),
      (link) => link.destroy(),
      (link) => (link.socket as Socket).resetAndDestroy(),
    ];
    await Promise.all(links.map((link, i) => ways[i % ways.length](link)));
    await until(() => links.every((link) => link.closed));
    await until(() => server.links.size === 0);
    expect(server.accepted).toBe(CONNECTIONS);
    await server.close();
    await new Promise(setImmediate);
    expect(pool.stats().held).toBe(0);
    expect(auditPool(pool)).toEqual([]);
    expect(pool.close()).toEqual({ heldByThreads: 0, inTransit: 0, leaks: 'off' });
  },
);

/** Sends everything back that comes to it, over a plain socket. */
const ECHO = `
  require('node:net').connect(Number(process.argv[1]), '127.0.0.1', function () {
    this.pipe(this);
  });
`;

test('another process with a plain socket gets every byte and sends it back', async () => {
  const pool = BufferPool.create({ bufferSize: 8192, bufferCount: 64, maxThreads: 2 });
  const got: number[] = [];
  const server = await TcpServer.listen(pool, {
    codec,
    handler: () => ({
      onFrame: (offset, length) => void got.push(numberOf(pool.bytes, offset, length)),
    }),
  });
  const child = spawn(process.execPath, ['-e', ECHO, String(server.port)], { stdio: 'inherit' });
  const exited = once(child, 'exit');
  await until(() => server.links.size === 1);
  const [link] = server.links;
  for (let n = 0; n < 3000; n++) {
    while (!link.writer.tryWrite(framed(n, 8 + (n % 500)))) await new Promise(setImmediate);
  }
  await until(() => got.length === 3000);
  expect(got).toEqual(upTo(3000));
  await server.close();
  expect((await exited)[0]).toBe(0);
  expect(pool.stats().held).toBe(0);
  pool.close();
});
