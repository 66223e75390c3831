// SPDX-License-Identifier: MIT
import { spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { Worker } from 'node:worker_threads';
import type { Link } from 'busbar/link';
import { type BufferId, BufferPool } from 'busbar/pool';
import { LocalWriter, WriteFlusher } from 'busbar/writer';
import { describe, expect, test } from 'vitest';
import { framed, upTo } from '../numbered.ts';
import { auditPool } from '../pool-audit.ts';
import { settle, until } from '../turns.ts';
import { nextUncaught } from '../uncaught.ts';
import { type LinkKind, linkKinds } from './kinds.ts';
import { Trial } from './trial.ts';

const ROOT = new URL('../../', import.meta.url);

/** Lengths of messages in tests that want all sorts. */
const lengthOf = (n: number): number => 8 + ((n * 37) % 900);

/** Writes messages [from, to), as soon as there is room. */
async function sendAll(trial: Trial, from: number, to: number): Promise<void> {
  for (let n = from; n < to; n++) {
    while (!trial.send(n, lengthOf(n))) {
      trial.near.flush();
      await new Promise(setImmediate);
    }
  }
  trial.near.flush();
}

/** Writes until nothing moves any more. Returns how many messages that were. */
async function fill(trial: Trial, countMax: number): Promise<number> {
  const { near } = trial;
  let n = 0;
  for (let still = 0; still < 50 && n < countMax; still++) {
    const { bytesWritten } = near.stats();
    while (n < countMax && trial.send(n, 1000)) {
      n++;
      still = 0;
    }
    near.flush();
    await new Promise(setImmediate);
    if (near.stats().bytesWritten > bytesWritten) still = 0;
  }
  return n;
}

function hoard(pool: BufferPool): () => void {
  const ids: BufferId[] = [];
  for (let id = pool.tryAcquire(); id >= 0; id = pool.tryAcquire()) ids.push(id);
  return () => {
    for (const id of ids) pool.release(id);
  };
}

describe.each(linkKinds.map((kind) => [kind.name, kind] as const))('%s', (_name, kind) => {
  test('messages arrive whole and in order, and every byte is counted', async () => {
    const trial = await Trial.open(kind);
    for (let n = 0; n < 2000; n += 50) {
      await sendAll(trial, n, n + 50);
      // A datagram that finds no room would be lost.
      if (!kind.isStream) await until(() => trial.got.length === n + 50);
    }
    await until(() => trial.got.length === 2000);
    expect(trial.got).toEqual(upTo(2000));
    const { bytesWritten, lostBytes, queuedBytes } = trial.near.stats();
    const { bytesRead, reads } = trial.far.stats();
    expect(bytesWritten).toBe(trial.written - (kind.isStream ? 0 : 2 * 2000));
    expect([lostBytes, queuedBytes, trial.near.bufferedBytes]).toEqual([0, 0, 0]);
    expect(bytesRead).toBe(bytesWritten);
    expect(reads).toBeGreaterThan(0);
    await trial.close();
  });

  test('a link with nothing to do holds no buffer', async () => {
    const trial = await Trial.open(kind);
    for (let n = 0; n < 5; n++) {
      expect(trial.send(n, 20)).toBe(true);
      await until(() => trial.got.length === n + 1);
    }
    await settle();
    expect([trial.nearPool.stats().held, trial.farPool.stats().held]).toEqual([0, 0]);
    await trial.close();
  });

  test('what is written in one turn leaves in one call, at its end or at flush()', async () => {
    const trial = await Trial.open(kind);
    for (let n = 0; n < 50; n++) expect(trial.send(n, 60)).toBe(true);
    expect(trial.near.stats().writes).toBe(0);
    await until(() => trial.got.length === 50);
    expect(trial.near.stats().writes).toBe(kind.batches ? 1 : 50);
    for (let n = 50; n < 100; n++) expect(trial.send(n, 60)).toBe(true);
    expect(trial.near.flush()).toBe(true);
    expect(trial.near.stats().writes).toBe(kind.batches ? 2 : 100);
    await until(() => trial.got.length === 100);
    expect(trial.got).toEqual(upTo(100));
    await trial.close();
  });

  test('pause() in the midst of a delivery leaves the rest for resume()', async () => {
    const trial = await Trial.open(kind, {
      onMessage(link) {
        if (trial.got.length % 7 === 0) link.pause();
      },
    });
    const { far, got } = trial;
    await sendAll(trial, 0, 100);
    for (;;) {
      await until(() => far.paused || got.length === 100);
      await settle();
      if (!far.paused) break;
      expect(got.length % 7).toBe(0);
      const { pauses } = far.stats();
      far.pause();
      expect(far.stats().pauses).toBe(pauses);
      far.resume();
    }
    expect(got).toEqual(upTo(100));
    expect(far.stats().pauses).toBe(14);
    expect(far.paused).toBe(false);
    await trial.close();
  });

  test('a far end that does not read costs bounded memory, and loses nothing unseen', async () => {
    const highWaterBytes = 32 * 1024;
    const trial = await Trial.open(kind, { near: { highWaterBytes } });
    const { near, far, got } = trial;
    far.pause();
    const count = await fill(trial, 5000);
    expect(got).toEqual([]);
    // In the link up to its mark and a region more, in the lane and the writer a few buffers.
    expect(near.stats().queuedBytes).toBeLessThan(highWaterBytes + 2 * 8192);
    if (kind.isStream) {
      const { bytesWritten, lostBytes } = near.stats();
      expect(bytesWritten + near.bufferedBytes + lostBytes).toBe(trial.written);
    }
    expect(trial.nearPool.stats().held).toBeLessThan(40);
    expect(trial.farPool.stats().held).toBeLessThan(4);
    if (kind.isStream) {
      expect(near.writable).toBe(false);
      expect(trial.send(count, 1000)).toBe(false);
      expect(near.stats().stalls).toBeGreaterThan(0);
      far.resume();
      await until(() => trial.drained > 0 && near.writable);
      await until(() => got.length === count);
      expect(got).toEqual(upTo(count));
    } else {
      // What found no room is gone; what comes is whole and in order.
      far.resume();
      await until(() => got.length > 20);
      await settle();
      for (let i = 1; i < got.length; i++) expect(got[i]).toBeGreaterThan(got[i - 1]);
      expect(got[0]).toBe(0);
      await until(() => near.bufferedBytes === 0);
      expect(near.stats().bytesWritten).toBe(count * 1000);
    }
    expect(near.stats().lostBytes).toBe(0);
    await trial.close();
  });

  test('a pool without buffers stops the far end, and it goes on with one', async () => {
    const trial = await Trial.open(kind);
    const release = hoard(trial.farPool);
    await sendAll(trial, 0, 40);
    await until(() => trial.far.stats().exhaustions > 0);
    await settle();
    expect([trial.got.length, trial.far.paused]).toEqual([0, false]);
    release();
    await until(() => trial.got.length === 40);
    expect(trial.got).toEqual(upTo(40));
    await trial.close();
  });

  test('a pool without buffers stops the writer, not the link', async () => {
    const trial = await Trial.open(kind);
    const release = hoard(trial.nearPool);
    expect(trial.send(0, 20)).toBe(false);
    expect([trial.near.writable, trial.near.flush()]).toEqual([true, true]);
    const waiting = trial.near.writer.reserve(22);
    release();
    const reservation = await waiting;
    trial.nearPool.bytes.set(framed(0, 20), reservation.offset);
    reservation.commit();
    await until(() => trial.got.length === 1);
    expect(trial.got).toEqual([0]);
    expect(trial.drained).toBe(0);
    await trial.close();
  });

  test('close() sends what was written, whatever the policy, and that is the end', async () => {
    const trial = await Trial.open(kind, { near: { writer: {} } });
    const { near } = trial;
    for (let n = 0; n < 50; n++) expect(trial.send(n, 100)).toBe(true);
    expect(() => near.close({ deadlineMs: -1 })).toThrow(/deadlineMs/);
    const closing = near.close();
    expect([near.writable, trial.closing(near)]).toEqual([false, undefined]);
    await closing;
    await until(() => trial.got.length === 50);
    expect(trial.got).toEqual(upTo(50));
    expect([near.closed, near.writable, near.flush()]).toEqual([true, false, false]);
    expect([near.error, near.stats().lostBytes]).toEqual([undefined, 0]);
    expect(near.writer.closed).toBe(true);
    const gone = expect.objectContaining({ code: 'ERR_BUSBAR_LINK_CLOSED' });
    expect(() => near.addWriter(1)).toThrow(gone);
    near.removeWriter(1);
    near.pause();
    near.resume();
    near.unref();
    near.ref();
    near.destroy();
    await near.close();
    await near[Symbol.asyncDispose]();
    await trial.close();
  });

  test('destroy() drops what was not sent, to the byte, and says so', async () => {
    const trial = await Trial.open(kind, { near: { highWaterBytes: 16 * 1024 } });
    const { near, far } = trial;
    far.pause();
    await fill(trial, 500);
    trial.send(500, 3000);
    const { bytesWritten } = near.stats();
    near.destroy();
    expect([near.writable, near.writer.closed]).toEqual([false, true]);
    await until(() => trial.closing(near) !== undefined);
    expect(trial.closing(near)?.error).toBeUndefined();
    const stats = near.stats();
    expect([stats.bytesWritten, stats.queuedBytes]).toEqual([bytesWritten, 0]);
    // The lengths do not travel with datagrams.
    const lengths = kind.isStream ? 0 : 2 * (1 + (trial.written - 3002) / 1002);
    expect(stats.lostBytes).toBe(trial.written - bytesWritten - lengths);
    expect(stats.lostBytes).toBeGreaterThanOrEqual(3000);
    expect(trial.nearPool.stats().held).toBe(0);
    await trial.close();
  });

  test('a link that is ended from within a delivery delivers no more', async () => {
    for (const end of ['destroy', 'close'] as const) {
      const trial = await Trial.open(kind, {
        onMessage(link) {
          if (trial.got.length === 5) void link[end]();
        },
      });
      await sendAll(trial, 0, 30);
      await until(() => trial.far.closed);
      await settle();
      expect(trial.got).toEqual(upTo(5));
      await trial.close();
    }
  });

  test('a signal destroys the link, and refuses one that is not open yet', async () => {
    const controller = new AbortController();
    const trial = await Trial.open(kind, { near: { signal: controller.signal } });
    const { near } = trial;
    trial.send(0, 20);
    const reason = new Error('enough');
    controller.abort(reason);
    await until(() => near.closed);
    await settle();
    expect(trial.closing(near)?.error).toMatchObject({
      code: 'ERR_BUSBAR_LINK_CLOSED',
      cause: reason,
    });
    expect(near.stats().lostBytes).toBe(kind.isStream ? 22 : 20);
    await trial.close();
    if (kind.name === 'TLS') return; // its sockets are adopted, not opened
    const late = Trial.open(kind, { near: { signal: controller.signal } });
    await expect(late).rejects.toBe(reason);
  });

  test('what a handler throws closes its link and is thrown on', async () => {
    const trial = await Trial.open(kind, {
      onMessage() {
        throw new Error('a bug');
      },
    });
    const uncaught = nextUncaught();
    trial.send(0, 20);
    const error = await uncaught;
    expect(error.message).toBe('a bug');
    await until(() => trial.far.closed);
    expect(trial.far.error).toMatchObject({ code: 'ERR_BUSBAR_LINK_CLOSED', cause: error });
    await trial.close();
  });

  test('options that are wrong are named', async () => {
    const other = BufferPool.create({ bufferSize: 1024, bufferCount: 4, maxThreads: 2 });
    const wrong: readonly [object, RegExp][] = [
      [{ highWaterBytes: 0 }, /highWaterBytes/],
      [{ lowWaterBytes: 9, highWaterBytes: 8 }, /lowWaterBytes/],
      [{ closeDeadlineMs: -1 }, /closeDeadlineMs/],
      [{ signal: 5 }, /signal must be an AbortSignal/],
      [{ writer: 5 }, /writer must be an object, got 5/],
      [{ flusher: WriteFlusher.create(other) }, /flusher must be a WriteFlusher of the same pool/],
      [{ hihgWaterBytes: 1 }, /no option "hihgWaterBytes"/],
    ];
    for (const [near, message] of wrong) {
      await expect(Trial.open(kind, { near })).rejects.toThrow(message);
    }
    other.close();
  });

  test('links that share a flusher send what their own writers write', async () => {
    const trials = [await Trial.open(kind)];
    const pool = trials[0].nearPool;
    const flusher = WriteFlusher.create(pool, { writerCount: 8 });
    const got: number[][] = [[], []];
    const links: Link[] = [];
    const pairs = await Promise.all(
      got.map(async (list) => {
        const pair = await kind.open(
          { pool, flusher, events: { onMessage() {} } },
          { pool, events: { onMessage: (_offset, length) => void list.push(length) } },
        );
        links.push(pair.near, pair.far);
        return pair;
      }),
    );
    const extra = new LocalWriter(flusher);
    pairs[0].near.addWriter(extra.id);
    pairs[0].near.writer.tryWrite(framed(0, 10));
    pairs[1].near.writer.tryWrite(framed(0, 20));
    extra.tryWrite(framed(0, 30));
    extra.flush();
    await until(() => got[0].length === 2 && got[1].length === 1);
    // It belongs to the one that it was added to last.
    pairs[1].near.addWriter(extra.id);
    extra.tryWrite(framed(0, 40));
    extra.flush();
    await until(() => got[1].length === 2);
    pairs[0].near.removeWriter(extra.id);
    pairs[1].near.removeWriter(extra.id);
    extra.tryWrite(framed(0, 50));
    extra.flush();
    await settle();
    expect([got[0].sort(), got[1]]).toEqual([
      [10, 30],
      [20, 40],
    ]);
    extra.close();
    await Promise.all(links.map((link) => link.close()));
    await Promise.all(pairs.map((pair) => pair.close()));
    expect(flusher.stats().writers).toBe(0);
    await trials[0].close();
  });

  test("a closed writer's number leads nowhere until it is added again", async () => {
    const pool = BufferPool.create({ bufferSize: 8192, bufferCount: 96, maxThreads: 3 });
    const flusher = WriteFlusher.create(pool, { writerCount: 4 });
    const got: number[] = [];
    const pair = await kind.open(
      { pool, flusher, events: { onMessage() {} } },
      { pool, events: { onMessage: (_offset, length) => void got.push(length) } },
    );
    const first = new LocalWriter(flusher);
    pair.near.addWriter(first.id);
    first.tryWrite(framed(0, 10));
    first.close();
    await until(() => got.length === 1);
    const second = new LocalWriter(flusher);
    expect(second.id).toBe(first.id);
    second.tryWrite(framed(0, 20));
    second.flush();
    await settle();
    pair.near.addWriter(second.id);
    second.tryWrite(framed(0, 30));
    second.close();
    await until(() => got.length === 2);
    expect(got).toEqual([10, 30]);
    await Promise.all([pair.near.close(), pair.far.close()]);
    await pair.close();
    expect(flusher.stats().writers).toBe(0);
    expect(auditPool(pool)).toEqual([]);
    pool.close();
  });

  test('a writer of another thread sends through the link, in its order', async () => {
    const count = 300;
    const pool = BufferPool.create({ bufferSize: 8192, bufferCount: 96, maxThreads: 3 });
    const flusher = WriteFlusher.create(pool, { writerCount: 4, regionCount: 4 });
    const trial = await Trial.open(kind, { near: { pool, flusher } });
    const worker = new Worker(new URL('build/test/link/writer.worker.js', ROOT), {
      workerData: { poolHandle: pool.handle, flusherHandle: flusher.handle, count },
    });
    const ended = once(worker, 'exit');
    const [writerId] = await once(worker, 'message');
    trial.near.addWriter(writerId);
    worker.postMessage('go');
    await until(() => trial.got.length === count);
    expect(trial.got).toEqual(upTo(count));
    await ended;
    trial.near.removeWriter(writerId);
    await trial.close();
    await settle();
    expect(pool.stats().held).toBe(0);
    expect(pool.close()).toEqual({ heldByThreads: 0, inTransit: 0, leaks: 'off' });
  });
});

test('ref() and unref() say which links keep the process alive', () => {
  const program = new URL('build/test/link/alive.main.js', ROOT);
  const { status, stdout, stderr } = spawnSync(process.execPath, [program.pathname], {
    encoding: 'utf8',
    timeout: 120_000,
  });
  expect(stderr).toBe('');
  const alive: LinkKind[] = linkKinds.filter(({ keepsAlive }) => keepsAlive);
  expect(JSON.parse(stdout)).toEqual(alive.map(({ name }) => name));
  expect(status).toBe(0);
});
