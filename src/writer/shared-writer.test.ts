// SPDX-License-Identifier: MIT
import { expect, test } from 'vitest';
import { dieAt, throwAt } from '../../test/accesses.ts';
import { auditPool } from '../../test/pool-audit.ts';
import { coded } from '../../test/pool-expectations.ts';
import { die } from '../../test/simulated-death.ts';
import { type BufferId, BufferPool } from '../pool/index.ts';
import { BY_TICK } from '../pool/liveness.ts';
import {
  SharedWriter,
  type SharedWriterHandle,
  WriteFlusher,
  type WriterOptions,
} from './index.ts';
import { CLAIM } from './shared-writer-layout.ts';

const shape = { bufferSize: 32, bufferCount: 40, batchSize: 1, maxThreads: 4 };

/** A pool, and two objects of one shared writer that look like two threads. */
interface Stage {
  readonly pool: BufferPool;
  readonly other: BufferPool;
  readonly flusher: WriteFlusher;
  readonly mine: SharedWriter;
  readonly theirs: SharedWriter;
}

function setUp(options: WriterOptions = {}, regionCount: number = 32): Stage {
  const pool = BufferPool.create(shape);
  const other = BufferPool.attach(pool.handle);
  const flusher = WriteFlusher.create(pool, { writerCount: 2, regionCount });
  const mine = SharedWriter.create(flusher, options);
  const theirs = SharedWriter.attach(
    WriteFlusher.attach(other, flusher.handle),
    structuredClone(mine.handle),
  );
  return { pool, other, flusher, mine, theirs };
}

function collect({ pool, flusher }: Stage): string {
  let text = '';
  flusher.drain((_id, offset, length, bufferId) => {
    text += Buffer.from(pool.bytes.slice(offset, offset + length)).toString();
    pool.release(bufferId);
  });
  return text;
}

/** The other thread dies, and its writer, lane and slot are recovered, in this order. */
function cleanUp({ flusher, mine, other, pool }: Stage): void {
  die(other);
  mine.recover(other.threadSlot);
  flusher.recover(other.threadSlot);
  pool.reclaim(other.threadSlot);
}

/** Collects until as much has come as is expected. */
async function expectToCome(stage: Stage, expected: string): Promise<void> {
  let text = '';
  while (text.length < expected.length) {
    text += collect(stage);
    await new Promise(setImmediate);
  }
  expect(text).toBe(expected);
}

function put({ pool }: Stage, writer: SharedWriter, offset: number, text: string): void {
  pool.bytes.set(Buffer.from(text), offset);
  writer.commit(offset, text.length);
}

function write(writer: SharedWriter, text: string): boolean {
  return writer.tryWrite(Buffer.from(text));
}

function expectAllHome(stage: Stage): void {
  collect(stage);
  const { held, inTransit } = stage.pool.who();
  const { writers } = stage.flusher.stats();
  const found = { held, inTransit, writers, wrong: auditPool(stage.pool) };
  expect(found).toEqual({ held: 0, inTransit: 0, writers: 0, wrong: [] });
}

async function settle(): Promise<void> {
  for (let i = 0; i < 4; i++) await new Promise((resolve) => setImmediate(resolve));
}

test('threads write in the order in which they reserve, and any of them flushes for all', () => {
  const stage = setUp();
  const { mine, theirs } = stage;
  const first = mine.tryReserve(2);
  const second = theirs.tryReserve(2);
  write(mine, 'cc');
  put(stage, theirs, second, 'bb');
  expect(theirs.flush()).toBe(true);
  expect(collect(stage)).toBe('');
  put(stage, mine, first, 'aa');
  expect(theirs.flush()).toBe(true);
  expect(collect(stage)).toBe('aabbcc');
  expect(mine.close()).toBe(0);
  expect(theirs.close()).toBe(0);
  expectAllHome(stage);
});

test('empty messages have places of their own, and lengths are checked', () => {
  const stage = setUp();
  const { mine, theirs } = stage;
  const offsets = [
    mine.tryReserve(0),
    theirs.tryReserve(0),
    mine.tryReserve(1),
    mine.tryReserve(0),
  ];
  expect(new Set(offsets).size).toBe(4);
  theirs.commit(offsets[1], 0);
  mine.abort(offsets[0]);
  mine.commit(offsets[3], 0);
  expect(() => mine.commit(offsets[2], 2)).toThrow(RangeError);
  expect(() => theirs.commit(offsets[2], 1)).toThrow(coded('ERR_BUSBAR_BAD_RESERVATION'));
  put(stage, mine, offsets[2], 'x');
  expect(() => mine.tryReserve(33)).toThrow(coded('ERR_BUSBAR_MESSAGE_TOO_LARGE'));
  expect(() => mine.tryReserve(0.5)).toThrow(RangeError);
  expect(() => mine.tryWrite([1] as never)).toThrow(TypeError);
  mine.flush();
  expect(collect(stage)).toBe('x');
  mine.close();
  theirs.close();
  expectAllHome(stage);
});

