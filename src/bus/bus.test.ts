// SPDX-License-Identifier: MIT
/** A bus on one thread: delivery, order, bounds, requests, ends. */

import { expect, test } from 'vitest';
import { Packet } from '../packet/index.ts';
import { BufferPool } from '../pool/index.ts';
import { Bus } from './bus.ts';
import type { BusMessage } from './bus-message.ts';
import type { BusOptions } from './bus-options.ts';

function setUp(options?: BusOptions, bufferCount: number = 16): { pool: BufferPool; bus: Bus } {
  const pool = BufferPool.create({ bufferSize: 256, bufferCount });
  return { pool, bus: new Bus(pool, options) };
}

/** Closes the bus, and checks that nothing of the pool is out. */
function finish(bus: Bus): void {
  bus.close();
  expect(bus.pool.close().heldByThreads).toBe(0);
}

test('subscribers get what their subject matches, each message once and in order', () => {
  const { bus } = setUp();
  const seen: string[] = [];
  bus.subscribe('a.*', (message) => void seen.push(`star ${message.subject} ${message.text()}`));
  bus.subscribe('a.>', (message) => void seen.push(`rest ${message.subject} ${message.text()}`));
  bus.subscribe('a.b', ({ sequence }) => void seen.push(`literal ${sequence}`));
  expect(bus.tryPublish('a.b', 'one')).toBe(true);
  expect(bus.tryPublish('a.b.c', new TextEncoder().encode('two'))).toBe(true);
  expect(bus.tryPublish('b', 'nobody')).toBe(true);
  expect(seen.sort()).toEqual(['literal 1', 'rest a.b one', 'rest a.b.c two', 'star a.b one']);
  expect(bus.stats()).toMatchObject({ published: 3, unmatched: 1, subscriptions: 3 });
  finish(bus);
});

test('a packet is passed on by reference, and is the bus’s only on success', () => {
  const { pool, bus } = setUp();
  const packet = Packet.tryFrom(pool, new Uint8Array([1, 2, 3])) as Packet;
  const loop = bus.subscribe('x', { limit: { messages: 1 } });
  expect(bus.tryPublish('x', packet)).toBe(true);
  expect(packet.released).toBe(true);
  const second = Packet.tryFrom(pool, new Uint8Array([4])) as Packet;
  expect(bus.tryPublish('x', second), 'the loop has no room').toBe(false);
  expect(second.released).toBe(false);
  expect(() => bus.tryPublish('x y', second)).toThrow(/ERR|subject/);
  expect(second.released).toBe(false);
  second.release();
  const kept: BusMessage[] = [];
  bus.subscribe('y', (message) => void kept.push(message.keep()));
  const third = Packet.tryFrom(pool, new Uint8Array([5])) as Packet;
  const { offset } = third;
  bus.tryPublish('y', third);
  expect(kept.map((message) => message.offset)).toEqual([offset]);
  expect([...kept[0].bytes]).toEqual([5]);
  for (const message of kept) message.release();
  loop.close();
  finish(bus);
});

test('of a queue group one member gets each message, in turn', () => {
  const { bus } = setUp();
  const counts = [0, 0, 0];
  for (const i of [0, 1, 2]) bus.subscribe('w', { queue: 'q' }, () => void counts[i]++);
  let plain = 0;
  bus.subscribe('w', () => void plain++);
  for (let i = 0; i < 30; i++) bus.tryPublish('w', 'x');
  expect(counts).toEqual([10, 10, 10]);
  expect(plain).toBe(30);
  finish(bus);
});

test('a member without room does not get what another member can take', async () => {
  const { bus } = setUp();
  const full = bus.subscribe('w', { queue: 'q', limit: { messages: 1 } });
  let others = 0;
  bus.subscribe('w', { queue: 'q' }, () => void others++);
  for (let i = 0; i < 10; i++) expect(bus.tryPublish('w', 'x')).toBe(true);
  expect(full.held).toBe(1);
  expect(others).toBe(9);
  finish(bus);
});

test('a member that would lose a message does not get what another member can take', () => {
  const { bus } = setUp();
  const limit = { messages: 1 };
  const full = bus.subscribe('w', { queue: 'q', limit, overflow: 'drop-newest' });
  let others = 0;
  bus.subscribe('w', { queue: 'q' }, () => void others++);
  for (let i = 0; i < 10; i++) expect(bus.tryPublish('w', 'x')).toBe(true);
  expect([full.held, full.dropped, others]).toEqual([1, 0, 9]);
  finish(bus);
});

