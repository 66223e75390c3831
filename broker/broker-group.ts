// SPDX-License-Identifier: MIT
/** Example broker: a broker on several threads, controlled by the thread that starts them. */

import { BusbarError } from 'busbar/errors';
import { ExecutorGroup } from 'busbar/executor';
import { SharedPort } from 'busbar/link';
import type { Monitor } from 'busbar/metrics';
import { topology } from 'busbar/native';
import { BufferPool } from 'busbar/pool';
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
  type Order,
  sendText,
} from './executor-messages.ts';
import { FIGURES, readFigures, sumOf } from './figures.ts';

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
  /** Resolves when all have stopped; rejects when too many have crashed. */
  readonly closed: Promise<void>;

  readonly #group: ExecutorGroup;
  readonly #board: Board;
  readonly #port: SharedPort;
  readonly #onCrash: (index: number, error: Error) => void;
  readonly #listening: Set<number> = new Set();
  /** Executors are to take no more clients; this also concerns restarted ones. */
  #retirement: Order | undefined = undefined;
  /** By order, those that have carried it out, with their figures. */
  readonly #done: Map<number, Map<number, Partial<BrokerStats>>> = new Map();
  #orderCount: number = 0;
  #failure: Error | undefined = undefined;
  #changed: (() => void)[] = [];
  #stopped: Promise<void> | undefined = undefined;

  private constructor(
    options: ResolvedBrokerOptions,
    group: ExecutorGroup,
    pool: BufferPool,
    board: Board,
    port: SharedPort,
    onCrash: (index: number, error: Error) => void,
  ) {
    this.options = options;
    this.#group = group;
    this.pool = pool;
    this.#board = board;
    this.#port = port;
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
    const port = await SharedPort.claim({ host: options.host, port: options.port });
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
      port: port.handle,
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
      broker = new BrokerGroup(options, group, pool, board, port, onCrash);
      await broker.#untilAllListen();
      return broker;
    } catch (error) {
      port.destroy();
      pool.close();
      throw error;
    } finally {
      port.release();
    }
  }

  get port(): number {
    return this.#port.port;
  }

  /** '' when executors share the port; else why they do not. */
  get acceptedByHost(): string {
    return this.#port.forwarded;
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
    const isServing = (): boolean => this.#retirement === undefined && this.#stopped === undefined;
    monitor.check('clients', () => (isServing() ? '' : 'no more are taken'));
  }

  /** The sums over all executors that answer. */
  async stats(): Promise<BrokerStats> {
    return sumOf(await this.#carryOut(this.#newOrder('report'), ANSWER_MS_MAX));
  }

  /** Stops in good order, as `Broker.drain` does. */
  drain(): Promise<void> {
    this.#stopped ??= this.#stop();
    return this.#stopped;
  }

  /** Stops in lame duck mode, as `Broker.lameDuck` does; {@link drain} ends that early. */
  async lameDuck(): Promise<void> {
    if (this.#stopped === undefined) {
      this.#retirement = this.#newOrder('retire');
      void this.#port.close();
      await this.#carryOut(this.#retirement, Infinity, () => this.#stopped !== undefined);
    }
    await this.drain();
  }

  async #stop(): Promise<void> {
    const accepting = this.#port.close();
    // They leave together: each waits for word from the others before it replies.
    await this.#carryOut(this.#newOrder('drain'), 2 * this.options.lingerMs + ANSWER_MS_MAX);
    this.#port.destroy();
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

  #newOrder(kind: Order['kind']): Order {
    return { kind, id: ++this.#orderCount };
  }

  /** Resolves with the figures of all executors, or of those that were done in time. */
  async #carryOut(
    order: Order,
    timeoutMs: number,
    isOver: () => boolean = () => false,
  ): Promise<Iterable<Partial<BrokerStats>>> {
    const done = new Map<number, Partial<BrokerStats>>();
    this.#done.set(order.id, done);
    for (let index = 0; index < this.count; index++) this.#tell(index, order);
    await this.#until(() => done.size === this.count || isOver(), timeoutMs);
    this.#done.delete(order.id);
    return done.values();
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
        this.#port.opened(from, message.place);
        if (this.#retirement !== undefined) this.#tell(from, this.#retirement);
        break;
      case 'failed':
        this.#failure ??= new BusbarError(
          'ERR_BUSBAR_LINK_REFUSED',
          `executor ${from}: ${message.reason}`,
          { cause: Object.assign(new Error(message.reason), { code: message.code }) },
        );
        break;
      case 'done':
        this.#done.get(message.id)?.set(from, message.stats);
        break;
    }
    for (const change of this.#changed.splice(0)) change();
  }

  /** Tells the others, so that they need not wait for its successor. */
  #crashed(index: number, error: Error): void {
    this.#board.clear(index);
    this.#port.closed(index);
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
