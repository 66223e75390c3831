// SPDX-License-Identifier: MIT
/** Example broker: the command line, its options and their checks. */

import { parseArgs } from 'node:util';
import { type BrokerOptions, KNOWN_KEYS, TEXT_KEYS } from './broker-options.ts';

/** The options of the command line. */
export interface Command {
  readonly help: boolean;
  /** Seconds of a demonstration load before the broker only serves. */
  readonly demoSeconds: number;
  /** Number of threads that serve clients; undefined: one for each core. */
  readonly executors: number | undefined;
  /** Port of 127.0.0.1 for metrics and the live page; undefined: none. */
  readonly metricsPort: number | undefined;
  /** What readers there must know; undefined: a random one. */
  readonly metricsToken: string | undefined;
  readonly broker: BrokerOptions;
}

/** Bounded since each executor has a lane to every other. */
const EXECUTORS_MAX = 64;

export const HELP = `A message broker that speaks the NATS protocol, made of busbar's parts.

Usage: npm start -- [options]

  --port N              listen on this port (4222; 0: any that is free)
  --host ADDRESS        and on this address (127.0.0.1: this machine only)
  --executors N         serve clients on N threads, each pinned to a core (default: one for each
                        core that this process may use; 1: on the main thread)
  --seconds N           show what it can do for N seconds first (10; 0: only serve)
  --metrics PORT        serve metrics, health and a page with live figures on this port of 127.0.0.1
                        (none; 0: any that is free). \`npx busbar top\` needs no port.
  --metrics-token T     what their readers must know (a random one; '': nothing)
  --help                this text

  --user U --pass P     clients must present this user and password
  --token T             clients must present this token
  --auth-timeout MS     within this time (2000)

  --max-payload BYTES   longest message, headers included (64k; up to 8m). A message lives in
                        one pool buffer from socket to socket: above 112k the buffers get larger,
                        fewer of them share the memory, and they leave the processor's cache.
                        Clients are told in INFO. nats-server: 1m
  --max-control-line BYTES   longest protocol line (4k)
  --max-pending BYTES   output that may wait for one client (64m); less if more clients are slow
                        than the pool has room for. Beyond, those who publish to it are held up;
                        when that does not help within --stall, it is cut off: Slow Consumer.
                        nats-server cuts it off at once.
  --stall MS            how long publishers are held up for one client (1000)
  --write-deadline MS   what waits for a client must be gone by then, or it is cut off (10000)
  --frame-timeout MS    a line or message that has begun must be whole by then (60000)
  --max-connections N   clients at a time (65536); an executor has room for 65512
  --max-subscriptions N subscriptions per client (100000)
  --max-subscription-tokens N   tokens in the subject of one (128). nats-server: as the line allows
  --max-subscription-bytes BYTES   memory for all subscriptions (384m), of which each executor has
                        a part: 1280 bytes for one, and three times its subject, group and id. A
                        client may have as much of it as is left for all others, at most half.
  --ping-interval MS    ask quiet clients for a sign of life so often (120000)
  --max-pings-out N     so many unanswered, and the client is cut off as stale (2)
  --pool BYTES          memory for messages, those that wait for clients included (1g; up to 2g):
                        a dozen slow clients may have --max-pending waiting each. What has never
                        been needed costs nothing.
  --linger MS           how long a client that is cut off, or all of them when the broker stops,
                        may take to read what is left (2000)
  --lame-duck-grace MS  after SIGUSR2 clients are told to go, and have this time for it (10000);
  --lame-duck-duration MS   then they are closed one after the other, until this time (120000)

BYTES may end in k, m or g. Ctrl-C or SIGTERM stops the broker in good order, also while it
is a lame duck.
`;

const TEXT = { type: 'string' } as const;
const FLAGS: ReadonlyMap<keyof BrokerOptions, string> = new Map(
  KNOWN_KEYS.map((key) => [key, flagOf(key)]),
);

/** `max-payload` of `maxPayloadBytes`: units are said by the value. */
function flagOf(key: string): string {
  // There is one for their number, too.
  const name = key === 'maxSubscriptionBytes' ? key : key.replace(/(Bytes|Ms)$/, '');
  return name.replace(/[A-Z]/g, (letter) => `-${letter.toLowerCase()}`);
}

/** Parses the arguments. **Throws** TypeError or RangeError naming the option. */
export function readCommandLine(args: readonly string[]): Command {
  const { values } = parseArgs({
    args: [...args],
    options: {
      ...Object.fromEntries([...FLAGS.values()].map((flag) => [flag, TEXT])),
      help: { type: 'boolean', short: 'h' },
      seconds: TEXT,
      executors: TEXT,
      metrics: TEXT,
      'metrics-token': TEXT,
    },
  });
  const text = (name: string): string | undefined => values[name as 'seconds'];
  const number = (name: string): number | undefined => {
    const said = text(name);
    return said === undefined ? undefined : parseNumber(`--${name}`, said);
  };
  const broker: Record<string, unknown> = {};
  for (const [key, flag] of FLAGS) {
    const value = (TEXT_KEYS as readonly string[]).includes(key) ? text(flag) : number(flag);
    if (value !== undefined) broker[key] = value;
  }
  const executors = number('executors');
  if (executors !== undefined && !(executors >= 1 && executors <= EXECUTORS_MAX)) {
    throw new RangeError(`--executors must be from 1 to ${EXECUTORS_MAX}, got ${executors}`);
  }
  return {
    help: values.help ?? false,
    executors,
    metricsPort: number('metrics'),
    metricsToken: text('metrics-token'),
    demoSeconds: number('seconds') ?? 10,
    broker,
  };
}

const KIB = 1024;
const UNITS: Readonly<Record<string, number>> = { '': 1, k: KIB, m: KIB ** 2, g: KIB ** 3 };

/** Parses `64k`, `1m`, `1g` and plain integers. */
function parseNumber(name: string, text: string): number {
  const match = /^(\d+)([kmg]?)$/i.exec(text);
  if (match === null) throw new TypeError(`${name} must be a number, got ${JSON.stringify(text)}`);
  return Number(match[1]) * UNITS[match[2].toLowerCase()];
}