test('what a handler publishes comes after what it handles', () => {
  const { bus } = setUp({ backlogMax: 2 });
  const seen: string[] = [];
  const answers: boolean[] = [];
  bus.subscribe('a', () => {
    for (const text of ['1', '2', '3']) answers.push(bus.tryPublish('b', text));
  });
  bus.subscribe('a', () => void seen.push('a'));
  bus.subscribe('b', (message) => void seen.push(message.text()));
  bus.tryPublish('a', '');
  expect(seen).toEqual(['a', '1', '2']);
  expect(answers, 'the backlog is bounded').toEqual([true, true, false]);
  finish(bus);
});

test('handlers may subscribe, close and publish to the same subject', () => {
  const { bus } = setUp();
  const seen: string[] = [];
  const late = bus.subscribe('a', (message) => void seen.push(`late ${message.text()}`));
  late.close();
  const first = bus.subscribe('a', (message) => {
    if (message.text() === 'x') {
      second.close();
      bus.subscribe('a', ({ sequence }) => void seen.push(`new ${sequence}`));
      bus.tryPublish('a', 'y');
    }
    seen.push(`first ${message.text()}`);
  });
  const second = bus.subscribe('a', () => void seen.push('second'));
  bus.tryPublish('a', 'x');
  expect(seen).toEqual(['first x', 'first y', 'new 2']);
  expect(first.state).toBe('open');
  finish(bus);
});

test('a loop gets the messages in order, and borrows each until the next', async () => {
  const { bus } = setUp();
  const loop = bus.subscribe('n', { max: 3 });
  for (const text of ['1', '2', '3', '4']) bus.tryPublish('n', text);
  const seen: string[] = [];
  let last: BusMessage | undefined;
  for await (const message of loop) {
    expect(() => last?.text()).not.toThrow(/other/);
    if (last !== undefined) expect(() => (last as BusMessage).text()).toThrow(/borrowed/);
    seen.push(message.text());
    last = message;
  }
  expect(seen).toEqual(['1', '2', '3']);
  expect(loop.state).toBe('closed');
  finish(bus);
});

test.each([
  ['drop-newest', ['0', '1']],
  ['drop-oldest', ['3', '4']],
] as const)('%s loses messages, counts them, and stops nobody', async (overflow, expected) => {
  const { bus } = setUp();
  const loop = bus.subscribe('n', { overflow, limit: { messages: 2 } });
  for (let i = 0; i < 5; i++) expect(bus.tryPublish('n', String(i))).toBe(true);
  expect(loop.dropped).toBe(3);
  const drained = loop.drain();
  const seen: string[] = [];
  for await (const message of loop) seen.push(message.text());
  await drained;
  expect(seen).toEqual(expected);
  finish(bus);
});

test('cut-off ends a slow subscription with an error, and others get the message', async () => {
  const { bus } = setUp();
  const loop = bus.subscribe('n', { overflow: 'cut-off', limit: { messages: 1 } });
  let others = 0;
  bus.subscribe('n', () => void others++);
  bus.tryPublish('n', 'x');
  expect(bus.tryPublish('n', 'y')).toBe(true);
  expect(others).toBe(2);
  await expect(async () => {
    for await (const message of loop) message.text();
  }).rejects.toMatchObject({ code: 'ERR_BUSBAR_SLOW_SUBSCRIBER' });
  finish(bus);
});

test('a full loop stops its publishers only, who wait in order', async () => {
  const { bus } = setUp();
  const loop = bus.subscribe('slow', { limit: { messages: 1 } });
  let free = 0;
  bus.subscribe('free', () => void free++);
  bus.tryPublish('slow', '0');
  const waits = ['1', '2', '3'].map((text) => bus.publish('slow', text));
  expect(bus.tryPublish('slow', 'not before them')).toBe(false);
  expect(bus.tryPublish('free', '')).toBe(true);
  expect(free).toBe(1);
  const seen: string[] = [];
  for await (const message of loop) {
    seen.push(message.text());
    if (seen.length === 4) break;
  }
  await Promise.all(waits);
  expect(seen).toEqual(['0', '1', '2', '3']);
  finish(bus);
});

test('bounds count bytes and buffers, waiting and in hand', () => {
  const { pool, bus } = setUp({}, 32);
  const bytes = bus.subscribe('b', { limit: { bytes: 100 } });
  let count = 0;
  while (bus.tryPublish('b', new Uint8Array(30))) count++;
  expect(count).toBe(4);
  bytes.close();
  const buffers = bus.subscribe('b', { limit: { buffers: 3 } });
  for (count = 0; ; count++) {
    const packet = Packet.tryFrom(pool, new Uint8Array(1)) as Packet;
    if (!bus.tryPublish('b', packet)) {
      packet.release();
      break;
    }
  }
  expect(count, 'a buffer for each message').toBe(3);
  buffers.close();
  finish(bus);
});

