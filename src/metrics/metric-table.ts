// SPDX-License-Identifier: MIT
/** The table of metrics: the fields that each kind of object shows, and their names. */

/** How a value behaves: it only grows, it goes up and down and can be added, or neither. */
export type MetricType = 'counter' | 'updown' | 'gauge';

/** One metric of a kind of objects. */
export interface Metric {
  /** Field of the object's statistics. One that ends in `Ms` becomes seconds. */
  readonly field: string;
  readonly type: MetricType;
  /** In UCUM, as OpenTelemetry has it: 'By', 's', '{message}'. */
  readonly unit: string;
  /** As in OpenTelemetry, with dots. */
  readonly name: string;
  readonly help: string;
  /** Distinguishes the metrics that share a name. */
  readonly attributes?: Readonly<Record<string, string>>;
}

type Row = readonly [
  field: string,
  type: MetricType,
  unit: string,
  name: string,
  help: string,
  attribute?: string,
];

const TRAFFIC: readonly Row[] = [
  ['bytesRead', 'counter', 'By', 'io', 'Bytes.', 'network.io.direction=receive'],
  ['bytesWritten', 'counter', 'By', 'io', '', 'network.io.direction=transmit'],
  ['reads', 'counter', '{call}', 'calls', 'Calls of the system.', 'network.io.direction=receive'],
  ['writes', 'counter', '{call}', 'calls', '', 'network.io.direction=transmit'],
  ['queuedBytes', 'updown', 'By', 'queue.size', 'Bytes that wait in links.'],
  ['lostBytes', 'counter', 'By', 'lost', 'Bytes written that will never be sent.'],
  ['stalls', 'counter', '{stall}', 'stalls', 'Times that a peer was too slow.'],
  ['pauses', 'counter', '{pause}', 'pauses', 'Times that reading was paused.'],
  ['exhaustions', 'counter', '{wait}', 'exhaustions', 'Times that reading found no buffer.'],
  ['dropped', 'counter', '{datagram}', 'dropped', 'Datagrams dropped on arrival.'],
];