test('an open reservation holds sixteen buffers back at most, then it is not now', () => {
  const stage = setUp();
  const { mine, theirs } = stage;
  const held = mine.tryReserve(1);
  let count = 0;
  while (write(theirs, 'x'.repeat(20))) count++;
  expect(count).toBe(16);
  expect(theirs.flush()).toBe(true);
  expect(collect(stage)).toBe('');
  mine.abort(held);
  expect(write(theirs, 'y')).toBe(true);
  expect(mine.flush()).toBe(true);
  expect(collect(stage)).toBe(`${'x'.repeat(320)}y`);
  mine.close();
  theirs.close();
  expectAllHome(stage);
});

test('positions run through all their epochs and begin again', () => {
  const pool = BufferPool.create({ ...shape, bufferSize: 40_000, bufferCount: 8 });
  const flusher = WriteFlusher.create(pool);
  const writer = SharedWriter.create(flusher);
  const bytes = new Uint8Array(25_000);
  for (let i = 0; i < 300; i++) {
    bytes.fill(i);
    expect(writer.tryWrite(bytes)).toBe(true);
    expect(writer.flush()).toBe(true);
    let length = 0;
    flusher.drain((_id, offset, count, bufferId) => {
      expect(pool.bytes[offset]).toBe(i & 255);
      length += count;
      pool.release(bufferId);
    });
    expect(length).toBe(25_000);
  }
  writer.close();
  flusher.drain(() => {});
  expect(pool.who()).toMatchObject({ held: 0, inTransit: 0 });
});

test('a reservation given away is ended by its taker; a ticket is good once', () => {
  const stage = setUp();
  const { mine, theirs } = stage;
  const offset = mine.tryReserve(3);
  const ticket = structuredClone(mine.handOver(offset));
  expect(() => mine.commit(offset, 1)).toThrow(coded('ERR_BUSBAR_BAD_RESERVATION'));
  expect(theirs.takeOver(ticket)).toBe(offset);
  expect(() => theirs.takeOver(ticket)).toThrow(coded('ERR_BUSBAR_BAD_RESERVATION'));
  put(stage, theirs, offset, 'abc');
  expect(() => theirs.takeOver(ticket)).toThrow(coded('ERR_BUSBAR_BAD_RESERVATION'));
  expect(() => theirs.takeOver({ ...ticket, entry: -1 })).toThrow(RangeError);
  mine.flush();
  expect(collect(stage)).toBe('abc');
  mine.close();
  theirs.close();
  expectAllHome(stage);
});

test('the last close ends the writer, and no thread can join it afterwards', () => {
  const stage = setUp();
  const { flusher, mine, theirs } = stage;
  const again = SharedWriter.attach(flusher, mine.handle);
  mine.tryReserve(4);
  write(theirs, 'behind');
  expect(mine.close()).toBe(0);
  expect(mine.close()).toBe(0);
  for (const call of [() => mine.tryReserve(1), () => mine.flush(), () => write(mine, 'x')]) {
    expect(call).toThrow(coded('ERR_BUSBAR_WRITER_CLOSED'));
  }
  expect(collect(stage)).toBe('behind');
  write(again, 'more');
  again.close();
  expect(theirs.close()).toBe(0);
  expect(() => SharedWriter.attach(flusher, mine.handle)).toThrow(
    coded('ERR_BUSBAR_WRITER_CLOSED'),
  );
  expect(collect(stage)).toBe('more');
  expectAllHome(stage);
});

/** Far more than a ring takes to come. */
const TURNS_MAX = 1000;

test.each([
  ['its own', false],
  ['what it was asked to flush', true],
])('who closes without room for %s leaves it to the others', async (_, isAsked) => {
  const stage = setUp({ flush: 'manual' }, 2);
  const { mine, theirs, other } = stage;
  const writer = isAsked ? mine : theirs;
  for (const text of ['first', 'second']) {
    expect(write(theirs, text.padEnd(20))).toBe(true);
    expect(theirs.flush()).toBe(true);
  }
  expect(write(writer, 'third'.padEnd(20))).toBe(true);
  // As if it were at it just now: it promises to look once more.
  if (isAsked) new Int32Array(mine.handle.control)[CLAIM] = other.badge;
  if (isAsked) expect(mine.flush()).toBe(true);
  expect(theirs.close()).toBe(0);
  let text = collect(stage);
  for (let turns = 0; !text.includes('third') && turns < TURNS_MAX; turns++) {
    await new Promise(setImmediate);
    text += collect(stage);
  }
  expect(text.split(/ +/)).toEqual(['first', 'second', 'third', '']);
  expect(mine.close()).toBe(0);
  expectAllHome(stage);
});

