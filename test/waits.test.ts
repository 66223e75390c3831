// SPDX-License-Identifier: MIT
/** The options of a wait count also where there is nothing to wait for. */
import { Bus } from 'busbar/bus';
import { WordChannel } from 'busbar/channel';
import { DelimiterCodec } from 'busbar/framer';
import { TcpLink, TcpServer } from 'busbar/link';
import { Packet } from 'busbar/packet';
import { BufferPool, type WaitOptions } from 'busbar/pool';
import {
  Barrier,
  Countdown,
  Event,
  Gate,
  Mutex,
  Once,
  RwLock,
  Semaphore,
  SeqLock,
  SignalTree,
  WaitGroup,
} from 'busbar/sync';
import { LocalWriter, SharedWriter, WriteFlusher } from 'busbar/writer';
import { afterAll, expect, test } from 'vitest';

const pool = BufferPool.create({ bufferSize: 1024, bufferCount: 32, maxThreads: 2 });
const server = await TcpServer.listen(pool, { codec: () => new DelimiterCodec('\n') });
const link = await TcpLink.connect(pool, {
  codec: () => new DelimiterCodec('\n'),
  port: server.port,
});
const channel = WordChannel.create(pool, { kind: 'spsc', capacity: 4 });
const sender = channel.sender();
const receiver = channel.receiver();
const flusher = WriteFlusher.create(pool);
const writer = new LocalWriter(flusher, { flush: 'turn' });
const sharedWriter = SharedWriter.create(flusher, { flush: 'turn' });
flusher.setReadyCallback(() => {
  flusher.drain((_id, _offset, _length, bufferId) => pool.release(bufferId));
});
const bus = new Bus(pool);
bus.subscribe('square', (message) => message.tryRespond('1'));
const once = Once.create(pool);
once.runSync(() => 1);

afterAll(async () => {
  bus.close();
  link.destroy();
  await server.close();
});

/** Waits that could end at once, and what gives back what they got. */
const WAITS: Readonly<Record<string, (options?: WaitOptions) => Promise<unknown>>> = {
  'pool.acquire': async (options) => pool.release(await pool.acquire(options)),
  'Packet.from': async (options) => (await Packet.from(pool, 'text', options)).release(),
  'sender.send': async (options) => {
    await sender.send(1, options);
    receiver.tryReceive();
  },
  'receiver.receive': async (options) => {
    sender.trySend(1);
    await receiver.receive(options).finally(() => receiver.tryReceive());
  },
  'link.write': (options) => link.write('line', options),
  'link.reserveFrame': async (options) => {
    const reservation = await link.reserveFrame(4, options);
    reservation.abort();
  },
  'link.drained': (options) => link.drained(options),
  'bus.publish': (options) => bus.publish('news', 'line', options),
  'bus.request': (options) => bus.request('square', '2', options),
  'writer.reserve': async (options) => (await writer.reserve(4, options)).abort(),
  'writer.write': (options) => writer.write('line', options),
  'writer.drained': (options) => writer.drained(options),
  'shared writer.write': (options) => sharedWriter.write('line', options),
  'Mutex.lock': sync(Mutex.create(pool), (one, options) => one.lock(options)),
  'Mutex.guard': sync(Mutex.create(pool), (one, options) => one.guard(options)),
  'RwLock.read': sync(RwLock.create(pool), (one, options) => one.read(options)),
  'RwLock.write': sync(RwLock.create(pool), (one, options) => one.write(options)),
  'Semaphore.acquire': sync(Semaphore.create(pool, { permits: 9 }), (one, options) =>
    one.acquire(1, options),
  ),
  'Event.wait': sync(Event.create(pool), (one, options) => {
    one.set();
    return one.wait(options);
  }),
  'Gate.enter': sync(openGate(), (one, options) => one.enter(options)),
  'Gate.decide': sync(openGate(), (one, options) => one.decide(() => true, options)),
  'Once.begin': sync(once, (one, options) => one.begin(options)),
  'Once.run': sync(once, (one, options) => one.run(() => 1, options)),
  'Countdown.wait': sync(Countdown.create(pool, 1), (one, options) => {
    one.arrive();
    return one.wait(options);
  }),
  'WaitGroup.wait': sync(WaitGroup.create(pool), (one, options) => one.wait(options)),
  'Barrier.wait': sync(Barrier.create(pool), (one, options) => {
    one.done();
    return one.wait(options);
  }),
  'RwLock.readGuard': sync(RwLock.create(pool), (one, options) => one.readGuard(options)),
  'RwLock.writeGuard': sync(RwLock.create(pool), (one, options) => one.writeGuard(options)),
  'Semaphore.guard': sync(Semaphore.create(pool, { permits: 9 }), (one, options) =>
    one.guard(1, options),
  ),
  'SeqLock.write': sync(SeqLock.create(pool, { words: 1 }), (one, options) =>
    one.write(Int32Array.of(1), options),
  ),
  'SignalTree.take': sync(SignalTree.create(pool, { signals: 1 }), (one, options) => {
    one.set(0);
    return one.take(options);
  }),
};

function sync<One>(
  one: One,
  wait: (one: One, options?: WaitOptions) => Promise<unknown>,
): (options?: WaitOptions) => Promise<unknown> {
  return async (options) => wait(one, options);
}

function openGate(): Gate {
  const gate = Gate.create(pool);
  gate.open();
  return gate;
}

/** What comes of a wait: 'aborted' of the primitives is a result, elsewhere it rejects. */
async function outcome(wait: Promise<unknown>): Promise<unknown> {
  return wait.then(
    (result) => (result === 'aborted' ? 'aborted' : 'well'),
    (error) => (error === 'on purpose' ? 'aborted' : error.message),
  );
}

const REFUSALS = /^(options|timeoutMs|signal|there is no option "timeoutMS")/;
const WRONG = [7, 4294967297, 'soon', null, { timeoutMS: 5 }, { timeoutMs: 'soon' }];
/** 'No limit' is `undefined` or `Infinity`, in every form of every wait. */
const WRONG_LIMITS = [null, '5', Number.NaN, -1, true];

test.each(Object.entries(WAITS))('%s', async (_name, wait) => {
  const limits = WRONG_LIMITS.map((timeoutMs) => ({ timeoutMs }));
  for (const wrong of [...WRONG, ...limits, { signal: null }]) {
    expect(await outcome(wait(wrong as never)), String(wrong)).toMatch(REFUSALS);
  }
  expect(await outcome(wait({ signal: AbortSignal.abort('on purpose') }))).toBe('aborted');
});

/** Waits that block, and could end at once; those of the primitives: src/sync/hostile.test.ts. */
const BLOCKING: Readonly<Record<string, (timeoutMs: number) => unknown>> = {
  'sender.sendSync': (timeoutMs) => sender.sendSync(1, timeoutMs),
  'receiver.receiveSync': (timeoutMs) => receiver.receiveSync(timeoutMs),
  'pool.acquireSync': (timeoutMs) => pool.release(pool.acquireSync(timeoutMs)),
};

test.each(Object.entries(BLOCKING))('%s', (_name, wait) => {
  for (const wrong of WRONG_LIMITS)
    expect(() => wait(wrong as never)).toThrow(/^timeoutMs must be/);
});
