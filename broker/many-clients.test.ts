// SPDX-License-Identifier: MIT
/** Example broker: more clients that want something at once than there are buffers. */

import { expect, test } from 'vitest';
import { RawClient } from '../test/e2e/raw-client.ts';
import { Broker } from './broker.ts';

/** The fewest that a broker has: more do not show more. */
const POOL_BYTES = 1 << 20;
/** Of the buffers: many times as many are on their way at once. */
const CLIENTS_PER_BUFFER = 5;

/** A message of a neighbour's, which a quiet link does not keep outside of the pool. */
const PAYLOAD = 'x'.repeat(3000);

/**
 * What each says: fragments that end within a frame. `line` writes the operation PUB with its
 * subject and the number of bytes.
 */
const SPOKEN: Record<string, (line: (subject: string) => string) => (subject: string) => string[]> =
  {
    'in fragments that end in a payload': (line) => (subject) => [
      `PING\r\n${line(subject)}\r\n${PAYLOAD.slice(0, 1000)}`,
      `${PAYLOAD.slice(1000)}\r\nPI`,
      'NG\r\n',
    ],
    'in one piece': (line) => (subject) => [`PING\r\n${line(subject)}\r\n${PAYLOAD}\r\nPING\r\n`],
  };
const LINES: Record<string, (subject: string) => string> = {
  'a line that is copied': (subject) => `PUB ${subject} ${PAYLOAD.length}`,
  'a line that is put together': (subject) => `pub\t${subject}   ${PAYLOAD.length} `,
};

test.each(
  Object.keys(SPOKEN).flatMap((spoken) => Object.keys(LINES).map((line) => ({ spoken, line }))),
)('every client gets its answers, $spoken, $line', async ({ spoken, line }) => {
  const broker = await Broker.start({ port: 0, poolBytes: POOL_BYTES });
  const { bufferCount } = broker.pool;
  const count = CLIENTS_PER_BUFFER * bufferCount;
  const clients = await Promise.all(
    Array.from({ length: count }, () => RawClient.connect(broker.port)),
  );
  await Promise.all(clients.map((client, i) => client.converse(`SUB to.${i} 1\r\n`)));
  const fragmentsFor = SPOKEN[spoken](LINES[line]);
  const fragments = clients.map((_, i) => fragmentsFor(`to.${(i + 1) % count}`));
  for (let part = 0; part < fragments[0].length; part++) {
    for (const [i, client] of clients.entries()) client.say(fragments[i][part]);
    await new Promise((resolve) => setImmediate(resolve));
  }
  const answers = await Promise.all(
    clients.map(async (client, i) => {
      const message = `MSG to.${i} 1 ${PAYLOAD.length}\r\n${PAYLOAD}\r\n`;
      const text = await client.takeBytes(message.length + 2 * 'PONG\r\n'.length);
      return text.replace(message, 'MESSAGE ').replaceAll('PONG\r\n', 'PONG ');
    }),
  );
  for (const answer of answers) {
    expect(['MESSAGE PONG PONG ', 'PONG MESSAGE PONG ', 'PONG PONG MESSAGE ']).toContain(answer);
  }
  expect(broker.stats().slowConsumers).toBe(0);
  for (const client of clients) client.destroy();
  await broker.drain();
});
