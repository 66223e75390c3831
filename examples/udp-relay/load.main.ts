// SPDX-License-Identifier: MIT
/**
 * Example udp-relay: sources and subscribers that load a relay; prints the result as JSON.
 */

import { parseArgs } from 'node:util';
import { BufferPool } from 'busbar/pool';
import { integer } from './command-line.ts';
import { Source } from './source.ts';
import { Subscriber } from './subscriber.ts';

const HELP = `Usage: node build/examples/udp-relay/load.main.js --port N [--host ADDRESS]
         [--sources N (4)] [--subscribers N (3)] [--messages N (10000, of each source)]
`;
/** As long as the relay allows: where processes wait long for a core, no lease ends. */
const LEASE_MS = 3_600_000;
const RECEIVE_BYTES = 4 << 20;
/** Messages of each source in one turn of the event loop. */
const BURST = 20;
/** How often sources repeat how much they have sent, when they have sent it all. */
const COUNT_MS = 10;
const PAYLOAD_BYTES = [0, 8, 100, 1000];

const { values } = parseArgs({
  options: {
    help: { type: 'boolean', short: 'h', default: false },
    host: { type: 'string', default: '127.0.0.1' },
    port: { type: 'string', default: '9000' },
    sources: { type: 'string', default: '4' },
    subscribers: { type: 'string', default: '3' },
    messages: { type: 'string', default: '10000' },
  },
});

if (values.help) console.log(HELP);
else await load();

/** The bytes of a message: a missing or wrong one is noticed. */
function payloadOf(source: number, sequence: number): Buffer {
  const bytes = Buffer.alloc(PAYLOAD_BYTES[sequence % PAYLOAD_BYTES.length]);
  for (let i = 0; i < bytes.length; i++) bytes[i] = source * 7 + sequence * 31 + i * 3;
  return bytes;
}

async function load(): Promise<void> {
  const relay = { host: values.host, port: integer('port', values.port, 1, 65_535) };
  const messages = integer('messages', values.messages, 1, 2 ** 31);
  const pool = BufferPool.create({ bufferSize: 65_536, bufferCount: 512 });
  let wrong = 0;
  const subscribers: Subscriber[] = [];
  for (let i = integer('subscribers', values.subscribers, 1, 100); i > 0; i--) {
    const onData = (source: number, sequence: number, offset: number, length: number): void => {
      const { bytes } = pool;
      if (!payloadOf(source, sequence).equals(bytes.subarray(offset, offset + length))) wrong++;
    };
    subscribers.push(await Subscriber.open(pool, relay, RECEIVE_BYTES, onData));
  }
  const granted = await Promise.all(subscribers.map((each) => each.subscribe(LEASE_MS)));
  if (granted.includes(0)) throw new Error('the relay takes no more subscribers');
  const sources: Source[] = [];
  for (let i = integer('sources', values.sources, 1, 100); i > 0; i--) {
    sources.push(await Source.open(pool, relay));
  }
  await Promise.all(sources.map((source) => play(source, messages)));
  // UDP may lose these, too: repeat until every subscriber knows.
  const isKnown = (): boolean =>
    subscribers.every(({ announced }) =>
      sources.every(({ number }) => announced.get(number) === messages),
    );
  while (!isKnown()) {
    for (const source of sources) source.tryCount();
    await new Promise((resolve) => setTimeout(resolve, COUNT_MS));
  }
  const report = {
    sent: sources.map(({ sent }) => sent),
    wrong,
    subscribers: subscribers.map(({ link, counters }) => ({
      datagrams: link.stats().datagramsRead,
      dropped: link.stats().dropped,
      sources: sources.map(({ number }) => {
        const counter = counters.get(number);
        const { received = 0, lost = 0, duplicates = 0, reordered = 0, late = 0 } = counter ?? {};
        return { received, lost, duplicates, reordered, late };
      }),
    })),
  };
  await Promise.all(subscribers.map((each) => each.unsubscribe()));
  await Promise.all([...sources.map((s) => s.close()), ...subscribers.map((s) => s.vanish())]);
  console.log(JSON.stringify(report));
}

async function play(source: Source, messages: number): Promise<void> {
  while (source.sent < messages) {
    for (let i = 0; i < BURST && source.sent < messages; i++) {
      if (!source.trySend(payloadOf(source.number, source.sent))) break;
    }
    await new Promise(setImmediate);
  }
}
