// SPDX-License-Identifier: MIT
/** Callers that mean harm, or know no better: what they break is theirs, and no other waits. */
import { expect, test } from 'vitest';
import { BusbarError } from '../base/errors.ts';
import { Packet } from '../packet/index.ts';
import { BufferPool } from '../pool/index.ts';
import {
  Barrier,
  Countdown,
  Event,
  Gate,
  Mutex,
  NO_SIGNAL,
  Once,
  ReadLock,
  RwLock,
  Semaphore,
  SeqLock,
  SignalTree,
  WaitGroup,
} from './index.ts';

/** Attached twice, this thread counts as two. */
function two() {
  const pool = BufferPool.create({ bufferSize: 64, bufferCount: 2, maxThreads: 4 });
  return { pool, other: BufferPool.attach(pool.handle) };
}

function fail(): never {
  throw new Error('on purpose');
}

test('a decision that throws what a wait ends with has thrown, not ended the wait', async () => {
  const { pool, other } = two();
  const a = Gate.create(pool);
  const b = Gate.attach(other, a.handle);
  const late = new BusbarError('ERR_BUSBAR_TIMEOUT', 'of something else');
  const controller = new AbortController();
  const aborted = new Error('its own reason');
  const decide = (error: Error) => (): never => {
    if (error === aborted) controller.abort(error);
    throw error;
  };
  for (const error of [late, aborted]) {
    const options = { signal: controller.signal, timeoutMs: 1e9 };
    const deciding = b.decide(decide(error), options).then(fail, (reason: unknown) => reason);
    a.open();
    expect(await deciding).toBe(error);
    expect([a.isOpen, a.entries]).toEqual([true, 0]);
    a.close();
  }
});

test('a decision that begins a wait, and then throws what a wait ends with', async () => {
  const { pool, other } = two();
  const a = Gate.create(pool);
  const b = Gate.attach(other, a.handle);
  const waits: Promise<string>[] = [];
  const late = new BusbarError('ERR_BUSBAR_TIMEOUT', 'of something else');
  const deciding = b.decide(() => {
    waits.push(b.enter(), b.enter());
    throw late;
  });
  a.open();
  await expect(deciding).rejects.toBe(late);
  expect([await Promise.all(waits), a.entries]).toEqual([['entered', 'entered'], 2]);
});

test('a wait that its own decision ends has entered: it is counted, and says so', async () => {
  const { pool, other } = two();
  const a = Gate.create(pool);
  const b = Gate.attach(other, a.handle);
  const controller = new AbortController();
  const deciding = b.decide(
    () => {
      controller.abort();
      return true;
    },
    { signal: controller.signal },
  );
  const next = b.enter();
  a.open();
  expect([await deciding, await next, a.entries]).toEqual(['entered', 'entered', 2]);
});

test.each(['runSync', 'run'] as const)(
  '%s: what cannot be looked at fails the once',
  async (way) => {
    const { pool, other } = two();
    const once = Once.create(pool);
    const next = Once.attach(other, once.handle);
    const traps = {
      getPrototypeOf: fail,
      get: fail,
    };
    const likePacket = new Proxy(Packet.tryFrom(pool, 'x') as Packet, { get: fail });
    for (const made of [new Proxy({}, traps), likePacket]) {
      const running = (async () => once[way](() => made as never))();
      const waiting = next.begin();
      await expect(running).rejects.toThrow('on purpose');
      expect(await waiting).toBe('begun');
      next.fail();
    }
  },
);

/** Signals that are none of the platform's, or changed; and how a wait that they end ends. */
function strangeSignals(): [AbortController, AbortSignal, unknown][] {
  const all: [AbortController, AbortSignal, unknown][] = [];
  const add = (change: (signal: AbortSignal) => AbortSignal, end: unknown) => {
    const controller = new AbortController();
    all.push([controller, change(controller.signal), end]);
  };
  const bound = (signal: AbortSignal): AbortSignal =>
    new Proxy(signal, {
      get(target, key) {
        const value = Reflect.get(target, key, target);
        return typeof value === 'function' ? value.bind(target) : value;
      },
    });
  const own = (key: string, descriptor: PropertyDescriptor) => (signal: AbortSignal) =>
    Object.defineProperty(signal, key, descriptor);
  add(bound, 'aborted');
  add(own('removeEventListener', { value: fail }), 'aborted');
  add(own('reason', { get: fail }), 'on purpose');
  add(own('addEventListener', { value: fail }), 'on purpose');
  add(own('aborted', { get: fail }), 'on purpose');
  return all;
}

