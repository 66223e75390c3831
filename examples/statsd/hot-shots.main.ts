// SPDX-License-Identifier: MIT
/**
 * Example statsd, tests: a program that uses hot-shots, an ordinary statsd client.
 *
 * Arguments: port, seed, clients, and calls of each. Clients with even numbers put many lines into
 * a datagram; the others send each line by itself.
 */

import { StatsD } from 'hot-shots';
import { deedsOf } from './client-deeds.ts';

const [port, seed, clients, count] = process.argv.slice(2).map(Number);
/** Sends every sampled value: the line states its rate, and no value is left out at random. */
Math.random = () => 0;

await Promise.all(Array.from({ length: clients }, (_, client) => play(client)));

async function play(client: number): Promise<void> {
  const statsd = new StatsD({
    host: '127.0.0.1',
    port,
    maxBufferSize: client % 2 === 0 ? 1400 : 0,
    bufferFlushInterval: 10,
  });
  for (const { call, name, value, rate, tags } of deedsOf(seed, client, count)) {
    if (call === 'gauge' || call === 'gaugeDelta' || call === 'set') {
      statsd[call](name, value, [...tags]);
    } else {
      statsd[call](name, value, rate, [...tags]);
    }
  }
  statsd.event('an event', 'of no number');
  await new Promise<void>((resolve, reject) => {
    statsd.close((error) => (error ? reject(error) : resolve()));
  });
}
