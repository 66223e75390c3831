// SPDX-License-Identifier: MIT
/**
 * Example broker: a NATS-protocol server on one thread, made of busbar's parts.
 *
 *   socket ─▶ framer, ProtocolCodec ─▶ Connection ─▶ Router ─▶ Connection.offer ─▶ writer ─▶ socket
 *              the kernel reads           operations    subjects   one copy for        one write
 *              into the pool                                       each subscriber     for many
 *
 * It may be one of several, each on a thread of its own with clients of its own: see `ServerPeers`.
 */

import { randomBytes } from 'node:crypto';
import type { Socket } from 'node:net';
import { setTimeout as delay, setImmediate as turn } from 'node:timers/promises';
import { Backpressure, FairShare, FanOut, type PeerGroup, ServerPeers } from 'busbar/bus';
import { closeGradually, type TcpLink, TcpServer, type TcpServerOptions } from 'busbar/link';
import type { Monitor } from 'busbar/metrics';
import { BufferPool } from 'busbar/pool';
import { WriteFlusher } from 'busbar/writer';
import { Board } from './board.ts';
import {
  type BrokerOptions,
  type ResolvedBrokerOptions,
  resolveBrokerOptions,
} from './broker-options.ts';
import { Connection } from './connection.ts';
import { FIGURES } from './figures.ts';
import { infoLine } from './handshake.ts';
import { LaneReader } from './lane-reader.ts';
import type { Message } from './message.ts';
import { ProtocolCodec } from './protocol.ts';
import type { Subscription } from './subscription.ts';

/** Clients are looked after so often at least, and at most every CHECK_MS_MIN. */
const CHECK_MS_MAX = 500;
const CHECK_MS_MIN = 5;
/**
 * Regions of one client that may wait beside what its link has taken: few, so that a slow one is
 * noticed.
 */
const REGION_COUNT = 16;
/** Clients that are turned away or cut off, and still have a writer for a moment. */
const LEAVING_COUNT = 24;
/** More than that a flusher cannot have. */
const WRITER_COUNT_MAX = 65_536;
/**
 * Bytes that may be on their way to another executor: some reads' worth, and no more, because they
 * all have to be delivered, to thousands perhaps, before what comes behind them.
 */
const WINDOW_BYTES_MAX = 512 * 1024;
/** Windows from each other executor that a client may be sent beyond its limit. */
const OVERSHOOT = 4;
/**
 * Of the pool's buffers, what executors may hold for what they read, and what is between them: a
 * region on its way may keep a buffer to itself. What is left is for what is sent to clients, so
 * that however many wait for room, some of them get it.
 */
const READ_PART = 2;
const WINDOW_PART = 4;
/** How long an executor waits for what the others tell it, before it lets clients in. */
const SYNC_MS_MAX = 5000;
/** Clients that are told of the end in one turn, each from a buffer of its own. */
const TOLD_PER_TURN = 64;
/** How often one that has no room is tried: who reads nothing must not hold up the end. */
const TELL_ROUNDS = 4;

/** Of a broker on a single thread. */
const NO_PEERS: PeerGroup = { index: 0, epoch: 1, carriers: [undefined], onRegion() {} };

/** What a broker does for clients. */
const SERVING = 0;
/** It takes none any more, and those that it has go. */
const LAME = 1;
const DRAINING = 2;

type ListenPlace = Pick<TcpServerOptions, 'host' | 'port' | 'fd' | 'path'>;

/** The place of a broker that is one of several. */
export interface BrokerSeat {
  /** Shared by all, and closed by none of them. */
  readonly pool: BufferPool;
  readonly peers: PeerGroup;
  readonly board: Board;
  /** What the broker as a whole is called. */
  readonly serverId: string;
  /** The port that clients are told; default: where it listens. */
  readonly port?: number;
}

/** Counts since the broker started. */
export interface BrokerCounters {
  messagesIn: number;
  messagesOut: number;
  pings: number;
}

