// SPDX-License-Identifier: MIT
/** Threads that accept connections at one port: one crashes, and its successor accepts, too. */
import { connect } from 'node:net';
import { ExecutorGroup } from 'busbar/executor';
import { type SharedPlace, SharedPort } from 'busbar/link';
import { BufferPool } from 'busbar/pool';
import { expect, test } from 'vitest';

const MODULE = new URL('../../build/test/executor/shared-port.worker.js', import.meta.url);

/** The reply to one line; '' if the connection ended before. */
async function ask(port: number, line: string): Promise<string> {
  const socket = connect(port, '127.0.0.1');
  socket.write(`${line}\n`);
  let reply = '';
  try {
    for await (const chunk of socket) {
      reply += chunk;
      if (reply.endsWith('\n')) break;
    }
  } catch (error) {
    expect((error as NodeJS.ErrnoException).code).toMatch(/ECONNRESET|EPIPE|ECONNREFUSED/);
  }
  return reply.trim();
}

/** Asks until both threads have replied. */
async function untilBoth(port: number): Promise<void> {
  const seen = new Set<string>();
  while (seen.size < 2) {
    const [index = '', text] = (await ask(port, 'hello')).split(' ');
    // A connection that waits for a thread which has just crashed is reset.
    if (index === '') continue;
    expect(text).toBe('hello');
    seen.add(index);
  }
}

test('a thread at a shared port crashes: the other serves, then its successor, too', async () => {
  const pool = BufferPool.create({ bufferSize: 4096, bufferCount: 256, maxThreads: 8 });
  const port = await SharedPort.claim();
  const news: string[] = [];
  let onRestart = (): void => {};
  const group = await ExecutorGroup.start({
    pool,
    module: MODULE,
    count: 2,
    idle: 'park',
    data: port.handle,
    restart: { maxRestarts: 5, withinMs: 600_000 },
    onCrash: (index, error) => {
      news.push(`${(error.cause as Error).message}`);
      port.closed(index);
    },
    onRestart: () => onRestart(),
  });
  group.mailbox.handle((packet) => {
    const { index, place } = JSON.parse(packet.toString()) as { index: number; place: SharedPlace };
    packet.release();
    port.opened(index, place);
  });
  port.release();
  await untilBoth(port.port);
  for (let round = 0; round < 3; round++) {
    const restarted = new Promise<void>((resolve) => {
      onRestart = resolve;
    });
    expect(await ask(port.port, 'crash')).toBe('');
    await restarted;
    await untilBoth(port.port);
  }
  expect(news).toEqual(['as it was told', 'as it was told', 'as it was told']);
  expect(await group.stop()).toMatchObject({ terminated: [] });
  await port.close();
  expect(pool.close()).toMatchObject({ heldByThreads: 0, inTransit: 0 });
});
