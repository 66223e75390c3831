// SPDX-License-Identifier: MIT
import { once } from 'node:events';
import { createServer, type Server } from 'node:net';
import { afterEach, expect, test, vi } from 'vitest';
import { BusbarError } from '../../base/errors.ts';
import { arbitrarySeed, Random } from '../../base/random.ts';
import { LengthPrefixCodec } from '../../framer/index.ts';
import { BufferPool } from '../../pool/index.ts';
import { TcpLink } from '../index.ts';
import { connectAgain, resolveRetry } from './connect-retry.ts';

const codec = (): LengthPrefixCodec => new LengthPrefixCodec('u32');
const handler = () => ({ onFrame() {} });

afterEach(() => {
  vi.useRealTimers();
});

/** From here on timers fire when {@link passWait} says so; sockets go on as ever. */
function stopTime(): void {
  vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout', 'Date'] });
}

/** Waits until something waits, and ends that wait. Returns how long it was, in milliseconds. */
async function passWait(): Promise<number> {
  while (vi.getTimerCount() === 0) await new Promise(setImmediate);
  const beganMs = Date.now();
  vi.advanceTimersToNextTimer();
  return Date.now() - beganMs;
}

function refused(code: string): BusbarError {
  return new BusbarError('ERR_BUSBAR_LINK_REFUSED', code, {
    cause: Object.assign(new Error(code), { code }),
  });
}

test('the longest wait doubles up to its limit, and chance decides below it', async () => {
  stopTime();
  const seed = arbitrarySeed();
  const attempts = 500;
  let made = 0;
  const attempt = async (): Promise<number> => {
    made++;
    if (made < attempts) throw refused('ECONNREFUSED');
    return made;
  };
  const retry = resolveRetry({ attempts: Infinity, minDelayMs: 100, maxDelayMs: 1000 });
  const answer = connectAgain(attempt, retry, undefined, new Random(seed));
  const waits: number[] = [];
  while (waits.length < attempts - 1) waits.push(await passWait());
  expect(await answer).toBe(attempts);
  for (const [i, waitMs] of waits.entries()) {
    expect(waitMs, `seed ${seed}`).toBeLessThanOrEqual(Math.min(1000, 100 * 2 ** i));
  }
  // 495 draws from 0 to 1000: that an outer fifth has none of them has odds of 10 to the −47.
  expect(Math.max(...waits), `seed ${seed}`).toBeGreaterThan(800);
  expect(Math.min(...waits.slice(4)), `seed ${seed}`).toBeLessThan(200);
});

test('after the last attempt its error is the cause, and its code the code', async () => {
  stopTime();
  const last = refused('ETIMEDOUT');
  const errors = [refused('EAI_AGAIN'), new BusbarError('ERR_BUSBAR_TIMEOUT'), last];
  const attempt = (): Promise<never> => Promise.reject(errors.shift());
  const failed = connectAgain(attempt, resolveRetry({ attempts: 3 }), undefined).catch((e) => e);
  await passWait();
  await passWait();
  expect(await failed).toMatchObject({
    code: 'ERR_BUSBAR_LINK_REFUSED',
    message: expect.stringMatching(
      /^could not connect or listen: .*ETIMEDOUT.*; the last of 3 attempts$/,
    ),
    cause: last,
  });
  expect(vi.getTimerCount()).toBe(0);
});

test('the last error says how many attempts there were, also where it has no detail', async () => {
  stopTime();
  const retry = resolveRetry({ attempts: 2 });
  const attempt = (): Promise<never> => Promise.reject(new BusbarError('ERR_BUSBAR_TIMEOUT'));
  const failed = connectAgain(attempt, retry, undefined).catch((error) => error);
  await passWait();
  expect((await failed).message).toBe(
    'the wait took longer than its timeout: the last of 2 attempts',
  );
});

