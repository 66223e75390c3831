// SPDX-License-Identifier: MIT
/** End to end: brokers that share subscriptions of their clients behave as one. */

import { afterEach, expect, test } from 'vitest';
import { Random } from '../../src/base/random.ts';
import { CHANGES_MAX } from '../../src/bus/clients/server-peers.ts';
import { JoinedBrokers, type JoinedOptions } from './joined-brokers.ts';
import { RawClient } from './raw-client.ts';
import { delivered, message, numbersIn } from './wire.ts';

const SEED = Number(process.env.BUSBAR_SEED ?? 5);
const KIB = 1024;
const VERBOSE = 'CONNECT {"verbose":true,"pedantic":false}\r\n';
const REQUESTS =
  'CONNECT {"verbose":false,"pedantic":false,"headers":true,"no_responders":true}\r\n';

let joined: JoinedBrokers;
const clients: RawClient[] = [];

async function start(options: Partial<JoinedOptions> = {}): Promise<void> {
  joined = await JoinedBrokers.start({ count: 2, lingerMs: 200, ...options });
}

async function client(at: number, greeting?: string): Promise<RawClient> {
  const one = await RawClient.connect(joined.brokers[at].port, greeting);
  clients.push(one);
  return one;
}

afterEach(async () => {
  for (const one of clients.splice(0)) one.destroy();
  for (const { connections } of joined.brokers) await expect.poll(() => connections.size).toBe(0);
  await joined.drain();
  expect(joined.pool.stats().held).toBe(0);
});

test('a subscription is known elsewhere when PONG or +OK says so', async () => {
  const random = new Random(SEED);
  await start({ count: 3, random });
  const publishers = await Promise.all([0, 1, 2].map((at) => client(at)));
  for (let i = 0; i < 100; i++) {
    const subscriber = await client(i % 3, i % 2 === 0 ? VERBOSE : undefined);
    if (i % 2 === 0) {
      subscriber.say(`SUB s.${i} 1\r\n`);
      // CONNECT and SUB, each confirmed.
      await subscriber.takeBytes('+OK\r\n+OK\r\n'.length);
    } else {
      await subscriber.converse(`SUB s.${i} 1\r\n`);
    }
    await publishers[(i + 1) % 3].converse(message(`s.${i}`, 'x'));
    const heard = await subscriber.converse('');
    expect(heard, `seed ${SEED}, round ${i}`).toBe(delivered(`s.${i}`, '1', 'x'));
    subscriber.destroy();
  }
});

test('many subscriptions at one executor get one copy of the bytes, sent once', async () => {
  await start({ maxPayloadBytes: 64 * KIB });
  const subscribers = await Promise.all([1, 1, 1].map((at) => client(at)));
  for (const one of subscribers) await one.converse('SUB a.* 1\r\nSUB a.b 2\r\nSUB > 3\r\n');
  const publisher = await client(0);
  await publisher.converse('');
  const before = joined.sentCount;
  const text = 'x'.repeat(60 * KIB);
  await publisher.converse(message('a.b', text));
  for (const one of subscribers) {
    const heard = await one.converse('');
    expect(heard.split('MSG a.b').length - 1).toBe(3);
    expect(heard.length).toBeGreaterThan(3 * text.length);
  }
  // The message, the question whether it is done, and the answer.
  expect(joined.sentCount - before).toBe(3);
});

test('nothing crosses when nobody elsewhere is interested', async () => {
  await start();
  const here = await client(0);
  await here.converse('SUB a 1\r\n');
  const before = joined.sentCount;
  expect(await here.converse(message('a', 'x'))).toBe(delivered('a', '1', 'x'));
  expect(joined.sentCount).toBe(before);
});

