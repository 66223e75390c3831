// SPDX-License-Identifier: MIT
import { expect, test } from 'vitest';
import { turn } from '../../test/turns.ts';
import { BufferPool } from '../pool/index.ts';
import { ReadLock, RwLock, type RwLockOptions } from './index.ts';

const shape = { bufferSize: 64, bufferCount: 1, maxThreads: 4 };

/** Locks of one pool: attached three times, this thread counts as three. */
function three(options?: RwLockOptions) {
  const pool = BufferPool.create(shape);
  const others = [BufferPool.attach(pool.handle), BufferPool.attach(pool.handle)] as const;
  const a = RwLock.create(pool, options);
  const [b, c] = [RwLock.attach(others[0], a.handle), RwLock.attach(others[1], a.handle)];
  return { pool, others, a, b, c };
}

const deadlock = expect.objectContaining({ code: 'ERR_BUSBAR_DEADLOCK' });
const notOwner = expect.objectContaining({ code: 'ERR_BUSBAR_NOT_OWNER' });

test('many read, or one writes', () => {
  const { a, b, c } = three();
  expect([a.tryRead(), b.readSync(), b.tryRead()]).toEqual(['acquired', 'acquired', 'acquired']);
  expect([c.tryWrite(), c.state]).toEqual(['busy', 'reading']);
  expect(c.writeSync(1)).toBe('timeout');
  a.unlockRead();
  b.unlockRead();
  expect([b.isReading, c.tryWrite()]).toEqual([true, 'busy']);
  b.unlockRead();
  expect([c.tryWrite(), c.isWriting, a.state]).toEqual(['acquired', true, 'writing']);
  expect([a.tryRead(), b.tryWrite(), a.readSync(1)]).toEqual(['busy', 'busy', 'timeout']);
  c.unlockWrite();
  expect([a.state, a.writeSync(), a.ownerDied]).toEqual(['free', 'acquired', false]);
  a.unlockWrite();
});

test('rsm RWLock: readers that come and go do not starve a writer', async () => {
  const { a, b, c } = three();
  a.tryRead();
  const writing = c.write();
  await turn();
  // From now on, newcomers wait.
  expect(b.tryRead()).toBe('busy');
  const reading = b.read();
  a.unlockRead();
  expect(await writing).toBe('acquired');
  c.unlockWrite();
  expect(await reading).toBe('acquired');
  b.unlockRead();
  expect([a.state, a.tryRead()]).toEqual(['free', 'acquired']);
});

test('writers that come and go do not starve a reader', async () => {
  const { a, b, c } = three();
  a.tryWrite();
  const reading = b.read();
  await turn();
  const writing = c.write();
  a.unlockWrite();
  expect(a.tryWrite()).toBe('busy');
  expect(await reading).toBe('acquired');
  b.unlockRead();
  expect(await writing).toBe('acquired');
  c.unlockWrite();
});

test.each(['read', 'write'] as const)(
  'who does not %s is passed over, but not at the first tick',
  async (way) => {
    const { a, b, c } = three();
    a.tryWrite();
    const waits = [b[way](), c.write()];
    // Until a turn of the event loop no ring reaches anyone, as if this thread were busy.
    a.unlockWrite();
    c.checkPeers();
    c.recover();
    expect(c.tryWrite()).toBe('busy');
    c.checkPeers();
    expect(c.tryWrite()).toBe('acquired');
    c.unlockWrite();
    expect(await waits[0]).toBe('acquired');
    if (way === 'read') b.unlockRead();
    else b.unlockWrite();
    expect(await waits[1]).toBe('acquired');
  },
);

test('attempts of a thread that waits are no ticks', async () => {
  const { a, b, c } = three();
  a.tryWrite();
  const [first, second] = [b.write(), c.write()];
  a.unlockWrite();
  // Each looks after dead threads, as a tick does.
  for (let i = 0; i < 5; i++) expect(c.tryWrite()).toBe('busy');
  expect(await first).toBe('acquired');
  b.unlockWrite();
  expect(await second).toBe('acquired');
});

