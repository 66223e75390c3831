// SPDX-License-Identifier: MIT
import type { ExecutorGroupOptions } from 'busbar/executor';
import { Packet } from 'busbar/packet';
import { BufferPool } from 'busbar/pool';
import { expect, test } from 'vitest';
import { settle, turn, until } from '../turns.ts';
import { createPool, ExecutorGroup, expectAllBack, hear, moduleUrl, packetOf } from './company.ts';

const collect = globalThis.gc as () => void;

interface Plan extends Partial<ExecutorGroupOptions> {
  readonly concurrency?: number;
  readonly keepsGoing?: boolean;
}

async function setUp({ concurrency = 1, keepsGoing = false, ...options }: Plan = {}) {
  const pool = createPool();
  const words = new Int32Array(new SharedArrayBuffer(8));
  const group = await ExecutorGroup.start({
    pool,
    module: moduleUrl('request'),
    count: 2,
    data: { concurrency, keepsGoing, words },
    ...options,
  });
  const ask = async (text: string, limits = {}, index = 0): Promise<string> => {
    using reply = await group.requestTo(index, packetOf(pool, text), limits);
    return reply.toString();
  };
  const end = async (report = {}): Promise<void> => {
    expect(await group.stop()).toMatchObject({ leaked: 0, terminated: [], ...report });
    await group.closed.catch(() => {});
    expectAllBack(pool);
  };
  return { pool, words, group, ask, end };
}

test.each(['handler', 'loop', 'nobody'] as const)(
  'each request gets its reply, through lanes that are full, while the mailbox is read by a %s',
  async (reader) => {
    const { pool, group, end } = await setUp({ concurrency: 4, laneCapacity: 4 });
    const heard: string[] = [];
    const hears = (packet: Packet): void => {
      heard.push(packet.toString());
      packet.release();
    };
    if (reader === 'handler') group.mailbox.handle(hears);
    const reading = async (): Promise<void> => {
      for await (const packet of group.mailbox) hears(packet);
    };
    const read = reader === 'loop' ? reading() : undefined;
    const deeds = ['mirror', 'another', ...(reader === 'nobody' ? [] : ['first'])];
    const replies = Array.from({ length: 200 }, async (_, i) => {
      const deed = deeds[i % deeds.length] as string;
      const packet = await Packet.from(pool, `${deed} ${i}`);
      using reply = await group.request(`key ${i % 7}`, packet);
      const expected = { mirror: `Mirror ${i}`, another: `${i} 2`, first: `first ${i}` };
      expect(reply.toString()).toBe(expected[deed as keyof typeof expected]);
      expect(reply.tag).toBe(0);
    });
    await Promise.all(replies);
    expect(heard.length).toBe(reader === 'nobody' ? 0 : 66);
    await end({ handled: 200 });
    await read;
  },
);

test('without a request, a packet is replied to with its own tag, or not at all', async () => {
  const { pool, group, end } = await setUp();
  const tags: number[] = [];
  group.mailbox.handle((packet) => {
    tags.push(packet.tag);
    packet.release();
  });
  for (const [text, tag] of [
    ['mirror', 12],
    ['nothing', 13],
    ['another', 14],
    // The tag of a reply: nobody replies to that.
    ['mirror', -15],
    ['mirror', 16],
  ] as const) {
    const packet = packetOf(pool, text);
    packet.tag = tag;
    expect(group.trySendTo(1, packet)).toBe(true);
  }
  await until(() => tags.includes(16));
  expect(tags).toEqual([12, 14, 16]);
  await end();
});

test('a request that nobody waits for any more leaves nothing behind', async () => {
  const { words, ask, end, group, pool } = await setUp({ laneCapacity: 2 });
  const late = ask('block', { timeoutMs: 1 });
  await expect(late).rejects.toMatchObject({ code: 'ERR_BUSBAR_TIMEOUT' });
  const aborter = new AbortController();
  const queued = ask('mirror', { signal: aborter.signal });
  // The lane is full: this one is never sent, and stays ours.
  await until(() => words[0] === 1);
  const packet = packetOf(pool, 'mirror');
  packet.tag = 7;
  const waiting = group.requestTo(0, packet, { signal: aborter.signal });
  aborter.abort(new Error('changed my mind'));
  await expect(queued).rejects.toThrow('changed my mind');
  await expect(waiting).rejects.toThrow('changed my mind');
  expect(packet).toMatchObject({ released: false, tag: 7 });
  packet.release();
  Atomics.store(words, 1, 1);
  Atomics.notify(words, 1);
  expect(await ask('mirror')).toBe('Mirror');
  await end({ handled: 3 });
});