/** What a broker has done, and has to do. */
export interface BrokerStats extends Readonly<BrokerCounters> {
  readonly connections: number;
  /** Connections that are not read from because something has no room. */
  readonly paused: number;
  readonly subscriptions: number;
  readonly slowConsumers: number;
}

export class Broker {
  readonly options: ResolvedBrokerOptions;
  readonly pool: BufferPool;
  /** Who gets a message, here and at other executors. */
  readonly router: FanOut<Message, Subscription<Connection>>;
  /** The other executors. */
  readonly mesh: ServerPeers<Message, Subscription<Connection>>;
  readonly backpressure: Backpressure;
  readonly counters: BrokerCounters = { messagesIn: 0, messagesOut: 0, pings: 0 };
  readonly connections: Set<Connection> = new Set();

  readonly #seat: BrokerSeat;
  /** Of executors. */
  readonly #count: number;
  readonly #flusher: WriteFlusher;
  #server: TcpServer | undefined = undefined;
  /** Clients of this executor. */
  readonly #connectionCountMax: number;
  readonly #windowBytes: number;
  readonly #checking: NodeJS.Timeout;
  #connectionCount: number = 0;
  #state: typeof SERVING | typeof LAME | typeof DRAINING = SERVING;
  /** Ends lame duck mode early. */
  readonly #hurry: AbortController = new AbortController();
  #closed: Promise<void> | undefined = undefined;

  /** One of several, which works together with the others from here on. */
  constructor(options: ResolvedBrokerOptions, seat: BrokerSeat) {
    this.#seat = seat;
    this.#count = seat.peers.carriers.length;
    const maxSubscriptionBytes = Math.floor(options.maxSubscriptionBytes / this.#count);
    this.options = { ...options, maxSubscriptionBytes };
    const { bufferSize, maxConnections, maxPendingBytes } = options;
    this.pool = seat.pool;
    // Those that are turned away need a writer, too, and those that are being closed.
    const writerCount = Math.min(maxConnections + LEAVING_COUNT, WRITER_COUNT_MAX);
    this.#connectionCountMax = writerCount - LEAVING_COUNT;
    this.#flusher = WriteFlusher.create(this.pool, {
      writerCount,
      regionCount: REGION_COUNT,
    });
    const { bytes, view } = this.pool;
    const share = new FairShare();
    this.router = new FanOut(share, bytes, view, randomBytes(4).readInt32LE());
    this.backpressure = new Backpressure(this.pool, share, this.connections, options);
    this.#windowBytes = Math.min(WINDOW_BYTES_MAX, Math.max(bufferSize, maxPendingBytes));
    const { pool, router, backpressure, counters } = this;
    const laneCount = Math.max(1, this.#count * (this.#count - 1));
    const home = {
      pool,
      fanOut: router,
      backpressure,
      windowBytes: this.#windowBytes,
      windowRegions: Math.floor(pool.bufferCount / WINDOW_PART / laneCount),
      reader: () => new LaneReader(pool, options),
      delivered: (count: number) => {
        counters.messagesOut += count;
      },
    };
    this.mesh = new ServerPeers(home, seat.peers);
    if (!this.mesh.isAlone) backpressure.elsewhere = seat.board.elsewhere(seat.peers.index);
    const { pingIntervalMs, authTimeoutMs, stallMs, writeDeadlineMs } = options;
    const shortest = Math.min(pingIntervalMs, authTimeoutMs, stallMs, writeDeadlineMs) / 4;
    const checkMs = Math.max(CHECK_MS_MIN, Math.min(CHECK_MS_MAX, shortest));
    this.#checking = setInterval(() => this.#check(), checkMs);
  }

