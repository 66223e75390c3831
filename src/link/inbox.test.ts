// SPDX-License-Identifier: MIT
/** The inbox alone: what exceptions and ends leave of its packets and callers. */

import { spawnSync } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import { expect, test } from 'vitest';
import { INBOX_OWNER } from '../../test/link/inbox-owner.ts';
import { buildPrograms } from '../../test/program.ts';
import { Packet } from '../packet/index.ts';
import { BufferPool } from '../pool/index.ts';
import { Inbox } from './inbox.ts';

function setUp() {
  const pool = BufferPool.create({ bufferSize: 64, bufferCount: 256, maxThreads: 1 });
  const inbox = new Inbox(1 << 20, INBOX_OWNER);
  const push = (): void => inbox.push(Packet.tryFrom(pool, 'one') as Packet);
  const finish = (): void => {
    inbox.destroy();
    expect(pool.close().heldByThreads).toBe(0);
  };
  return { pool, inbox, push, finish };
}

/** Calls with no stack left, then with more and more, until it has returned; counts overflows. */
function squeeze(operation: () => void): number {
  let overflows = 0;
  let isDone = false;
  const dive = (): void => {
    try {
      dive();
    } catch {}
    if (isDone) return;
    try {
      operation();
      isDone = true;
    } catch (error) {
      if (!(error instanceof RangeError)) throw error;
      overflows++;
    }
  };
  dive();
  return overflows;
}

test('a stack overflow in tryReceive loses no packet', () => {
  const { inbox, push, finish } = setUp();
  let overflows = 0;
  for (let round = 0; round < 40; round++) {
    // So many that the inbox is full, and asks for more with the last one.
    for (let i = 0; i < 64; i++) push();
    for (let i = 0; i < 63; i++) inbox.tryReceive()?.release();
    let packet: Packet | undefined;
    overflows += squeeze(() => {
      packet = inbox.tryReceive();
    });
    expect(packet?.toString()).toBe('one');
    packet?.release();
  }
  expect(overflows).toBeGreaterThan(0);
  finish();
});

test('a stack overflow in receive loses no packet, and leaves no caller that went', () => {
  buildPrograms();
  const program = new URL('../../build/test/link/inbox-overflow.main.js', import.meta.url);
  const { status, stdout, stderr } = spawnSync(process.execPath, [fileURLToPath(program)], {
    encoding: 'utf8',
    maxBuffer: 1 << 26,
  });
  // V8 prints there that Node's callback for rejections finds no stack, and not always all of it.
  expect(status, stderr.slice(-1000)).toBe(0);
  expect(stdout).toMatch(/^[1-9]\d* overflows\n$/);
});

test('callers that wait when the reader has gone are told, and those that come later', async () => {
  const { inbox, push, finish } = setUp();
  const waiting = inbox.receive();
  inbox.destroy();
  expect(await waiting).toBeUndefined();
  push();
  expect(await inbox.receive()).toBeUndefined();
  finish();
});

const fails = (): never => {
  throw new Error('no');
};

test('a handler that failed stays so when the peer ends before its link is closed', async () => {
  const { inbox, push, finish } = setUp();
  const handled = expect(inbox.handle(fails, undefined)).rejects.toThrow('no');
  push();
  inbox.pushEnd();
  expect(inbox.isFailed).toBe(true);
  await handled;
  push();
  finish();
});

test.each(['at once', 'from the queue'])(
  'a handler that ends its link and throws has failed, called %s',
  async (when) => {
    const { inbox, push, finish } = setUp();
    if (when === 'from the queue') push();
    const handled = inbox.handle(() => {
      inbox.destroy();
      throw new Error('no');
    }, undefined);
    const outcome = expect(handled).rejects.toThrow('no');
    if (when === 'at once') push();
    await outcome;
    finish();
  },
);

test('a handler that ends its link and returns has read all', async () => {
  const { inbox, push, finish } = setUp();
  let count = 0;
  const handled = inbox.handle((packet) => {
    count++;
    packet.release();
    inbox.destroy();
  }, undefined);
  push();
  await handled;
  expect(count).toBe(1);
  finish();
});

const twice = (done: () => void): void => {
  done();
  done();
};

test.each([
  ['throws where it is asked for then', { get: fails }],
  ['throws', { value: fails }],
  ['calls back twice', { value: twice }],
])('a thenable of a handler that %s holds up nothing', async (_name, then) => {
  const { inbox, push, finish } = setUp();
  const errors: unknown[] = [];
  const seen: Packet[] = [];
  const handled = inbox.handle(
    (packet) => {
      seen.push(packet);
      return Object.defineProperty({}, 'then', then);
    },
    { onError: (error) => errors.push((error as Error).message) },
  );
  for (let i = 0; i < 3; i++) push();
  inbox.pushEnd();
  await handled;
  expect(seen.length).toBe(3);
  expect(errors.every((message) => message === 'no')).toBe(true);
  for (const packet of seen) if (!packet.released) packet.release();
  finish();
});
