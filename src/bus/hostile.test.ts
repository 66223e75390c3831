// SPDX-License-Identifier: MIT
/** Arguments that change when they are looked at, and handlers that release what they borrow. */

import { expect, test } from 'vitest';
import { PeerNetwork } from '../../test/bus/peer/network.ts';
import { expectAllHome } from '../../test/pool-expectations.ts';
import { BufferPool } from '../pool/index.ts';
import { Bus } from './bus.ts';
import type { Headers } from './envelope.ts';

function setUp(options = {}): { pool: BufferPool; bus: Bus; finish: () => void } {
  const pool = BufferPool.create({ bufferSize: 256, bufferCount: 16, maxThreads: 1 });
  const bus = new Bus(pool, options);
  const finish = (): void => {
    bus.close();
    expectAllHome(pool);
  };
  return { pool, bus, finish };
}

/** Headers whose value is a string once, and then what `then` returns. */
function changing(then: () => unknown): Headers {
  let looks = 0;
  return {
    get Kind(): string {
      return (looks++ === 0 ? 'checked' : then()) as string;
    },
  };
}

test('headers are read once: what was checked is what each subscriber gets', () => {
  const pool = BufferPool.create({ bufferSize: 1024, bufferCount: 64 });
  const network = new PeerNetwork(pool, 2);
  const bus = network.start(0);
  const seen: unknown[] = [];
  for (const each of [bus, network.start(1)]) {
    each.subscribe('a', ({ subject, headers }) => void seen.push([subject, headers]));
  }
  network.settle();
  expect(bus.tryPublish('a', 'x', { headers: changing(() => 7) })).toBe(true);
  // The second look would publish in the middle of the first call.
  const headers = changing(() => bus.tryPublish('a', 'y'.repeat(100)));
  expect(bus.tryPublish('a', 'x', { headers })).toBe(true);
  class Headed {
    Kind: string = 'checked';
    toJSON(): undefined {
      return undefined;
    }
  }
  const headed = new Headed() as unknown as Headers;
  expect(bus.tryPublish('a', 'x', { headers: headed })).toBe(true);
  network.settle();
  expect(seen).toEqual(Array.from({ length: 6 }, () => ['a', { Kind: 'checked' }]));
  network.end();
  expectAllHome(pool);
});

test.each(['*', '>', '.'])('a bus by the name of %s gets replies', async (name) => {
  const { bus, finish } = setUp({ name });
  bus.subscribe('ask', (message) => void message.tryRespond('yes'));
  const reply = await bus.request('ask', '');
  expect(reply.text()).toBe('yes');
  reply.release();
  const texts: string[] = [];
  for await (const each of bus.replies('ask', '', { max: 1 })) texts.push(each.text());
  expect(texts).toEqual(['yes']);
  finish();
});

test('a subject that is no text is named, and its request leaves nothing', async () => {
  const { bus, finish } = setUp();
  for (const subject of [Symbol('s'), { toString: null }, 7, undefined] as never[]) {
    const wrong = /^subject must be a string/;
    await expect(bus.request(subject, '', { timeoutMs: 1000 })).rejects.toThrow(wrong);
    await expect(bus.publish(subject, '', { timeoutMs: 1000 })).rejects.toThrow(wrong);
  }
  expect(bus.stats()).toMatchObject({ requests: 0, waiting: 0 });
  finish();
});

test('a handler that releases what it borrows takes it from no other handler', () => {
  const { bus, finish } = setUp();
  const got: string[] = [];
  for (let i = 0; i < 2; i++) {
    bus.subscribe('a', (message) => {
      using own = message;
      got.push(own.text());
    });
    bus.subscribe('a', (message) => {
      message.release();
      message.release();
    });
  }
  expect(bus.tryPublish('a', 'text')).toBe(true);
  expect(got).toEqual(['text', 'text']);
  finish();
});

test('options of a bus that joins are read once', () => {
  const pool = BufferPool.create({ bufferSize: 1024, bufferCount: 16, maxThreads: 1 });
  const sender = { capacity: 8, trySendRegion: () => false };
  const mailbox = { handleRegions() {} };
  let looks = 0;
  const options = {
    get name() {
      return looks++ === 0 ? 'once' : 'a b';
    },
  };
  const member = { pool, count: 1, mailbox, peer: () => sender } as never;
  const bus = Bus.join(member, options);
  expect({ name: bus.name, looks }).toEqual({ name: 'once', looks: 1 });
  bus.destroy();
  expectAllHome(pool);
});

test('a signal that cannot be listened to leaves no subscription and no request', async () => {
  const { bus, finish } = setUp();
  const signal = Object.defineProperties(Object.create(AbortSignal.prototype), {
    aborted: { value: false },
    throwIfAborted: { value() {} },
    addEventListener: {
      value() {
        throw new Error('on purpose');
      },
    },
  }) as AbortSignal;
  expect(() => bus.subscribe('a', { signal }, () => {})).toThrow('on purpose');
  bus.subscribe('b', () => {});
  await expect(bus.request('b', '', { signal })).rejects.toThrow('on purpose');
  await expect(bus.publish('b', '', { signal })).rejects.toThrow('on purpose');
  expect(bus.stats()).toMatchObject({ subscriptions: 1, requests: 0, waiting: 0 });
  finish();
});