  /** One by itself. Rejects with ERR_BUSBAR_LINK_REFUSED when the port is taken. */
  static async start(options: BrokerOptions = {}): Promise<Broker> {
    const resolved = resolveBrokerOptions(options);
    const { bufferSize, bufferCount, host, port } = resolved;
    const pool = BufferPool.create({ bufferSize, bufferCount });
    const board = Board.create(1);
    const seat = { pool, peers: NO_PEERS, board, serverId: newServerId() };
    const broker = new Broker(resolved, seat);
    await broker.listen(() => ({ host, port }));
    return broker;
  }

  /**
   * Lets clients in, at the `place` that is asked for, and returned, when it is known what the
   * others' clients have subscribed to. Rejects with ERR_BUSBAR_LINK_REFUSED when that place is
   * taken; the broker is of no use then.
   */
  async listen<P extends ListenPlace>(choose: () => P): Promise<P> {
    const { maxFrameBytes, maxPendingBytes, lingerMs, frameTimeoutMs } = this.options;
    try {
      await this.#waitFor(() => this.mesh.isSynced, performance.now() + SYNC_MS_MAX);
      const place = choose();
      this.#server = await TcpServer.listen(this.pool, {
        ...place,
        maxFrameBytes,
        flusher: this.#flusher,
        // What others' publishers have on its way when a client is held back still goes to it.
        highWaterBytes: maxPendingBytes + OVERSHOOT * this.#windowBytes * (this.#count - 1),
        // How the pool is divided is up to `Backpressure`.
        highWaterBuffers: this.pool.bufferCount,
        closeDeadlineMs: lingerMs,
        frameTimeoutMs,
        // The broker has a deadline of its own, `writeDeadlineMs`.
        writeTimeoutMs: Infinity,
        readBuffersMax: Math.max(1, Math.floor(this.pool.bufferCount / READ_PART / this.#count)),
        codec: () => new ProtocolCodec(this.pool.view, this.options),
        handler: (link) => this.#accept(link),
      });
      return place;
    } catch (error) {
      this.#destroy();
      throw error;
    }
  }

  /** The port listened on. */
  get port(): number {
    return this.#seat.port ?? this.#server?.port ?? 0;
  }

  stats(): BrokerStats {
    let paused = 0;
    for (const { link } of this.connections) if (link.paused) paused++;
    return {
      ...this.counters,
      connections: this.connections.size,
      paused,
      subscriptions: this.router.index.count,
      slowConsumers: this.backpressure.slowCount,
    };
  }

