// SPDX-License-Identifier: MIT
/**
 * Example broker: a NATS-protocol server on one thread, made of busbar's parts.
 *
 *   socket ─▶ framer, ProtocolCodec ─▶ Connection ─▶ Router ─▶ Connection.offer ─▶ writer ─▶ socket
 *              the kernel reads           operations    subjects   one copy for        one write
 *              into the pool                                       each subscriber     for many
 */

import { randomBytes } from 'node:crypto';
import type { Socket } from 'node:net';
import { type TcpLink, TcpServer } from 'busbar/link';
import { BufferPool } from 'busbar/pool';
import { WriteFlusher } from 'busbar/writer';
import { Backpressure } from './backpressure.ts';
import {
  type BrokerOptions,
  type ResolvedBrokerOptions,
  resolveBrokerOptions,
} from './broker-options.ts';
import { type BrokerCore, type BrokerCounters, Connection } from './connection.ts';
import { infoLine } from './handshake.ts';
import { ProtocolCodec } from './protocol.ts';
import { Router } from './router.ts';

/** What clients are told; some choose features by it. */
const VERSION = '0.1.0';
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
/** A protocol line and its payload end with CR and LF each. */
const LINE_ENDS_BYTES = 4;

export class Broker implements BrokerCore {
  readonly options: ResolvedBrokerOptions;
  readonly pool: BufferPool;
  readonly router: Router<Connection>;
  readonly backpressure: Backpressure;
  readonly counters: BrokerCounters = {
    messagesIn: 0,
    messagesOut: 0,
    pings: 0,
  };
  readonly connections: Set<Connection> = new Set();

  readonly #serverId: string = randomBytes(16).toString('hex').toUpperCase();
  readonly #flusher: WriteFlusher;
  #server: TcpServer | undefined = undefined;
  readonly #checking: NodeJS.Timeout;
  #connectionCount: number = 0;
  #isDraining: boolean = false;
  #closed: Promise<void> | undefined = undefined;

  private constructor(options: ResolvedBrokerOptions) {
    this.options = options;
    const { bufferSize, bufferCount, maxConnections, stallMs } = options;
    this.pool = BufferPool.create({ bufferSize, bufferCount });
    this.#flusher = WriteFlusher.create(this.pool, {
      // Those that are turned away need one, too, and those that are being closed.
      writerCount: maxConnections + LEAVING_COUNT,
      regionCount: REGION_COUNT,
    });
    const { bytes, view } = this.pool;
    this.router = new Router(bytes, view, randomBytes(4).readInt32LE());
    this.backpressure = new Backpressure(this.pool, stallMs, this.connections, () =>
      performance.now(),
    );
    const { pingIntervalMs, authTimeoutMs } = options;
    const shortest = Math.min(pingIntervalMs, authTimeoutMs, stallMs) / 4;
    const checkMs = Math.max(CHECK_MS_MIN, Math.min(CHECK_MS_MAX, shortest));
    this.#checking = setInterval(() => this.#check(), checkMs);
  }

  /** Listens. Rejects with ERR_BUSBAR_LINK_REFUSED when the port is taken. */
  static async start(options: BrokerOptions = {}): Promise<Broker> {
    const broker = new Broker(resolveBrokerOptions(options));
    const { host, port, maxPendingBytes, lingerMs } = broker.options;
    const { maxPayloadBytes, maxControlLineBytes } = broker.options;
    try {
      broker.#server = await TcpServer.listen(broker.pool, {
        host,
        port,
        maxFrameBytes: maxPayloadBytes + maxControlLineBytes + LINE_ENDS_BYTES,
        flusher: broker.#flusher,
        highWaterBytes: maxPendingBytes,
        closeDeadlineMs: lingerMs,
        codec: () => new ProtocolCodec(broker.pool.view, broker.options),
        handler: (link) => broker.#accept(link),
      });
    } catch (error) {
      broker.#dispose();
      throw error;
    }
    return broker;
  }

  /** The port listened on. */
  get port(): number {
    return this.#server?.port ?? 0;
  }

  /** A client that is gone. */
  forget(connection: Connection): void {
    this.connections.delete(connection);
  }

  /**
   * Stops in good order: accepts nobody any more, tells clients to go elsewhere, sends them what
   * was published, and closes. Resolves when all are gone; who has not taken everything after
   * `lingerMs` loses the rest.
   */
  drain(): Promise<void> {
    this.#closed ??= this.#drain();
    return this.#closed;
  }

  async #drain(): Promise<void> {
    this.#isDraining = true;
    for (const connection of this.connections) this.#sayInfo(connection);
    // What has reached this machine by now is still read and passed on, as far as there is time.
    const untilMs = performance.now() + this.options.lingerMs;
    do {
      await new Promise((resolve) => setImmediate(resolve));
    } while (this.backpressure.blockedCount > 0 && performance.now() < untilMs);
    for (const connection of this.connections) connection.close();
    await this.#server?.close({ deadlineMs: this.options.lingerMs });
    this.#dispose();
  }

  #dispose(): void {
    clearInterval(this.#checking);
    this.backpressure.close();
    this.#flusher.close();
    this.pool.close();
  }

  #accept(link: TcpLink): Connection {
    const connection = new Connection(this, link, ++this.#connectionCount, performance.now());
    this.connections.add(connection);
    this.#sayInfo(connection);
    if (this.connections.size > this.options.maxConnections) {
      connection.cutOff('maximum connections exceeded');
    }
    return connection;
  }

  #sayInfo(connection: Connection): void {
    const { remoteAddress } = connection.link.socket as Socket;
    const fields = {
      serverId: this.#serverId,
      version: VERSION,
      host: this.options.host,
      port: this.port,
      clientId: connection.id,
      clientAddress: remoteAddress ?? '',
      lameDuck: this.#isDraining,
    };
    connection.say(Buffer.from(infoLine(fields, this.options)));
  }

  #check(): void {
    const nowMs = performance.now();
    for (const connection of this.connections) connection.check(nowMs);
    this.backpressure.check();
    this.router.cache.dropVoid();
  }
}
