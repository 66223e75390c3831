// SPDX-License-Identifier: MIT
/**
 * End to end: the same bytes sent to the broker and to nats-server get the same reply. Where nats-
 * server closes silently, the broker may give a reason.
 */

import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { Random } from '../../src/base/random.ts';
import { killPrograms } from '../program.ts';
import { isNatsServerExpected, type StartedNatsServer, startNatsServer } from './nats-server.ts';
import { RawClient } from './raw-client.ts';
import { type StartedBroker, startBroker } from './started-broker.ts';

const QUIET = 'CONNECT {"verbose":false,"pedantic":false}\r\n';
const REQUESTS =
  'CONNECT {"verbose":false,"pedantic":false,"headers":true,"no_responders":true}\r\n';
/** What a damaged byte becomes. */
const FLIPS = [0, 9, 10, 13, 32, 45, 46, 62, 42, 80, 120, 255];
const MAX_CONTROL_LINE = 4096;
const MAX_PAYLOAD = 65_536;

/** What `subject` is to be called; each conversation has its own. */
type Speech = (subject: string) => string;

const connects = [
  '{bad',
  '5',
  'null',
  '',
  '{"verbose":false} x',
  '{"verbose":false} \t',
  '[]',
  '{"verbose":"yes"}',
  '{"verbose":null}',
  '{"verbose":false,"protocol":1}',
  '{"verbose":false,"protocol":1.0}',
  '{"verbose":false,"protocol":1e0}',
  '{"verbose":false,"protocol":"1"}',
  '{"verbose":false,"protocol":2}',
  '{"verbose":false,"protocol":-1}',
  '{"verbose":false,"protocol":-0}',
  '{"verbose":false,"protocol":99999999999999999999}',
  '{"Verbose":false,"PEDANTIC":false}',
  '{"verbose":true,"verbose":false}',
  '{"verbose":5,"verbose":false}',
  '{"verbose":true,"VERBOSE":false,"verbose":true}',
  '{"verbose":false,"name":5}',
  '{"verbose":false,"lang":[]}',
  '{"verbose":false,"foo":5}',
  '{"verbose":false,"foo":{"verbose":true,"a":[1,"}"]}}',
  '{"verbose":false,"tls_required":1}',
  '{"verbose":false,"version":1}',
  '{"verbose":false,"user":1}',
  '{"verbose":false,"import":5}',
  '{"verbose":false,"account":"x"}',
  '{"verbose":false,"account":""}',
  '{"verbose":false,"no_responders":true}',
  '{"verbose":false,"name":"\x01"}',
  '{"verbose":false,"name":"\xff"}',
  '\xef\xbb\xbf{"verbose":false}',
  '{"verb\\u006fse":false}',
  '{"verbo\xc5\xbfe":false}',
  '{ "verbose" : false , "name" : "a\\"}" }',
  '{}',
  '{"verbose":false}}',
].map(
  (argument): Speech =>
    () =>
      `CONNECT ${argument}\r\n`,
);