test('a writer that gives up lets the readers behind it through', async () => {
  const { a, b, c } = three();
  a.tryRead();
  const controller = new AbortController();
  const writing = c.write({ signal: controller.signal });
  const reading = b.read();
  await turn();
  controller.abort();
  expect(await writing).toBe('aborted');
  expect(await reading).toBe('acquired');
  expect(await c.write({ timeoutMs: 1 })).toBe('timeout');
  expect(await c.write({ signal: AbortSignal.abort() })).toBe('aborted');
  expect(c.tryRead()).toBe('acquired');
});

test('a writer that gives up lets the readers of its own thread through', async () => {
  const { a, c } = three();
  a.tryRead();
  const controller = new AbortController();
  const writing = c.write({ signal: controller.signal });
  const reading = c.read();
  await turn();
  controller.abort();
  expect([await writing, await reading]).toEqual(['aborted', 'acquired']);
});

test('a thread that would wait for itself is told so, and one that reads may read again', () => {
  const { a, b } = three();
  a.tryRead();
  expect(() => a.writeSync(1000)).toThrow(deadlock);
  const waiting = b.write();
  expect(a.tryRead()).toBe('busy');
  expect(a.readSync()).toBe('acquired');
  a.unlockRead();
  a.unlockRead();
  return waiting.then(() => {
    expect(() => b.readSync(1000)).toThrow(deadlock);
    expect(() => b.writeSync(1000)).toThrow(deadlock);
    b.unlockWrite();
  });
});

test('a thread reads while a writer of its own waits for others', async () => {
  const { a, b } = three();
  b.tryRead();
  const writing = a.write();
  await turn();
  // It could not let its own writer go first while it blocks.
  expect(a.readSync()).toBe('acquired');
  a.unlockRead();
  expect(a.tryWrite()).toBe('busy');
  b.unlockRead();
  expect(a.writeSync()).toBe('acquired');
  a.unlockWrite();
  expect(await writing).toBe('acquired');
});

test('downgrade: readers come in, writers do not', async () => {
  const { a, b, c } = three();
  a.tryWrite();
  const [writing, reading] = [c.write(), b.read()];
  await turn();
  a.downgrade();
  expect([a.isWriting, a.isReading]).toEqual([false, true]);
  await turn();
  expect(c.isWriting).toBe(false);
  a.unlockRead();
  expect(await writing).toBe('acquired');
  c.unlockWrite();
  expect(await reading).toBe('acquired');
  expect(() => a.downgrade()).toThrow(notOwner);
});

test('only who has the lock gives it back', () => {
  const { a, b, others } = three();
  expect(() => a.unlockRead()).toThrow(notOwner);
  expect(() => a.unlockWrite()).toThrow(notOwner);
  a.tryRead();
  expect(() => b.unlockRead()).toThrow(notOwner);
  expect(() => a.unlockWrite()).toThrow(notOwner);
  b.tryRead();
  others[0].detach();
  const detached = expect.objectContaining({ code: 'ERR_BUSBAR_DETACHED' });
  expect(() => b.unlockRead()).toThrow(detached);
  expect(() => b.tryWrite()).toThrow(detached);
});

test('a view reads, and attaches by a handle of its own', async () => {
  const { a, others } = three();
  const view = ReadLock.attach(others[0], a.readOnly.handle);
  expect(view).not.toHaveProperty('tryWrite');
  expect(view.tryRead()).toBe('acquired');
  expect(a.tryWrite()).toBe('busy');
  {
    using guard = await view.readGuard();
    expect(guard.released).toBe(false);
  }
  view.unlockRead();
  expect([a.tryWrite(), view.tryReadGuard(), view.state]).toEqual([
    'acquired',
    undefined,
    'writing',
  ]);
  a.unlockWrite();
  const bad = expect.objectContaining({ code: 'ERR_BUSBAR_BAD_HANDLE' });
  expect(() => RwLock.attach(others[0], view.handle as never)).toThrow(bad);
  expect(ReadLock.attach(others[1], a.handle).tryRead()).toBe('acquired');
  expect(JSON.stringify(view)).toBe('{"type":"ReadLock","state":"reading"}');
});

