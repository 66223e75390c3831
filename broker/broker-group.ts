// SPDX-License-Identifier: MIT
/** Example broker: a broker on several threads, controlled by the thread that starts them. */

import { lookup } from 'node:dns/promises';
import { rmSync } from 'node:fs';
import { BusbarError } from 'busbar/errors';
import { ExecutorGroup } from 'busbar/executor';
import type { Monitor } from 'busbar/metrics';
import { native, topology } from 'busbar/native';
import { BufferPool } from 'busbar/pool';
import { Acceptor } from './acceptor.ts';
import { Board } from './board.ts';
import { type BrokerStats, newServerId } from './broker.ts';
import {
  type BrokerOptions,
  bufferCountFor,
  type ResolvedBrokerOptions,
  resolveBrokerOptions,
} from './broker-options.ts';
import {
  type ExecutorData,
  type ExecutorMessage,
  type HostMessage,
  sendText,
} from './executor-messages.ts';
import { FIGURES, readFigures } from './figures.ts';
import { listenAlone, PortClaim } from './port-claim.ts';

/** Regions in one lane. */
const LANE_CAPACITY = 1024;
/** Buffers that an executor keeps for each lane: one pending region, and one being written. */
const BUFFERS_PER_LANE = 2;
/** Threads of the pool besides the executors: the host, and a spare one for a restart. */
const OTHER_THREADS = 2;
/** How often an executor may crash before the broker gives up. */
const RESTARTS = { maxRestarts: 10, withinMs: 60_000 };
/** How often the host checks whether a deadline has passed. */
const LOOK_MS = 20;
/** How long an executor in good order may take to answer. */
const ANSWER_MS_MAX = 5000;

export interface BrokerGroupOptions {
  /** Number of executors. Default: one for each core that this process may use. */
  readonly executors?: number | 'per-core';
  /** The module that each executor runs. Default: `broker.worker.js` beside the program. */
  readonly module?: URL;
  /** An executor has crashed, and another one takes its place. */
  readonly onCrash?: (index: number, error: Error) => void;
}

/** What there is to say of one executor. */
export interface ExecutorPlace {
  readonly index: number;
  /** The core to which it is pinned. */
  readonly cpu: number | undefined;
  /** Why it is not pinned. */
  readonly unpinned: string;
}

/** Many brokers that look like one. */
export class BrokerGroup {
  readonly options: ResolvedBrokerOptions;
  readonly pool: BufferPool;
  readonly port: number;
  /** '' when executors share the port; else why they do not. */
  readonly acceptedByHost: string;
  /** Resolves when all have stopped; rejects when too many have crashed. */
  readonly closed: Promise<void>;

  readonly #group: ExecutorGroup;
  readonly #board: Board;
  readonly #acceptor: Acceptor | undefined;
  readonly #onCrash: (index: number, error: Error) => void;
  readonly #paths: (string | undefined)[] = [];
  readonly #listening: Set<number> = new Set();
  /** True when executors are to take no more clients; this also concerns restarted executors. */
  #isRetiring: boolean = false;
  readonly #retired: Set<number> = new Set();
  readonly #drained: Set<number> = new Set();
  readonly #answers: Map<number, Map<number, Record<string, number>>> = new Map();
  #questions: number = 0;
  #failure: Error | undefined = undefined;
  #changed: (() => void)[] = [];
  #stopped: Promise<void> | undefined = undefined;

  private constructor(
    options: ResolvedBrokerOptions,
    group: ExecutorGroup,
    pool: BufferPool,
    board: Board,
    port: number,
    acceptor: Acceptor | undefined,
    onCrash: (index: number, error: Error) => void,
  ) {
    this.options = options;
    this.#group = group;
    this.pool = pool;
    this.#board = board;
    this.port = port;
    this.#acceptor = acceptor;
    this.acceptedByHost = acceptor === undefined ? '' : native.features.reusePort.reason;
    this.closed = group.closed;
    this.#onCrash = onCrash;
    group.mailbox.handle((packet, from) => {
      const text = packet.toString();
      packet.release();
      this.#hear(from, JSON.parse(text) as ExecutorMessage);
    });
  }