test('whatever a signal is, its wait ends, and leaves no place in the queue', async () => {
  const { pool, other } = two();
  const third = BufferPool.attach(pool.handle);
  for (const [controller, signal, end] of strangeSignals()) {
    const a = Mutex.create(pool, { order: 'fair' });
    const b = Mutex.attach(other, a.handle);
    a.tryLock();
    const options = { signal, timeoutMs: 1e9 };
    const locking = b.lock(options).catch((error: Error) => error.message);
    try {
      controller.abort();
    } catch (error) {
      // Deno's own code reads `aborted`: abort throws what the getter of the last one throws.
      expect(error).toMatchObject({ message: end });
    }
    expect(await locking).toBe(end);
    a.unlock();
    expect(Mutex.attach(third, a.handle).tryLock()).toBe('acquired');
  }
});

test('a signal that refuses its listener takes no lock from the one it is given to', async () => {
  const { pool, other } = two();
  const a = Mutex.create(pool, { order: 'fair' });
  const b = Mutex.attach(other, a.handle);
  const signal = Object.defineProperty(new AbortController().signal, 'removeEventListener', {
    value: fail,
  });
  a.tryLock();
  const locking = b.lock({ signal, timeoutMs: 1e9 });
  a.unlock();
  expect(await locking).toBe('acquired');
  b.unlock();
  expect(a.lockSync(0)).toBe('acquired');
});

test('options that throw, or do something else when they are read, change nothing', async () => {
  const { pool, other } = two();
  const a = Mutex.create(pool, { order: 'fair' });
  const b = Mutex.attach(other, a.handle);
  const getter = Object.defineProperty({}, 'timeoutMs', { get: fail, enumerable: true });
  await expect(b.lock(getter)).rejects.toThrow('on purpose');
  const throwing = new Proxy({}, { ownKeys: fail });
  await expect(b.lock(throwing)).rejects.toThrow('on purpose');
  expect(() => Mutex.create(pool, throwing)).toThrow('on purpose');
  // It locks, and leaves it locked.
  const locking = b.lock({
    get timeoutMs() {
      a.tryLock();
      return 0;
    },
  });
  expect([await locking, a.isHeld]).toEqual(['timeout', true]);
  a.unlock();
  const detaching = b.lock({
    get timeoutMs() {
      other.detach();
      return 0;
    },
  });
  await expect(detaching).rejects.toMatchObject({ code: 'ERR_BUSBAR_DETACHED' });
  expect(a.tryLock()).toBe('acquired');
});

