// SPDX-License-Identifier: MIT
import { expect, test } from 'vitest';
import { watchAccesses } from '../../test/accesses.ts';
import { coded, drain, expectAllHome } from '../../test/pool-expectations.ts';
import { die } from '../../test/simulated-death.ts';
import { BufferPool } from '../pool/index.ts';
import { LocalWriter, WriteFlusher, type WriteFlusherHandle } from './index.ts';

const shape = { bufferSize: 16, bufferCount: 24, batchSize: 2, maxThreads: 4 };

/** What arrives, as 'writer:text'. */
function collect(pool: BufferPool, flusher: WriteFlusher, countMax?: number): string[] {
  const arrived: string[] = [];
  flusher.drain((id, offset, length, bufferId) => {
    arrived.push(`${id}:${Buffer.from(pool.bytes.slice(offset, offset + length))}`);
    pool.release(bufferId);
  }, countMax);
  return arrived;
}

function send(writer: LocalWriter, text: string): boolean {
  return writer.tryWrite(Buffer.from(text)) && writer.flush();
}

async function settle(): Promise<void> {
  for (let i = 0; i < 4; i++) await new Promise((resolve) => setImmediate(resolve));
}

test('options and handles are checked, and errors name what is wrong', () => {
  const pool = BufferPool.create(shape);
  const names = { writerCount: [0, 65_537, 1.5], regionCount: [1, 3, 131_072] };
  for (const [name, values] of Object.entries(names)) {
    for (const value of values) {
      expect(() => WriteFlusher.create(pool, { [name]: value })).toThrow(RangeError);
      expect(() => WriteFlusher.create(pool, { [name]: value })).toThrow(name);
    }
  }
  expect(() => WriteFlusher.create(pool, { count: 1 } as object)).toThrow('count');
  expect(() => WriteFlusher.create({} as BufferPool)).toThrow(TypeError);
  const { handle } = WriteFlusher.create(pool, { writerCount: 40, regionCount: 2 });
  for (const wrong of [
    undefined,
    {},
    { ...handle, kind: 'other' },
    { ...handle, version: 99 },
    { ...handle, control: new SharedArrayBuffer(64) },
  ]) {
    expect(() => WriteFlusher.attach(pool, wrong as WriteFlusherHandle)).toThrow(
      coded('ERR_BUSBAR_BAD_HANDLE'),
    );
  }
  expect(WriteFlusher.attach(pool, structuredClone(handle)).isReceiver).toBe(true);
});

test('only the receiver drains, listens and closes', () => {
  const pool = BufferPool.create(shape);
  const flusher = WriteFlusher.create(pool);
  const other = BufferPool.attach(pool.handle);
  const writing = WriteFlusher.attach(other, flusher.handle);
  const role = coded('ERR_BUSBAR_FLUSHER_ROLE');
  expect(() => writing.drain(() => {})).toThrow(role);
  expect(() => writing.setReadyCallback(() => {})).toThrow(role);
  expect(() => writing.close()).toThrow(role);
  expect(() => writing.becomeReceiver()).toThrow(role);
  expect(() => flusher.setReadyCallback(1 as never)).toThrow(TypeError);
  for (const id of [-1, 64, 0.5]) expect(() => flusher.pauseWriter(id)).toThrow(RangeError);
  expect(() => flusher.recover(9)).toThrow('threadSlot');
  expect(() => flusher.recover(other.threadSlot)).toThrow(coded('ERR_BUSBAR_THREAD_ALIVE'));
});

