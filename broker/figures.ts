// SPDX-License-Identifier: MIT
/**
 * Example broker: its figures as metrics. Each executor keeps its own in the counters that an
 * executor has, two words for each figure, the low one first.
 */

import type { Metric } from 'busbar/metrics';
import type { BrokerStats } from './broker.ts';

/** How often an executor writes its figures, in milliseconds. */
export const FIGURES_MS = 500;

type Row = readonly [keyof BrokerStats, Metric['type'], string, string, string];

const ROWS: readonly Row[] = [
  ['messagesIn', 'counter', '{message}', 'messages.in', 'Messages from clients.'],
  ['messagesOut', 'counter', '{message}', 'messages.out', 'Messages to clients.'],
  ['pings', 'counter', '{ping}', 'pings', 'PINGs of clients.'],
  ['connections', 'updown', '{client}', 'clients', 'Clients.'],
  ['paused', 'updown', '{client}', 'clients.paused', 'Clients that are not read from.'],
  ['subscriptions', 'updown', '{subscription}', 'subscriptions', 'Subscriptions.'],
  ['slowConsumers', 'counter', '{client}', 'slow.consumers', 'Clients cut off: too slow.'],
];

export const FIGURES: readonly Metric[] = ROWS.map(([field, type, unit, name, help]) => ({
  field,
  type,
  unit,
  name: `busbar.broker.${name}`,
  help,
}));

/** The sums of what brokers have; a figure that one lacks counts as 0. */
export function sumOf(all: Iterable<Partial<BrokerStats>>): BrokerStats {
  const each = [...all];
  const sum = (field: keyof BrokerStats): number =>
    each.reduce((total, stats) => total + (stats[field] ?? 0), 0);
  const fields = ROWS.map(([field]) => [field, sum(field)]);
  return Object.fromEntries(fields) as unknown as BrokerStats;
}

/** Writes them into the counters of this executor. */
export function writeFigures(words: Int32Array, stats: BrokerStats): void {
  for (const [at, [field]] of ROWS.entries()) {
    words[2 * at] = stats[field];
    words[2 * at + 1] = stats[field] / 2 ** 32;
  }
}

/** Reads the counters of an executor. */
export function readFigures(words: readonly number[]): Record<string, number> {
  const wide = (at: number): number =>
    (words[2 * at + 1] ?? 0) * 2 ** 32 + ((words[2 * at] ?? 0) >>> 0);
  return Object.fromEntries(ROWS.map(([field], at) => [field, wide(at)]));
}