test('who is rung and closes before it can flush passes it on', async () => {
  const stage = setUp({ flush: 'manual' }, 2);
  const { mine, theirs, flusher } = stage;
  const third = SharedWriter.attach(
    WriteFlusher.attach(BufferPool.attach(stage.pool.handle), flusher.handle),
    mine.handle,
  );
  for (const text of ['first', 'second', 'third']) write(theirs, text.padEnd(20));
  expect(theirs.close()).toBe(0);
  expect(mine.close()).toBe(0);
  let text = collect(stage);
  for (let turns = 0; !text.includes('third') && turns < TURNS_MAX; turns++) {
    await new Promise(setImmediate);
    text += collect(stage);
  }
  expect(text.split(/ +/)).toEqual(['first', 'second', 'third', '']);
  expect(third.close()).toBe(0);
  expectAllHome(stage);
});

test('what the flusher has no room for is counted when the writer ends', () => {
  const stage = setUp({}, 2);
  const { mine, theirs } = stage;
  for (let i = 0; i < 3; i++) expect(write(mine, 'x'.repeat(20))).toBe(true);
  expect(mine.flush()).toBe(false);
  expect(theirs.close()).toBe(0);
  expect(mine.close()).toBe(20);
  expect(collect(stage)).toBe('x'.repeat(40));
  expectAllHome(stage);
});

test('a closed flusher or pool ends it without losing a buffer', () => {
  for (const how of ['flusher', 'pool']) {
    const stage = setUp({ headroom: 2 });
    const { flusher, mine, pool, theirs } = stage;
    write(mine, 'flushed');
    mine.flush();
    write(theirs, 'not');
    if (how === 'flusher') flusher.close();
    else pool.close();
    mine.close();
    expect(theirs.close()).toBe(3);
    collect(stage);
    expect(pool.who(), how).toMatchObject({ held: 0, inTransit: 0 });
    expect(auditPool(pool)).toEqual([]);
  }
});

test('handles are checked', () => {
  const { flusher, mine } = setUp();
  for (const wrong of [
    undefined,
    {},
    { ...mine.handle, kind: 'x' },
    { ...mine.handle, version: 9 },
    { ...mine.handle, control: new SharedArrayBuffer(4096) },
  ]) {
    expect(() => SharedWriter.attach(flusher, wrong as SharedWriterHandle)).toThrow(
      coded('ERR_BUSBAR_BAD_HANDLE'),
    );
  }
  const pool = BufferPool.create({ ...shape, bufferSize: 1 << 20, bufferCount: 1 });
  expect(() => SharedWriter.create(WriteFlusher.create(pool))).toThrow(RangeError);
});

test('what a policy found held up goes when the holder ends its reservation', async () => {
  for (const flush of ['turn', { messages: 1 }, { bytes: 100 }] as const) {
    for (const how of ['abort', 'commit']) {
      const stage = setUp({ flush });
      const { mine, theirs } = stage;
      const held = mine.tryReserve(4);
      write(theirs, 'next');
      if (typeof flush === 'object') theirs.flush();
      await settle();
      expect(collect(stage)).toBe('');
      if (how === 'abort') mine.abort(held);
      else mine.commit(held, 0);
      await settle();
      expect(collect(stage), `${JSON.stringify(flush)}, ${how}`).toBe('next');
      mine.close();
      theirs.close();
      expectAllHome(stage);
    }
  }
});

/** Writes messages of which one fills a segment, and drains without releasing what came. */
class Slow {
  written = '';
  readonly #kept: { offset: number; length: number; id: BufferId }[] = [];
  readonly #stage: Stage;

  constructor(stage: Stage) {
    this.#stage = stage;
  }

  write(writer: SharedWriter): void {
    const text = String.fromCharCode(97 + this.written.length / 20).repeat(20);
    for (let i = 0; i < 3 && !write(writer, text); i++) writer.flush();
    this.written += text;
  }

  read(): void {
    this.#stage.flusher.drain((_, offset, length, id) => this.#kept.push({ offset, length, id }));
  }