test('replies come after what was sent before, which is to be read', async () => {
  const { ask, end, group } = await setUp();
  const reply = ask('first');
  await until(() => group.stats()[0]?.handled === 1);
  const said = await group.mailbox.receive();
  expect(said?.toString()).toBe('said first');
  said?.release();
  expect(await reply).toBe('first');
  await end();
});

test('a reply passes nothing that its executor sent before, to a busy handler', async () => {
  const { ask, end, group } = await setUp();
  const open: (() => void)[] = [];
  const order: string[] = [];
  group.mailbox.handle((packet) => {
    order.push(packet.toString());
    packet.release();
    return new Promise((resolve) => open.push(resolve));
  });
  const replies = [ask('first'), ask('first')].map(async (reply) => order.push(await reply));
  await until(() => group.stats()[0]?.handled === 2 && order.length === 2);
  await settle();
  expect(order).toEqual(['said first', 'first']);
  open[0]?.();
  await Promise.all(replies);
  expect(order).toEqual(['said first', 'first', 'said first', 'first']);
  open[1]?.();
  await end();
});

test('a handler that fails fails its request, and no other', async () => {
  const { ask, end } = await setUp({ keepsGoing: true });
  const code = 'ERR_BUSBAR_REQUEST_FAILED';
  await expect(ask('throw')).rejects.toMatchObject({ code, message: /executor 0, so told/ });
  await expect(ask('reject')).rejects.toMatchObject({ code, message: /executor 0, xü{9}/ });
  await expect(ask('nothing')).rejects.toMatchObject({ code, message: /must be a Packet/ });
  expect(await ask('mirror')).toBe('Mirror');
  await end();
});

test('a crash ends what was taken; the next thread gets what is in the lane', async () => {
  const { ask, end, group } = await setUp({ restart: {} });
  const heard = hear(group);
  const asked = [ask('exit'), ask('mirror'), ask('throw'), ask('another 5'), ask('mirror', {}, 1)];
  const results = await Promise.allSettled(asked);
  expect(results.map((r) => (r.status === 'fulfilled' ? r.value : r.reason.code))).toEqual([
    'ERR_BUSBAR_EXECUTOR_CRASHED',
    'Mirror',
    'ERR_BUSBAR_REQUEST_FAILED',
    '5 2',
    'Mirror',
  ]);
  expect(heard).toEqual([]);
  await end();
});

test('a group that drains answers what was asked; one that ends now says so', async () => {
  const first = await setUp();
  const drained = [first.ask('wait'), first.ask('mirror')];
  await first.end({ dropped: 0 });
  expect(await Promise.all(drained)).toEqual(['wait', 'Mirror']);
  await expect(first.group.request('key', undefined as never)).rejects.toThrow();

  const second = await setUp();
  const asked = [second.ask('never'), second.ask('mirror')];
  const ended = Promise.allSettled(asked);
  await second.group.stop({ mode: 'now' });
  for (const result of await ended) {
    expect(result).toMatchObject({ reason: { code: 'ERR_BUSBAR_EXECUTOR_STOPPED' } });
  }
  expectAllBack(second.pool);
});

test('a handler that fails while no buffer is free fails its request', async () => {
  const { ask, end, pool, group } = await setUp({ keepsGoing: true });
  const code = 'ERR_BUSBAR_REQUEST_FAILED';
  const all: Packet[] = [];
  const asked = packetOf(pool, 'reject');
  for (let one = Packet.tryFrom(pool, 'x'); one !== undefined; one = Packet.tryFrom(pool, 'x')) {
    all.push(one);
  }
  await expect(group.requestTo(0, asked)).rejects.toMatchObject({ code });
  for (const one of all) one.release();
  await expect(ask('undefined')).rejects.toMatchObject({ code, message: /executor 0, undefined/ });
  await expect(ask('smile')).rejects.toMatchObject({ code, message: /: x(\u{1f600}){31}$/u });
  await end();
});

test('a handler of the host may wait for the reply to a request of its own', async () => {
  const { pool, group, end } = await setUp();
  const replies: string[] = [];
  group.mailbox.handle(async (packet) => {
    packet.release();
    // Parked, perhaps: the reply must wake the loop.
    for (let i = 0; i < 3; i++) {
      await new Promise(setImmediate);
      using reply = await group.requestTo(1, packetOf(pool, `event ${i}`));
      replies.push(reply.toString());
    }
  });
  expect(group.trySendTo(0, packetOf(pool, 'event'))).toBe(true);
  await until(() => replies.length === 3);
  expect(replies).toEqual(['event 0', 'event 1', 'event 2']);
  await end();
});

