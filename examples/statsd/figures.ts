// SPDX-License-Identifier: MIT
/** Example statsd: what the executors have gathered since the start, as metrics. */

import type { Metric } from 'busbar/metrics';
import type { Tally } from './snapshot.ts';

type Row = readonly [keyof Tally, unit: string, name: string, help: string];

const ROWS: readonly Row[] = [
  ['datagrams', '{datagram}', 'datagrams', 'Datagrams received.'],
  ['dropped', '{datagram}', 'dropped', 'Datagrams without room in the socket.'],
  ['lines', '{line}', 'lines', 'Lines received.'],
  ['malformed', '{line}', 'malformed', 'Lines that are no metric.'],
  ['tooLong', '{line}', 'too.long', 'Lines of streams that were skipped: too long.'],
  ['ignored', '{line}', 'ignored', 'Events and service checks.'],
  ['refused', '{value}', 'refused', 'Values without room in the table.'],
  ['streams', '{connection}', 'streams', 'Connections accepted.'],
  ['failedStreams', '{connection}', 'streams.failed', 'Connections that ended in an error.'],
];

/** Of the totals that reports add up to. */
export const FIGURES: readonly Metric[] = ROWS.map(([field, unit, name, help]) => ({
  field,
  type: 'counter',
  unit,
  name: `busbar.statsd.${name}`,
  help,
}));
