// SPDX-License-Identifier: MIT
/** End to end: the broker's side of the protocol, byte by byte, as in nats-server 2.9. */

import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { RawClient } from './raw-client.ts';
import { EXECUTORS, type StartedBroker, startBroker } from './started-broker.ts';

/** Lines, each with the end that the protocol wants. */
function lines(...texts: string[]): string {
  return texts.map((text) => `${text}\r\n`).join('');
}

const QUIET = 'CONNECT {"verbose":false,"pedantic":false}';
const HEADERS = 'CONNECT {"verbose":false,"pedantic":false,"headers":true}';
const REQUESTS = 'CONNECT {"verbose":false,"pedantic":false,"headers":true,"no_responders":true}';
const INVALID = "-ERR 'Invalid Publish Subject'";

/** What a client says, and what it is answered before the answer to a last PING. */
const CONVERSATIONS: readonly (readonly [name: string, said: string, answered: string])[] = [
  [
    'a client that never says CONNECT is treated as verbose',
    lines('SUB a 1', 'PUB a 2', 'hi'),
    lines('+OK', '+OK', 'MSG a 1 2', 'hi'),
  ],
  [
    'verbose: every operation is confirmed',
    lines('CONNECT {"verbose":true}', 'SUB a 1', 'UNSUB 1', 'UNSUB 9 5', 'PUB x 0', '', 'PONG'),
    lines('+OK', '+OK', '+OK', '+OK', '+OK'),
  ],
  [
    'operations are understood in lower case, with tabs, with LF only',
    'connect {"verbose":false}\nsub\ta \t 1\t\npub \t a\t 2 \nhi\r\nPub a 1\r\nx\r\n',
    lines('MSG a 1 2', 'hi', 'MSG a 1 1', 'x'),
  ],
  [
    'a reply subject is passed on, one made of digits too',
    lines(QUIET, 'SUB a 1', 'PUB a   r  2', 'hi', 'PUB a 5 2', 'hi', 'PUB a _INBOX.x 0', ''),
    lines('MSG a 1 r 2', 'hi', 'MSG a 1 5 2', 'hi', 'MSG a 1 _INBOX.x 0', ''),
  ],
  [
    'subscription ids of any length come back',
    lines(QUIET, 'SUB a 1', 'SUB a 12345', 'SUB a 1234567', 'SUB a some-long-id', 'PUB a 0', ''),
    lines('MSG a 1 0', '', 'MSG a 12345 0', '', 'MSG a 1234567 0', '', 'MSG a some-long-id 0', ''),
  ],
  [
    'a second subscription with the same id is ignored',
    lines(QUIET, 'SUB a 1', 'SUB b 1', 'PUB a 1', 'x', 'PUB b 1', 'y'),
    lines('MSG a 1 1', 'x'),
  ],
  [
    'wildcards: one token, or all the rest',
    lines(QUIET, 'SUB a.*.c 1', 'SUB a.> 2', 'PUB a.b.c 1', 'x', 'PUB a 1', 'x', 'PUB a.b 1', 'y'),
    lines('MSG a.b.c 2 1', 'x', 'MSG a.b.c 1 1', 'x', 'MSG a.b 2 1', 'y'),
  ],
  [
    'only subscribers have wildcards, and a subject with an empty token reaches nobody',
    lines(QUIET, 'SUB > 1', 'PUB a.* 1', 'x', 'PUB .a 1', 'x', 'PUB a..b 1', 'x', 'PUB a*b 0', ''),
    lines('MSG a.* 1 1', 'x', 'MSG a*b 1 0', ''),
  ],
  [
    'subjects that cannot be subscribed to are refused',
    lines(QUIET, 'SUB a..b 1', 'SUB >.a 2', 'SUB .a 3', 'SUB a. 4', 'SUB a*b 5', 'SUB a> 6'),
    "-ERR 'Invalid Subject'\r\n".repeat(4),
  ],
  [
    'pedantic: subjects that cannot be published to are refused',
    lines('CONNECT {"verbose":false}', 'SUB > 1') +
      lines('PUB a..b 1', 'x', 'PUB a.* 1', 'x', 'PUB > 1', 'x', 'PUB a*b 1', 'x'),
    lines(INVALID, INVALID, INVALID, 'MSG a*b 1 1', 'x'),
  ],
  [
    'UNSUB with a number ends the subscription after this many messages',
    lines(QUIET, 'SUB a 1', 'UNSUB 1 2', 'PUB a 1', 'x', 'PUB a 1', 'y', 'PUB a 1', 'z'),
    lines('MSG a 1 1', 'x', 'MSG a 1 1', 'y'),
  ],
  [
    'UNSUB with a number counts from the beginning of the subscription',
    lines(QUIET, 'SUB b 2', 'PUB b 1', 'y', 'UNSUB 2 1', 'PUB b 1', 'y'),
    lines('MSG b 2 1', 'y'),
  ],
  [
    'UNSUB ends the subscription',
    lines(QUIET, 'SUB a 1', 'UNSUB 1', 'PUB a 1', 'x', 'SUB a 1', 'UNSUB 1 0', 'PUB a 1', 'x'),
    '',
  ],
  [
    'without echo a client does not get its own messages',
    lines('CONNECT {"verbose":false,"echo":false}', 'SUB a 1', 'PUB a 2', 'hi'),
    '',
  ],
  [
    'headers are passed on as they are',
    lines(HEADERS, 'SUB a 1', 'HPUB a 12 14', 'NATS/1.0', '', 'hi') +
      lines('HPUB a r  12 12', 'NATS/1.0', '', '', 'HPUB a 0 2', 'hi'),
    lines('HMSG a 1 12 14', 'NATS/1.0', '', 'hi') +
      lines('HMSG a 1 r 12 12', 'NATS/1.0', '', '', 'MSG a 1 2', 'hi'),
  ],
  [
    'a request that nobody can answer is answered with 503',
    lines(REQUESTS, 'SUB r.* 1', 'PUB a r.1 2', 'hi', 'PUB a 2', 'hi', 'PUB a other.1 2', 'hi'),
    lines('HMSG r.1 1 16 16', 'NATS/1.0 503', '', ''),
  ],
  ['what only servers say is ignored', lines(QUIET, 'INFO {}', '+OK', 'PONG'), ''],
];