test('an async handler keeps its messages, in order and with a bound', async () => {
  const { bus } = setUp();
  const seen: string[] = [];
  let running = 0;
  let runningMax = 0;
  const subscription = bus.subscribe('j', { limit: { messages: 3 } }, async (message) => {
    running++;
    runningMax = Math.max(running, runningMax);
    await Promise.resolve();
    seen.push(message.text());
    running--;
  });
  for (let i = 0; i < 20; i++) await bus.publish('j', String(i));
  await subscription.drain();
  expect(seen).toEqual(Array.from({ length: 20 }, (_, i) => String(i)));
  expect(runningMax).toBe(1);
  const wide = bus.subscribe('k', { concurrency: 4 }, async () => {
    running++;
    runningMax = Math.max(running, runningMax);
    await new Promise((resolve) => setImmediate(resolve));
    running--;
  });
  for (let i = 0; i < 20; i++) bus.tryPublish('k', '');
  await wide.drain();
  expect(runningMax).toBe(4);
  finish(bus);
});

test('a plain function that returns a promise is told what to do', () => {
  const errors: unknown[] = [];
  const { bus } = setUp({ onError: (error) => void errors.push(error) });
  bus.subscribe('a', () => Promise.reject(new Error('unseen')));
  bus.tryPublish('a', '');
  expect(String(errors[0])).toMatch(/async function, or subscribe with \{ concurrency \}/);
  finish(bus);
});

test('an error of a handler reaches onError, and others get the message', async () => {
  const errors: unknown[] = [];
  const { bus } = setUp({ onError: (error) => void errors.push(error) });
  const own: unknown[] = [];
  bus.subscribe('a', { onError: (error) => void own.push(error) }, () => {
    throw new Error('own');
  });
  bus.subscribe('a', () => {
    throw new Error('of the bus');
  });
  const failing = bus.subscribe('a', async () => {
    throw new Error('later');
  });
  let others = 0;
  bus.subscribe('a', () => void others++);
  bus.tryPublish('a', '');
  await failing.drain();
  expect(own.map(String)).toEqual(['Error: own']);
  expect(errors.map(String)).toEqual(['Error: of the bus', 'Error: later']);
  expect(others).toBe(1);
  finish(bus);
});

test('a request gets the first answer; without a responder it fails at once', async () => {
  const { bus } = setUp();
  bus.subscribe('double', (message) => void message.tryRespond(message.text().repeat(2)));
  const answer = await bus.request('double', 'ab');
  expect(answer.text()).toBe('abab');
  answer.release();
  await expect(bus.request('nobody', '')).rejects.toMatchObject({
    code: 'ERR_BUSBAR_NO_RESPONDERS',
  });
  expect(bus.stats().waiting).toBe(0);
  bus.subscribe('silent', () => {});
  await expect(bus.request('silent', '', { timeoutMs: 1 })).rejects.toMatchObject({
    code: 'ERR_BUSBAR_TIMEOUT',
  });
  const abort = new AbortController();
  const asked = bus.request('silent', '', { signal: abort.signal });
  abort.abort(new Error('enough'));
  await expect(asked).rejects.toThrow('enough');
  expect(bus.stats().requests).toBe(0);
  finish(bus);
});

test('a message that was published has no reply subject, and respond says so', async () => {
  const { bus } = setUp();
  let error: unknown;
  bus.subscribe('told', (message) => {
    try {
      message.tryRespond('thanks');
    } catch (thrown) {
      error = thrown;
    }
  });
  await bus.publish('told', 'news');
  await bus.drain();
  expect(error).toMatchObject({
    code: 'ERR_BUSBAR_BAD_SUBJECT',
    message: /a message on "told" has no reply subject, look at its reply first$/,
  });
  finish(bus);
});

test('replies yields the answers of all responders', async () => {
  const { bus } = setUp();
  for (const name of ['a', 'b', 'c']) {
    bus.subscribe('who', async (message) => message.respond(name));
  }
  const seen: string[] = [];
  for await (const message of bus.replies('who', '', { max: 3 })) seen.push(message.text());
  expect(seen.sort()).toEqual(['a', 'b', 'c']);
  // Without `max` the time ends it. On a busy machine that may be before all have answered.
  let late: string[] = [];
  for (let timeoutMs = 20; late.length < 3; timeoutMs *= 2) {
    late = [];
    for await (const message of bus.replies('who', '', { timeoutMs })) late.push(message.text());
  }
  expect(late.sort()).toEqual(['a', 'b', 'c']);
  await expect(async () => {
    for await (const message of bus.replies('nobody', '')) message.text();
  }).rejects.toMatchObject({ code: 'ERR_BUSBAR_NO_RESPONDERS' });
  expect(bus.stats().subscriptions).toBe(3);
  finish(bus);
});

