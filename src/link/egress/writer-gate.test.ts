// SPDX-License-Identifier: MIT
import { describe, expect, test } from 'vitest';
import { upTo } from '../../../test/numbered.ts';
import { turn, until } from '../../../test/turns.ts';
import { uncaughtDuring } from '../../../test/uncaught.ts';
import { type BufferId, BufferPool } from '../../pool/index.ts';
import { LocalWriter, WriteFlusher } from '../../writer/index.ts';
import { type GateOutbox, WriterGate } from './writer-gate.ts';

const MESSAGE_BYTES = 100;

/** An outbox that is rid of everything at once; `onSend` runs meanwhile. */
class QuickOutbox implements GateOutbox {
  queuedBytes = 0;
  readonly held: { readonly count: number; readonly share: number } = { count: 0, share: 1 };
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
  const gate = new WriterGate(pool, outbox, { flusher, highWaterBytes, lowWaterBytes: 0 });
  const writer = new LocalWriter(flusher);
  gate.add(writer.id);
  const write = (): void => {
    expect(writer.tryWrite(new Uint8Array(MESSAGE_BYTES))).toBe(true);
    writer.flush();
  };
  return { pool, flusher, outbox, gate, writer, write };
}

test('writers that are as quick as the socket do not keep the event loop', async () => {
  const { pool, flusher, outbox, gate, writer, write } = setUp(MESSAGE_BYTES);
  let sends = 0;
  outbox.onSend = () => {
    sends++;
    write(); // as another thread's writer would
  };
  write();
  for (let i = 0; i < 20; i++) await turn();
  expect(sends).toBeGreaterThanOrEqual(5);
  expect(gate.stalled).toBe(false);
  // Nor does a drain go on for ever.
  expect(gate.drain()).toBe(false);
  outbox.onSend = () => {};
  await until(() => gate.drain() && flusher.stats().waitingRegions === 0);
  writer.close();
  gate.drain();
  expect(pool.stats().held).toBe(0);
  flusher.close();
  pool.close();
});

test('a drain sends as often as it takes, and nothing stalls where there is room', () => {
  const { pool, flusher, outbox, gate, writer, write } = setUp(MESSAGE_BYTES);
  for (let i = 0; i < 30; i++) write();
  expect(gate.drain()).toBe(true);
  expect(outbox.sentBytes).toBe(30 * MESSAGE_BYTES);
  expect([gate.stalled, gate.stalls]).toEqual([false, 0]);
  writer.close();
  gate.drain();
  expect(pool.stats().held).toBe(0);
  flusher.close();
  pool.close();
});

/** The places at which a drain calls what may throw; a program's handler runs within `send`. */
const PLACES = ['push', 'isFull', 'send', 'send, after a drain'] as const;

/** An outbox that throws once, at its n-th call of one place. */
class FaultyOutbox implements GateOutbox {
  queuedBytes = 0;
  readonly held: { readonly count: number; readonly share: number } = { count: 0, share: 1 };
  sentBytes = 0;
  place: string | undefined;
  callsLeft = 0;
  onSend: () => void = () => {};
  readonly #pool: BufferPool;

  constructor(pool: BufferPool) {
    this.#pool = pool;
  }

  get isFull(): boolean {
    this.#at('isFull');
    return this.queuedBytes > MESSAGE_BYTES;
  }

  push(_offset: number, length: number, bufferId: BufferId): void {
    this.queuedBytes += length;
    this.#pool.release(bufferId);
    this.#at('push');
  }

  send(): void {
    this.sentBytes += this.queuedBytes;
    this.queuedBytes = 0;
    this.#at('send');
    if (this.place === 'send, after a drain') this.onSend();
    this.#at('send, after a drain');
  }

  #at(place: string): void {
    if (place !== this.place || this.callsLeft-- > 0) return;
    this.place = undefined;
    throw new Error(`at ${place}`);
  }
}

const FAULTS = PLACES.flatMap((place) =>
  [0, 1].flatMap((index) => [1, 2].map((messages) => [place, index, messages] as const)),
);

describe.each(FAULTS)('a throw at %s of outbox %i with room for %i', (place, index, room) => {
  test.each(upTo(6))('after %i calls leaves nobody stopped', async (calls) => {
    const pool = BufferPool.create({ bufferSize: 1024, bufferCount: 64, maxThreads: 1 });
    const flusher = WriteFlusher.create(pool, { writerCount: 4, regionCount: 4 });
    const outboxes = [new FaultyOutbox(pool), new FaultyOutbox(pool)];
    const gates = outboxes.map((outbox) => {
      return new WriterGate(pool, outbox, {
        flusher,
        highWaterBytes: room * MESSAGE_BYTES,
        lowWaterBytes: 0,
      });
    });
    outboxes[index].onSend = () => gates[index].drain();
    const writers = gates.map((gate) => {
      const writer = new LocalWriter(flusher);
      gate.add(writer.id);
      return writer;
    });
    const sent = [0, 0];
    const writeSome = (): void => {
      writers.forEach((writer, i) => {
        // The first is halted when the second is looked at, which is not.
        for (let n = i === 0 ? 4 : 1; n > 0; n--) {
          if (!writer.tryWrite(new Uint8Array(MESSAGE_BYTES))) break;
          sent[i] += MESSAGE_BYTES;
          writer.flush();
        }
      });
    };
    const messages = await uncaughtDuring(async () => {
      for (const drains of [false, true]) {
        outboxes[index].place = place;
        outboxes[index].callsLeft = calls;
        writeSome();
        // As flush() of a link does; or by itself, at the end of the turn.
        if (drains) expectOnly(() => gates[1].drain(), `at ${place}`);
        for (let n = 0; n < 10; n++) await turn();
        expect(gates.map(({ stalled }) => stalled)).toEqual([false, false]);
        expect(flusher.stats().waitingRegions).toBe(0);
        expect(outboxes.map(({ sentBytes }) => sentBytes)).toEqual(sent);
      }
      outboxes[index].place = undefined;
      for (const writer of writers) writer.close();
      expectOnly(() => flusher.drain(() => {}), `at ${place}`);
      await turn();
    });
    for (const message of messages) expect(message).toBe(`at ${place}`);
    expect(pool.stats().held).toBe(0);
    flusher.close();
    pool.close();
  });
});

/** It may throw this, and nothing else. */
function expectOnly(what: () => void, message: string): void {
  try {
    what();
  } catch (error) {
    expect(error).toMatchObject({ message });
  }
}
