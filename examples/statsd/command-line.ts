// SPDX-License-Identifier: MIT
/** Example statsd: the command line, its options and their checks. */

import { parseArgs } from 'node:util';
import type { CollectorOptions } from './collector.ts';
import { FORMATS, type Format } from './formats.ts';
import { AS_THEY_CAME, FOR_GRAPHITE } from './naming.ts';

/** The options of the command line. */
export interface Command {
  readonly help: boolean;
  readonly intervalMs: number;
  readonly format: Format;
  /** Prefix of all names for Graphite. */
  readonly prefix: string;
  /** Port of 127.0.0.1 for the collector's own metrics; undefined: none. */
  readonly metricsPort: number | undefined;
  readonly metricsToken: string | undefined;
  readonly collector: CollectorOptions;
}

/** Bounded since each executor has a lane to every other. */
const EXECUTORS_MAX = 64;
const ENTRIES_MAX = 1 << 22;
const DAY_SECONDS = 86_400;
const MIB = 1024 * 1024;

export const HELP = `A collector of metrics in the statsd protocol over UDP, on every core, and
over TCP and Unix sockets as well.

Usage: npm run example:statsd -- [options]

  --port N              receive on this port (8125; 0: any free port)
  --host ADDRESS        bind to this address (127.0.0.1: from this machine only)
  --tcp PORT            also receive lines over TCP, on this port of the same address (0: any free
                        port). The first executor does this.
  --unix PATH           also receive lines on this Unix stream socket
  --unix-socket PATH    also receive datagrams on this Unix socket, on Linux with the native shim.
                        The first executor does this.
  --executors N         receive in N threads that share the port, each pinned to a core (default:
                        one for each core that this process may use). All datagrams of a client
                        socket go to the same thread.
  --interval SECONDS    print a report this often (10)
  --format FORMAT       text, json (one line per report) or graphite (pipe it to Graphite's port)
  --prefix NAME         prefix of all names, for graphite (stats)
  --percentiles LIST    percentiles of timers (50,90,99), each accurate to 1 percent
  --max-entries N       entries of each thread per interval: metrics with their tags, values of
                        sets, buckets of timers (100000; two tables of 150 bytes each, names
                        included). Values without room are dropped and counted.
  --gauge-ttl SECONDS   forget gauges that received nothing for so long (3600)
  --receive-buffer BYTES  receive buffer of each socket (4m; the system may grant less)
  --metrics PORT        serve the collector's own metrics and health on this port of 127.0.0.1
                        (0: any free port)
  --metrics-token T     what their readers must know (a random one; '': nothing)
  --help                this text

A datagram holds one or more lines, separated by line feeds (or CR LF):

  name:value|type[|@rate][|#tag,tag:value]   type: c counter, g gauge (+ or - before the value: a
                        change), ms h d timer, s set. Values may be packed: name:1:2:3|ms

A malformed line is counted and skipped. On a stream every line ends with a line feed; the last one
may lack it. A line of more than 65507 bytes is counted and skipped, and the stream continues. When
a stream ends, its peer's errors are printed to standard error, for at most ten peers per interval.

For graphite, metrics are merged if their names and tags become equal there: spaces become _,
slashes become -, other characters except letters, digits, _, - and dots are removed; a tag without
a value gets the value true, a tag called name becomes name_, and the values of a repeated tag are
joined by a comma. A sum beyond the largest number stays at that number.

Reports go to standard output, everything else to standard error. Ctrl-C or SIGTERM: reads what has
arrived, prints a last report, and exits.
`;

/** Parses the arguments. **Throws** TypeError or RangeError naming the option. */
export function readCommandLine(args: readonly string[]): Command {
  const { values } = parseArgs({
    args: [...args],
    options: {
      help: { type: 'boolean', short: 'h', default: false },
      port: { type: 'string', default: '8125' },
      host: { type: 'string', default: '127.0.0.1' },
      tcp: { type: 'string' },
      unix: { type: 'string' },
      'unix-socket': { type: 'string' },
      executors: { type: 'string' },
      interval: { type: 'string', default: '10' },
      format: { type: 'string', default: 'text' },
      prefix: { type: 'string', default: 'stats' },
      percentiles: { type: 'string', default: '50,90,99' },
      'max-entries': { type: 'string', default: '100000' },
      'gauge-ttl': { type: 'string', default: '3600' },
      'receive-buffer': { type: 'string', default: '4m' },
      metrics: { type: 'string' },
      'metrics-token': { type: 'string' },
    },
  });
  const format = FORMATS.find((known) => known === values.format);
  if (format === undefined) {
    throw new TypeError(`--format must be ${FORMATS.join(', ')}, got ${show(values.format)}`);
  }
  const { executors, tcp, unix, metrics } = values;
  const { 'unix-socket': datagramPath } = values;
  if (unix === '') throw new RangeError('--unix must not be empty');
  if (datagramPath === '') throw new RangeError('--unix-socket must not be empty');
  return {
    help: values.help,
    intervalMs: 1000 * number('--interval', values.interval, 0.01, DAY_SECONDS),
    format,
    prefix: values.prefix,
    metricsPort: metrics === undefined ? undefined : integer('--metrics', metrics, 0, 65_535),
    metricsToken: values['metrics-token'],
    collector: {
      host: values.host,
      port: integer('--port', values.port, 0, 65_535),
      tcpPort: tcp === undefined ? undefined : integer('--tcp', tcp, 0, 65_535),
      unixPath: unix,
      datagramPath,
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

/** Parses `64k`, `1m` and plain integers. */
function bytes(name: string, text: string, min: number, max: number): number {
  const [, digits, unit] = /^(\d+)([km]?)$/i.exec(text) ?? [];
  const value = Number(digits) * { '': 1, k: 1024, m: MIB }[unit?.toLowerCase() ?? '']!;
  if (value >= min && value <= max) return value;
  throw new RangeError(`${name} must be from ${min} to ${max} bytes (k, m), got ${show(text)}`);
}

function show(text: string): string {
  return JSON.stringify(text);
}