const ROWS: Readonly<Record<string, readonly Row[]>> = {
  pool: [
    ['capacity', 'updown', '{buffer}', 'buffer.limit', 'Buffers of the pool.'],
    ['freeShared', 'updown', '{buffer}', 'buffers', 'Buffers by state.', 'state=free'],
    ['freeCached', 'updown', '{buffer}', 'buffers', '', 'state=cached'],
    ['held', 'updown', '{buffer}', 'buffers', '', 'state=held'],
    ['waiting', 'updown', '{thread}', 'waiting', 'Threads that wait for a buffer.'],
  ],
  'pool.thread': [
    ['cached', 'updown', '{buffer}', 'buffers', 'Buffers of a thread.', 'state=cached'],
    ['acquires', 'counter', '{buffer}', 'acquires', 'Buffers acquired.'],
    ['refills', 'counter', '{batch}', 'batches', 'Batches moved.', 'direction=refill'],
    ['overflows', 'counter', '{batch}', 'batches', '', 'direction=overflow'],
    ['waits', 'counter', '{wait}', 'waits', 'Times that the thread had to wait.'],
    ['reclaims', 'counter', '{thread}', 'reclaims', 'Dead threads that it reclaimed.'],
  ],
  channel: [
    ['queued', 'updown', '{message}', 'queue.length', 'Messages in the channel.'],
    ['capacity', 'updown', '{message}', 'queue.limit', 'Messages that fit.'],
    ['sent', 'counter', '{message}', 'messages', 'Messages.', 'direction=sent'],
    ['received', 'counter', '{message}', 'messages', '', 'direction=received'],
    ['full', 'counter', '{attempt}', 'full', 'Sends that found the channel full.'],
    ['senderWaits', 'counter', '{wait}', 'waits', 'Waits that began.', 'side=sender'],
    ['receiverWaits', 'counter', '{wait}', 'waits', '', 'side=receiver'],
    ['senders', 'updown', '{thread}', 'threads', 'Attached threads.', 'side=sender'],
    ['receivers', 'updown', '{thread}', 'threads', '', 'side=receiver'],
  ],
  executor: [
    ['state', 'updown', '{executor}', 'state', 'Executors by state.'],
    ['queued', 'updown', '{packet}', 'queue.length', 'Packets not taken yet.'],
    ['handled', 'counter', '{packet}', 'handled', 'Packets handled.'],
    ['turns', 'counter', '{turn}', 'turns', 'Passes of the loop.'],
    ['parks', 'counter', '{park}', 'parks', 'Times that the loop waited for work.'],
    ['dropped', 'counter', '{packet}', 'dropped', 'Packets dropped.'],
    ['sinceTurnMs', 'gauge', 's', 'turn.age', 'Time since the last turn began, while awake.'],
    ['restarts', 'counter', '{restart}', 'restarts', 'Restarts after a crash.'],
  ],
  server: [
    ['links', 'updown', '{link}', 'links', 'Open links.'],
    ['accepted', 'counter', '{link}', 'accepted', 'Connections accepted.'],
    ['refused', 'counter', '{link}', 'refused', 'Connections refused.'],
    ['failed', 'counter', '{link}', 'failed', 'Links that failed.'],
    ...TRAFFIC.slice(0, -1),
  ],
  link: TRAFFIC,
  flusher: [
    ['writers', 'updown', '{writer}', 'writers', 'Writers that are open.'],
    ['waitingRegions', 'updown', '{region}', 'queue.length', 'Regions not drained yet.'],
    ['drainedRegions', 'counter', '{region}', 'regions', 'Regions drained.'],
    ['drainedBytes', 'counter', 'By', 'io', 'Bytes drained.'],
  ],
  writer: [
    ['bufferedBytes', 'updown', 'By', 'buffered', 'Bytes not flushed yet.'],
    ['flushedBytes', 'updown', 'By', 'queue.size', 'Bytes flushed and not drained yet.'],
  ],
  bus: [
    ['subscriptions', 'updown', '{subscription}', 'subscriptions', 'Subscriptions.'],
    ['published', 'counter', '{message}', 'published', 'Messages accepted.'],
    ['unmatched', 'counter', '{message}', 'unmatched', 'Messages without a subscriber.'],
    ['waiting', 'updown', '{call}', 'waiting', 'Calls that wait for room.'],
    ['backlog', 'updown', '{message}', 'backlog', 'Messages that wait for a running handler.'],
    ['requests', 'updown', '{request}', 'requests', 'Requests without a reply.'],
    ['peers', 'updown', '{bus}', 'peers', 'Other buses whose subscriptions are known.'],
    ['regionsOut', 'updown', '{region}', 'regions.out', 'Regions with peers, not handled yet.'],
    ['lost', 'counter', '{message}', 'lost', 'Messages for members that had left.'],
    ['strays', 'counter', '{packet}', 'strays', 'Packets that no bus has sent.'],
  ],
};

/** By kind: the metrics of the objects of busbar. */
export const METRICS: Readonly<Record<string, readonly Metric[]>> = Object.fromEntries(
  Object.entries(ROWS).map(([kind, rows]) => {
    // The first row of a name has the text.
    const helps = new Map(rows.map(([, , , name, help]) => [name, help] as const).reverse());
    return [kind, rows.map((row) => metricOf(kind, row, helps))];
  }),
);

function metricOf(kind: string, row: Row, helps: ReadonlyMap<string, string>): Metric {
  const [field, type, unit, suffix, , attribute] = row;
  const name = `busbar.${kind}.${suffix}`;
  const metric = { field, type, unit, name, help: helps.get(suffix) ?? '' };
  if (attribute === undefined) return metric;
  const [key, value] = attribute.split('=') as [string, string];
  return { ...metric, attributes: { [key.includes('.') ? key : `busbar.${key}`]: value } };
}

/** `busbar.link.io` in bytes is `busbar_link_io_bytes_total` for Prometheus. */
export function prometheusName({ name, unit, type }: Metric): string {
  const suffix = { By: '_bytes', s: '_seconds' }[unit] ?? '';
  return `${underscored(name)}${suffix}${type === 'counter' ? '_total' : ''}`;
}

/** A name with the characters that Prometheus allows. */
export function underscored(name: string): string {
  return name.replace(/\W/g, '_');
}
