// SPDX-License-Identifier: MIT
/** A snapshot: what a monitor saw at one moment. Metrics, `busbar top` and the page read it. */

import type { PoolHolder } from '../pool/index.ts';
import { METRICS, type Metric } from './metric-table.ts';

/** One object, or one part of it such as an executor of a group. */
export interface ObjectSnapshot {
  readonly kind: string;
  readonly name: string;
  /** The thread slot, or the index of the executor. */
  readonly part?: number;
  /** As the object's `stats()` returns them. */
  readonly stats: Readonly<Record<string, unknown>>;
  /** Who holds the buffers of a pool, if that was asked for; those with the most come first. */
  readonly holders?: readonly HolderSnapshot[];
  /** Why there are no statistics. */
  readonly error?: string;
}

/** One kind of holder of a pool's buffers, in one thread. */
export interface HolderSnapshot {
  /** The thread's name; '' for what is on its way between threads. */
  readonly thread: string;
  /** 'others': all that hold less than those shown. */
  readonly kind: PoolHolder['kind'] | 'others';
  /** Of the link, channel or lane; '' without one. */
  readonly name: string;
  /** References, or packets on their way; a buffer counts for each. */
  readonly count: number;
}

/** Whether a process is alive and can take work. */
export interface Health {
  /** False: a thread is stuck. A restart would help. */
  readonly live: boolean;
  /** False: send it no work now. */
  readonly ready: boolean;
  /** Why it is not live, or not ready. */
  readonly reasons: readonly string[];
}

/** All that a {@link Monitor} watches, at one moment. Survives JSON. */
export interface Snapshot {
  readonly version: 1;
  readonly pid: number;
  /** 0 is the main thread. */
  readonly threadId: number;
  readonly program: string;
  readonly node: string;
  /** Milliseconds since 1970. */
  readonly timeMs: number;
  readonly uptimeMs: number;
  readonly health: Health;
  /** By kind, for the kinds that occur: what the fields mean. */
  readonly metrics: Readonly<Record<string, readonly Metric[]>>;
  readonly objects: readonly ObjectSnapshot[];
}

/** One value of a metric. */
export interface Sample {
  readonly metric: Metric;
  readonly attributes: Readonly<Record<string, string>>;
  readonly value: number;
}

/** The samples of all metrics. */
export function* samplesOf({ objects, metrics }: Snapshot): Generator<Sample> {
  for (const { kind, name, part, stats } of objects) {
    const base: Record<string, string> = { [`busbar.${kind.split('.')[0]}.name`]: name };
    if (part !== undefined) base[PARTS[kind] ?? 'busbar.part'] = String(part);
    for (const metric of metrics[kind] ?? []) {
      const value = stats[metric.field];
      const attributes = { ...base, ...metric.attributes };
      if (typeof value === 'string') attributes[metric.name] = value;
      else if (typeof value !== 'number') continue;
      yield { metric, attributes, value: typeof value === 'string' ? 1 : scaled(metric, value) };
    }
  }
}

/** What the parts of a kind are called. */
const PARTS: Readonly<Record<string, string>> = {
  'pool.thread': 'busbar.pool.thread',
  executor: 'busbar.executor.index',
};

function scaled({ field }: Metric, value: number): number {
  return field.endsWith('Ms') ? value / 1000 : value;
}

/** The attributes that the samples of a metric may have. */
export function attributesOf(kind: string, metrics: readonly Metric[], name: string): string[] {
  const keys = [`busbar.${kind.split('.')[0]}.name`, PARTS[kind] ?? 'busbar.part', name];
  const own = metrics.filter((metric) => metric.name === name);
  return [...new Set([...keys, ...own.flatMap(({ attributes = {} }) => Object.keys(attributes))])];
}

/** The metrics of the kinds, the built-in ones unless others are given. */
export function kindsOf(
  own: ReadonlyMap<string, readonly Metric[]>,
): [kind: string, metrics: readonly Metric[]][] {
  return [...Object.entries(METRICS), ...own];
}
