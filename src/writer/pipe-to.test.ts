// SPDX-License-Identifier: MIT
/** `flusher.pipeTo`: streams that are slow, fail, end, throw, or are replaced. */

import { once } from 'node:events';
import { Duplex, PassThrough, Writable } from 'node:stream';
import { BufferPool } from 'busbar/pool';
import { LocalWriter, WriteFlusher } from 'busbar/writer';
import { expect, test } from 'vitest';
import { uncaughtDuring } from '../../test/uncaught.ts';

const REGIONS = 40;
/** More than all buffers hold. */
const MANY = 400;

interface Pipe {
  readonly pool: BufferPool;
  readonly flusher: WriteFlusher;
  /** Writes this many lines, each a region of its own, and lets others have their turns. */
  send(lines: number): Promise<void>;
}

function pipe(): Pipe {
  const pool = BufferPool.create({ bufferSize: 64, bufferCount: 8 });
  const flusher = WriteFlusher.create(pool);
  const writer = new LocalWriter(flusher, { flush: 'manual' });
  return {
    pool,
    flusher,
    async send(lines) {
      for (let i = 0; i < lines; i++) {
        // As long as the flusher moves, there is room sooner or later.
        for (let turns = 0; !writer.tryWrite(`line ${i}\n`); turns++) {
          if (turns > 200) throw new Error(`the flusher stands still at line ${i}`);
          await new Promise(setImmediate);
        }
        writer.flush();
      }
      writer.flush();
      for (let turns = 0; flusher.stats().waitingRegions > 0; turns++) {
        if (turns > 200) throw new Error('regions wait for ever');
        await new Promise(setImmediate);
      }
    },
  };
}

/** Buffers that are not free. The writer may have one. */
const inUse = ({ pool }: Pipe): number => pool.who().held + pool.who().inTransit;

test('a slow stream gets everything, in order', async () => {
  const p = pipe();
  let text = '';
  const slow = new Writable({
    highWaterMark: 1,
    write(chunk: Buffer, _, done) {
      text += chunk.toString();
      setImmediate(done);
    },
  });
  p.flusher.pipeTo(slow);
  await p.send(REGIONS);
  while (slow.writableLength > 0) await new Promise(setImmediate);
  expect(text).toBe(Array.from({ length: REGIONS }, (_, i) => `line ${i}\n`).join(''));
});

test.each([
  ['is destroyed while it is full', { autoDestroy: true }],
  ['fails and is not destroyed', { autoDestroy: false }],
])('a stream that %s stops no writer, and keeps no buffer', async (_, options) => {
  const p = pipe();
  const errors: Error[] = [];
  let count = 0;
  const failing = new Writable({
    ...options,
    highWaterMark: 1,
    write(_chunk, _encoding, done) {
      if (++count === 3) setImmediate(done, new Error('disk full'));
      else setImmediate(done);
    },
  }).on('error', (error) => errors.push(error));
  p.flusher.pipeTo(failing);
  await p.send(REGIONS);
  await p.send(REGIONS);
  expect(errors.map(({ message }) => message)).toEqual(['disk full']);
  expect(inUse(p)).toBeLessThanOrEqual(1);
});

test('nothing is written to a stream after its end', async () => {
  const p = pipe();
  const errors: unknown[] = [];
  const ended = new Writable({ highWaterMark: 1, write: (_c, _e, done) => setImmediate(done) });
  ended.on('error', (error) => errors.push(error));
  p.flusher.pipeTo(ended);
  await p.send(1);
  ended.end();
  await p.send(REGIONS);
  expect(errors).toEqual([]);
  expect(inUse(p)).toBeLessThanOrEqual(1);
});

test('what write throws is thrown later, and the region is released', async () => {
  const p = pipe();
  let taken = 0;
  const throwing = {
    write(_chunk: Uint8Array, done: () => void): boolean {
      taken++;
      if (taken % 2 === 0) throw new Error(`write ${taken}`);
      done();
      done();
      return true;
    },
    on: () => undefined,
  };
  const uncaught = await uncaughtDuring(async () => {
    p.flusher.pipeTo(throwing);
    await p.send(REGIONS);
    await new Promise(setImmediate);
  });
  expect(uncaught.length).toBe(REGIONS / 2);
  expect(taken).toBe(REGIONS);
  expect(inUse(p)).toBeLessThanOrEqual(1);
});

test('a second pipe replaces the first, whose stream then drains', async () => {
  const p = pipe();
  const first: string[] = [];
  const finish: (() => void)[] = [];
  const full = new Writable({
    highWaterMark: 1,
    write(chunk: Buffer, _, done) {
      first.push(chunk.toString());
      finish.push(done);
    },
  });
  const second: string[] = [];
  const other = new Writable({
    highWaterMark: 1,
    write(chunk: Buffer, _, done) {
      second.push(chunk.toString());
      setImmediate(done);
    },
  });
  p.flusher.pipeTo(full);
  await p.send(1);
  p.flusher.pipeTo(other);
  await p.send(2);
  // It drains while regions wait.
  queueMicrotask(() => finish[0]?.());
  await p.send(2);
  while (other.writableLength > 0) await new Promise(setImmediate);
  expect(first).toEqual(['line 0\n']);
  expect(second.length).toBe(4);
});

test.each(['PassThrough', 'Duplex.from'])(
  'what passes through a %s stays as it was',
  async (kind) => {
    const p = pipe();
    let text = '';
    /** Reads late: by then, the stream has called back, and the buffer is another region's. */
    const read = async (source: AsyncIterable<Uint8Array>): Promise<void> => {
      for await (const chunk of source) {
        for (let turns = 0; turns < 3; turns++) await new Promise(setImmediate);
        text += Buffer.from(chunk).toString();
      }
    };
    const stream = kind === 'PassThrough' ? new PassThrough() : Duplex.from(read);
    const isRead = kind === 'PassThrough' ? read(stream) : once(stream, 'close');
    p.flusher.pipeTo(stream);
    await p.send(MANY);
    stream.end();
    await isRead;
    expect(text).toBe(Array.from({ length: MANY }, (_, i) => `line ${i}\n`).join(''));
    expect(inUse(p)).toBeLessThanOrEqual(1);
  },
);

test('a stream that ends within write, and emits nothing, stops no writer', async () => {
  const p = pipe();
  let count = 0;
  const ending: Writable = new Writable({
    highWaterMark: 1,
    emitClose: false,
    write(_chunk, _encoding, done) {
      if (++count === 3) ending.destroy();
      else setImmediate(done);
    },
  });
  p.flusher.pipeTo(ending);
  await p.send(REGIONS);
  expect(count).toBe(3);
});

test('a stream that drains within write is not taken for full', async () => {
  const p = pipe();
  let drained = (): void => {};
  let count = 0;
  p.flusher.pipeTo({
    write(_chunk, done): boolean {
      count++;
      done();
      drained();
      return false;
    },
    on(event, listener): void {
      if (event === 'drain') drained = listener;
    },
  });
  await p.send(REGIONS);
  expect(count).toBe(REGIONS);
});