const speeches: readonly Speech[] = [
  ...connects,
  () => 'CONNECT{"verbose":false}\r\n',
  () => 'CONNECT\t{"verbose":false}\n',
  () => 'CONNECT\n{"verbose":false}\n',
  () => `${QUIET}CONNECT {}\r\nCONNECT {bad\r\n`,
  ...[
    'INFO {}',
    'INFO{}',
    'INFO',
    'INFO  ',
    'INFO null',
    'INFO 5',
    'INFO {bad',
    'INFO {"port":"x"}',
    '+OK',
    '+OKx',
    '-ERR',
    "-ERR 'x'",
    '-ERR x',
    'PINGx',
    'PING   x',
    'PONG xyz',
    'MSG a 1 2',
    '',
    'UNSUB ',
    'UNSUB 1 2 3',
    'SUB a',
    'SUB a b c d',
    'PUB ',
    'PUB a',
    'PUB a b c d',
    'PUB a -2',
    'PUB a 0000000002',
    'PUB a 99999999999',
    'HPUB a 9 5',
    'HPUB a -1 2',
    'SUB a..b 1',
  ].map(
    (line): Speech =>
      () =>
        `${QUIET}${line}\r\n`,
  ),
  (s) => `${QUIET}SUB \n${s} 1\r\nPUB ${s} 0\r\n\r\n`,
  (s) => `${QUIET}SUB ${s}\r 12\nPUB ${s} 0\r\n\r\n`,
  (s) => `${QUIET}SUB ${s}\rx 1\r\nPUB ${s} 0\r\n\r\n`,
  (s) => `${QUIET}SUB ${s} 1\r\r\nPUB ${s} 0\r\n\r\n`,
  (s) => `${QUIET}SUB ${s} 1\r\nPUB ${s} 000000002\r\nhi\r\n`,
  ...[
    '99999999999999999999',
    '999999999',
    '1000000000',
    '0000000001',
    '000000001',
    '-1',
    'x',
    '2',
  ].map(
    (max): Speech =>
      (s) =>
        `${QUIET}SUB ${s} 1\r\nUNSUB 1 ${max}\r\n${`PUB ${s} 0\r\n\r\n`.repeat(3)}`,
  ),
  (s) => `${REQUESTS}SUB ${s}.* q 1\r\nPUB x${s} ${s}.1 2\r\nhi\r\n`,
  (s) => `${REQUESTS}SUB ${s}.* q 1\r\nSUB ${s}.> 2\r\nPUB x${s} ${s}.1 2\r\nhi\r\n`,
  (s) => `${QUIET}SUB ${s} 1\r\nSUB ${s} 1\r\nSUB ${s} 2\r\nSUB ${s} 3\r\nSUB ${s} 1\r\n`,
  (s) => `${QUIET}PUB ${s} 2\r\nhixx\r\n`,
  ...[-1, 0, 1].flatMap((more): Speech[] => [
    (s) => `${QUIET}SUB ${s.padEnd(MAX_CONTROL_LINE - 2 + more, 'a')} 1\r\n`,
    (s) => `${QUIET}PUB ${s.padEnd(MAX_CONTROL_LINE - 2 + more, 'a')} 0\r\n\r\n`,
    (s) => `${QUIET}SUB \t  ${s.padEnd(MAX_CONTROL_LINE - 2 + more, 'a')} 1\n`,
    (s) => `${QUIET}SUB ${s} ${' '.repeat(MAX_CONTROL_LINE - s.length - 2 + more)}1\r\n`,
    (s) => `${QUIET}SUB ${s} 1${' '.repeat(MAX_CONTROL_LINE - s.length - 2 + more)}\r\n`,
    () => `CONNECT ${'{"verbose":false}'.padEnd(MAX_CONTROL_LINE + more)}\r\n`,
    (s) => `${QUIET}PUB ${s} ${MAX_PAYLOAD + more}\r\n${'x'.repeat(MAX_PAYLOAD + more)}\r\n`,
  ]),
];

/** All that comes back to it and a PING; `<closed>` at its end if the server closed. */
async function hear(port: number, said: string): Promise<string> {
  const client = await RawClient.connect(port, '');
  // The one that is closed before it has said everything has heard the reason all the same.
  client.say(`${said}PING\r\n`);
  const pings = said.match(/^PING/gm)?.length ?? 0;
  let heard = '';
  try {
    for (let i = 0; i <= pings; i++) heard += await client.takeThrough('PONG\r\n');
  } catch {
    heard += `${await client.untilClosed()}<closed>`;
  }
  client.destroy();
  return heard;
}

