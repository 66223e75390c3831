// SPDX-License-Identifier: MIT
/** Example statsd: the collector, seen from the thread that starts it and prints its reports. */

import { ExecutorGroup } from 'busbar/executor';
import { UdpLink } from 'busbar/link';
import { native, topology } from 'busbar/native';
import { Packet } from 'busbar/packet';
import { BufferPool } from 'busbar/pool';
import { freeTcpPort, freeUnixPath } from './free-places.ts';
import type { StreamPlaces } from './line-streams.ts';
import { AS_THEY_CAME, type Naming } from './naming.ts';
import { Aggregate, type Report } from './report.ts';
import { readSnapshot, roundOf, type SnapshotReader, writeOrder } from './snapshot.ts';

export interface CollectorOptions {
  /** Address to receive at, or a name of this machine; '::' or '0.0.0.0' for all. */
  readonly host: string;
  /** 0: any that is free. */
  readonly port: number;
  /** How many; undefined: one for each core that this process may use. */
  readonly executors: number | undefined;
  /** What each of them keeps in one interval: metrics, values of sets, buckets of timers. */
  readonly entriesMax: number;
  /** What may wait in each socket, in bytes. The system may grant less. */
  readonly receiveBytes: number;
  /** Where lines come over TCP; 0: any port that is free. Default: nowhere. */
  readonly tcpPort?: number | undefined;
  /** Where lines come over a Unix socket. Default: nowhere. */
  readonly unixPath?: string | undefined;
  /** Of timers, in percent. */
  readonly percentiles: readonly number[];
  /** Which names and tags are one metric. Default: those that are the same. */
  readonly naming?: Naming;
  /** A gauge that was not heard of for so many seconds is forgotten. */
  readonly gaugeTtlSeconds: number;
  /** What executors run. Default: the module `collector.worker.js` beside the program. */
  readonly module?: URL;
  /** An executor has crashed, and another one takes its place. */
  readonly onCrash?: (index: number, error: Error) => void;
}

/** What every executor is started with. */
export interface ExecutorData {
  readonly host: string;
  readonly port: number;
  readonly reusePort: boolean;
  readonly receiveBytes: number;
  readonly capacity: number;
  readonly seed: number;
  readonly places: StreamPlaces;
}

/** The kernel puts datagrams together up to this much; see docs/links.md. */
const BUFFER_BYTES = 65_536;
/** For an executor: 16 that a socket may fill at once, and those that are on their way. */
const BUFFERS_PER_EXECUTOR = 32;
/** Threads of the pool beside the executors: the host, and one to spare for a restart. */
const OTHER_THREADS = 2;
/** So often an executor may crash before the collector gives up. */
const RESTARTS = { maxRestarts: 10, withinMs: 60_000 };
/** An executor that takes longer to answer is left out; what it says then is in the next report. */
const ANSWER_MS_MAX = 5000;

/** Executors that gather, and one who puts together what they have. */
export class Collector {
  readonly port: number;
  readonly tcpPort: number | undefined;
  readonly count: number;
  /** '' when executors share the port; else why there is only one. */
  readonly alone: string;
  /** Resolves when all have stopped; rejects when too many have crashed. */
  readonly closed: Promise<void>;

  readonly #pool: BufferPool;
  readonly #group: ExecutorGroup;
  readonly #aggregate: Aggregate;
  /** Of each executor, the reader of the round that it is telling. */
  readonly #readers: ({ readonly round: number; readonly reader: SnapshotReader } | undefined)[];
  /** Executors that have not answered yet. */
  readonly #awaited: Set<number> = new Set();
  #allAnswered: () => void = () => {};
  #round: number = 0;
  #sinceMs: number = performance.now();

  private constructor(
    options: CollectorOptions,
    pool: BufferPool,
    group: ExecutorGroup,
    { port, tcpPort, alone }: { port: number; tcpPort: number | undefined; alone: string },
  ) {
    const { percentiles, entriesMax, gaugeTtlSeconds, naming = AS_THEY_CAME } = options;
    this.#pool = pool;
    this.#group = group;
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
   * Starts all executors and resolves when datagrams may come.
   *
   * **Throws** (rejects) ERR_BUSBAR_LINK_REFUSED when the port is taken or the name is unknown;
   * RangeError for an address that is none.
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
    let collector: Collector | undefined;
    try {
      const { host, port } = await freeAddress(pool, options);
      const tcpPort = await freeTcpPort(host, options.tcpPort);
      const unixPath = await freeUnixPath(options.unixPath);
      const data: ExecutorData = {
        host,
        port,
        reusePort: available,
        receiveBytes,
        capacity: entriesMax,
        seed: Math.random() * 2 ** 32,
        places: { host, tcpPort, unixPath },
      };
      const group = await ExecutorGroup.start({
        pool,
        module: options.module ?? new URL('./collector.worker.js', import.meta.url),
        count,
        name: 'statsd',
        data,
        restart: RESTARTS,
        onCrash: (index, error) => {
          // What it had gathered since the last flush is lost.
          if (collector !== undefined) collector.#answered(index);
          onCrash(index, error);
        },
      });
      const alone = available || wanted === 1 ? '' : reason;
      collector = new Collector(options, pool, group, { port, tcpPort, alone });
      return collector;
    } catch (error) {
      pool.close();
      throw error;
    }
  }

  /** Ends an interval: what was gathered in it. One at a time. */
  flush(): Promise<Report> {
    return this.#flush(false);
  }

  /** What has arrived is gathered, nothing more comes: the last report. */
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
    return this.#aggregate.report(Date.now(), seconds);
  }

  async #order(index: number, round: number, isLast: boolean): Promise<void> {
    const pool = this.#pool;
    const bufferId = await pool.acquire({ timeoutMs: ANSWER_MS_MAX });
    const begin = pool.offsetOf(bufferId);
    const length = writeOrder(pool.view, begin, round, isLast) - begin;
    const packet = Packet.wrap(pool, bufferId, begin, length);
    try {
      await this.#group.sendToWhenRoom(index, packet, { timeoutMs: ANSWER_MS_MAX });
    } catch (error) {
      packet.release();
      throw error;
    }
  }

  /** Late answers count, too: they are part of the next report. */
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
 * The address in numbers, the same for all executors, and the port, while nobody else has it:
 * sockets that share a port would share it with another collector of the same user, too.
 */
async function freeAddress(
  pool: BufferPool,
  { host, port }: CollectorOptions,
): Promise<{ readonly host: string; readonly port: number }> {
  const probe = await UdpLink.open(pool, { host, port, handler: () => ({ onMessage() {} }) });
  await probe.close();
  return probe.local;
}
