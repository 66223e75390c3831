// SPDX-License-Identifier: MIT
/** `Monitor`: reads the counters of what it watches. */

import { threadId } from 'node:worker_threads';
import { checkFunction, checkInteger, checkOptions, show } from '../base/check.ts';
import { describeAs } from '../base/description.ts';
import { messageOf } from '../base/errors.ts';
import type { Bus } from '../bus/index.ts';
import type { PacketChannel, WordChannel } from '../channel/index.ts';
import type { Executor, ExecutorGroup } from '../executor/index.ts';
import type { TcpLink, TcpServer, UdpLink } from '../link/index.ts';
import type { BufferPool } from '../pool/index.ts';
import type { SeqLock } from '../sync/index.ts';
import type { LocalWriter, WriteFlusher } from '../writer/index.ts';
import { METRICS, type Metric } from './metric-table.ts';
import {
  type Health,
  type HolderSnapshot,
  kindsOf,
  type ObjectSnapshot,
  type Snapshot,
} from './snapshot.ts';
import { readWritten, tryWrite } from './written-snapshot.ts';

/** What a {@link Monitor} can watch. */
export type Watched =
  | BufferPool
  | PacketChannel
  | WordChannel
  | ExecutorGroup
  | Executor
  | TcpServer
  | TcpLink
  | UdpLink
  | WriteFlusher
  | LocalWriter
  | Bus
  | SeqLock;

/** Options of a {@link Monitor}. */
export interface MonitorOptions {
  /** What the process is called. Default: the file name of its program. */
  readonly program?: string;
  /**
   * Milliseconds after which an executor that does not return from the user's code is stuck.
   * Default 10 000: long enough for a slow start, short enough for an operator.
   */
  readonly stuckMs?: number;
}

/** Options of {@link Monitor.snapshot}. */
export interface SnapshotOptions {
  /**
   * Also who holds the buffers of each pool: a load for each buffer and thread, up to a million;
   * a larger pool has none. Default false.
   */
  readonly holders?: boolean;
}

/** Metrics of your own. */
export interface OwnMetrics {
  /** What they belong to, such as 'broker'; none of busbar's own kinds. */
  readonly kind: string;
  readonly metrics: readonly Metric[];
  /** Called for each snapshot; several sets of statistics are of parts 0, 1, …. */
  readonly read: () => Statistics | readonly Statistics[];
}

type Statistics = Readonly<Record<string, unknown>>;
type Read = (holders: boolean) => ObjectSnapshot[];

const STUCK_MS = 10_000;
/** Loads that a look at the holders of a pool may cost: some milliseconds. */
const HOLDER_LOADS_MAX = 1 << 20;
/** Of a pool; the others are shown as one. */
const HOLDERS_MAX = 16;

/** What another monitor has written. */
const WRITTEN = 'written';

/** The kind of an object by its type's name, so that another copy of busbar may have made it. */
const KINDS: Readonly<Record<string, string>> = {
  BufferPool: 'pool',
  PacketChannel: 'channel',
  WordChannel: 'channel',
  ExecutorGroup: 'executor',
  Executor: 'executor',
  TcpServer: 'server',
  TcpLink: 'link',
  UdpLink: 'link',
  WriteFlusher: 'flusher',
  LocalWriter: 'writer',
  Bus: 'bus',
  SeqLock: WRITTEN,
};

/**
 * Reads the counters of pools, channels, executors, links, writers and buses, without stopping any
 * thread. Nothing is counted for it that is not counted anyway.
 *
 * Counters of pools, channels, flushers and groups lie in shared memory: one monitor sees those of
 * all threads. Servers, links, writers and buses belong to a thread, and so does a monitor of them:
 * it shows them to one of another thread by {@link tryWrite}.
 *
 * **Ownership** what is watched stays alive until {@link unwatch}.
 *
 * @example
 * ```ts
 * import { Monitor } from 'busbar/metrics';
 * import { BufferPool } from 'busbar/pool';
 *
 * const pool = BufferPool.create({ bufferSize: 4096, bufferCount: 64 });
 * const monitor = new Monitor();
 * monitor.watch('messages', pool);
 * console.log(monitor.health(), monitor.snapshot().objects[0]?.stats);
 * ```
 */
export class Monitor {
  readonly #program: string;
  readonly #stuckMs: number;
  readonly #reads: Map<string, Read> = new Map();
  readonly #own: Map<string, readonly Metric[]> = new Map();
  readonly #checks: Map<string, () => string> = new Map();

  /** **Throws** TypeError or RangeError naming the option. */
  constructor(options: MonitorOptions = {}) {
    const { program, stuckMs } = checkOptions('options', options, ['program', 'stuckMs']);
    if (program !== undefined) checkName('program', program);
    this.#program = program ?? process.argv[1]?.split(/[\\/]/).at(-1) ?? process.title;
    this.#stuckMs = checkInteger('stuckMs', stuckMs ?? STUCK_MS, 1, 2 ** 31);
  }

