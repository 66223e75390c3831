// SPDX-License-Identifier: MIT
/** Example statsd: what can be said on the command line. */

import { parseArgs } from 'node:util';
import type { CollectorOptions } from './collector.ts';
import { FORMATS, type Format } from './formats.ts';
import { AS_THEY_CAME, FOR_GRAPHITE } from './naming.ts';

/** What the command line asks for. */
export interface Command {
  readonly help: boolean;
  readonly intervalMs: number;
  readonly format: Format;
  /** What Graphite's names begin with. */
  readonly prefix: string;
  readonly collector: CollectorOptions;
}

/** Each has a lane to every other. */
const EXECUTORS_MAX = 64;
const ENTRIES_MAX = 1 << 22;
const DAY_SECONDS = 86_400;
const MIB = 1024 * 1024;

export const HELP = `A collector of metrics in the statsd protocol over UDP, on every core, and
over TCP and Unix sockets beside it.

Usage: npm run example:statsd -- [options]

  --port N              receive at this port (8125; 0: any that is free)
  --host ADDRESS        and at this address (127.0.0.1: from this machine only)
  --tcp PORT            receive lines over TCP, too, at this port and the same address (0: any that
                        is free). The first executor does it.
  --unix PATH           and at this Unix socket, of streams. Node has no Unix datagrams.
  --executors N         receive in N threads that share the port, each pinned to a core (default:
                        one for each core that this process may use). The datagrams of one client
                        socket come to one of them.
  --interval SECONDS    print what has come so often (10)
  --format FORMAT       text, json (a line each time) or graphite (to be piped to its port)
  --prefix NAME         what names begin with, for graphite (stats)
  --percentiles LIST    of timers (50,90,99), each to 1 percent of its value
  --max-entries N       what each thread keeps in one interval: metrics with their tags, values of
                        sets, buckets of timers (100000; 150 bytes each, names included, twice).
                        What finds no room is refused and counted.
  --gauge-ttl SECONDS   forget gauges that nobody has mentioned for so long (3600)
  --receive-buffer BYTES  what may wait in each socket (4m; the system may grant less)
  --help                this text

Lines, as many in a datagram as fit, with line feeds (or CR LF) between them:

  name:value|type[|@rate][|#tag,tag:value]   type: c counter, g gauge (+ or - before the value: a
                        change), ms h d timer, s set. Values may be packed: name:1:2:3|ms

On a stream every line ends with a line feed; the last one may lack it. A malformed line, or one
of more than 65507 bytes, is counted and skipped, and the stream goes on; when it ends, its peer's
mistakes are said on the standard error, those of ten peers in an interval.

For graphite, names and tags are one metric if they become the same there: spaces become _,
slashes -, other characters but letters, digits, _, - and dots go away; a tag without a value is
true, one called name is name_, and of a tag that comes twice the values are joined by a comma.
A sum that runs beyond the largest number stands there.

What is malformed is counted and left out. Reports go to the standard output, everything else to
the standard error. Ctrl-C or SIGTERM: reads what has arrived, prints it, and ends.
`;

/** Reads the arguments. Throws a TypeError or RangeError that says which is wrong. */
export function readCommandLine(args: readonly string[]): Command {
  const { values } = parseArgs({
    args: [...args],
    options: {
      help: { type: 'boolean', short: 'h', default: false },
      port: { type: 'string', default: '8125' },
      host: { type: 'string', default: '127.0.0.1' },
      tcp: { type: 'string' },
      unix: { type: 'string' },
      executors: { type: 'string' },
      interval: { type: 'string', default: '10' },
      format: { type: 'string', default: 'text' },
      prefix: { type: 'string', default: 'stats' },
      percentiles: { type: 'string', default: '50,90,99' },
      'max-entries': { type: 'string', default: '100000' },
      'gauge-ttl': { type: 'string', default: '3600' },
      'receive-buffer': { type: 'string', default: '4m' },
    },
  });
  const format = FORMATS.find((known) => known === values.format);
  if (format === undefined) {
    throw new TypeError(`--format must be ${FORMATS.join(', ')}, got ${show(values.format)}`);
  }
  const { executors, tcp, unix } = values;
  if (unix === '') throw new RangeError('--unix must not be empty');
  return {
    help: values.help,
    intervalMs: 1000 * number('--interval', values.interval, 0.01, DAY_SECONDS),
    format,
    prefix: values.prefix,
    collector: {
      host: values.host,
      port: integer('--port', values.port, 0, 65_535),
      tcpPort: tcp === undefined ? undefined : integer('--tcp', tcp, 0, 65_535),
      unixPath: unix,
      executors:
        executors === undefined ? undefined : integer('--executors', executors, 1, EXECUTORS_MAX),
      entriesMax: integer('--max-entries', values['max-entries'], 1, ENTRIES_MAX),
      receiveBytes: bytes('--receive-buffer', values['receive-buffer'], 4096, 1024 * MIB),
      naming: format === 'graphite' ? FOR_GRAPHITE : AS_THEY_CAME,
      percentiles: values.percentiles.split(',').map((p) => number('--percentiles', p, 0, 100)),
      gaugeTtlSeconds: number('--gauge-ttl', values['gauge-ttl'], 0, 366 * DAY_SECONDS),
    },
  };
}

function number(name: string, text: string, min: number, max: number): number {
  const value = /^\d+(\.\d+)?$/.test(text) ? Number(text) : Number.NaN;
  if (value >= min && value <= max) return value;
  throw new RangeError(`${name} must be a number from ${min} to ${max}, got ${show(text)}`);
}

function integer(name: string, text: string, min: number, max: number): number {
  const value = /^\d+$/.test(text) ? Number(text) : Number.NaN;
  if (value >= min && value <= max) return value;
  throw new RangeError(`${name} must be an integer from ${min} to ${max}, got ${show(text)}`);
}

/** `64k`, `1m` and plain integers. */
function bytes(name: string, text: string, min: number, max: number): number {
  const [, digits, unit] = /^(\d+)([km]?)$/i.exec(text) ?? [];
  const value = Number(digits) * { '': 1, k: 1024, m: MIB }[unit?.toLowerCase() ?? '']!;
  if (value >= min && value <= max) return value;
  throw new RangeError(`${name} must be from ${min} to ${max} bytes (k, m), got ${show(text)}`);
}

function show(text: string): string {
  return JSON.stringify(text);
}
