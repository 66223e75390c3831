// SPDX-License-Identifier: MIT
import { expect, test } from 'vitest';
import { turn, until } from '../../test/turns.ts';
import { type BufferId, BufferPool } from '../pool/index.ts';
import { LocalWriter, WriteFlusher } from '../writer/index.ts';
import { type LaneOutbox, Lanes } from './lanes.ts';

const MESSAGE_BYTES = 100;

/** An outbox that is rid of everything at once; `onSend` runs meanwhile. */
class QuickOutbox implements LaneOutbox {
  queuedBytes = 0;
  sentBytes = 0;
  onSend: () => void = () => {};
  readonly #pool: BufferPool;

  constructor(pool: BufferPool) {
    this.#pool = pool;
  }

  get isFull(): boolean {
    return false;
  }

  push(_offset: number, length: number, bufferId: BufferId): void {
    this.queuedBytes += length;
    this.#pool.release(bufferId);
  }

  send(): void {
    this.sentBytes += this.queuedBytes;
    this.queuedBytes = 0;
    this.onSend();
  }
}

function setUp(highWaterBytes: number) {
  const pool = BufferPool.create({ bufferSize: 1024, bufferCount: 16, maxThreads: 1 });
  const flusher = WriteFlusher.create(pool, { writerCount: 4 });
  const outbox = new QuickOutbox(pool);
  const lanes = new Lanes(pool, flusher, outbox, highWaterBytes, 0);
  const writer = new LocalWriter(flusher);
  lanes.add(writer.id);
  const write = (): void => {
    expect(writer.tryWrite(new Uint8Array(MESSAGE_BYTES))).toBe(true);
    writer.flush();
  };
  return { pool, flusher, outbox, lanes, writer, write };
}

test('writers that are as quick as the socket do not keep the event loop', async () => {
  const { pool, flusher, outbox, lanes, writer, write } = setUp(MESSAGE_BYTES);
  let sends = 0;
  outbox.onSend = () => {
    sends++;
    write(); // as another thread's writer would
  };
  write();
  for (let i = 0; i < 20; i++) await turn();
  expect(sends).toBeGreaterThanOrEqual(5);
  expect(lanes.stalled).toBe(false);
  // Nor does a drain go on for ever.
  expect(lanes.drain()).toBe(false);
  outbox.onSend = () => {};
  await until(() => lanes.drain() && flusher.stats().waitingRegions === 0);
  writer.close();
  lanes.drain();
  expect(pool.stats().held).toBe(0);
  flusher.close();
  pool.close();
});

test('a drain sends as often as it takes, and nothing stalls where there is room', () => {
  const { pool, flusher, outbox, lanes, writer, write } = setUp(MESSAGE_BYTES);
  for (let i = 0; i < 30; i++) write();
  expect(lanes.drain()).toBe(true);
  expect(outbox.sentBytes).toBe(30 * MESSAGE_BYTES);
  expect([lanes.stalled, lanes.stalls]).toEqual([false, 0]);
  writer.close();
  lanes.drain();
  expect(pool.stats().held).toBe(0);
  flusher.close();
  pool.close();
});