/** Each call that blocks or waits, by a thread that need not wait. */
const WAITS: Readonly<Record<string, (timeoutMs: never) => unknown>> = (() => {
  const { pool } = two();
  const mutex = Mutex.create(pool);
  const lock = RwLock.create(pool);
  const semaphore = Semaphore.create(pool, { permits: 9 });
  const event = Event.create(pool);
  event.set();
  const gate = Gate.create(pool);
  gate.open();
  const tree = SignalTree.create(pool, { signals: 2 });
  tree.set(0);
  const words = new Int32Array(1);
  const seqLock = SeqLock.create(pool, { words: 1 });
  const group = WaitGroup.create(pool);
  const once = Once.create(pool);
  const done = Once.create(pool);
  done.runSync(() => 1);
  const countdown = Countdown.create(pool, 1);
  countdown.arrive();
  countdown.finish();
  const barrier = Barrier.create(pool);
  barrier.done();
  return {
    'mutex.lockSync': (timeoutMs) => mutex.lockSync(timeoutMs),
    'mutex.guardSync': (timeoutMs) => mutex.guardSync(timeoutMs),
    'mutex.lock': (timeoutMs) => mutex.lock({ timeoutMs }),
    'lock.readSync': (timeoutMs) => lock.readSync(timeoutMs),
    'lock.writeSync': (timeoutMs) => lock.writeSync(timeoutMs),
    'lock.write': (timeoutMs) => lock.write({ timeoutMs }),
    'semaphore.acquireSync': (timeoutMs) => semaphore.acquireSync(1, timeoutMs),
    'semaphore.acquire': (timeoutMs) => semaphore.acquire(1, { timeoutMs }),
    'event.waitSync': (timeoutMs) => event.waitSync(timeoutMs),
    'event.wait': (timeoutMs) => event.wait({ timeoutMs }),
    'gate.enterSync': (timeoutMs) => gate.enterSync(timeoutMs),
    'gate.enter': (timeoutMs) => gate.enter({ timeoutMs }),
    'tree.takeSync': (timeoutMs) => tree.takeSync(timeoutMs),
    'tree.take': (timeoutMs) => tree.take({ timeoutMs }),
    'seqLock.readSync': (timeoutMs) => seqLock.readSync(words, timeoutMs),
    'seqLock.writeSync': (timeoutMs) => seqLock.writeSync(words, timeoutMs),
    'seqLock.write': (timeoutMs) => seqLock.write(words, { timeoutMs }),
    'group.waitSync': (timeoutMs) => group.waitSync(timeoutMs),
    'group.wait': (timeoutMs) => group.wait({ timeoutMs }),
    'once.beginSync': (timeoutMs) => once.beginSync(timeoutMs),
    'once.begin': (timeoutMs) => once.begin({ timeoutMs }),
    'done.beginSync': (timeoutMs) => done.beginSync(timeoutMs),
    'done.runSync': (timeoutMs) => done.runSync(() => 1, timeoutMs),
    'done.run': (timeoutMs) => done.run(() => 1, { timeoutMs }),
    'countdown.waitSync': (timeoutMs) => countdown.waitSync(timeoutMs),
    'countdown.wait': (timeoutMs) => countdown.wait({ timeoutMs }),
    'barrier.waitSync': (timeoutMs) => barrier.waitSync(timeoutMs),
    'barrier.wait': (timeoutMs) => barrier.wait({ timeoutMs }),
    'gate.decideSync': (timeoutMs) => gate.decideSync(() => true, timeoutMs),
    'gate.decide': (timeoutMs) => gate.decide(() => true, { timeoutMs }),
    'lock.readGuardSync': (timeoutMs) => lock.readGuardSync(timeoutMs),
    'lock.writeGuard': (timeoutMs) => lock.writeGuard({ timeoutMs }),
    'semaphore.guardSync': (timeoutMs) => semaphore.guardSync(1, timeoutMs),
  };
})();

test.each(Object.keys(WAITS))(
  '%s takes no time that is none, though it need not wait',
  async (name) => {
    for (const timeoutMs of [Number.NaN, -1, -Infinity, '5', 5n, {}, null]) {
      const waiting = (async () => WAITS[name](timeoutMs as never))();
      await expect(waiting).rejects.toThrow(/timeoutMs/);
    }
    for (const timeoutMs of [2 ** 31, 1e300, Infinity]) {
      // Taken by the call before.
      if (/^(tree|once|mutex|lock)\./.test(name)) break;
      await WAITS[name](timeoutMs as never);
    }
  },
);