test('guards give back once', async () => {
  const { a, b } = three();
  {
    using guard = a.writeGuardSync();
    expect(guard.ownerDied).toBe(false);
    expect([b.tryReadGuard(), b.tryWriteGuard()]).toEqual([undefined, undefined]);
    const timeout = expect.objectContaining({ code: 'ERR_BUSBAR_TIMEOUT' });
    expect(() => b.readGuardSync(1)).toThrow(timeout);
    await expect(b.writeGuard({ signal: AbortSignal.abort('enough') })).rejects.toBe('enough');
  }
  const guards = [await a.readGuard(), b.readGuardSync()];
  for (const guard of guards) guard.release();
  guards[0].release();
  expect(b.tryWriteGuard()?.released).toBe(false);
});

test('a dead reader is taken back, a dead writer is told of until one has written', () => {
  const { a, b, others, pool } = three();
  b.tryRead();
  others[0].detach();
  expect(a.tryWrite()).toBe('acquired');
  expect(a.ownerDied).toBe(false);
  a.unlockWrite();
  const d = RwLock.attach(BufferPool.attach(pool.handle), a.handle);
  expect(d.tryWrite()).toBe('acquired');
  d.pool.detach();
  // Of 8 that find it taken, one looks.
  const reads = Array.from({ length: 8 }, () => a.tryRead() === 'acquired' && a.unlockRead());
  expect([reads.at(-1), a.tryRead(), a.ownerDied]).toEqual([undefined, 'acquired', true]);
  a.unlockRead();
  expect([a.readSync(), a.ownerDied]).toEqual(['acquired', true]);
  a.unlockRead();
  expect([a.writeSync(), a.ownerDied]).toEqual(['acquired', true]);
  a.unlockWrite();
  expect([a.tryRead(), a.ownerDied]).toEqual(['acquired', false]);
});

test('a writer that dies before it has the lock leaves it as it was', async () => {
  const { a, b, others } = three();
  a.tryRead();
  const left = b.write().catch((error) => error.code);
  await turn();
  expect(a.tryRead()).toBe('busy');
  others[0].detach();
  expect(await left).toBe('ERR_BUSBAR_DETACHED');
  expect(a.recover()).toBe(true);
  expect([a.tryRead(), a.ownerDied]).toEqual(['acquired', false]);
});

test('a lock that is poisoned is so for all', async () => {
  const { a, b, c, others } = three({ onOwnerDeath: 'poison' });
  b.tryRead();
  const written = c.write();
  b.unlockRead();
  await written;
  const waiting = b.read();
  others[1].detach();
  expect(a.readSync()).toBe('poisoned');
  expect([await waiting, a.tryWrite(), a.state]).toEqual(['poisoned', 'poisoned', 'poisoned']);
  expect(() => a.writeGuardSync()).toThrow(
    expect.objectContaining({ code: 'ERR_BUSBAR_POISONED' }),
  );
});

test('arguments and handles are checked', async () => {
  const { a, pool } = three();
  expect(() => RwLock.create(pool, { onOwnerDeath: 'x' } as never)).toThrow(/^onOwnerDeath must/);
  expect(() => a.readSync(-1)).toThrow(/^timeoutMs must/);
  expect(() => a.writeSync(Number.NaN)).toThrow(/^timeoutMs must/);
  await expect(a.write({ timeoutMs: -1 })).rejects.toThrow(RangeError);
  expect(JSON.stringify(a)).toBe('{"type":"RwLock","state":"free"}');
});