  /**
   * Starts all executors and resolves when all of them listen.
   *
   * **Throws** (rejects) ERR_BUSBAR_LINK_REFUSED when the port is taken; TypeError or RangeError
   * naming the option that is wrong.
   */
  static async start(
    brokerOptions: BrokerOptions,
    { executors = 'per-core', module, onCrash = () => {} }: BrokerGroupOptions = {},
  ): Promise<BrokerGroup> {
    const options = resolveBrokerOptions(brokerOptions);
    const count = executors === 'per-core' ? topology().usableCount : executors;
    const { address } = await lookup(options.host).catch((cause: Error) => {
      throw new BusbarError('ERR_BUSBAR_LINK_REFUSED', cause.message, { cause });
    });
    const sharesPort = native.features.reusePort.available;
    const place = sharesPort
      ? await PortClaim.take(address, options.port)
      : Acceptor.on(await listenAlone(address, options.port));
    const { port } = place;
    const acceptor = place instanceof Acceptor ? place : undefined;
    const { bufferSize, bufferCount } = options;
    const laneBuffers = BUFFERS_PER_LANE * count * count;
    const pool = BufferPool.create({
      bufferSize,
      bufferCount: bufferCountFor(bufferSize, (bufferCount + laneBuffers) * bufferSize),
      maxThreads: count + OTHER_THREADS,
    });
    const board = Board.create(count);
    const data: ExecutorData = {
      options: brokerOptions,
      board: board.memory as SharedArrayBuffer,
      serverId: newServerId(),
      host: address,
      port,
      sharesPort,
    };
    let broker: BrokerGroup | undefined;
    try {
      const group = await ExecutorGroup.start({
        pool,
        module: module ?? new URL('./broker.worker.js', import.meta.url),
        count,
        name: 'broker',
        data,
        laneCapacity: LANE_CAPACITY,
        restart: RESTARTS,
        onCrash: (index, crash) => {
          if (broker !== undefined) broker.#crashed(index, crash);
        },
      });
      broker = new BrokerGroup(options, group, pool, board, port, acceptor, onCrash);
      await broker.#untilAllListen();
      return broker;
    } catch (error) {
      void acceptor?.close();
      acceptor?.destroy();
      pool.close();
      throw error;
    } finally {
      if (place instanceof PortClaim) place.release();
    }
  }

  get count(): number {
    return this.#group.count;
  }

  /** Which executor runs on which core. */
  get places(): ExecutorPlace[] {
    return this.#group.stats().map(({ index, cpu, unpinned }) => ({ index, cpu, unpinned }));
  }

  /** Shows the broker's parts, and the figures of its executors. */
  watch(monitor: Monitor): void {
    const group = this.#group;
    monitor.watch('messages', this.pool);
    monitor.watch('executors', group);
    const read = (): Record<string, number>[] => {
      return group.stats().map(({ counters }) => readFigures(counters));
    };
    monitor.watchOwn('broker', { kind: 'broker', metrics: FIGURES, read });
    const isServing = (): boolean => !this.#isRetiring && this.#stopped === undefined;
    monitor.check('clients', () => (isServing() ? '' : 'no more are taken'));
  }

  /** The sums over all executors that answer. */
  async stats(): Promise<BrokerStats> {
    const id = ++this.#questions;
    const answers = new Map<number, Record<string, number>>();
    this.#answers.set(id, answers);
    for (let index = 0; index < this.count; index++) this.#tell(index, { kind: 'stats', id });
    await this.#until(() => answers.size === this.count, ANSWER_MS_MAX);
    this.#answers.delete(id);
    const sum = (key: keyof BrokerStats): number =>
      [...answers.values()].reduce((total, stats) => total + (stats[key] ?? 0), 0);
    return {
      messagesIn: sum('messagesIn'),
      messagesOut: sum('messagesOut'),
      pings: sum('pings'),
      connections: sum('connections'),
      paused: sum('paused'),
      subscriptions: sum('subscriptions'),
      slowConsumers: sum('slowConsumers'),
    };
  }

