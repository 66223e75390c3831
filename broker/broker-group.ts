// SPDX-License-Identifier: MIT
/** Example broker: a broker on several threads, controlled by the thread that starts them. */

import { setTimeout as delay } from 'node:timers/promises';
import { BroadcastChannel } from 'node:worker_threads';
import { ExecutorGroup } from 'busbar/executor';
import { SharedPort } from 'busbar/link';
import type { Monitor } from 'busbar/metrics';
import { BufferPool } from 'busbar/pool';
import { SeqLock } from 'busbar/sync';
import { Board } from './board.ts';
import { type BrokerStats, newServerId } from './broker.ts';
import type { ExecutorData, Lost, Message, Order } from './broker.worker.ts';
import {
  type BrokerOptions,
  bufferCountFor,
  type ResolvedBrokerOptions,
  resolveBrokerOptions,
} from './broker-options.ts';
import { sumOf } from './figures.ts';

/** Regions in one lane. */
const LANE_CAPACITY = 1024;
/** Buffers that an executor keeps for each lane: one pending region, and one being written. */
const BUFFERS_PER_LANE = 2;
/** Threads of the pool besides the executors: the host, and a spare one for a restart. */
const OTHER_THREADS = 2;
/** How often an executor may crash before the broker gives up. */
const RESTARTS = { maxRestarts: 10, withinMs: 60_000 };
/** Room for what an executor says of itself: 1.4 kB while its counters are low. */
const FIGURES = { words: 1024 };
/** How often the host looks whether all have replied. */
const LOOK_MS = 5;
/** How long an executor in good order may take to answer. */
const ANSWER_MS_MAX = 5000;

export interface BrokerGroupOptions {
  /** Number of executors. */
  readonly executors: number;
  /** The module that each executor runs. Default: `broker.worker.js` beside the program. */
  readonly module?: URL;
  /** An executor has crashed, and another one takes its place. */
  readonly onCrash?: (index: number, error: Error) => void;
}

/** Many brokers that look like one. */
export class BrokerGroup {
  readonly options: ResolvedBrokerOptions;
  readonly pool: BufferPool;
  /** Resolves when all have stopped; rejects when too many have crashed. */
  readonly closed: Promise<void>;

  readonly #group: ExecutorGroup;
  readonly #port: SharedPort;
  readonly #channel: BroadcastChannel;
  /** By executor, what it does. */
  readonly #figures: readonly SeqLock[];
  /** Orders that are not carried out yet, and by executor the replies so far. */
  readonly #orders: Map<Order, Map<number, BrokerStats>> = new Map();
  #orderCount: number = 0;
  #isRetired: boolean = false;
  #stopped: Promise<void> | undefined = undefined;
  /** Once all have stopped. */
  #lastStats: BrokerStats | undefined = undefined;

  private constructor(
    options: ResolvedBrokerOptions,
    group: ExecutorGroup,
    port: SharedPort,
    channel: BroadcastChannel,
    figures: readonly SeqLock[],
  ) {
    this.options = options;
    this.pool = group.pool;
    this.closed = group.closed;
    this.#group = group;
    this.#port = port;
    this.#channel = channel;
    this.#figures = figures;
    channel.onmessage = (event) => this.#hear((event as { data: Message }).data);
  }