/** What a client says, and the last that it hears. */
const OFFENCES: readonly (readonly [said: string, error: string])[] = [
  ['GARBAGE\r\n', 'Unknown Protocol Operation'],
  ['\r\n', 'Unknown Protocol Operation'],
  ['GET / HTTP/1.1\r\nHost: x\r\n\r\n', 'Unknown Protocol Operation'],
  ['\x16\x03\x01\x02\x00\x01\x00\x01', 'Unknown Protocol Operation'],
  ['MSG a 1 2\r\nhi\r\n', 'Unknown Protocol Operation'],
  ['PUB a 2\r\nhixx\r\n', 'Unknown Protocol Operation'],
  ['PUB a 2\r\nhi\n\r\n', 'Unknown Protocol Operation'],
  ['PUB a 1\r\nhi\r\n', 'Unknown Protocol Operation'],
  ['PUB a\r\n', 'Parser Error'],
  ['PUB a b c 2\r\n', 'Parser Error'],
  ['PUB a -2\r\n', 'Parser Error'],
  ['SUB a\r\n', 'Parser Error'],
  ['UNSUB 1 2 3\r\n', 'Parser Error'],
  ['HPUB a 9 5\r\n', 'Parser Error'],
  ['CONNECT {bad\r\n', 'Parser Error'],
  ['CONNECT 5\r\n', 'Parser Error'],
  ['CONNECT {"verbose":"yes"}\r\n', 'Parser Error'],
  ['CONNECT {"protocol":99}\r\n', 'invalid client protocol'],
  ['CONNECT {"no_responders":true}\r\n', 'no responders requires headers support'],
  ['CONNECT {"verbose":false}\r\nHPUB a 2 2\r\nhi\r\n', 'message headers not supported'],
  ['PUB a 65537\r\n', 'Maximum Payload Violation'],
  ['PUB a 99999999999999999999\r\n', 'Maximum Payload Violation'],
  [`SUB ${'a'.repeat(5000)} 1\r\n`, 'maximum control line exceeded'],
  [`PUB ${'a'.repeat(5000)}`, 'maximum control line exceeded'],
];