test('each message goes to one member of a queue group, all members alike', async () => {
  await start({ count: 3 });
  const members = await Promise.all([0, 1, 1, 2, 2, 2].map((at) => client(at)));
  for (const member of members) await member.converse('SUB work.* crew 1\r\n');
  const others = await Promise.all([0, 1, 2].map((at) => client(at)));
  for (const other of others) await other.converse('SUB work.now 7\r\nSUB work.> other 8\r\n');
  let heard = '';
  for (const other of others) heard += await other.converse(message('work.now', 'x').repeat(1000));
  const texts = await Promise.all(members.map((member) => member.converse('')));
  const counts = texts.map((text) => text.split('MSG work.now').length - 1);
  expect(counts.reduce((sum, count) => sum + count)).toBe(3000);
  // A fair share is 500; 16 standard deviations of it are 320.
  for (const count of counts) expect(count).toBeGreaterThan(180);
  for (const other of others) heard += await other.converse('');
  expect(heard.split('MSG work.now 7').length - 1).toBe(9000);
  expect(heard.split('MSG work.now 8').length - 1).toBe(3000);
});

test('the last member that leaves takes the interest of its group along', async () => {
  await start({ count: 3, random: new Random(SEED) });
  const publisher = await client(0);
  const member = await client(1);
  const stayer = await client(2);
  await stayer.converse('SUB jobs crew 1\r\n');
  await member.converse('SUB jobs crew 1\r\nUNSUB 1 10\r\n');
  const text = Array.from({ length: 200 }, (_, i) => message('jobs', `${i} `)).join('');
  await publisher.converse(text);
  // What was sent for the member that had got its ten went on to the other one.
  const first = numbersIn(await member.converse(''));
  await publisher.converse('');
  await expect.poll(() => joined.brokers[0].mesh.streams.remote.count).toBe(1);
  const rest = numbersIn(await stayer.converse(''));
  expect(first).toHaveLength(10);
  expect([...first, ...rest].sort((a, b) => a - b)).toEqual(
    Array.from({ length: 200 }, (_, i) => i),
  );
});

test('the last subscription that a verbose client may have is confirmed, not refused', async () => {
  await start({ maxSubscriptions: 2 });
  const subscriber = await client(0, VERBOSE);
  subscriber.say('SUB a 1\r\nSUB b 2\r\nSUB c 3\r\n');
  const expected = "+OK\r\n+OK\r\n+OK\r\n-ERR 'maximum subscriptions exceeded'\r\n";
  expect(await subscriber.takeBytes(expected.length)).toBe(expected);
});

test('a request is answered across, and with 503 when the last that could has left', async () => {
  await start();
  const asker = await client(0, REQUESTS);
  const server = await client(1);
  await asker.converse('SUB inbox.* 1\r\n');
  await server.converse('SUB ask 1\r\n');
  asker.say('PUB ask inbox.1 2\r\nhi\r\n');
  await server.takeThrough('MSG ask 1 inbox.1 2\r\nhi\r\n');
  await server.converse(message('inbox.1', 'ho'));
  expect(await asker.converse('')).toBe(delivered('inbox.1', '1', 'ho'));
  await server.converse('UNSUB 1\r\n');
  expect(await asker.converse('PUB ask inbox.2 2\r\nhi\r\n')).toBe(
    'HMSG inbox.2 1 16 16\r\nNATS/1.0 503\r\n\r\n\r\n',
  );
});

test('headers, replies and odd spellings cross as they should', async () => {
  await start();
  const modern = await client(1);
  const plain = await client(1, 'CONNECT {"verbose":false,"pedantic":false}\r\n');
  await modern.converse('SUB h 1\r\n');
  await plain.converse('SUB h 2\r\n');
  const publisher = await client(0);
  const said = 'HPUB h re.ply 18 23\r\nNATS/1.0\r\nA: b\r\n\r\nhello\r\npub \t h   3\nabc\r\n';
  await publisher.converse(said);
  expect(await modern.converse('')).toBe(
    'HMSG h 1 re.ply 18 23\r\nNATS/1.0\r\nA: b\r\n\r\nhello\r\nMSG h 1 3\r\nabc\r\n',
  );
  expect(await plain.converse('')).toBe('MSG h 2 re.ply 5\r\nhello\r\nMSG h 2 3\r\nabc\r\n');
});

test('without echo a client does not hear itself, but others elsewhere do', async () => {
  await start();
  const deaf = await client(0, 'CONNECT {"verbose":false,"pedantic":false,"echo":false}\r\n');
  const other = await client(1);
  await deaf.converse('SUB e 1\r\nSUB e g 2\r\n');
  await other.converse('SUB e 1\r\nSUB e g 2\r\n');
  for (let i = 0; i < 20; i++) expect(await deaf.converse(message('e', 'x'))).toBe('');
  expect((await other.converse('')).split('MSG e ').length - 1).toBe(40);
});

