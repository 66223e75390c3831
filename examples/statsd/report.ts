// SPDX-License-Identifier: MIT
/** Example statsd: merges what all executors have gathered between two flushes into a report. */

import type { BufferPool } from 'busbar/pool';
import { middleOf } from './buckets.ts';
import {
  BUCKET,
  COUNTER,
  DEVIATION,
  GAUGE,
  type Kind,
  LEAST,
  LEVEL,
  MEAN,
  MEMBER,
  MOST,
  NUMBERS_MAX,
  SET,
  SET_AT,
  SUM,
  TIMER,
  WEIGHT,
} from './metric-kinds.ts';
import { combine, finite } from './moments.ts';
import type { Naming } from './naming.ts';
import { addTally, emptyTally, type SnapshotReader, type Tally } from './snapshot.ts';

/** A name and its sorted tags. */
export interface Metric {
  readonly name: string;
  readonly tags: readonly string[];
}

export interface CounterReport extends Metric {
  readonly value: number;
  /** Per second. */
  readonly rate: number;
}

export interface GaugeReport extends Metric {
  readonly value: number;
}

export interface SetReport extends Metric {
  readonly count: number;
}

export interface TimerReport extends Metric {
  readonly count: number;
  readonly rate: number;
  readonly sum: number;
  readonly min: number;
  readonly max: number;
  readonly mean: number;
  readonly deviation: number;
  /** By percent: the least value that this share of values does not exceed, to 1 percent. */
  readonly percentiles: Readonly<Record<string, number>>;
}

/** One flush. Each list is sorted by name and tags. */
export interface Report {
  /** Time of the report, in milliseconds since 1970. */
  readonly timeMs: number;
  /** Length of the interval. */
  readonly seconds: number;
  readonly counters: readonly CounterReport[];
  readonly gauges: readonly GaugeReport[];
  readonly timers: readonly TimerReport[];
  readonly sets: readonly SetReport[];
  readonly collector: Readonly<Tally>;
}

interface Timer {
  /** As in a MetricTable. */
  readonly numbers: Float64Array;
  readonly buckets: Map<number, number>;
}

/** Updates of one gauge, from all executors. */
interface GaugeNews {
  setAtMs: number;
  level: number;
  /** Sum of the changes from executors that have not set it. */
  change: number;
}

interface Level {
  value: number;
  /** Time of the last update. */
  seenMs: number;
}

/** Separates name and tags in a key; neither contains it. */
const BETWEEN = '\n';

/**
 * Merges packets of executors into reports. Gauges keep their values from one report to the next.
 *
 * Several executors may have the same metric, from different clients. Sums add up. If several
 * executors set a gauge, the last one counts; changes from executors that did not set it are added.
 * Clients of different executors have no other order.
 */
export class Aggregate {
  readonly #pool: BufferPool;
  readonly #percentiles: readonly number[];
  readonly #naming: Naming;
  readonly #gaugesMax: number;
  readonly #gaugeTtlMs: number;
  readonly #levels: Map<string, Level> = new Map();
  #counters: Map<string, number> = new Map();
  #news: Map<string, GaugeNews> = new Map();
  #timers: Map<string, Timer> = new Map();
  #sets: Map<string, Set<string>> = new Map();
  #tally: Tally = emptyTally();

  /** `gaugeTtlMs`: a gauge without updates for that time is forgotten. */
  constructor(
    pool: BufferPool,
    percentiles: readonly number[],
    naming: Naming,
    gaugesMax: number,
    gaugeTtlMs: number,
  ) {
    this.#pool = pool;
    this.#percentiles = percentiles;
    this.#naming = naming;
    this.#gaugesMax = gaugesMax;
    this.#gaugeTtlMs = gaugeTtlMs;
  }

