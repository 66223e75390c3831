// SPDX-License-Identifier: MIT
/** Regions over bytes: any cuts, any room, no buffer, and what is malformed. */
import { expect, test } from 'vitest';
import { coded, drain, expectAllHome } from '../../../test/pool-expectations.ts';
import { Random } from '../../base/random.ts';
import { readText, writeText } from '../../base/text.ts';
import { type BufferId, BufferPool } from '../../pool/index.ts';
import { NOT_NOW, SENT } from './peer-carrier.ts';
import { MESSAGE, REFERENCE } from './peer-layout.ts';
import { FRAMES, GREETING, PAYLOAD } from './stream-layout.ts';
import { StreamReader } from './stream-reader.ts';
import { type ByteSink, StreamWriter } from './stream-writer.ts';

const SEED = Number(process.env.BUSBAR_SEED ?? 7);
const SIZE = 256;

function makePool(): BufferPool {
  return BufferPool.create({ bufferSize: SIZE, bufferCount: 16 });
}

/** Puts a region into a pool: eight words, the first of that kind, then a text. */
function region(pool: BufferPool, kind: number, text: string, at: number): [BufferId, number] {
  const id = pool.tryAcquire();
  const offset = pool.offsetOf(id);
  const words = new Int32Array(pool.bytes.buffer, offset, 8);
  words.fill(0);
  words[0] = kind;
  words[2] = text.length;
  words[7] = at;
  writeText(pool.bytes, offset + 32, text, text.length);
  return [id, offset];
}

/** What came out of a reader, as text; releases it. */
class Receiver {
  readonly pool: BufferPool = makePool();
  readonly seen: string[] = [];
  readonly reader: StreamReader;
  #reference: BufferId | undefined = undefined;

  constructor() {
    const { pool, seen } = this;
    this.reader = new StreamReader(pool, {
      greeted: (index, epoch) => void seen.push(`bus ${index} of epoch ${epoch}`),
      received: (bufferId, offset, length) => this.#take(bufferId, offset, length),
    });
  }

  #take(bufferId: BufferId, offset: number, length: number): void {
    const { pool, seen } = this;
    if (length === 0) {
      this.#reference = bufferId;
      return;
    }
    const words = new Int32Array(pool.bytes.buffer, offset, 8);
    const isReference = words[0] === REFERENCE && this.#reference !== undefined;
    const at = isReference ? (words[7] as number) : offset + 32;
    const text = readText(pool.bytes, at, at + (words[2] as number));
    seen.push(`${isReference ? 'refers to' : 'holds'} ${text}`);
    if (this.#reference !== undefined) pool.release(this.#reference);
    this.#reference = undefined;
    pool.release(bufferId);
  }
}

test(`regions come as they were sent, whatever cuts and room there are (seed ${SEED})`, () => {
  for (let round = 0; round < 30; round++) {
    const random = new Random(SEED * 1000 + round);
    const pool = makePool();
    const receiver = new Receiver();
    const wire: number[] = [];
    let room = 0;
    const sink: ByteSink = {
      bytesMax: 1 + random.below(SIZE),
      tryWrite: (bytes, begin, end) => {
        expect(end - begin).toBeLessThanOrEqual(sink.bytesMax);
        if (end - begin > room) return false;
        room -= end - begin;
        wire.push(...bytes.subarray(begin, end));
        return true;
      },
    };
    const writer = new StreamWriter(pool, sink, 3, 5);
    const wanted = ['bus 3 of epoch 5'];
    const send = (bufferId: BufferId, offset: number, length: number): void => {
      for (;;) {
        const result = writer.trySend(bufferId, offset, length);
        if (result === SENT) return;
        expect(result).toBe(NOT_NOW);
        room += random.below(SIZE);
      }
    };
    for (let i = 0; i < 20; i++) {
      const text = String(i)
        .repeat(1 + random.below(30))
        .slice(0, 60);
      const isReference = random.below(3) === 0;
      if (isReference) {
        const [id, offset] = region(pool, 0, text, 0);
        send(id, offset, 0);
        const [frame, at] = region(pool, REFERENCE, text, offset + 32);
        send(frame, at, 32);
      } else {
        // Of a sender that has died between two regions: a reference that no frame takes.
        if (random.below(8) === 0) send(...region(pool, 0, 'lost', 0), 0);
        const [id, offset] = region(pool, MESSAGE, text, 0);
        send(id, offset, 32 + ((text.length + 3) & ~3));
      }
      wanted.push(`${isReference ? 'refers to' : 'holds'} ${text}`);
    }
    room = Infinity;
    expect(writer.flush()).toBe(true);
    const all = Uint8Array.from(wire);
    for (let at = 0; at < all.length; ) {
      const end = Math.min(all.length, at + 1 + random.below(100));
      const held = random.below(4) === 0 ? drain(receiver.pool) : [];
      const stopped = receiver.reader.read(all, at, end);
      if (held.length === 0) expect(stopped).toBe(end);
      for (const id of held) receiver.pool.release(id);
      at = stopped;
    }
    expect(receiver.seen, `seed ${SEED}, round ${round}`).toEqual(wanted);
    receiver.reader.close();
    writer.close();
    expectAllHome(receiver.pool);
    expectAllHome(pool);
  }
});