test('messages of several publishers keep their order through small, slow lanes', async () => {
  const random = new Random(SEED);
  await start({ count: 3, random, laneCapacity: 16 });
  const subscriber = await client(2);
  await subscriber.converse('SUB flow.> 1\r\nSUB flow.0 2\r\nSUB last 3\r\n');
  const noise = await client(0);
  await noise.converse('SUB flow.1 9\r\n');
  const count = 20_000;
  const heard = subscriber.takeThrough('MSG last 3 0\r\n');
  const publishers = await Promise.all([0, 1, 2].map((at) => client(at)));
  await Promise.all(
    publishers.map(async (publisher, id) => {
      for (let i = 0; i < count; ) {
        let text = '';
        for (const end = Math.min(count, i + random.between(1, 300)); i < end; i++) {
          text += message(`flow.${id}`, `${i} `);
        }
        if (random.chance(0.2)) await publisher.converse(text);
        else publisher.say(text);
      }
      await publisher.converse('');
    }),
  );
  await publishers[0].converse('PUB last 0\r\n\r\n');
  const text = await heard;
  for (const [subject, sid] of [
    ['flow.0', '1'],
    ['flow.1', '1'],
    ['flow.2', '1'],
    ['flow.0', '2'],
  ]) {
    const lines = text.matchAll(new RegExp(`^MSG ${subject} ${sid} \\d+\\r\\n(\\d+) `, 'gm'));
    const numbers = [...lines].map((match) => Number(match[1]));
    expect(numbers, `seed ${SEED}`).toEqual(Array.from({ length: count }, (_, i) => i));
  }
});

test('a consumer that is a little slow stops publishers elsewhere, loses nothing', async () => {
  await start({ maxPendingBytes: 128 * KIB, stallMs: 60_000 });
  const consumer = await client(1);
  await consumer.converse('SUB flood 1\r\n');
  consumer.socket.pause();
  const publisher = await client(0);
  const count = 20_000;
  let text = '';
  for (let i = 0; i < count; i++) text += message('flood', `${i} `.padEnd(1000, 'x'));
  publisher.say(text);
  await expect.poll(() => joined.brokers[0].stats().paused).toBe(1);
  expect(joined.brokers[0].counters.messagesIn).toBeLessThan(count);
  // Others go on meanwhile, in both directions.
  const [one, other] = [await client(0), await client(1)];
  await one.converse('SUB talk 1\r\n');
  other.say(message('talk', 'hello'));
  await one.takeThrough(delivered('talk', '1', 'hello'));
  consumer.socket.resume();
  const numbers = numbersIn(await consumer.takeThrough(`\n${count - 1} `));
  expect(numbers).toEqual(Array.from({ length: count }, (_, i) => i));
});

test('a consumer that is too slow is cut off, and publishers elsewhere go on', async () => {
  await start({ maxPendingBytes: 128 * KIB, stallMs: 500, lingerMs: 50 });
  const slow = await client(1);
  await slow.converse('SUB flood 1\r\n');
  slow.socket.pause();
  const good = await client(1);
  await good.converse('SUB flood 1\r\n');
  const publisher = await client(0);
  const heard = good.takeThrough('\nlast ');
  let count = 0;
  while (joined.brokers[1].backpressure.slowCount === 0) {
    let text = '';
    for (let i = 0; i < 100; i++) text += message('flood', `${count++} `.padEnd(1000, 'x'));
    await publisher.converse(text);
  }
  await publisher.converse(message('flood', 'last '));
  expect(numbersIn(await heard)).toEqual(Array.from({ length: count }, (_, i) => i));
});