test('handles of other kinds, of other pools, and mixtures of them are refused', () => {
  const { pool } = two();
  const kinds = {
    Barrier: [Barrier, Barrier.create(pool)],
    Countdown: [Countdown, Countdown.create(pool, 1)],
    Event: [Event, Event.create(pool)],
    Gate: [Gate, Gate.create(pool)],
    Mutex: [Mutex, Mutex.create(pool)],
    Once: [Once, Once.create(pool)],
    RwLock: [RwLock, RwLock.create(pool)],
    ReadLock: [ReadLock, RwLock.create(pool).readOnly],
    Semaphore: [Semaphore, Semaphore.create(pool, { permits: 1 })],
    SeqLock: [SeqLock, SeqLock.create(pool, { words: 1 })],
    SignalTree: [SignalTree, SignalTree.create(pool, { signals: 1 })],
    WaitGroup: [WaitGroup, WaitGroup.create(pool)],
  } as const;
  const bad = expect.objectContaining({ code: 'ERR_BUSBAR_BAD_HANDLE' });
  const elsewhere = two().pool;
  for (const [name, [type, own]] of Object.entries(kinds)) {
    const attach = (handle: unknown, to: BufferPool = pool) => type.attach(to, handle as never);
    attach(structuredClone(own.handle));
    expect(() => attach(own.handle, elsewhere)).toThrow(bad);
    for (const [otherName, [, other]] of Object.entries(kinds)) {
      // A lock and its view lie in one kind of block.
      if (otherName === name || (/Lock$/.test(name) && /^R\w+Lock$/.test(otherName))) continue;
      expect(() => attach(other.handle), `${name}, ${otherName}`).toThrow(bad);
      // Its kind alone, and its block alone.
      expect(() => attach({ ...other.handle, kind: own.handle.kind })).toThrow(bad);
      expect(() => attach({ ...own.handle, kind: other.handle.kind })).toThrow(bad);
    }
    expect(() => attach(new Proxy(own.handle, { get: fail }))).toThrow('on purpose');
  }
});

test('who has left the pool takes nothing from the thread that has its slot now', () => {
  const detached = expect.objectContaining({ code: 'ERR_BUSBAR_DETACHED' });
  const { pool, other } = two();
  const lock = RwLock.create(pool);
  const permits = Semaphore.create(pool, { permits: 1, owned: true });
  const once = Once.create(pool);
  const left = RwLock.attach(other, lock.handle);
  // Its pool is left as the handle is read.
  const leaving = (handle: object, from: BufferPool): never => {
    const getControl = (): unknown => {
      if (from.isAttached) from.detach();
      return Reflect.get(handle, 'control');
    };
    return Object.defineProperty({ ...handle }, 'control', { get: getControl }) as never;
  };
  const writes = (by: BufferPool): RwLock => {
    const one = RwLock.attach(by, lock.handle);
    expect(one.tryWrite()).toBe('acquired');
    return one;
  };
  other.detach();
  const next = BufferPool.attach(pool.handle);
  const writer = writes(next);
  expect(() => left.readOnly).toThrow(detached);
  expect([writer.isWriting, lock.tryWrite()]).toEqual([true, 'busy']);
  writer.unlockWrite();
  next.detach();
  for (const attach of [
    (by: BufferPool) => RwLock.attach(by, leaving(lock.handle, by)),
    (by: BufferPool) => Semaphore.attach(by, leaving(permits.handle, by)),
    (by: BufferPool) => Once.attach(by, leaving(once.handle, by)),
  ]) {
    const by = BufferPool.attach(pool.handle);
    expect(() => attach(by)).toThrow(detached);
  }
});

test('guards: again, by hand before, after the end of the pool', async () => {
  const { pool, other } = two();
  const mutex = Mutex.create(pool);
  const b = Mutex.attach(other, mutex.handle);
  const guard = mutex.guardSync();
  mutex.unlock();
  // The lock is another's now: the guard says so, and may be asked again.
  b.tryLock();
  const notOwner = expect.objectContaining({ code: 'ERR_BUSBAR_NOT_OWNER' });
  expect(() => guard.release()).toThrow(notOwner);
  expect([guard.released, b.isHeld]).toEqual([false, true]);
  b.unlock();
  const { release } = mutex.guardSync();
  expect(() => release()).toThrow(TypeError);
  mutex.unlock();
  const permits = Semaphore.create(pool, { permits: 2, owned: true });
  const two_ = await permits.guard(2);
  permits.disable();
  two_.release();
  two_[Symbol.dispose]();
  expect([two_.released, permits.tryAcquire()]).toEqual([true, 'disabled']);
});

