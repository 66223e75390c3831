// SPDX-License-Identifier: MIT
/** `flusher.drained()`: what it waits for, and how it ends otherwise. */
import { Writable } from 'node:stream';
import { BufferPool } from 'busbar/pool';
import { LocalWriter, WriteFlusher } from 'busbar/writer';
import { expect, test } from 'vitest';
import { coded, expectAllHome } from '../../test/pool-expectations.ts';
import { settle } from '../../test/turns.ts';

const shape = { bufferSize: 16, bufferCount: 24, batchSize: 2, maxThreads: 4 };

function send(writer: LocalWriter, text: string): void {
  if (!writer.tryWrite(text) || !writer.flush()) throw new Error('not now');
}

/** Delivers regions; returns their number. */
function drain(flusher: WriteFlusher, countMax?: number): number {
  return flusher.drain((_writer, _offset, _length, id) => flusher.pool.release(id), countMax);
}

/** Whether the promise has settled, once all that is due has run. */
async function isSettled(promise: Promise<unknown>): Promise<boolean> {
  let settled = false;
  const note = (): void => {
    settled = true;
  };
  promise.then(note, note);
  await settle();
  return settled;
}

test('what was flushed is with the stream, however slow it is', async () => {
  const pool = BufferPool.create(shape);
  const flusher = WriteFlusher.create(pool);
  let text = '';
  const slow = new Writable({
    highWaterMark: 1,
    write(chunk: Buffer, _, done) {
      text += chunk;
      setImmediate(done);
    },
  });
  flusher.pipeTo(slow);
  const writer = new LocalWriter(flusher, { flush: { messages: 1 } });
  for (let i = 0; i < 200; i++) await writer.write(`line ${i}\n`);
  await writer.drained();
  writer.close();
  await flusher.drained();
  expect(flusher.stats().waitingRegions).toBe(0);
  await new Promise<void>((resolve) => slow.end(resolve));
  expect(text).toBe(Array.from({ length: 200 }, (_, i) => `line ${i}\n`).join(''));
  flusher.close();
  expectAllHome(pool);
});

test('it waits for what was flushed before the call, and for no later region', async () => {
  const pool = BufferPool.create(shape);
  const flusher = WriteFlusher.create(pool);
  const writers = [new LocalWriter(flusher), new LocalWriter(flusher)] as const;
  await flusher.drained();
  for (const writer of writers) send(writer, 'before');
  const first = flusher.drained();
  send(writers[0], 'after');
  const second = flusher.drained();
  // One of each writer at least, and one is left.
  expect(drain(flusher, 1)).toBe(1);
  expect(await isSettled(first)).toBe(false);
  while (flusher.stats().waitingRegions > 1) drain(flusher, 1);
  expect(await isSettled(first)).toBe(true);
  expect(await isSettled(second)).toBe(false);
  drain(flusher);
  await second;
  // Not flushed: it does not count.
  writers[0].tryWrite('later');
  await flusher.drained();
  for (const writer of writers) writer.close();
  drain(flusher);
  expectAllHome(pool);
});

test('a paused writer holds it up, and a sink that throws does not', async () => {
  const pool = BufferPool.create(shape);
  const flusher = WriteFlusher.create(pool);
  const writer = new LocalWriter(flusher);
  send(writer, 'text');
  flusher.pauseWriter(writer.id);
  const drained = flusher.drained();
  expect(drain(flusher)).toBe(0);
  expect(await isSettled(drained)).toBe(false);
  flusher.resumeWriter(writer.id);
  const failing = (_writer: number, _offset: number, _length: number, id: number): void => {
    pool.release(id as Parameters<typeof pool.release>[0]);
    throw new Error('of the sink');
  };
  expect(() => flusher.drain(failing)).toThrow('of the sink');
  await drained;
  // The lane's next owner counts on.
  writer.close();
  drain(flusher);
  const next = new LocalWriter(flusher);
  expect(next.id).toBe(writer.id);
  send(next, 'of the next');
  const later = flusher.drained();
  expect(await isSettled(later)).toBe(false);
  drain(flusher);
  await later;
  next.close();
  drain(flusher);
  expectAllHome(pool);
});

test('it ends by a timeout, a signal, or the close of the flusher', async () => {
  const pool = BufferPool.create(shape);
  const flusher = WriteFlusher.create(pool);
  const writer = new LocalWriter(flusher);
  send(writer, 'text');
  await expect(flusher.drained({ timeoutMs: 1 })).rejects.toThrow(coded('ERR_BUSBAR_TIMEOUT'));
  const stop = new AbortController();
  const aborted = flusher.drained({ signal: stop.signal });
  const closed = flusher.drained({ timeoutMs: 60_000 });
  stop.abort(new Error('stop'));
  await expect(aborted).rejects.toThrow('stop');
  const other = BufferPool.attach(pool.handle);
  const attached = WriteFlusher.attach(other, flusher.handle);
  await expect(attached.drained()).rejects.toThrow(coded('ERR_BUSBAR_FLUSHER_ROLE'));
  flusher.close();
  await expect(closed).rejects.toThrow(coded('ERR_BUSBAR_FLUSHER_CLOSED'));
  await expect(flusher.drained()).rejects.toThrow(coded('ERR_BUSBAR_FLUSHER_CLOSED'));
  writer.close();
  other.detach();
  expectAllHome(pool);
});