test('with no buffer left, whoever holds most is cut off, at whichever executor', async () => {
  await start({
    poolBytes: 4 * KIB * KIB,
    maxConnections: 8,
    maxPendingBytes: 64 * KIB * KIB,
    stallMs: 500,
    lingerMs: 50,
  });
  const slow = await client(1);
  await slow.converse('SUB flood 1\r\n');
  slow.socket.pause();
  const publisher = await client(0);
  const here = await client(0);
  await here.converse('SUB flood 1\r\n');
  const heard = here.takeThrough('\nlast ');
  const slowConsumers = () => joined.brokers[1].backpressure.slowCount;
  while (slowConsumers() === 0) {
    await publisher.converse(message('flood', 'x'.repeat(1000)).repeat(100));
  }
  await publisher.converse(message('flood', 'last '));
  await heard;
  expect(joined.brokers[0].backpressure.slowCount).toBe(0);
});

test('one that dies drops its clients only, and its successor learns everything', async () => {
  const random = new Random(SEED);
  await start({ count: 3, random, laneCapacity: 32 });
  const steady = await client(2);
  await steady.converse('SUB flow.> 1\r\nSUB after 2\r\n');
  const count = 30_000;
  const heard = steady.takeThrough(`\r\n${count - 1} `);
  const publisher = await client(0);
  const crew = await client(0);
  await crew.converse('SUB work crew 1\r\n');
  let sent = 0;
  for (let round = 0; round < 6; round++) {
    const doomed = await Promise.all([client(1), client(1)]);
    for (const one of doomed) await one.converse('SUB flow.> 1\r\nSUB work crew 2\r\n');
    doomed[1].socket.pause();
    for (let i = 0; i < 3000; i++, sent++) publisher.say(message('flow.a', `${sent} `));
    await joined.kill(1, round !== 3);
    for (const one of doomed) await one.closed;
    if (round % 2 === 1) {
      // Nobody is left in the group elsewhere: all of it comes here.
      await joined.startOne(1);
      const answer = await crew.converse('SUB work crew 1\r\n');
      expect(answer).toBe('');
      const again = await client(1);
      await again.converse(message('after', 'x'));
      await again.converse(message('work', 'y').repeat(10));
      expect((await crew.converse('')).split('MSG work').length - 1, `seed ${SEED}`).toBe(10);
      again.destroy();
    } else {
      for (let i = 0; i < 2000; i++, sent++) publisher.say(message('flow.b', `${sent} `));
      await publisher.converse('');
      await joined.startOne(1);
    }
  }
  let text = '';
  for (; sent < count; sent++) text += message('flow.c', `${sent} `);
  await publisher.converse(text);
  expect(numbersIn(await heard)).toEqual(Array.from({ length: count }, (_, i) => i));
});

test('when all stop, clients get what was published elsewhere first', async () => {
  await start({ count: 3, random: new Random(SEED), lingerMs: 60_000 });
  const subscribers = await Promise.all([0, 1, 2].map((at) => client(at)));
  for (const one of subscribers) await one.converse('SUB last.words 1\r\n');
  const publisher = await client(0);
  const count = 5000;
  const text = Array.from({ length: count }, (_, i) => message('last.words', `${i} `)).join('');
  publisher.say(text);
  await expect.poll(() => joined.brokers[0].counters.messagesIn).toBeGreaterThan(0);
  const drained = joined.drain();
  const heard = await Promise.all(subscribers.map((one) => one.untilClosed()));
  await drained;
  const numbers = heard.map(numbersIn);
  for (const each of numbers) expect(each).toEqual(numbers[0]);
  expect(numbers[0]).toEqual(numbers[0].map((_, i) => i));
  for (const text of heard) expect(text).toContain('"ldm":true');
});

/** One client of the random conversation, and what it should have heard. */
interface Talker {
  readonly raw: RawClient;
  readonly subscriptions: Map<string, { subject: string; queue: string }>;
  expected: string[];
}

function reaches(pattern: string, subject: string): boolean {
  const wanted = pattern.split('.');
  const given = subject.split('.');
  for (let i = 0; i < wanted.length; i++) {
    if (wanted[i] === '>') return given.length > i;
    if (wanted[i] !== '*' && wanted[i] !== given[i]) return false;
  }
  return wanted.length === given.length;
}

