// SPDX-License-Identifier: MIT
/** Example statsd: the collector. Starts the executors and merges what they gather into reports. */

import { BusbarError, isBusbarError } from 'busbar/errors';
import { ExecutorGroup } from 'busbar/executor';
import { UdpLink } from 'busbar/link';
import type { Monitor } from 'busbar/metrics';
import { native, topology } from 'busbar/native';
import { Packet } from 'busbar/packet';
import { BufferPool } from 'busbar/pool';
import { SeqLock, type SeqLockHandle } from 'busbar/sync';
import { FIGURES } from './figures.ts';
import { freeTcpPort, freeUnixPath } from './free-places.ts';
import type { StreamPlaces } from './line-streams.ts';
import { AS_THEY_CAME, type Naming } from './naming.ts';
import { Aggregate, type Report } from './report.ts';
import {
  addTally,
  emptyTally,
  readSnapshot,
  roundOf,
  type SnapshotReader,
  type Tally,
  writeOrder,
} from './snapshot.ts';

export interface CollectorOptions {
  /** Local address or host name to bind to; '::' or '0.0.0.0' for all. */
  readonly host: string;
  /** 0: any free port. */
  readonly port: number;
  /** Number of executors; undefined: one for each core that this process may use. */
  readonly executors: number | undefined;
  /** Entries of each executor per interval: metrics, values of sets, buckets of timers. */
  readonly entriesMax: number;
  /** Receive buffer of each socket, in bytes. The system may grant less. */
  readonly receiveBytes: number;
  /** Port for lines over TCP; 0: any free port. Default: none. */
  readonly tcpPort?: number | undefined;
  /** Path of a Unix socket for lines. Default: none. */
  readonly unixPath?: string | undefined;
  /** Path of a Unix socket for datagrams; needs the shim. Default: none. */
  readonly datagramPath?: string | undefined;
  /** Percentiles of timers, in percent. */
  readonly percentiles: readonly number[];
  /** Which names and tags are one metric. Default: equal ones. */
  readonly naming?: Naming;
  /** A gauge that received nothing for this many seconds is forgotten. */
  readonly gaugeTtlSeconds: number;
  /** Module of the executors. Default: `collector.worker.js` beside the program. */
  readonly module?: URL;
  /** Called after an executor has crashed; another one replaces it. */
  readonly onCrash?: (index: number, error: Error) => void;
}

/** Start data of every executor. */
export interface ExecutorData {
  readonly host: string;
  readonly port: number;
  readonly reusePort: boolean;
  readonly datagramPath: string | undefined;
  readonly receiveBytes: number;
  readonly capacity: number;
  readonly seed: number;
  readonly places: StreamPlaces;
  /** By executor, where it writes what its links do. */
  readonly figures: readonly SeqLockHandle[];
}

/** The kernel coalesces datagrams up to this size; see docs/links.md. */
const BUFFER_BYTES = 65_536;
/** 16 that a socket may fill at once, and those in transit to the host. */
const BUFFERS_PER_EXECUTOR = 32;
/** Threads of the pool besides the executors: the host, and a spare slot for a restart. */
const OTHER_THREADS = 2;
/** Room for what an executor writes of its links, in words. */
const FIGURES_WORDS = 2048;
/** Crashes of an executor after which the collector gives up. */
const RESTARTS = { maxRestarts: 10, withinMs: 60_000 };
/** Wait for an executor's reply; a later reply becomes part of the next report. */
const ANSWER_MS_MAX = 5000;

/** A group of executors that gather metrics, and the host that merges them. */
export class Collector {
  readonly port: number;
  readonly tcpPort: number | undefined;
  readonly count: number;
  /** '' if executors share the port; otherwise the reason why there is only one. */
  readonly alone: string;
  /** Resolves when all executors have stopped; rejects after too many crashes. */
  readonly closed: Promise<void>;

  readonly #pool: BufferPool;
  readonly #group: ExecutorGroup;
  readonly #aggregate: Aggregate;
  /** By executor, what its links do. */
  readonly #figures: readonly SeqLock[];
  /** By executor: the reader of the round that it is sending. */
  readonly #readers: ({ readonly round: number; readonly reader: SnapshotReader } | undefined)[];
  /** Executors that have not replied yet. */
  readonly #awaited: Set<number> = new Set();
  /** Of all reports. */
  readonly #totals: Tally = emptyTally();
  #allAnswered: () => void = () => {};
  #round: number = 0;
  #sinceMs: number = performance.now();

  private constructor(
    options: CollectorOptions,
    pool: BufferPool,
    group: ExecutorGroup,
    figures: readonly SeqLock[],
    { port, tcpPort, alone }: { port: number; tcpPort: number | undefined; alone: string },
  ) {
    const { percentiles, entriesMax, gaugeTtlSeconds, naming = AS_THEY_CAME } = options;
    this.#pool = pool;
    this.#group = group;
    this.#figures = figures;
    this.#aggregate = new Aggregate(pool, percentiles, naming, entriesMax, gaugeTtlSeconds * 1000);
    this.#readers = Array(group.count).fill(undefined);
    this.port = port;
    this.tcpPort = tcpPort;
    this.count = group.count;
    this.alone = alone;
    this.closed = group.closed;
    group.mailbox.handleRegions((bufferId, offset, length, from) => {
      try {
        this.#hear(offset, length, from);
      } finally {
        pool.release(bufferId);
      }
    });
  }