test('a guard that is given up throws the reason of its own signal', async () => {
  const { pool, other } = two();
  const mutex = Mutex.create(pool);
  const lock = RwLock.create(pool);
  const permits = Semaphore.create(pool, { permits: 1 });
  mutex.tryLock();
  lock.tryWrite();
  permits.tryAcquire();
  const b = Mutex.attach(other, mutex.handle);
  const waiting = RwLock.attach(other, lock.handle);
  const controller = new AbortController();
  const options: { signal?: AbortSignal } = { signal: controller.signal };
  const guards = [
    b.guard(options),
    waiting.readGuard(options),
    waiting.writeGuard(options),
    Semaphore.attach(other, permits.handle).guard(1, options),
  ].map((guard) => guard.then(fail, (reason: unknown) => reason));
  // The caller uses the object for its next call.
  delete options.signal;
  controller.abort('enough');
  expect(await Promise.all(guards)).toEqual(Array(4).fill('enough'));
});

test('counts and numbers: a wrong one is named, calls no code, and changes nothing', async () => {
  const { pool } = two();
  const permits = Semaphore.create(pool, { permits: 1, max: 3, owned: true });
  const tree = SignalTree.create(pool, { signals: 33 });
  const group = WaitGroup.create(pool);
  const mutex = Mutex.create(pool);
  mutex.tryLock();
  const once = Once.create(pool);
  once.tryBegin();
  const blocks = [permits, tree, group, mutex, once].map(({ handle }) => handle);
  const words = (): string =>
    blocks.map((block) => new Int32Array(block.control).join()).join() + tree.tryTake();
  const calls: readonly ((value: never) => unknown)[] = [
    (count) => permits.tryAcquire(count),
    (count) => permits.acquireSync(count, 0),
    (count) => permits.acquire(count),
    (count) => permits.tryGuard(count),
    (count) => permits.guardSync(count, 0),
    (count) => permits.guard(count),
    (count) => permits.release(count),
    (index) => tree.set(index),
    (index) => tree.isSet(index),
    (index) => tree.signal(index),
    (count) => group.add(count),
    (tag) => {
      mutex.tag = tag;
    },
    (value) => once.finish(value),
    (count) => Countdown.create(pool, count),
    (batch) => Gate.create(pool, { batch }),
    (max) => Semaphore.create(pool, { permits: 1, max }),
    (signals) => SignalTree.create(pool, { signals }),
    (length) => SeqLock.create(pool, { words: length }),
  ];
  const traps = { valueOf: fail, toString: fail, [Symbol.toPrimitive]: fail };
  const likeNumber = new Proxy(Object(1), { get: fail, getPrototypeOf: fail });
  const wrong = [Number.NaN, 1.5, 2 ** 31, 2 ** 53, -(2 ** 31) - 1, Infinity];
  const noNumbers = [1n, Symbol('1'), '1', true, [1], Object(1), traps, likeNumber, () => 1];
  const before = words();
  for (const call of calls) {
    for (const value of [...wrong, ...noNumbers]) {
      // What is asked for its prototype first is a proxy of a packet, perhaps.
      if (value === likeNumber && calls.indexOf(call) === 12) continue;
      const isNumber = typeof value === 'number';
      const type = isNumber ? 'RangeError' : 'TypeError';
      const error = await (async () => call(value as never))().catch((reason: Error) => reason);
      expect(error).toMatchObject({ name: type, message: /must be an integer from/ });
      expect(words()).toBe(before);
    }
  }
});

test('a tree’s signals are not what a caller says they are', () => {
  const { pool } = two();
  const tree = SignalTree.create(pool, { signals: 33 });
  for (const index of [-1, 33, 0.5, Number.NaN, 2 ** 32, '0', null]) {
    expect(() => tree.set(index as never)).toThrow(/^index must/);
    expect(() => tree.signal(index as never)).toThrow(/^index must/);
  }
  expect(tree.tryTake()).toBe(NO_SIGNAL);
});

test('a thread that leaves its pool while it waits is told within a tick', async () => {
  const { pool, other } = two();
  const a = Mutex.create(pool);
  const b = Mutex.attach(other, a.handle);
  a.tryLock();
  const locking = b.lock();
  other.detach();
  await expect(locking).rejects.toMatchObject({ code: 'ERR_BUSBAR_DETACHED' });
});