test('a reader that is closed by what it hands out reads nothing more', () => {
  const pool = makePool();
  const held: BufferId[] = [];
  const reader: StreamReader = new StreamReader(pool, {
    greeted: () => {},
    received: (bufferId) => {
      held.push(bufferId);
      reader.close();
    },
  });
  const record = [FRAMES, 4, MESSAGE];
  const bytes = new Uint8Array(Int32Array.from([GREETING, 0, 1, ...record, ...record]).buffer);
  expect(reader.read(bytes, 0, bytes.length)).toBe(bytes.length);
  expect(held.length).toBe(1);
  for (const id of held) pool.release(id);
  expectAllHome(pool);
});

test.each([true, false])('a stream that ends within a write gives back once (%s)', (isTaken) => {
  for (let last = 1; last < 8; last++) {
    const pool = makePool();
    let writes = 0;
    const writer: StreamWriter = new StreamWriter(
      pool,
      {
        bytesMax: 16,
        tryWrite: () => {
          if (++writes < last) return true;
          writer.close();
          return isTaken;
        },
      },
      0,
      1,
    );
    const [id, offset] = region(pool, MESSAGE, 'text', 0);
    if (writer.trySend(id, offset, 36) !== SENT) pool.release(id);
    expect(writer.flush()).toBe(writes < last);
    writer.close();
    expectAllHome(pool);
  }
});

test('a sink that has drained within a write gets each byte once', () => {
  const pool = makePool();
  const wire: number[] = [];
  const writer: StreamWriter = new StreamWriter(
    pool,
    {
      bytesMax: 8,
      tryWrite: (bytes, begin, end) => {
        wire.push(...bytes.subarray(begin, end));
        writer.flush();
        return true;
      },
    },
    0,
    1,
  );
  const [id, offset] = region(pool, MESSAGE, 'text', 0);
  expect(writer.trySend(id, offset, 36)).toBe(SENT);
  const said = new Int32Array(Uint8Array.from(wire).buffer);
  expect([...said.subarray(0, 6)]).toEqual([GREETING, 0, 1, FRAMES, 36, MESSAGE]);
  expect(said.length).toBe(5 + 9);
  expectAllHome(pool);
});

test('a sink that throws gets each byte once, and no region is taken twice', () => {
  for (let failing = 1; failing < 12; failing++) {
    const pool = makePool();
    const wire: number[] = [];
    let writes = 0;
    const writer = new StreamWriter(
      pool,
      {
        bytesMax: 8,
        tryWrite: (bytes, begin, end) => {
          if (++writes === failing) throw new RangeError('Maximum call stack size exceeded');
          wire.push(...bytes.subarray(begin, end));
          return true;
        },
      },
      0,
      1,
    );
    const [id, offset] = region(pool, MESSAGE, 'text', 0);
    let isTaken = false;
    for (let tries = 0; tries < 2 && !isTaken; tries++) {
      try {
        isTaken = writer.trySend(id, offset, 36) === SENT;
      } catch {
        expect(writes).toBe(failing);
      }
    }
    expect(isTaken).toBe(true);
    expect(writer.flush()).toBe(true);
    const said = new Int32Array(Uint8Array.from(wire).buffer);
    expect([...said.subarray(0, 6)]).toEqual([GREETING, 0, 1, FRAMES, 36, MESSAGE]);
    expect(said.length).toBe(5 + 9);
    expectAllHome(pool);
  }
});

test('what a stream may not say is refused, and what was not whole goes back', () => {
  const greeting = [GREETING, 0, 1];
  const frame = (size: number): number[] => [REFERENCE, 32, size, 0, 0, 0, 0, 0];
  const bad: readonly number[][] = [
    [GREETING + 1, 0, 1],
    [...greeting, 3, 4],
    [...greeting, FRAMES, 0],
    [...greeting, FRAMES, 6],
    [...greeting, FRAMES, -4],
    [...greeting, FRAMES, SIZE + 4],
    [...greeting, PAYLOAD, SIZE + 1],
    [...greeting, PAYLOAD, -1],
    [...greeting, PAYLOAD, 4, 0, FRAMES, 32, ...frame(5)],
  ];
  for (const words of bad) {
    const pool = makePool();
    const held: BufferId[] = [];
    const reader = new StreamReader(pool, {
      greeted: () => {},
      received: (bufferId) => void held.push(bufferId),
    });
    const bytes = new Uint8Array(Int32Array.from(words).buffer);
    expect(() => reader.read(bytes, 0, bytes.length)).toThrow(coded('ERR_BUSBAR_FRAME_MALFORMED'));
    reader.close();
    for (const id of held) pool.release(id);
    expectAllHome(pool);
  }
});