  /**
   * Starts all executors; resolves when they receive.
   *
   * **Throws** (rejects) ERR_BUSBAR_LINK_REFUSED if the port or a path is taken or the name is
   * unknown; ERR_BUSBAR_NATIVE_UNAVAILABLE for `datagramPath`; RangeError for an invalid address.
   */
  static async start(options: CollectorOptions): Promise<Collector> {
    const { receiveBytes, entriesMax, onCrash = () => {} } = options;
    const { available, reason } = native.features.udp;
    const wanted = options.executors ?? topology().usableCount;
    const count = available ? wanted : 1;
    const pool = BufferPool.create({
      bufferSize: BUFFER_BYTES,
      bufferCount: BUFFERS_PER_EXECUTOR * (count + 1),
      maxThreads: count + OTHER_THREADS,
    });
    const words = FIGURES_WORDS;
    const figures = Array.from({ length: count }, () => SeqLock.create(pool, { words }));
    let collector: Collector | undefined;
    try {
      const { host, port } = await freeAddress(pool, options);
      const tcpPort = await freeTcpPort(host, options.tcpPort);
      const unixPath = await freeUnixPath(options.unixPath);
      const data: ExecutorData = {
        host,
        port,
        reusePort: available,
        datagramPath: await freeDatagramPath(pool, options.datagramPath),
        receiveBytes,
        capacity: entriesMax,
        seed: Math.random() * 2 ** 32,
        places: { host, tcpPort, unixPath },
        figures: figures.map(({ handle }) => handle),
      };
      const group = await ExecutorGroup.start({
        pool,
        module: options.module ?? new URL('./collector.worker.js', import.meta.url),
        count,
        name: 'statsd',
        data,
        restart: RESTARTS,
        onCrash: (index, error) => {
          // Everything that it gathered since the last flush is lost.
          if (collector !== undefined) collector.#answered(index);
          onCrash(index, error);
        },
      });
      const alone = available || wanted === 1 ? '' : reason;
      collector = new Collector(options, pool, group, figures, { port, tcpPort, alone });
      return collector;
    } catch (error) {
      pool.close();
      throw error;
    }
  }

  /** Shows the pool, the executors and their links, and what reports have told so far. */
  watch(monitor: Monitor): void {
    monitor.watch('datagrams', this.#pool);
    monitor.watch('executors', this.#group);
    for (const [index, lock] of this.#figures.entries()) monitor.watch(`statsd-${index}`, lock);
    const read = (): Record<string, number> => ({ ...this.#totals });
    monitor.watchOwn('gathered', { kind: 'statsd', metrics: FIGURES, read });
  }

  /** Ends an interval and returns its report. One call at a time. */
  flush(): Promise<Report> {
    return this.#flush(false);
  }

  /** Stops receiving, after everything that has arrived was gathered; returns the last report. */
  async stop(): Promise<Report> {
    const report = await this.#flush(true);
    await this.#group.stop();
    this.#pool.close();
    return report;
  }

  async #flush(isLast: boolean): Promise<Report> {
    const round = ++this.#round;
    for (let index = 0; index < this.count; index++) this.#awaited.add(index);
    const answered = new Promise<void>((resolve) => {
      this.#allAnswered = resolve;
    });
    const timer = setTimeout(this.#allAnswered, ANSWER_MS_MAX);
    for (let index = 0; index < this.count; index++) {
      this.#order(index, round, isLast).catch(() => this.#answered(index));
    }
    await answered;
    clearTimeout(timer);
    this.#awaited.clear();
    const nowMs = performance.now();
    const seconds = (nowMs - this.#sinceMs) / 1000;
    this.#sinceMs = nowMs;
    const report = this.#aggregate.report(Date.now(), seconds);
    addTally(this.#totals, report.collector);
    return report;
  }

  async #order(index: number, round: number, isLast: boolean): Promise<void> {
    const pool = this.#pool;
    const bufferId = await pool.acquire({ timeoutMs: ANSWER_MS_MAX });
    const begin = pool.offsetOf(bufferId);
    const length = writeOrder(pool.view, begin, round, isLast) - begin;
    const packet = Packet.wrap(pool, bufferId, begin, length);
    try {
      await this.#group.sendTo(index, packet, { timeoutMs: ANSWER_MS_MAX });
    } catch (error) {
      packet.release();
      throw error;
    }
  }

  /** Receives a packet of an executor. Late ones become part of the next report. */
  #hear(offset: number, length: number, from: number): void {
    const { view } = this.#pool;
    const round = roundOf(view, offset);
    let present = this.#readers[from];
    if (present?.round !== round) {
      const onEnd = (): void => {
        if (round === this.#round) this.#answered(from);
      };
      present = { round, reader: this.#aggregate.reader(onEnd) };
      this.#readers[from] = present;
    }
    readSnapshot(view, offset, offset + length, present.reader);
  }

  #answered(index: number): void {
    this.#awaited.delete(index);
    if (this.#awaited.size === 0) this.#allAnswered();
  }
}

/**
 * Resolves the host to one numeric address for all executors, and checks that the port is free:
 * sockets with a shared port would also share it with another collector of the same user.
 */
async function freeAddress(
  pool: BufferPool,
  { host, port }: CollectorOptions,
): Promise<{ readonly host: string; readonly port: number }> {
  const probe = await UdpLink.open(pool, { host, port, handler: () => ({ onMessage() {} }) });
  await probe.close();
  return probe.local;
}

/** Checks that datagrams can be received there, as the executor will do. */
async function freeDatagramPath(
  pool: BufferPool,
  path: string | undefined,
): Promise<string | undefined> {
  if (path === undefined) return undefined;
  try {
    await (await UdpLink.open(pool, { path })).close();
  } catch (error) {
    if (!isBusbarError(error, 'ERR_BUSBAR_LINK_REFUSED')) throw error;
    throw new BusbarError('ERR_BUSBAR_LINK_REFUSED', `${path}, ${error.message}`);
  }
  return path;
}