  /** Reads the packets of one executor in one round; calls `onEnd` after the last one. */
  reader(onEnd: () => void): SnapshotReader {
    const timers: Map<number, Timer> = new Map();
    const sets: Map<number, Set<string>> = new Map();
    return {
      record: (kind: Kind, slot, parent, mark, numbers, begin, end) => {
        if (kind === MEMBER) {
          sets.get(parent)?.add(this.#text('latin1', begin, end));
        } else if (kind === BUCKET) {
          const buckets = timers.get(parent)?.buckets;
          buckets?.set(mark, finite((buckets.get(mark) ?? 0) + numbers[SUM]));
        } else {
          const key = this.#key(begin, begin + mark, end);
          if (kind === COUNTER) {
            this.#counters.set(key, finite((this.#counters.get(key) ?? 0) + numbers[SUM]));
          } else if (kind === GAUGE) {
            this.#addGauge(key, numbers);
          } else if (kind === SET) {
            sets.set(slot, getOrAdd(this.#sets, key, newSet));
          } else if (kind === TIMER) {
            timers.set(slot, this.#addTimer(key, numbers));
          }
        }
      },
      end: (tally) => {
        addTally(this.#tally, tally);
        onEnd();
      },
    };
  }

  /** Returns a report of everything since the last one. */
  report(timeMs: number, seconds: number): Report {
    this.#settleGauges(timeMs);
    const rate = (value: number): number => finite(value / seconds);
    const report: Report = {
      timeMs,
      seconds,
      counters: listOf(this.#counters, (value) => ({ value, rate: rate(value) })),
      gauges: listOf(this.#levels, ({ value }) => ({ value })),
      timers: listOf(this.#timers, (timer) => ({
        count: timer.numbers[WEIGHT],
        rate: rate(timer.numbers[WEIGHT]),
        sum: timer.numbers[SUM],
        min: timer.numbers[LEAST],
        max: timer.numbers[MOST],
        mean: meanOf(timer),
        deviation: timer.numbers[DEVIATION],
        percentiles: percentilesOf(timer, this.#percentiles),
      })),
      sets: listOf(this.#sets, (members) => ({ count: members.size })),
      collector: this.#tally,
    };
    this.#counters = new Map();
    this.#timers = new Map();
    this.#sets = new Map();
    this.#tally = emptyTally();
    return report;
  }

  #addGauge(key: string, numbers: Float64Array): void {
    const news = getOrAdd(this.#news, key, () => ({ setAtMs: 0, level: 0, change: 0 }));
    const setAtMs = numbers[SET_AT];
    if (setAtMs === 0) {
      news.change = finite(news.change + numbers[LEVEL]);
    } else if (setAtMs >= news.setAtMs) {
      news.setAtMs = setAtMs;
      news.level = numbers[LEVEL];
    }
  }

  #addTimer(key: string, numbers: Float64Array): Timer {
    if (numbers[WEIGHT] === 0) return newTimer(); // all values were refused
    const timer = getOrAdd(this.#timers, key, newTimer);
    const all = timer.numbers;
    all[SUM] = finite(all[SUM] + numbers[SUM]);
    combine(all, 0, numbers[WEIGHT], numbers[MEAN], numbers[DEVIATION]);
    all[LEAST] = Math.min(all[LEAST], numbers[LEAST]);
    all[MOST] = Math.max(all[MOST], numbers[MOST]);
    return timer;
  }

  /** Applies the updates of gauges to their values, and forgets old ones. */
  #settleGauges(timeMs: number): void {
    const levels = this.#levels;
    for (const [key, { setAtMs, level, change }] of this.#news) {
      const base = setAtMs > 0 ? level : (levels.get(key)?.value ?? 0);
      // Moved to the end: the map begins with the gauges that were not updated for longest.
      levels.delete(key);
      levels.set(key, { value: finite(base + change), seenMs: timeMs });
    }
    this.#news = new Map();
    for (const [key, { seenMs }] of levels) {
      if (levels.size <= this.#gaugesMax && timeMs - seenMs < this.#gaugeTtlMs) break;
      levels.delete(key);
    }
  }

  #key(begin: number, nameEnd: number, end: number): string {
    const name = this.#naming.name(this.#text('utf8', begin, nameEnd));
    if (nameEnd === end) return name;
    const tags = this.#text('utf8', nameEnd, end).split(',');
    return [name, ...this.#naming.tags(tags.filter((tag) => tag !== ''))].join(BETWEEN);
  }

  #text(encoding: 'utf8' | 'latin1', begin: number, end: number): string {
    return Buffer.from(this.#pool.bytes.buffer, begin, end - begin).toString(encoding);
  }
}

function newSet(): Set<string> {
  return new Set();
}

function newTimer(): Timer {
  const numbers = new Float64Array(NUMBERS_MAX);
  numbers[LEAST] = Infinity;
  numbers[MOST] = -Infinity;
  return { numbers, buckets: new Map() };
}

function getOrAdd<Value>(map: Map<string, Value>, key: string, make: () => Value): Value {
  let value = map.get(key);
  if (value === undefined) {
    value = make();
    map.set(key, value);
  }
  return value;
}

function listOf<Value, Shown>(
  map: ReadonlyMap<string, Value>,
  show: (value: Value) => Shown,
): (Metric & Shown)[] {
  return [...map.keys()].sort().map((key) => {
    const [name, ...tags] = key.split(BETWEEN);
    return { name, tags, ...show(map.get(key) as Value) };
  });
}

/** The mean, from the sum (which is rounded less often) unless that was clamped. */
function meanOf({ numbers }: Timer): number {
  const sum = numbers[SUM];
  return Math.abs(sum) < Number.MAX_VALUE ? sum / numbers[WEIGHT] : numbers[MEAN];
}

/** Relative error of a rank, from rounding. */
const RANK_ERROR = 1e-12;

/** Percentiles by nearest rank. */
function percentilesOf(timer: Timer, percents: readonly number[]): Record<string, number> {
  const buckets = [...timer.buckets].sort(([a], [b]) => a - b);
  const found: Record<string, number> = {};
  for (const percent of percents) {
    let left = (percent / 100) * timer.numbers[WEIGHT] * (1 - RANK_ERROR);
    let at = 0;
    while (at < buckets.length - 1 && buckets[at][1] < left) left -= buckets[at++][1];
    const value = middleOf(buckets[at][0]);
    found[percent] = Math.min(timer.numbers[MOST], Math.max(timer.numbers[LEAST], value));
  }
  return found;
}