test('more than 32 writers keep their order, and drained slots are used again', () => {
  const pool = BufferPool.create({ ...shape, bufferCount: 90 });
  const flusher = WriteFlusher.create(pool, { writerCount: 40, regionCount: 4 });
  const writers = Array.from({ length: 40 }, () => new LocalWriter(flusher));
  expect(new Set(writers.map((writer) => writer.id)).size).toBe(40);
  expect(() => new LocalWriter(flusher)).toThrow(coded('ERR_BUSBAR_WRITER_SLOTS'));
  for (const text of ['a', 'b']) for (const writer of writers) send(writer, text);
  writers[7].close();
  expect(() => new LocalWriter(flusher)).toThrow(coded('ERR_BUSBAR_WRITER_SLOTS'));
  const arrived = collect(pool, flusher);
  for (const { id } of writers) {
    expect(arrived.filter((each) => each.startsWith(`${id}:`))).toEqual([`${id}:a`, `${id}:b`]);
  }
  const next = new LocalWriter(flusher);
  expect(next.id).toBe(writers[7].id);
  send(next, 'c');
  expect(collect(pool, flusher)).toEqual([`${next.id}:c`]);
  for (const writer of [...writers, next]) writer.close();
  collect(pool, flusher);
  expect(flusher.stats()).toMatchObject({ writers: 0, waitingRegions: 0 });
  expectAllHome(pool);
});

test('drain stops at its limit, and goes on where it stopped', () => {
  const pool = BufferPool.create(shape);
  const flusher = WriteFlusher.create(pool);
  const writers = [new LocalWriter(flusher), new LocalWriter(flusher)];
  for (const text of ['a', 'b', 'c']) for (const writer of writers) send(writer, text);
  const arrived = [2, 2, 1, 9].map((countMax) => collect(pool, flusher, countMax));
  expect(arrived.map((each) => each.length)).toEqual([2, 2, 1, 1]);
  expect(arrived.flat().sort()).toEqual(['0:a', '0:b', '0:c', '1:a', '1:b', '1:c']);
  for (const writer of writers) writer.close();
  collect(pool, flusher);
  expectAllHome(pool);
});

test('a writer that always has news starves no other, whatever the limit of a drain', () => {
  for (const countMax of [1, 2, 3]) {
    const pool = BufferPool.create({ ...shape, bufferCount: 90 });
    const flusher = WriteFlusher.create(pool, { writerCount: 40, regionCount: 4 });
    const writers = Array.from({ length: 40 }, () => new LocalWriter(flusher));
    const [busy] = writers;
    // In the word of the busy one, at a word's end and beginning, and the last of all.
    const quiet = [1, 31, 32, 39].map((lane) => writers[lane]);
    for (const writer of quiet) send(writer, 'q');
    const arrived = new Set<string>();
    for (let drains = 0; drains <= writers.length; drains++) {
      while (send(busy, 'b'));
      for (const each of collect(pool, flusher, countMax)) arrived.add(each);
    }
    for (const { id } of quiet) expect([...arrived], `limit ${countMax}`).toContain(`${id}:q`);
    for (const writer of writers) writer.close();
    collect(pool, flusher);
    expectAllHome(pool);
  }
});

test('a paused writer keeps its regions; the next writer of the slot is not paused', async () => {
  const pool = BufferPool.create(shape);
  const flusher = WriteFlusher.create(pool, { regionCount: 2 });
  const writer = new LocalWriter(flusher);
  const arrived: string[] = [];
  flusher.setReadyCallback(() => arrived.push(...collect(pool, flusher)));
  flusher.pauseWriter(writer.id);
  send(writer, 'a');
  await settle();
  expect(arrived).toEqual([]);
  flusher.resumeWriter(writer.id);
  await settle();
  expect(arrived).toEqual(['0:a']);
  flusher.setReadyCallback(undefined);
  send(writer, 'b');
  send(writer, 'c');
  let taken = 0;
  const takeAndPause = (id: number, _offset: number, _length: number, bufferId: number): void => {
    taken++;
    pool.release(bufferId as never);
    flusher.pauseWriter(id);
  };
  flusher.drain(takeAndPause);
  flusher.drain(takeAndPause);
  expect(taken).toBe(1);
  flusher.resumeWriter(writer.id);
  writer.close();
  flusher.drain(takeAndPause);
  expect(flusher.stats().writers).toBe(0);
  const next = new LocalWriter(flusher);
  expect(next.id).toBe(writer.id);
  send(next, 'd');
  expect(collect(pool, flusher)).toEqual(['0:d']);
  next.close();
  collect(pool, flusher);
  expectAllHome(pool);
});