/** The broker may give a reason where nats-server has none. */
function withoutReason(heard: string, other: string): string {
  if (!heard.endsWith('<closed>') || /-ERR '[^\n]*\r\n<closed>$/.test(other)) return heard;
  return heard.replace(/-ERR '[^\n]*'\r\n<closed>$/, '<closed>');
}

describe.runIf(isNatsServerExpected)('the broker and nats-server', () => {
  let broker: StartedBroker;
  let server: StartedNatsServer;

  beforeAll(async () => {
    const config = new URL('./nats-server.conf', import.meta.url).pathname;
    server = await startNatsServer('-c', config);
    broker = await startBroker(1, { maxPayloadBytes: MAX_PAYLOAD, maxSubscriptions: 3 });
  });

  afterAll(async () => {
    await broker?.drain();
    await server?.stop();
    killPrograms();
  });

  async function compare(said: string, what: string): Promise<void> {
    const theirs = await hear(server.port, said);
    const ours = await hear(broker.port, said);
    expect(withoutReason(ours, theirs), what).toBe(theirs);
  }

  test('say in INFO what clients choose features by', async () => {
    const [theirs, ours] = await Promise.all(
      [server.port, broker.port].map(async (port) => {
        const client = await RawClient.connect(port, '');
        client.destroy();
        return client.info;
      }),
    );
    for (const name of ['version', 'proto', 'headers', 'max_payload']) {
      expect(ours[name], name).toBe(theirs[name]);
    }
    const type = (info: Record<string, unknown>, name: string): string => typeof info[name];
    for (const name of [
      'server_id',
      'server_name',
      'go',
      'host',
      'port',
      'client_id',
      'client_ip',
    ]) {
      expect(type(theirs, name), name).not.toBe('undefined');
      expect(type(ours, name), name).toBe(type(theirs, name));
    }
    expect(ours.go).not.toBe('');
  });

  test('answer the same to lines at the edges of the protocol', async () => {
    for (const [i, speech] of speeches.entries()) {
      const said = speech(`s${i}`);
      await compare(said, JSON.stringify(said.slice(0, 200)));
    }
  }, 120_000);

  test('close at the same byte of what is no operation', async () => {
    const names = ['PUB', 'HPUB', 'SUB', 'UNSUB', 'PING', 'PONG', 'CONNECT', 'INFO', '+OK', '-ERR'];
    for (const name of names) {
      for (let length = 0; length <= name.length; length++) {
        for (const next of [
          'x',
          '\0',
          '\r',
          '\n',
          '\xff',
          String.fromCharCode(name.charCodeAt(length) ^ 0x20),
        ]) {
          const prefix = name.slice(0, length) + next;
          const [theirs, ours] = await Promise.all([
            closesAt(server.port, prefix),
            closesAt(broker.port, prefix),
          ]);
          expect(ours, JSON.stringify(prefix)).toBe(theirs);
        }
      }
    }
  }, 120_000);

  test('agree on damaged conversations', async () => {
    const seed = Number(process.env.BUSBAR_SEED ?? 19);
    const random = new Random(seed);
    for (let i = 0; i < 400; i++) {
      const s = `f${i}`;
      const sane =
        `${QUIET}SUB ${s}.* 1\r\nPUB ${s}.a 2\r\nhi\r\n` +
        `UNSUB 1 3\r\nPUB ${s}.b r 1\r\n\r\r\nPONG\r\n`;
      const bytes = Buffer.from(sane, 'latin1');
      for (let flips = random.between(1, 3); flips > 0; flips--) {
        // The sizes stay: one that swallows the last PING leaves both waiting.
        const at = random.below(bytes.length);
        if (bytes[at] >= 0x30 && bytes[at] <= 0x39) continue;
        bytes[at] = FLIPS[random.below(FLIPS.length)];
      }
      const said = bytes.toString('latin1');
      await compare(said, `seed ${seed}, conversation ${i}: ${JSON.stringify(said)}`);
    }
  }, 120_000);
});

/** Whether a client that says just this, and then waits, is closed, or is still there. */
async function closesAt(port: number, prefix: string): Promise<string> {
  const client = await RawClient.connect(port, '');
  client.say(prefix);
  // The end of the sentence decides it: the server has read the prefix before it sees the end.
  client.socket.end();
  return client.untilClosed();
}
