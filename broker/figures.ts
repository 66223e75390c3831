// SPDX-License-Identifier: MIT
/** Example broker: its figures as metrics. */

import type { Metric } from 'busbar/metrics';
import type { BrokerStats } from './broker.ts';

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

/** The sums of what brokers have. */
export function sumOf(all: readonly BrokerStats[]): BrokerStats {
  const sum = (field: keyof BrokerStats): number =>
    all.reduce((total, stats) => total + stats[field], 0);
  return Object.fromEntries(ROWS.map(([field]) => [field, sum(field)])) as unknown as BrokerStats;
}