  /**
   * Starts all executors and resolves when all of them listen.
   *
   * **Throws** (rejects) ERR_BUSBAR_LINK_REFUSED when the port is taken;
   * ERR_BUSBAR_EXECUTOR_START with the cause; TypeError or RangeError naming the option that is
   * wrong.
   */
  static async start(
    brokerOptions: BrokerOptions,
    { executors: count, module, onCrash = () => {} }: BrokerGroupOptions,
  ): Promise<BrokerGroup> {
    const options = resolveBrokerOptions(brokerOptions);
    const port = await SharedPort.claim({ host: options.host, port: options.port });
    const { bufferSize, bufferCount } = options;
    const laneBuffers = BUFFERS_PER_LANE * count * count;
    const pool = BufferPool.create({
      bufferSize,
      bufferCount: bufferCountFor(bufferSize, (bufferCount + laneBuffers) * bufferSize),
      maxThreads: count + OTHER_THREADS,
    });
    const board = Board.create(count);
    const figures = Array.from({ length: count }, () => SeqLock.create(pool, FIGURES));
    const serverId = newServerId();
    const channel = new BroadcastChannel(serverId);
    const data: ExecutorData = {
      options,
      board: board.memory,
      figures: figures.map(({ handle }) => handle),
      serverId,
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
          board.clear(index);
          if (broker !== undefined) broker.#crashed(index);
          onCrash(index, crash);
        },
        onRestart: () => {
          if (broker !== undefined) broker.#repeat();
        },
      });
      broker = new BrokerGroup(options, group, port, channel, figures);
      // Their replies say where they listen.
      await broker.stats();
      return broker;
    } catch (error) {
      channel.close();
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

  /** Says on which cores the executors run, and who accepts clients. */
  layout(): string {
    const executors = this.#group.stats();
    const loose = executors.find(({ cpu }) => cpu === undefined);
    const where =
      loose === undefined
        ? `pinned to the cpus ${executors.map(({ cpu }) => cpu).join(', ')}`
        : `not pinned: ${loose.unpinned}`;
    const { forwarded } = this.#port;
    const how =
      forwarded === ''
        ? 'each accepts its own clients'
        : `the main thread brings them clients: ${forwarded}`;
    return `${executors.length} executors, ${where}; ${how}.`;
  }

  /** Shows the broker's parts, and what its executors do. */
  watch(monitor: Monitor): void {
    monitor.watch('messages', this.pool);
    monitor.watch('executors', this.#group);
    for (const [index, lock] of this.#figures.entries()) monitor.watch(`broker-${index}`, lock);
    const isServing = (): boolean => !this.#isRetired && this.#stopped === undefined;
    monitor.check('clients', () => (isServing() ? '' : 'no more are taken'));
  }

  /** The sums over all executors that answer; after {@link drain} the last ones. */
  async stats(): Promise<BrokerStats> {
    return this.#lastStats ?? sumOf(await this.#carryOut('report', ANSWER_MS_MAX));
  }

  /** Stops in good order, as `Broker.drain` does. */
  drain(): Promise<void> {
    this.#stopped ??= this.#stop();
    return this.#stopped;
  }

  /** Stops in lame duck mode, as `Broker.lameDuck` does; {@link drain} ends that early. */
  async lameDuck(): Promise<void> {
    if (this.#stopped === undefined) {
      this.#isRetired = true;
      void this.#port.close();
      await this.#carryOut('retire', Infinity);
    }
    await this.drain();
  }

  async #stop(): Promise<void> {
    const accepting = this.#port.close();
    // They leave together: each waits for word from the others before it replies.
    const last = await this.#carryOut('drain', 2 * this.options.lingerMs + ANSWER_MS_MAX);
    this.#lastStats = sumOf(last);
    this.#port.destroy();
    await accepting;
    await this.#group.stop({ mode: 'now' });
    this.#channel.close();
    this.pool.close();
  }

  /** Resolves with the figures of all executors, or of those that were done in time. */
  async #carryOut(kind: Order['kind'], timeoutMs: number): Promise<BrokerStats[]> {
    const order = { kind, id: ++this.#orderCount };
    const replies = new Map<number, BrokerStats>();
    this.#orders.set(order, replies);
    this.#channel.postMessage(order);
    const untilMs = performance.now() + timeoutMs;
    // The order to drain puts an end to the one to retire.
    const isOver = (): boolean =>
      replies.size === this.#group.count || (kind === 'retire' && this.#stopped !== undefined);
    while (!isOver() && performance.now() < untilMs) await delay(LOOK_MS);
    this.#orders.delete(order);
    return [...replies.values()];
  }

  #hear(message: Message): void {
    if (message.kind !== 'done') return;
    const { id, from, place, stats } = message;
    this.#port.opened(from, place);
    for (const [order, replies] of this.#orders) if (order.id === id) replies.set(from, stats);
  }

  /** Tells the others, so that they need not wait for its successor. */
  #crashed(index: number): void {
    this.#port.closed(index);
    const { restarts } = this.#group.stats()[index];
    const lost: Lost = { kind: 'lost', index, epoch: restarts + 1 };
    this.#channel.postMessage(lost);
  }

  /** An executor that has just started knows of no order, and is to say where it listens. */
  #repeat(): void {
    for (const order of this.#orders.keys()) this.#channel.postMessage(order);
    void this.stats();
  }
}