  /** Stops in good order, as `Broker.drain` does. */
  drain(): Promise<void> {
    this.#stopped ??= this.#stop();
    return this.#stopped;
  }

  /** Stops in lame duck mode, as `Broker.lameDuck` does; {@link drain} ends that early. */
  async lameDuck(): Promise<void> {
    if (this.#stopped === undefined) {
      this.#isRetiring = true;
      void this.#acceptor?.close();
      for (let index = 0; index < this.count; index++) this.#tell(index, { kind: 'retire' });
      // They leave together: each waits for word from the others before it replies.
      await this.#until(() => this.#retired.size === this.count || this.#stopped !== undefined);
    }
    await this.drain();
  }

  async #stop(): Promise<void> {
    const accepting = this.#acceptor?.close();
    for (let index = 0; index < this.count; index++) this.#tell(index, { kind: 'drain' });
    const { lingerMs } = this.options;
    await this.#until(() => this.#drained.size === this.count, 2 * lingerMs + ANSWER_MS_MAX);
    this.#acceptor?.destroy();
    await accepting;
    await this.#group.stop({ mode: 'now' });
    this.pool.close();
  }

  async #untilAllListen(): Promise<void> {
    await this.#until(() => this.#listening.size === this.count || this.#failure !== undefined);
    if (this.#failure === undefined) return;
    await this.#group.stop({ mode: 'now' });
    throw this.#failure;
  }

  #tell(index: number, message: HostMessage): void {
    const group = this.#group;
    // If that rejects, the group has stopped.
    sendText(this.pool, (packet) => group.sendTo(index, packet), message).catch(() => {});
  }

  #hear(from: number, message: ExecutorMessage): void {
    switch (message.kind) {
      case 'listening':
        this.#listening.add(from);
        this.#paths[from] = message.path;
        this.#acceptor?.setPath(from, message.path);
        if (this.#isRetiring) this.#tell(from, { kind: 'retire' });
        break;
      case 'failed':
        this.#failure ??= new BusbarError(
          'ERR_BUSBAR_LINK_REFUSED',
          `executor ${from}: ${message.reason}`,
          { cause: Object.assign(new Error(message.reason), { code: message.code }) },
        );
        break;
      case 'stats':
        this.#answers.get(message.id)?.set(from, message.stats);
        break;
      case 'retired':
        this.#retired.add(from);
        break;
      case 'drained':
        this.#drained.add(from);
        break;
    }
    for (const change of this.#changed.splice(0)) change();
  }

  /** Tells the others, so that they need not wait for its successor. */
  #crashed(index: number, error: Error): void {
    this.#board.clear(index);
    this.#acceptor?.setPath(index, undefined);
    const path = this.#paths[index];
    if (path !== undefined) rmSync(path, { force: true });
    const epoch = this.#board.epochOf(index);
    for (let other = 0; other < this.count; other++) {
      if (other !== index) this.#tell(other, { kind: 'lost', index, epoch });
    }
    this.#onCrash(index, error);
  }

  /** Receives the messages of executors. */
  async #until(isTrue: () => boolean, timeoutMs: number = Infinity): Promise<void> {
    const untilMs = performance.now() + timeoutMs;
    while (!isTrue() && performance.now() < untilMs) {
      await new Promise<void>((resolve) => {
        const timer = setTimeout(resolve, LOOK_MS);
        this.#changed.push(() => {
          clearTimeout(timer);
          resolve();
        });
      });
    }
  }
}