test('what another attempt would not change is thrown at once, as it is', async () => {
  const retry = resolveRetry({ attempts: Infinity });
  for (const error of [
    refused('ENOTFOUND'),
    refused('EACCES'),
    new TypeError('port must be …'),
    new BusbarError('ERR_BUSBAR_WRITER_SLOTS'),
    new BusbarError('ERR_BUSBAR_LINK_REFUSED'),
  ]) {
    await expect(connectAgain(() => Promise.reject(error), retry, undefined)).rejects.toBe(error);
  }
  const only = refused('ECONNREFUSED');
  for (const once of [undefined, { attempts: 1 }]) {
    const attempt = (): Promise<never> => Promise.reject(only);
    await expect(connectAgain(attempt, resolveRetry(once), undefined)).rejects.toBe(only);
  }
});

test('a link is made when a server appears at last', async () => {
  const pool = BufferPool.create({ bufferSize: 4096, bufferCount: 8, maxThreads: 2 });
  const port = await freePort();
  stopTime();
  const connecting = TcpLink.connect(pool, { port, codec, handler, retry: {} });
  for (let refusals = 0; refusals < 3; refusals++) await passWait();
  const server = await listenAt(port);
  await passWait();
  const link = await connecting;
  expect(vi.getTimerCount()).toBe(0);
  expect(link.writable).toBe(true);
  link.destroy();
  await link.close();
  server.close();
  expect(pool.stats().held).toBe(0);
  pool.close();
});

test('an abort ends the wait, and no attempt comes after it', async () => {
  const pool = BufferPool.create({ bufferSize: 4096, bufferCount: 8, maxThreads: 2 });
  const port = await freePort();
  stopTime();
  const controller = new AbortController();
  const { signal } = controller;
  const retry = { attempts: Infinity };
  const connecting = TcpLink.connect(pool, { port, codec, handler, retry, signal });
  const outcome = connecting.catch((error) => error);
  await passWait();
  while (vi.getTimerCount() === 0) await new Promise(setImmediate);
  const reason = new Error('never mind');
  controller.abort(reason);
  expect(await outcome).toBe(reason);
  expect(vi.getTimerCount()).toBe(0);
  await expect(
    TcpLink.connect(pool, { port, codec, handler, retry, signal }).catch((error) => error),
  ).resolves.toBe(reason);
  pool.close();
});

test('without a server, as many attempts are made as were asked for', async () => {
  const pool = BufferPool.create({ bufferSize: 4096, bufferCount: 8, maxThreads: 2 });
  const port = await freePort();
  const failure = await TcpLink.connect(pool, {
    port,
    codec,
    handler,
    retry: { attempts: 2, minDelayMs: 0, maxDelayMs: 0 },
  }).catch((error) => error);
  expect(failure).toMatchObject({
    code: 'ERR_BUSBAR_LINK_REFUSED',
    message: expect.stringMatching(/2 attempts/),
    cause: { cause: { code: 'ECONNREFUSED' } },
  });
  pool.close();
});

test('wrong settings are named', () => {
  const bad: [object, RegExp][] = [
    [{ attempts: 0 }, /retry\.attempts.*got 0/],
    [{ attempts: 1.5 }, /retry\.attempts/],
    [{ minDelayMs: -1 }, /retry\.minDelayMs.*got -1/],
    [{ maxDelayMs: NaN }, /retry\.maxDelayMs/],
    [{ minDelayMs: 200, maxDelayMs: 100 }, /retry\.maxDelayMs must be at least.*200/],
    [{ tries: 3 }, /retry has no option "tries"/],
    [[], /retry must be an object/],
  ];
  for (const [retry, message] of bad) expect(() => resolveRetry(retry)).toThrow(message);
  expect(resolveRetry({ minDelayMs: 60_000 })).toMatchObject({ maxDelayMs: 60_000 });
});

/** A port where nobody listens now. */
async function freePort(): Promise<number> {
  const server = await listenAt(0);
  const { port } = server.address() as { port: number };
  server.close();
  await once(server, 'close');
  return port;
}

async function listenAt(port: number): Promise<Server> {
  const server = createServer();
  server.listen(port, '127.0.0.1');
  await once(server, 'listening');
  return server;
}
