// SPDX-License-Identifier: MIT
/** The events of all folders: that they come, and that nothing is made while no one listens. */

import { channel, subscribe, unsubscribe } from 'node:diagnostics_channel';
import { afterEach, expect, test, vi } from 'vitest';
import { listFiles } from '../../scripts/files.mjs';
import { die } from '../../test/simulated-death.ts';
import { readText } from '../../test/source-file.ts';
import { ExecutorGroup } from '../executor/index.ts';
import { LengthPrefixCodec } from '../framer/index.ts';
import { TcpLink, TcpServer } from '../link/index.ts';
import { Packet } from '../packet/index.ts';
import { BufferPool } from '../pool/index.ts';

const CRASH = `data:text/javascript,
  export function run({ mailbox }) {
    mailbox.handle((packet) => { packet.release(); throw new Error('on purpose'); });
  }`;

/** What a message must have: the same values, and texts that match. */
type Message = Readonly<Record<string, unknown>>;

/** All events that the sources name. */
const NAMES = listFiles('src')
  .filter((path) => path.endsWith('.ts') && !path.endsWith('.test.ts'))
  .flatMap((path) => [...readText(path).matchAll(/eventChannel\('(busbar\.[\w.]+)'\)/g)])
  .map(([, name]) => name as string);

/** What makes each event happen at least once. */
const CAUSES: Readonly<Record<string, () => Promise<Message>>> = {
  'busbar.pool.exhausted': async () => {
    const pool = makePool();
    const held = [0, 1, 2, 3].map(() => pool.tryAcquire());
    const waits = [pool.acquire(), pool.acquire()];
    for (const id of held) pool.release(id);
    for (const id of await Promise.all(waits)) pool.release(id);
    return { pool };
  },
  'busbar.pool.reclaim': async () => {
    const pool = makePool();
    const other = BufferPool.attach(pool.handle);
    const { threadSlot } = other;
    other.tryAcquire();
    die(other);
    const [report] = pool.reclaimDead();
    return { pool, threadSlot, freed: report?.freed };
  },
  'busbar.executor.crash': async () => {
    await crash(0);
    return { group: 'g', index: 0, restarts: 0, error: /on purpose/ };
  },
  'busbar.executor.restart': async () => {
    await crash(1);
    return { group: 'g', index: 0, restarts: 1, error: /on purpose/ };
  },
  'busbar.link.accept': async () => {
    const { server, accepted } = await connection();
    return { server, link: accepted };
  },
  'busbar.link.close': async () => {
    const { link } = await connection();
    return { link, error: undefined };
  },
  'busbar.link.refuse': async () => {
    const errors: Error[] = [];
    const server = await TcpServer.listen(makePool(), {
      codec: () => {
        throw new Error('no codec');
      },
      onError: (error) => errors.push(error),
    });
    const link = await TcpLink.connect(makePool(), { port: server.port, codec });
    await expect.poll(() => errors).toHaveLength(1);
    link.destroy();
    await server.close();
    return { server, error: errors[0] };
  },
};

function makePool(): BufferPool {
  return BufferPool.create({ bufferSize: 64, bufferCount: 4, batchSize: 1, maxThreads: 8 });
}

const codec = (): LengthPrefixCodec => new LengthPrefixCodec('u16');

function isLike(message: Message, expected: Message): boolean {
  const keys = Object.keys({ ...message, ...expected });
  return keys.every((key) => {
    const [found, wanted] = [message[key], expected[key]];
    return wanted instanceof RegExp ? wanted.test(String(found)) : Object.is(found, wanted);
  });
}

/** A group whose executor crashes once, and is restarted as often as allowed. */
async function crash(maxRestarts: number): Promise<void> {
  const pool = makePool();
  let restarted = (): void => {};
  const restart = new Promise<void>((resolve) => {
    restarted = resolve;
  });
  const group = await ExecutorGroup.start({
    ...{ pool, module: CRASH, count: 1, name: 'g' },
    ...(maxRestarts === 0 ? {} : { restart: { maxRestarts, withinMs: 60_000 } }),
    onRestart: restarted,
  });
  const ended = group.closed.then(
    () => {},
    () => {},
  );
  const packet = Packet.tryFrom(pool, 'hello');
  if (packet === undefined) throw new Error('no buffer');
  group.trySendTo(0, packet);
  await Promise.race([restart, ended]);
  await group.stop();
}

/** One link that is closed in good order, on both sides. */
async function connection(): Promise<{ server: TcpServer; link: TcpLink; accepted: unknown }> {
  const pool = BufferPool.create({ bufferSize: 64, bufferCount: 16 });
  const server = await TcpServer.listen(pool, { codec });
  const link = await TcpLink.connect(pool, { port: server.port, codec });
  await expect.poll(() => server.links.size).toBe(1);
  const [accepted] = server.links;
  await Promise.all([link.close(), server.close()]);
  return { server, link, accepted };
}

afterEach(() => vi.restoreAllMocks());

test('each event of the sources has a cause here, and a row in docs/metrics.md', () => {
  expect(Object.keys(CAUSES).sort()).toEqual([...NAMES].sort());
  const rows = [...readText('docs/metrics.md').matchAll(/^\| `(busbar\.[\w.]+)` \|/gm)];
  expect(rows.map(([, name]) => name).sort()).toEqual([...NAMES].sort());
});

test.each(NAMES)('%s comes to a listener, and is not even made without one', async (name) => {
  const cause = CAUSES[name] as () => Promise<Message>;
  const heard: Message[] = [];
  const listener = (message: unknown): void => {
    heard.push(message as Message);
  };
  // A channel without subscribers: whoever publishes nevertheless is seen here.
  const silent = vi.spyOn(channel(name), 'publish');
  await cause();
  await new Promise(setImmediate);
  expect(silent).not.toHaveBeenCalled();
  silent.mockRestore();

  subscribe(name, listener);
  try {
    const expected = await cause();
    // Once, for the first caller that waits; for both ends of a link.
    const count = { 'busbar.link.close': 2 }[name] ?? 1;
    await expect.poll(() => heard.length).toBe(count);
    expect(heard.some((message) => isLike(message, expected))).toBe(true);
  } finally {
    unsubscribe(name, listener);
  }
});