test('a sink that throws, drains or closes leaves the books in order', async () => {
  const pool = BufferPool.create(shape);
  const flusher = WriteFlusher.create(pool);
  const writer = new LocalWriter(flusher);
  for (const text of ['a', 'b', 'c', 'd']) send(writer, text);
  expect(() =>
    flusher.drain((_id, _offset, _length, bufferId) => {
      pool.release(bufferId);
      throw new Error('sink');
    }),
  ).toThrow('sink');
  let inner = -1;
  flusher.drain((_id, _offset, _length, bufferId) => {
    pool.release(bufferId);
    inner = flusher.drain(() => {});
  }, 1);
  expect(inner).toBe(0);
  flusher.drain((_id, _offset, _length, bufferId) => {
    pool.release(bufferId);
    expect(flusher.close()).toBe(1);
  });
  expect(writer.close()).toBe(0);
  expectAllHome(pool);
});

test('after a sink that threw, news still wake the receiver', async () => {
  const pool = BufferPool.create(shape);
  const other = BufferPool.attach(pool.handle);
  const flusher = WriteFlusher.create(pool);
  const writer = new LocalWriter(WriteFlusher.attach(other, flusher.handle));
  let count = 0;
  const failing = (_id: number, _offset: number, _length: number, bufferId: number): void => {
    pool.release(bufferId as never);
    count++;
    throw new Error('sink');
  };
  flusher.setReadyCallback(() => expect(() => flusher.drain(failing)).toThrow('sink'));
  for (let i = 1; i <= 3; i++) {
    send(writer, 'x');
    await settle();
    expect(count).toBe(i);
  }
  flusher.setReadyCallback(undefined);
  writer.close();
  collect(pool, flusher);
  expectAllHome(pool);
});

test('a sleeping receiver is woken by another thread, once for many flushes', async () => {
  const pool = BufferPool.create(shape);
  const other = BufferPool.attach(pool.handle);
  const flusher = WriteFlusher.create(pool);
  const writer = new LocalWriter(WriteFlusher.attach(other, flusher.handle));
  const arrived: string[][] = [];
  flusher.setReadyCallback(() => arrived.push(collect(pool, flusher)));
  await settle();
  send(writer, 'a');
  send(writer, 'b');
  await settle();
  send(writer, 'c');
  await settle();
  expect(arrived).toEqual([['0:a', '0:b'], ['0:c']]);
  writer.close();
  await settle();
  expect(flusher.stats().writers).toBe(0);
  expectAllHome(pool);
});

test('one ring serves all that wait for room, the receiver among them', async () => {
  const pool = BufferPool.create(shape);
  const other = BufferPool.attach(pool.handle);
  const flusher = WriteFlusher.create(pool, { regionCount: 2 });
  const back = WriteFlusher.create(other, { regionCount: 2 });
  const attached = WriteFlusher.attach(other, flusher.handle);
  const arrived: string[] = [];
  const writers = [1, 2, 3].map(() => new LocalWriter(attached, { flush: { messages: 1 } }));
  back.setReadyCallback(() => arrived.push(...collect(other, back)));
  for (const text of ['a', 'b', 'c']) for (const w of writers) w.tryWrite(Buffer.from(text));
  await settle();
  expect(writers.map((writer) => writer.bufferedBytes)).toEqual([1, 1, 1]);
  const reply = new LocalWriter(WriteFlusher.attach(pool, back.handle));
  send(reply, 'reply');
  collect(pool, flusher);
  await settle();
  expect(writers.map((writer) => writer.bufferedBytes)).toEqual([0, 0, 0]);
  expect(arrived).toEqual(['0:reply']);
  for (const writer of [...writers, reply]) writer.close();
  collect(pool, flusher);
  await settle();
  expectAllHome(pool);
});