describe.each(EXECUTORS)('a broker on %i threads', (executors) => {
  let broker: StartedBroker;

  beforeAll(async () => {
    broker = await startBroker(executors);
  });

  afterAll(async () => {
    await broker.drain();
  });

  for (const [name, said, answered] of CONVERSATIONS) {
    test(name, async () => {
      const client = await RawClient.connect(broker.port, '');
      expect(await client.converse(said)).toBe(answered);
      client.destroy();
      // The next one asks whether anybody is there.
      await expect.poll(() => broker.stats()).toMatchObject({ connections: 0 });
    });
  }

  test('the same conversations, one byte at a time', async () => {
    for (const [name, said, answered] of CONVERSATIONS) {
      const client = await RawClient.connect(broker.port, '');
      await client.sayBytewise(said);
      expect(await client.converse(''), name).toBe(answered);
      client.destroy();
      await expect.poll(() => broker.stats()).toMatchObject({ connections: 0 });
    }
  });

  test('malformed input gets -ERR and a closed connection, and disturbs nobody else', async () => {
    const witness = await RawClient.connect(broker.port);
    await witness.converse('SUB news 1\r\n');
    for (const [said, error] of OFFENCES) {
      const client = await RawClient.connect(broker.port, '');
      client.say(said);
      expect(await client.untilClosed(), JSON.stringify(said)).toMatch(`-ERR '${error}'\r\n`);
      const answer = await witness.converse('PUB news 5\r\nfresh\r\n');
      expect(answer).toBe('MSG news 1 5\r\nfresh\r\n');
    }
    witness.destroy();
  });

  test('a client without headers gets messages without theirs', async () => {
    const plain = await RawClient.connect(broker.port, lines(QUIET));
    await plain.converse('SUB h.* 1\r\n');
    const modern = await RawClient.connect(broker.port);
    await modern.converse(
      lines('HPUB h.1 18 23', 'NATS/1.0', 'A: b', '', 'hello') +
        lines('HPUB h.2 re.ply 12 12', 'NATS/1.0', '', ''),
    );
    expect(await plain.converse('')).toBe('MSG h.1 1 5\r\nhello\r\nMSG h.2 1 re.ply 0\r\n\r\n');
    plain.destroy();
    modern.destroy();
  });

  test('each message goes to one member of a queue group, and all members get some', async () => {
    const members = await Promise.all(
      [1, 2, 3].map(async () => {
        const member = await RawClient.connect(broker.port);
        await member.converse('SUB work.* crew 1\r\n');
        return member;
      }),
    );
    const publisher = await RawClient.connect(broker.port);
    await publisher.converse('PUB work.now 1\r\nx\r\n'.repeat(300));
    const counts = await Promise.all(
      members.map(async (member) => (await member.converse('')).split('MSG work.now').length - 1),
    );
    expect(counts.reduce((sum, count) => sum + count)).toBe(300);
    for (const count of counts) expect(count).toBeGreaterThan(30);
    for (const client of [publisher, ...members]) client.destroy();
  });

  test('messages of every size up to the limit arrive as they were', async () => {
    const client = await RawClient.connect(broker.port);
    await client.converse('SUB size.* 1\r\n');
    for (const size of [0, 1, 3, 15, 16, 17, 255, 1000, 4095, 4096, 32_768, 65_535, 65_536]) {
      const payload = Array.from({ length: size }, (_, i) => String.fromCharCode((i * 7) & 0xff));
      const text = payload.join('');
      client.say(`PUB size.${size} ${size}\r\n${text}\r\nPUB size.next 4\r\nnext\r\n`);
      const line = `MSG size.${size} 1 ${size}\r\n`;
      const answer = await client.takeBytes(line.length + size + 2);
      expect(answer === `${line}${text}\r\n`, `${size} bytes`).toBe(true);
      expect(await client.converse('')).toBe('MSG size.next 1 4\r\nnext\r\n');
    }
    client.destroy();
  });

  test('when all clients are gone, every buffer is back', async () => {
    const rest = { connections: 0, subscriptions: 0, held: 0 };
    await expect.poll(() => broker.stats()).toMatchObject(rest);
  });
});