test('an exhausted pool is "not now"; publish waits for a buffer', async () => {
  const { pool, bus } = setUp({}, 4);
  let got = 0;
  bus.subscribe('a', () => void got++);
  const held = Array.from({ length: 4 }, () => pool.tryAcquire());
  expect(bus.tryPublish('a', 'x')).toBe(false);
  expect(pool.stats().waiting, 'what answers now does not wait').toBe(0);
  const waits = bus.publish('a', 'x');
  expect(bus.stats().waiting).toBe(1);
  expect(pool.stats().waiting).toBe(1);
  for (const id of held) pool.release(id);
  await waits;
  expect(got).toBe(1);
  finish(bus);
});

test('what waits for a buffer of a pool that is closed fails', async () => {
  const { pool, bus } = setUp({}, 1);
  bus.subscribe('a', () => {});
  pool.tryAcquire();
  const waits = bus.publish('a', 'x');
  pool.close();
  await expect(waits).rejects.toMatchObject({ code: 'ERR_BUSBAR_POOL_CLOSED' });
});

test.each(['', '.', 'a.', '.a', 'a..b', 'a b', 'a\tb', 'a\x7f', 'x'.repeat(257), 'a.'.repeat(40)])(
  'the subject %j is refused, and nothing is sent',
  (subject) => {
    const { bus } = setUp();
    const code = 'ERR_BUSBAR_BAD_SUBJECT';
    expect(() => bus.tryPublish(subject, '')).toThrow(expect.objectContaining({ code }));
    expect(() => bus.subscribe(subject, () => {})).toThrow(expect.objectContaining({ code }));
    expect(bus.stats()).toMatchObject({ published: 0, subscriptions: 0 });
    finish(bus);
  },
);

test('publishers use no wildcards; what is no payload is refused', async () => {
  const { pool, bus } = setUp();
  for (const subject of ['*', 'a.*', '>']) {
    expect(() => bus.tryPublish(subject, '')).toThrow(/only subscribers use wildcards/);
  }
  expect(() => bus.tryPublish('a', 5 as never)).toThrow(/payload must be/);
  expect(() => bus.tryPublish('a', new Uint8Array(257))).toThrow(
    expect.objectContaining({ code: 'ERR_BUSBAR_MESSAGE_TOO_LARGE' }),
  );
  expect(() => bus.tryPublish('a', '', { replay: 'x' } as never)).toThrow(/no option "replay"/);
  expect(() => bus.tryPublish('a', '', { headers: { 'a b': 'x' } })).toThrow(/headers/);
  const other = BufferPool.create({ bufferSize: 256, bufferCount: 1 });
  const packet = Packet.tryFrom(other, new Uint8Array(1)) as Packet;
  expect(() => bus.tryPublish('a', packet)).toThrow(/another pool/);
  packet.release();
  await expect(bus.publish('a', '', { timeoutMs: -1 })).rejects.toThrow(RangeError);
  expect(pool.stats().held).toBe(0);
  finish(bus);
});

test('drain lets subscribers finish and answer; afterwards everything is refused', async () => {
  const { bus } = setUp();
  const seen: string[] = [];
  bus.subscribe('a', async (message) => {
    await new Promise((resolve) => setImmediate(resolve));
    seen.push(message.text());
    if (message.reply !== undefined) await message.respond('done');
  });
  const asked = bus.request('a', 'x');
  bus.tryPublish('a', 'y');
  void asked.then((answer) => answer.release());
  void bus.drain();
  await bus.drain(); // the second call waits as the first does
  expect(seen).toEqual(['x', 'y']);
  const code = 'ERR_BUSBAR_BUS_CLOSED';
  expect(() => bus.tryPublish('a', '')).toThrow(expect.objectContaining({ code }));
  expect(() => bus.subscribe('a', () => {})).toThrow(expect.objectContaining({ code }));
  await expect(bus.publish('a', '')).rejects.toMatchObject({ code });
  finish(bus);
});

test('close rejects what waits and gives every buffer back', async () => {
  const { bus } = setUp();
  bus.subscribe('a', { limit: { messages: 1 } });
  bus.tryPublish('a', 'x');
  const waits = bus.publish('a', 'y');
  bus.subscribe('silent', () => {});
  const asked = bus.request('silent', '');
  bus.close();
  for (const promise of [waits, asked]) {
    await expect(promise).rejects.toMatchObject({ code: 'ERR_BUSBAR_BUS_CLOSED' });
  }
  finish(bus);
});

test('a signal ends a subscription and its loop', async () => {
  const { bus } = setUp();
  const abort = new AbortController();
  const loop = bus.subscribe('a', { signal: abort.signal });
  const ended = (async () => {
    for await (const message of loop) message.text();
  })();
  abort.abort();
  await ended;
  expect(loop.state).toBe('closed');
  expect(bus.stats().subscriptions).toBe(0);
  finish(bus);
});