  /** What has come, as it is now. */
  release(): string {
    const { pool } = this.#stage;
    const bytes = this.#kept.map(({ offset, length }) => pool.bytes.slice(offset, offset + length));
    for (const { id } of this.#kept) pool.release(id);
    return Buffer.concat(bytes).toString();
  }
}

test.each([
  ['an access that throws', false],
  ['a death, for the next thread of its slot,', true],
])('%s leads no message into a buffer that others still read', (_, isDeath) => {
  for (let access = 1, hasThrown = true; hasThrown; access++) {
    const stage = setUp();
    const { pool, other, flusher, mine, theirs } = stage;
    const slow = new Slow(stage);
    slow.write(theirs);
    theirs.flush();
    slow.read();
    slow.write(theirs);
    hasThrown = (isDeath ? dieAt : throwAt)(access, () => theirs.flush());
    let writer = theirs;
    if (isDeath) {
      die(other);
      pool.reclaim(other.threadSlot);
      const heir = BufferPool.attach(pool.handle);
      expect(heir.threadSlot).toBe(other.threadSlot);
      writer = SharedWriter.attach(WriteFlusher.attach(heir, flusher.handle), mine.handle);
    }
    for (let i = 0; i < 3; i++) {
      slow.write(writer);
      writer.flush();
      slow.read();
    }
    expect(slow.release(), `access ${access}`).toBe(slow.written);
    expect(writer.close() + mine.close()).toBe(0);
    expectAllHome(stage);
  }
});

test('recover finds a thread dead although many had asked while it was busy', () => {
  const stage = setUp();
  const { mine, other, pool, theirs } = stage;
  theirs.tryReserve(5);
  write(mine, 'next');
  // Waiters on the other side of a channel do so, each tick, while it makes no turn.
  for (let i = 0; i < 20; i++) expect(pool.isBadgeGone(other.badge, BY_TICK)).toBe(false);
  cleanUp(stage);
  expect(collect(stage)).toBe('next');
  mine.close();
  expectAllHome(stage);
});

test('recover ends what a dead thread had open, and gives its place back', async () => {
  const stage = setUp();
  const { flusher, mine, other, pool, theirs } = stage;
  expect(() => mine.recover(other.threadSlot)).toThrow(coded('ERR_BUSBAR_THREAD_ALIVE'));
  write(theirs, 'one');
  const offset = theirs.tryReserve(5);
  theirs.handOver(offset);
  theirs.tryReserve(20);
  theirs.tryReserve(30);
  write(mine, 'two');
  die(other);
  await settle();
  mine.recover(other.threadSlot);
  mine.recover(other.threadSlot);
  flusher.recover(other.threadSlot);
  pool.reclaim(other.threadSlot);
  expect(collect(stage)).toBe('onetwo');
  mine.close();
  expectAllHome(stage);
});

test('recover delivers what others left to the dead, also when the lane is full', async () => {
  const stage = setUp({}, 2);
  const { mine, other, theirs } = stage;
  // It dies while it delivers: whoever flushes leaves that to it.
  (theirs as unknown as { words: Int32Array }).words[CLAIM] = other.badge;
  const texts = ['the first of them', 'the second of them', 'the third', 'and the fourth of them'];
  for (const text of texts) {
    write(mine, text);
    expect(mine.flush()).toBe(true);
  }
  cleanUp(stage);
  await expectToCome(stage, texts.join(''));
  mine.close();
  collect(stage);
  expectAllHome(stage);
});

test('recover by a closed object leaves what has no room to the other members', async () => {
  const stage = setUp({}, 2);
  const { flusher, mine, other, pool, theirs } = stage;
  const third = BufferPool.attach(pool.handle);
  const idle = SharedWriter.attach(WriteFlusher.attach(third, flusher.handle), mine.handle);
  mine.close();
  const texts = ['the first of them', 'the second of them', 'the third', 'and the fourth of them'];
  (idle as unknown as { words: Int32Array }).words[CLAIM] = other.badge;
  for (const text of texts) {
    write(theirs, text);
    theirs.flush();
  }
  cleanUp(stage);
  await expectToCome(stage, texts.join(''));
  idle.close();
  third.detach();
});

test('recover ends the writer if the dead one was the last', async () => {
  const stage = setUp();
  const { mine, other, pool, theirs } = stage;
  write(theirs, 'one');
  expect(mine.close()).toBe(0);
  write(theirs, 'two');
  die(other);
  await settle();
  mine.recover(other.threadSlot);
  pool.reclaim(other.threadSlot);
  expect(collect(stage)).toBe('onetwo');
  expectAllHome(stage);
});

test('reserve waits for the reservation that holds everything up', async () => {
  const stage = setUp();
  const { mine, theirs } = stage;
  const held = mine.tryReserve(1);
  while (write(theirs, 'x'.repeat(20)));
  await expect(theirs.reserve(20, { timeoutMs: 1 })).rejects.toEqual(coded('ERR_BUSBAR_TIMEOUT'));
  const waiting = theirs.reserve(20);
  await settle();
  mine.abort(held);
  (await waiting).abort();
  expect(collect(stage)).toBe('x'.repeat(320));
  mine.close();
  theirs.close();
  expectAllHome(stage);
});