test('recover frees a dead thread’s writers, whatever they had appended', async () => {
  const pool = BufferPool.create(shape);
  const flusher = WriteFlusher.create(pool, { regionCount: 4 });
  const victim = BufferPool.attach(pool.handle);
  const writer = new LocalWriter(WriteFlusher.attach(victim, flusher.handle));
  send(writer, 'flushed');
  for (let i = 0; i < 3; i++) writer.tryWrite(Buffer.from('not flushed'));
  writer.tryReserve(3);
  die(victim);
  await settle();
  expect(flusher.recover(victim.threadSlot)).toBe(1);
  expect(flusher.recover(victim.threadSlot)).toBe(0);
  pool.reclaim(victim.threadSlot);
  expect(flusher.stats().writers).toBe(1);
  expect(collect(pool, flusher)).toEqual(['0:flushed']);
  expect(flusher.stats().writers).toBe(0);
  expectAllHome(pool);
});

test('a new receiver goes on where the dead one was, even on the same thread slot', async () => {
  const pool = BufferPool.create(shape);
  const victim = BufferPool.attach(pool.handle);
  const first = WriteFlusher.create(victim);
  const writer = new LocalWriter(WriteFlusher.attach(pool, first.handle));
  for (const text of ['a', 'b', 'c']) send(writer, text);
  // It has taken note of the news, and dies with one region in its hands.
  first.drain(() => {}, 1);
  die(victim);
  await settle();
  pool.reclaim(victim.threadSlot);
  const heir = BufferPool.attach(pool.handle);
  expect(heir.threadSlot).toBe(victim.threadSlot);
  const second = WriteFlusher.attach(heir, first.handle);
  second.becomeReceiver();
  expect(collect(heir, second)).toEqual(['0:b', '0:c']);
  const arrived: string[] = [];
  second.setReadyCallback(() => arrived.push(...collect(heir, second)));
  send(writer, 'd');
  await settle();
  expect(arrived).toEqual(['0:d']);
  writer.close();
  await settle();
  expectAllHome(pool);
});

test('a thread that gets the slot of a dead receiver is none; any thread may be it', async () => {
  const pool = BufferPool.create(shape);
  const victim = BufferPool.attach(pool.handle);
  const first = WriteFlusher.create(victim);
  const writer = new LocalWriter(WriteFlusher.attach(pool, first.handle));
  send(writer, 'a');
  die(victim);
  await settle();
  pool.reclaim(victim.threadSlot);
  const bystander = BufferPool.attach(pool.handle);
  expect(bystander.threadSlot).toBe(victim.threadSlot);
  const theirs = WriteFlusher.attach(bystander, first.handle);
  expect(theirs.isReceiver).toBe(false);
  for (const call of [() => collect(bystander, theirs), () => theirs.close()]) {
    expect(call).toThrow(coded('ERR_BUSBAR_FLUSHER_ROLE'));
  }
  const mine = WriteFlusher.attach(pool, first.handle);
  mine.becomeReceiver();
  expect(() => theirs.becomeReceiver()).toThrow(coded('ERR_BUSBAR_FLUSHER_ROLE'));
  expect(collect(pool, mine)).toEqual(['0:a']);
  writer.close();
  await settle();
  expectAllHome(pool);
});

test('a ring that comes too late does not leave the receiver deaf', async () => {
  const pool = BufferPool.create(shape);
  const other = BufferPool.attach(pool.handle);
  const flusher = WriteFlusher.create(pool);
  const attached = WriteFlusher.attach(other, flusher.handle);
  const writer = new LocalWriter(attached);
  const arrived: string[] = [];
  flusher.setReadyCallback(() => arrived.push(...collect(pool, flusher)));
  await settle();
  // A writer that was interrupted between publishing and announcing: the receiver has been there.
  attached.announce();
  await settle();
  send(writer, 'a');
  await settle();
  expect(arrived).toEqual(['0:a']);
  writer.close();
  await settle();
  expectAllHome(pool);
});