  /**
   * Watches an object under a name that no other one has. Of a `SeqLock`: the objects of a monitor
   * that writes into it, 'clients' as 'name/clients'.
   *
   * **Throws** TypeError if it cannot be watched, RangeError if the name is taken.
   */
  watch(name: string, subject: Watched): void {
    const type = typeNameOf(subject);
    const kind = Object.hasOwn(KINDS, type) ? KINDS[type] : undefined;
    if (kind === undefined) {
      const known = Object.keys(KINDS).join(', ');
      throw new TypeError(`subject must be one of ${known}, got ${show(subject)}`);
    }
    this.#add(name, (holders) =>
      kind === WRITTEN
        ? this.#readWritten(name, subject as SeqLock)
        : read(kind, name, subject, holders),
    );
  }

  /**
   * Watches figures of your own, which appear wherever busbar's do. Several names may have the same
   * kind, with the same metrics. Example: "Figures of your own" in docs/metrics.md.
   *
   * **Throws** TypeError or RangeError naming what is wrong.
   */
  watchOwn(name: string, own: OwnMetrics): void {
    const { kind, metrics, read } = checkOptions('own', own, ['kind', 'metrics', 'read']);
    checkName('kind', kind);
    checkFunction('read', read);
    if (Object.hasOwn(METRICS, kind))
      throw new RangeError(`kind must not be one of busbar's, got "${kind}"`);
    if (!Array.isArray(metrics))
      throw new TypeError(`metrics must be a list, got ${show(metrics)}`);
    // Read once: what is checked here is what is shown later.
    const known = Array.from(metrics as readonly Metric[], (each) => {
      const metric = checkOptions('metrics', each, METRIC_KEYS);
      for (const key of METRIC_TEXTS) {
        if (typeof metric[key] === 'string') continue;
        throw new TypeError(`metrics must have a string as ${key}, got ${show(metric[key])}`);
      }
      return metric;
    });
    this.#add(name, () => {
      const found = read();
      if (!Array.isArray(found)) return [{ kind, name, stats: found as Statistics }];
      return found.map((stats: Statistics, part) => ({ kind, name, part, stats }));
    });
    this.#own.set(kind, known);
  }

  /** Stops watching an object. Returns false if none has that name. **Throws** TypeError. */
  unwatch(name: string): boolean {
    checkName('name', name);
    return this.#reads.delete(name);
  }

  /**
   * Adds a condition of `ready`: '' if it is met, else the reason. What it throws is a reason, too.
   */
  check(name: string, condition: () => string): void {
    checkName('name', name);
    this.#checks.set(name, checkFunction('condition', condition));
  }

  /**
   * Reads everything. An object that cannot be read has an `error`. **Cost** that of `stats()` of
   * each object.
   *
   * **Throws** TypeError naming an option that there is not.
   */
  snapshot(options: SnapshotOptions = {}): Snapshot {
    const { holders } = checkOptions('options', options, ['holders']);
    const objects = [...this.#reads].flatMap(([name, read]) => {
      try {
        return read(holders === true);
      } catch (error) {
        return [{ kind: 'error', name, stats: {}, error: messageOf(error) }];
      }
    });
    const kinds = new Set(objects.map(({ kind }) => kind));
    return {
      version: 1,
      pid: process.pid,
      threadId,
      program: this.#program,
      node: process.version,
      timeMs: Date.now(),
      uptimeMs: Math.round(process.uptime() * 1000),
      health: this.#healthOf(objects),
      metrics: Object.fromEntries(kindsOf(this.#own).filter(([kind]) => kinds.has(kind))),
      objects,
    };
  }

  /**
   * Writes what it watches into a lock that a monitor of another thread watches, which shows it as
   * it was then. 'busy': another thread writes. 'full': the lock has too few words, of 4 bytes of
   * JSON each; the reader is told so.
   *
   * **Cost** that of {@link snapshot} and of `lock.tryWrite`. **Throws** TypeError,
   * ERR_BUSBAR_DETACHED.
   */
  tryWrite(lock: SeqLock): 'written' | 'busy' | 'full' {
    if (typeNameOf(lock) !== 'SeqLock') {
      throw new TypeError(`lock must be a SeqLock, got ${show(lock)}`);
    }
    return tryWrite(lock, { own: Object.fromEntries(this.#own), objects: this.snapshot().objects });
  }

  /** Whether a supervisor should restart the process, or send it no work. */
  health(): Health {
    return this.snapshot().health;
  }

  /** @internal The metrics of all kinds, those that have no object included. */
  kinds(): [kind: string, metrics: readonly Metric[]][] {
    // Learns those of other threads.
    this.snapshot();
    return kindsOf(this.#own);
  }

  #add(name: string, read: Read): void {
    checkName('name', name);
    if (this.#reads.has(name)) throw new RangeError(`name must be new, but "${name}" is watched`);
    this.#reads.set(name, read);
  }

  #readWritten(prefix: string, lock: SeqLock): ObjectSnapshot[] {
    const { own, objects } = readWritten(lock);
    for (const [kind, metrics] of Object.entries(own)) this.#own.set(kind, metrics);
    return objects.map((each) => ({ ...each, name: `${prefix}/${each.name}` }));
  }

  #healthOf(objects: readonly ObjectSnapshot[]): Health {
    const stuck: string[] = [];
    const busy: string[] = [];
    for (const { kind, name, part, stats, error } of objects) {
      if (error !== undefined) busy.push(`${name}: ${error}`);
      else if (stats.closed === true) busy.push(`${name}: closed`);
      if (kind !== 'executor') continue;
      const state = String(stats.state);
      if (state === 'running' && Number(stats.sinceTurnMs) > this.#stuckMs) {
        stuck.push(`${name}-${part}: stuck for ${stats.sinceTurnMs} ms`);
      } else if (state !== 'running' && state !== 'parked') busy.push(`${name}-${part}: ${state}`);
    }
    for (const [name, condition] of this.#checks) {
      let reason: string;
      try {
        reason = condition();
      } catch (error) {
        reason = messageOf(error);
      }
      if (reason !== '') busy.push(`${name}: ${reason}`);
    }
    const reasons = [...stuck, ...busy];
    return { live: stuck.length === 0, ready: reasons.length === 0, reasons };
  }
}

/** **Throws** TypeError. */
export function checkMonitor(monitor: unknown): void {
  if (monitor instanceof Monitor) return;
  throw new TypeError(`monitor must be a Monitor, got ${show(monitor)}`);
}

const METRIC_TEXTS = ['field', 'type', 'unit', 'name', 'help'] as const;
const METRIC_KEYS = [...METRIC_TEXTS, 'attributes'];

function checkName(what: string, name: unknown): void {
  if (typeof name === 'string' && name !== '') return;
  throw new TypeError(`${what} must be a string that is not empty, got ${show(name)}`);
}

/** The name of an object's type; '' if it has none. */
function typeNameOf(subject: unknown): string {
  const { toJSON } = (subject ?? {}) as { toJSON?: unknown };
  if (typeof toJSON !== 'function') return '';
  return String((toJSON.call(subject) as { type?: unknown } | null)?.type);
}

function read(
  kind: string,
  name: string,
  subject: Watched,
  withHolders: boolean,
): ObjectSnapshot[] {
  if (kind === 'writer') {
    const { bufferedBytes, flushedBytes, closed } = subject as LocalWriter;
    return [{ kind, name, stats: { bufferedBytes, flushedBytes, closed } }];
  }
  const stats: object = (subject as Exclude<Watched, LocalWriter | SeqLock>).stats();
  if (kind === 'executor') {
    return (Array.isArray(stats) ? stats : [stats]).map(({ index, lastCrash, ...rest }) => ({
      kind,
      name,
      part: index,
      stats: { ...rest, lastCrash: lastCrash?.message },
    }));
  }
  if (kind === 'pool') {
    const { threads, ...rest } = stats as ReturnType<BufferPool['stats']>;
    const holders = withHolders ? holdersOf(subject as BufferPool, threads.length) : undefined;
    const own = { kind, name, stats: rest, ...(holders === undefined ? {} : { holders }) };
    const parts = threads.map(({ slot, ...each }) => ({
      kind: 'pool.thread',
      name,
      part: slot,
      stats: each,
    }));
    return [own, ...parts];
  }
  const { capacity } = subject as PacketChannel;
  return [{ kind, name, stats: kind === 'channel' ? { ...stats, capacity } : { ...stats } }];
}

/** Undefined if there are too many buffers to look at. */
function holdersOf(pool: BufferPool, threadCount: number): HolderSnapshot[] | undefined {
  if (pool.bufferCount * threadCount > HOLDER_LOADS_MAX) return undefined;
  const { holders, threads } = pool.who();
  const names = new Map(threads.map(({ slot, name }) => [slot, name]));
  const all: HolderSnapshot[] = holders.map(({ slot, kind, name, count }) => {
    const thread = slot === undefined ? '' : (names.get(slot) ?? `thread ${slot}`);
    return { thread, kind, name, count };
  });
  all.sort((one, other) => other.count - one.count);
  const rest = all.slice(HOLDERS_MAX).reduce((sum, { count }) => sum + count, 0);
  const shown = all.slice(0, HOLDERS_MAX);
  return rest === 0 ? shown : [...shown, { thread: '', kind: 'others', name: '', count: rest }];
}

describeAs(Monitor, 'Monitor', (monitor) => ({
  watched: monitor.snapshot().objects.map(({ name }) => name),
}));
