// SPDX-License-Identifier: MIT
/** Example udp-relay: the program. Relays, and prints its counters. */

import { parseArgs } from 'node:util';
import { BufferPool } from 'busbar/pool';
import { integer } from './command-line.ts';
import { Relay, type RelayStats } from './relay.ts';

const HELP = `Relays datagrams of many sources to all who have subscribed, and counts what is lost.

Usage: npm run example:udp-relay -- [options]

  --port N           sources and subscribers come to this port (9000; 0: any that is free)
  --host ADDRESS     and to this address (127.0.0.1: from this machine only)
  --lease MS         a subscriber has to ask again within this time, at the latest (10000)
  --subscribers N    at a time (64)
  --interval MS      print the counters so often (1000; 0: at the end only)
  --format FORMAT    text or json
  --help             this text

What is in the datagrams: examples/udp-relay/datagrams.ts. To see it at work, in another terminal:

  node build/examples/udp-relay/load.main.js --port 9000
`;

const MINUTE_MS = 60_000;
const SWEEP_MS = 250;
/** Many systems grant this much. */
const RECEIVE_BYTES = 4 << 20;

interface Command {
  readonly help: boolean;
  readonly host: string;
  readonly port: number;
  readonly leaseMs: number;
  readonly subscribersMax: number;
  readonly intervalMs: number;
  readonly isJson: boolean;
}

process.exitCode = await main();

async function main(): Promise<number> {
  let command: Command;
  try {
    command = readCommandLine();
  } catch (error) {
    console.error(`${(error as Error).message}\nTry: npm run example:udp-relay -- --help`);
    return 2;
  }
  if (command.help) {
    console.log(HELP);
    return 0;
  }
  const { host, port, leaseMs: leaseMsMax, subscribersMax, intervalMs, isJson } = command;
  // Buffers of 64 KiB, so that the kernel hands over what came together as one piece (GRO).
  const pool = BufferPool.create({ bufferSize: 65_536, bufferCount: 512 });
  let relay: Relay;
  try {
    const clock = (): number => performance.now();
    const options = { host, port, leaseMsMax, subscribersMax, receiveBytes: RECEIVE_BYTES, clock };
    relay = await Relay.open(pool, options);
  } catch (error) {
    console.error(`Cannot receive at ${host}:${port}: ${(error as Error).message}`);
    return 1;
  }
  const stopped = new Promise((stop) => process.once('SIGINT', stop).once('SIGTERM', stop));
  const print = (): void => {
    const stats = relay.stats();
    console.log(isJson ? JSON.stringify(stats) : describe(stats));
  };
  console.log(`Relay at ${relay.link.local}, ${relay.link.implementation}`);
  const timers = [setInterval(() => relay.sweep(), SWEEP_MS)];
  if (intervalMs > 0) timers.push(setInterval(print, intervalMs));
  await stopped;
  for (const timer of timers) clearInterval(timer);
  await relay.close();
  print();
  return 0;
}

function readCommandLine(): Command {
  const { values } = parseArgs({
    options: {
      help: { type: 'boolean', short: 'h', default: false },
      port: { type: 'string', default: '9000' },
      host: { type: 'string', default: '127.0.0.1' },
      lease: { type: 'string', default: '10000' },
      subscribers: { type: 'string', default: '64' },
      interval: { type: 'string', default: '1000' },
      format: { type: 'string', default: 'text' },
    },
  });
  const { format } = values;
  if (format !== 'text' && format !== 'json') {
    throw new TypeError(`--format must be text or json, got ${JSON.stringify(format)}`);
  }
  return {
    help: values.help,
    host: values.host,
    port: integer('port', values.port, 0, 65_535),
    leaseMs: integer('lease', values.lease, 100, 60 * MINUTE_MS),
    subscribersMax: integer('subscribers', values.subscribers, 1, 4096),
    intervalMs: integer('interval', values.interval, 0, 60 * MINUTE_MS),
    isJson: format === 'json',
  };
}

function describe(stats: RelayStats): string {
  const { sources, received, lost, duplicates, reordered, late, subscribers, forwarded } = stats;
  const { refused, failed, dropped, exhaustions, expired, malformed } = stats;
  return (
    `from ${sources} sources: ${received} in, ${lost} lost, ${duplicates} duplicates, ` +
    `${reordered} reordered, ${late} late; to ${subscribers} subscribers: ${forwarded} out, ` +
    `${refused} refused, ${failed} failed; own socket full: ${dropped}, pool empty: ` +
    `${exhaustions}; ${expired} expired, ${malformed} malformed`
  );
}