test('drain checks its arguments before it touches anything', async () => {
  const pool = BufferPool.create(shape);
  const flusher = WriteFlusher.create(pool);
  const writer = new LocalWriter(flusher);
  send(writer, 'a');
  expect(() => flusher.drain(undefined as never)).toThrow(TypeError);
  expect(() => flusher.drain(() => {}, '1' as never)).toThrow(TypeError);
  for (const countMax of [0, -1, Number.NaN, 1.5, -Infinity]) {
    expect(() => flusher.drain(() => {}, countMax)).toThrow(RangeError);
  }
  expect(flusher.stats()).toMatchObject({ waitingRegions: 1, drainedRegions: 0 });
  // Were a refused drain asked for again at once, this would never settle.
  const refused: unknown[] = [];
  flusher.setReadyCallback(() => {
    try {
      flusher.drain(() => {}, 0);
    } catch (error) {
      refused.push(error);
    }
  });
  await settle();
  expect(refused).toEqual([expect.any(RangeError)]);
  expect(collect(pool, flusher)).toEqual(['0:a']);
  writer.close();
  flusher.close();
  expectAllHome(pool);
});

test('a receiver that has left the pool changes nothing, and another takes its place', () => {
  const pool = BufferPool.create(shape);
  const other = BufferPool.attach(pool.handle);
  const flusher = WriteFlusher.create(pool);
  const theirs = WriteFlusher.attach(other, flusher.handle);
  const writer = new LocalWriter(theirs);
  for (const text of ['a', 'b', 'c']) send(writer, text);
  const detached = coded('ERR_BUSBAR_DETACHED');
  const leave = (): number =>
    flusher.drain((_writer, _offset, _length, id) => {
      pool.release(id);
      pool.detach();
    });
  expect(leave).toThrow(detached);
  for (const call of [
    leave,
    () => flusher.close(),
    () => flusher.recover(other.threadSlot),
    () => flusher.becomeReceiver(),
    () => flusher.setReadyCallback(() => {}),
  ]) {
    expect(call).toThrow(detached);
  }
  expect(theirs.stats()).toMatchObject({ closed: false, waitingRegions: 2 });
  theirs.becomeReceiver();
  expect(collect(other, theirs)).toEqual(['0:b', '0:c']);
  writer.close();
  theirs.close();
  expectAllHome(other);
});

test('its figures cost what the lanes do that were ever used, however many there are', () => {
  const pool = BufferPool.create(shape);
  const flusher = WriteFlusher.create(pool, { writerCount: 65_536, regionCount: 2 });
  const writers = [1, 2, 3].map(() => new LocalWriter(flusher));
  for (const writer of writers) send(writer, 'x');
  writers[0]?.close();
  let accesses = 0;
  const count = (): void => {
    accesses++;
  };
  watchAccesses(count, () => {
    expect(flusher.stats()).toMatchObject({ writers: 3, waitingRegions: 3 });
  });
  expect(accesses).toBeLessThan(12);
  flusher.close();
});

/** Fills the stack, then calls `what` at every depth on the way back, until it does not throw. */
function onFullStack(what: () => unknown): number {
  let errors = 0;
  const descend = (): boolean => {
    try {
      if (descend()) return true;
    } catch {
      // The stack is full.
    }
    try {
      what();
      return true;
    } catch {
      errors++;
      return false;
    }
  };
  expect(descend()).toBe(true);
  return errors;
}

test.each(['recover', 'close'])('%s on a full stack loses no reference', async (call) => {
  const pool = BufferPool.create(shape);
  const flusher = WriteFlusher.create(pool, { regionCount: 4 });
  const victim = BufferPool.attach(pool.handle);
  const writer = new LocalWriter(WriteFlusher.attach(victim, flusher.handle));
  for (let i = 0; i < 3; i++) writer.tryWrite(Buffer.from('not flushed'));
  if (call === 'close') writer.flush();
  // A thread waits for a buffer: a release needs much of the stack.
  const other = BufferPool.attach(pool.handle);
  const ids = drain(other);
  const waiting = other.acquire();
  die(victim);
  await settle();
  const clean = (): unknown =>
    call === 'close' ? flusher.close() : flusher.recover(victim.threadSlot);
  expect(onFullStack(clean)).toBeGreaterThan(0);
  pool.reclaim(victim.threadSlot);
  for (const id of [...ids, await waiting]) other.release(id);
  expect(collect(pool, flusher)).toEqual([]);
  expectAllHome(pool);
});