test('a random conversation goes as if there were one broker', async () => {
  const random = new Random(SEED);
  await start({ count: 4, random, laneCapacity: 32 });
  const patterns = ['a', 'a.b', 'a.*', 'a.>', '*.b', '>', 'b.a', 'b'];
  const talkers: Talker[] = [];
  for (let i = 0; i < 10; i++) {
    const raw = await client(i % 4);
    talkers.push({ raw, subscriptions: new Map(), expected: [] });
  }
  /** For each message: the groups it must reach once, with the answers that would be right. */
  const grouped: Map<string, string[]> = new Map();
  let sids = 0;
  for (let step = 0; step < 1500; step++) {
    const talker = talkers[random.below(talkers.length)];
    const { raw, subscriptions } = talker;
    const deed = random.below(10);
    if (deed < 3) {
      const sid = `${++sids}`;
      const subject = patterns[random.below(patterns.length)];
      const queue = random.chance(0.5) ? '' : `q${random.below(2)}`;
      subscriptions.set(sid, { subject, queue });
      talker.expected.push(await raw.converse(`SUB ${subject} ${queue} ${sid}\r\n`));
    } else if (deed < 5 && subscriptions.size > 0) {
      const sid = [...subscriptions.keys()][random.below(subscriptions.size)];
      subscriptions.delete(sid);
      talker.expected.push(await raw.converse(`UNSUB ${sid}\r\n`));
    } else {
      const subject = ['a', 'a.b', 'b.a', 'b', 'c.b'][random.below(5)];
      const text = await raw.converse(message(subject, `${step} `));
      talker.expected.push(text);
      const groups: Map<string, string[]> = new Map();
      const plain: string[] = [];
      talkers.forEach(({ subscriptions: all }, at) => {
        for (const [sid, { subject: pattern, queue }] of all) {
          if (!reaches(pattern, subject)) continue;
          const line = `${at}: ${subject} ${sid} ${step}`;
          if (queue === '') plain.push(line);
          else groups.set(queue, [...(groups.get(queue) ?? []), line]);
        }
      });
      for (const line of plain) grouped.set(line, [line]);
      for (const [queue, lines] of groups) grouped.set(`${queue} ${step}`, lines);
    }
  }
  const heard = new Set<string>();
  for (const [at, talker] of talkers.entries()) {
    talker.expected.push(await talker.raw.converse(''));
    for (const [, subject, sid, step] of talker.expected
      .join('')
      .matchAll(/^MSG (\S+) (\d+) \d+\r\n(\d+) /gm)) {
      const line = `${at}: ${subject} ${sid} ${step}`;
      expect(heard.has(line), `seed ${SEED}: ${line} twice`).toBe(false);
      heard.add(line);
    }
  }
  for (const [what, lines] of grouped) {
    const count = lines.filter((line) => heard.has(line)).length;
    expect(count, `seed ${SEED}: ${what}, ${lines.join(' or ')}`).toBe(1);
  }
  expect(heard.size, `seed ${SEED}`).toBe(grouped.size);
});

test('who subscribes by the thousand waits until other executors have heard of it', async () => {
  await start({ laneCapacity: 1024 });
  const { index } = joined.brokers[0].router;
  const [many, few] = [await client(0), await client(0)];
  await many.converse('');
  joined.deafen(1);
  const subjects = Array.from({ length: 4 * CHANGES_MAX }, (_, i) => `s.${i}`);
  many.say(subjects.map((subject, i) => `SUB ${subject} ${i}\r\n`).join(''));
  await expect.poll(() => joined.brokers[0].stats().paused).toBe(1);
  expect(index.count).toBeLessThan(CHANGES_MAX);
  // Who has done little may still subscribe, up to a limit.
  few.say('SUB t 1\r\n');
  const before = index.count;
  await expect.poll(() => index.count).toBe(before + 1);
  joined.hear();
  await many.converse('');
  expect(index.count).toBe(subjects.length + 1);
  // What a client leaves behind takes the same way.
  joined.deafen(1);
  many.destroy();
  await expect.poll(() => joined.brokers[0].backpressure.blockedCount).toBe(1);
  expect(index.count).toBeGreaterThan(subjects.length - CHANGES_MAX);
  joined.hear();
  await expect.poll(() => index.count).toBe(1);
});