test('a packet with the tag of a reply is never handed out, asked for or not', async () => {
  const { pool, group, end } = await setUp();
  const tags: number[] = [];
  group.mailbox.handle((packet) => {
    tags.push(packet.tag);
    packet.release();
  });
  for (const tag of [-15, 1]) {
    const packet = packetOf(pool, `tell ${tag}`);
    expect(group.trySendTo(0, packet)).toBe(true);
  }
  await until(() => tags.includes(1));
  expect(tags).not.toContain(-15);
  await end();
});

test('a stop frees a handler of the host that waits for a reply', async () => {
  const { pool, group, end } = await setUp();
  const ends: unknown[] = [];
  group.mailbox.handle(async (packet) => {
    packet.release();
    const question = packetOf(pool, 'never');
    ends.push(await group.requestTo(1, question).catch((error) => error.code));
    if (!question.released) question.release();
  });
  expect(group.trySendTo(0, packetOf(pool, 'event'))).toBe(true);
  expect(group.trySendTo(0, packetOf(pool, 'event'))).toBe(true);
  await until(() => group.stats().every(({ handled }) => handled > 0));
  expect(await group.stop({ deadlineMs: 1 })).toMatchObject({ leaked: 1 });
  await until(() => ends.length > 0);
  expect(ends[0]).toBe('ERR_BUSBAR_EXECUTOR_STOPPED');
  await end({ leaked: 1, terminated: expect.any(Array) });
});

test.each([
  ['handle', 'mailbox.handle((packet) => take(packet));'],
  ['handleRegions', 'mailbox.handleRegions((id) => { counters.add(0); pool.release(id); });'],
  ['a loop', '(async () => { for await (const packet of mailbox) take(packet); })();'],
  [
    'tryReceive',
    'setInterval(() => { const packet = mailbox.tryReceive(); if (packet) take(packet); }, 1);',
  ],
])(
  'a request to a mailbox that is read by %s fails at once, and is not handed out',
  async (_, reads) => {
    const module = `data:text/javascript,
    export function run({ mailbox, pool, data }) {
      const counters = { add: () => Atomics.add(data.words, 0, 1) };
      const take = (packet) => { counters.add(); packet.release(); };
      ${reads}
    }`;
    const { pool, words, group, ask, end } = await setUp({ module, count: 1 });
    const failed = { code: 'ERR_BUSBAR_REQUEST_FAILED', message: /its mailbox has no respond/ };
    for (let i = 0; i < 3; i++) {
      await expect(ask('x')).rejects.toMatchObject(failed);
      expect(group.trySendTo(0, packetOf(pool, 'y'))).toBe(true);
    }
    await until(() => words[0] === 3);
    await end();
  },
);

test('an open request keeps its group alive', async () => {
  const { pool, words, reply } = await askAndForget();
  await until(() => words[0] === 1);
  for (let i = 0; i < 3; i++) {
    collect();
    await turn();
  }
  Atomics.store(words, 1, 1);
  Atomics.notify(words, 1);
  expect(await reply).toBe('block');
  await until(() => {
    collect();
    return pool.stats().threads.length === 1;
  });
  expectAllBack(pool);
});

/** No variable of the test keeps the group. */
async function askAndForget() {
  const { pool, words, ask } = await setUp();
  return { pool, words, reply: ask('block') };
}

test('what an ended group refuses keeps its tag', async () => {
  const { pool, group, end } = await setUp();
  await end();
  using packet = packetOf(pool, 'mirror');
  packet.tag = 9;
  const refused = { code: 'ERR_BUSBAR_CHANNEL_CLOSED' };
  await expect(group.requestTo(0, packet)).rejects.toMatchObject(refused);
  expect(packet.tag).toBe(9);
});

test('what is not asked rightly is refused, and stays with the caller', async () => {
  const { group, pool, end } = await setUp();
  const packet = packetOf(pool, 'mirror');
  const own = (index: unknown, options?: unknown) =>
    group.requestTo(index as number, packet, options as object);
  await expect(own(2)).rejects.toThrow(RangeError);
  await expect(own(0, { timeout: 3 })).rejects.toThrow(TypeError);
  await expect(own(0, { signal: AbortSignal.abort(new Error('over')) })).rejects.toThrow('over');
  expect(packet.released).toBe(false);
  packet.release();
  await expect(own(0)).rejects.toMatchObject({ code: 'ERR_BUSBAR_PACKET_RELEASED' });
  const other = BufferPool.create({ bufferSize: 64, bufferCount: 4 });
  using foreign = packetOf(other, 'x');
  await expect(group.request(1, foreign)).rejects.toThrow(/of the group's pool/);
  await end({ handled: 0 });
});