  /** Shows the broker's parts and figures. */
  watch(monitor: Monitor): void {
    if (this.#seat.peers === NO_PEERS) monitor.watch('messages', this.pool);
    monitor.watch('writers', this.#flusher);
    if (this.#server !== undefined) monitor.watch('clients', this.#server);
    const read = (): Record<string, unknown> => ({ ...this.stats() });
    monitor.watchOwn('broker', { kind: 'broker', metrics: FIGURES, read });
    monitor.check('clients', () => (this.#state === SERVING ? '' : 'no more are taken'));
  }

  /** A client that is gone. */
  forget(connection: Connection): void {
    this.connections.delete(connection);
    this.#seat.board.setClients(this.#seat.peers.index, this.connections.size);
  }

  /**
   * Stops in order: accepts no more clients, tells clients to go elsewhere, sends them what was
   * published, and closes. Resolves when all have gone; a client that has not taken everything
   * after `lingerMs` loses the rest.
   */
  drain(): Promise<void> {
    this.#closed ??= this.#drain();
    return this.#closed;
  }

  /**
   * Stops in lame duck mode, as nats-server does: accepts no more clients, tells clients to go
   * elsewhere, serves them for a grace period, closes the remaining ones one after the other, and
   * drains. {@link drain} ends it at any time.
   */
  async lameDuck(): Promise<void> {
    await this.retire();
    await this.drain();
  }

  /** The same, but for the end: resolves when all clients were closed, or `drain` was called. */
  async retire(): Promise<void> {
    if (this.#state !== SERVING) return;
    this.#state = LAME;
    this.#server?.stopListening();
    await this.#tellAll();
    const { lameDuckGraceMs: graceMs, lameDuckDurationMs: durationMs } = this.options;
    await closeGradually(this.connections, { graceMs, durationMs, signal: this.#hurry.signal });
  }

  /** Stops at once. */
  destroy(): void {
    if (this.#closed !== undefined) return;
    this.#closed = Promise.resolve();
    this.#hurry.abort();
    clearInterval(this.#checking);
    this.#server?.destroy();
    this.backpressure.close();
    this.mesh.close();
  }

  async #drain(): Promise<void> {
    const wasServing = this.#state === SERVING;
    this.#state = DRAINING;
    this.#hurry.abort();
    if (wasServing) await this.#tellAll();
    // What has reached this machine by now is still read and passed on, as far as there is time.
    const untilMs = performance.now() + this.options.lingerMs;
    do {
      await turn();
    } while (this.backpressure.blockedCount > 0 && performance.now() < untilMs);
    if (!this.mesh.isAlone) await this.#part(untilMs);
    for (const connection of this.connections) connection.close();
    await this.#server?.close({ deadlineMs: this.options.lingerMs });
    this.#destroy();
  }

  /** Listens to clients no more, and waits for what other executors have for them. */
  async #part(untilMs: number): Promise<void> {
    const { mesh } = this;
    for (const connection of this.connections) connection.part();
    mesh.sayBye();
    await this.#waitFor(() => mesh.hasHeardBye && mesh.blockedCount === 0, untilMs);
  }

  /** Waits for something that only other executors can bring about. */
  async #waitFor(isTrue: () => boolean, untilMs: number): Promise<void> {
    while (!isTrue() && performance.now() < untilMs) {
      await Promise.race([this.mesh.change(), delay(CHECK_MS_MIN)]);
    }
  }

  #destroy(): void {
    clearInterval(this.#checking);
    this.backpressure.close();
    this.mesh.close();
    this.#flusher.close();
    if (this.#seat.peers === NO_PEERS) this.pool.close();
  }

  #accept(link: TcpLink): Connection {
    const { board, peers } = this.#seat;
    const id = ++this.#connectionCount * this.#count + peers.index;
    const connection = new Connection(this, link, id, performance.now());
    this.connections.add(connection);
    board.setClients(peers.index, this.connections.size);
    this.#sayInfo(connection);
    const isFull =
      board.clients > this.options.maxConnections ||
      this.connections.size > this.#connectionCountMax;
    if (isFull) {
      connection.cutOff('maximum connections exceeded');
    } else if (this.#state !== SERVING) {
      connection.close();
    }
    return connection;
  }

  /** Tells every client, at most as many in a turn as there are buffers for. */
  async #tellAll(): Promise<void> {
    const untold = new Set(this.connections);
    for (let round = 0; round < TELL_ROUNDS && untold.size > 0; round++) {
      let count = 0;
      for (const client of untold) {
        if (count++ % TOLD_PER_TURN === 0) await turn();
        if (this.#sayInfo(client)) untold.delete(client);
      }
    }
  }

  /** False: not now. */
  #sayInfo(connection: Connection): boolean {
    const { remoteAddress = '' } = connection.link.socket as Socket;
    const fields = {
      server_id: this.#seat.serverId,
      port: this.port,
      client_id: connection.id,
      client_ip: remoteAddress,
      // Clients that know another server should go there.
      ...(this.#state === SERVING ? {} : { ldm: true }),
    };
    return connection.say(Buffer.from(infoLine(fields, this.options)));
  }

  #check(): void {
    const nowMs = performance.now();
    for (const connection of this.connections) connection.check(nowMs);
    this.backpressure.check();
    this.router.dropVoid();
    if (!this.mesh.isAlone) this.mesh.flush();
  }
}

/** What INFO calls a broker. */
export function newServerId(): string {
  return randomBytes(16).toString('hex').toUpperCase();
}
