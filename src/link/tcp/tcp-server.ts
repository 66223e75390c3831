// SPDX-License-Identifier: MIT
/** `TcpServer`: listens, and makes a `TcpLink` of every connection. */

import { type AddressInfo, createServer, type ListenOptions } from 'node:net';
import type { Duplex } from 'node:stream';
import { offAbort, onAbort } from '../../base/abort.ts';
import {
  checkFunction,
  checkInteger,
  checkMade,
  checkOptions,
  checkTimeoutMs,
  show,
} from '../../base/check.ts';
import { describeAs } from '../../base/description.ts';
import { BusbarError } from '../../base/errors.ts';
import { eventChannel, publish } from '../../base/events.ts';
import { BufferAllowance } from '../../framer/buffer-allowance.ts';
import { checkNetAllowed } from '../../native/permission.ts';
import { checkPool } from '../../pool/check-pool.ts';
import type { BufferPool } from '../../pool/index.ts';
import type { LinkStats } from '../link.ts';
import { LinkTotals } from '../link-totals.ts';
import { warnUnheard } from '../unheard.ts';
import { TcpLink, type TcpLinkHost, type TcpLinkOptions } from './tcp-link.ts';
import { readTcpOptions, resolveTcpOptions, tryCodec } from './tcp-options.ts';

const acceptEvent = eventChannel('busbar.link.accept');
const refuseEvent = eventChannel('busbar.link.refuse');

/** Where to listen, and the options of accepted links. */
export interface TcpServerOptions extends TcpLinkOptions {
  /** Name or address. Default '127.0.0.1'; use '0.0.0.0' or '::' to be reachable from outside. */
  readonly host?: string;
  /** 0 … 65535; 0, the default, lets the system choose: see `server.port`. */
  readonly port?: number;
  /** Path of a Unix socket or a Windows pipe, in place of `port`. */
  readonly path?: string;
  /**
   * File descriptor of a listening socket, such as one of `listenReusePort`. The server closes it;
   * on failure it remains the caller's.
   */
  readonly fd?: number;
  /** Connections that may wait to be accepted. Default 511, as in Node. */
  readonly backlog?: number;
  /** Most links open at once; further connections are accepted and closed. Default: no limit. */
  readonly maxLinks?: number;
  /**
   * Most buffers that the links of this server may hold for reading, all together; a link that
   * needs one more waits. A paused link keeps the buffer of its last frame. The other
   * buffers of the pool stay free for replies, so that links cannot block each other, however many
   * there are. Default: three quarters of the pool's buffers. If several servers share a pool,
   * give each its part.
   */
  readonly readBuffersMax?: number;
  /**
   * Called if a connection cannot be accepted (no file descriptor is free) or become a link (no
   * writer slot is free); the connection is closed, and counted in `server.refused`. Also called
   * with what `codec` or `handler` throws; without `onError` that is rethrown.
   *
   * Called with `link` if a link fails whose handler has no `onClose`. Without `onError` all of
   * these are process warnings with the code `BUSBAR_LINK`, at most one a second.
   */
  readonly onError?: (error: Error, link?: TcpLink) => void;
}

/** Counters of a server, and sums over all links that it has accepted, closed ones included. */
export interface TcpServerStats extends LinkStats {
  /** Links that are open. */
  readonly links: number;
  /** Connections accepted. */
  readonly accepted: number;
  /** Connections that could not be accepted, or not become a link. */
  readonly refused: number;
  /** Links that have closed because of a failure. */
  readonly failed: number;
}

/** The part of a `net.Server` that a TcpServer uses. */
export interface ConnectionListener {
  maxConnections: number;
  on(event: 'connection', listener: (socket: Duplex) => void): unknown;
  on(event: 'close', listener: () => void): unknown;
  address(): AddressInfo | string | { readonly address: string; readonly port: number } | null;
  close(onClosed?: () => void): unknown;
  ref(): unknown;
  unref(): unknown;
}

const SERVER_KEYS = [
  'host',
  'port',
  'path',
  'fd',
  'backlog',
  'maxLinks',
  'readBuffersMax',
  'onError',
];
const BACKLOG_DEFAULT = 511;
const COUNT_MAX = 2 ** 31 - 1;
/** One buffer in this many is kept from reading, for writers. */
const WRITE_PART = 4;

/**
 * A listening socket; every connection becomes a {@link TcpLink} with the same options.
 *
 * @example A server that sends every frame back, and a client that sends one.
 * ```ts
 * import { LengthPrefixCodec } from 'busbar/framer';
 * import { TcpLink, TcpServer } from 'busbar/link';
 * import { BufferPool } from 'busbar/pool';
 *
 * const pool = BufferPool.create({ bufferSize: 16384, bufferCount: 64 });
 * const codec = () => new LengthPrefixCodec('u32');
 * const server = await TcpServer.listen(pool, {
 *   codec,
 *   handler: (link) => ({
 *     // The prefix lies before the payload: send both.
 *     onFrame(offset, length) {
 *       link.writer.tryWrite(pool.bytes, offset - 4, offset + length);
 *     },
 *   }),
 * });
 * const client = await TcpLink.connect(pool, {
 *   port: server.port,
 *   codec,
 *   handler: (link) => ({
 *     onFrame() {
 *       using packet = link.framer.takePacket();
 *       console.log(packet.toString()); // hello
 *       void link.close();
 *     },
 *     onClose: () => void server.close(),
 *   }),
 * });
 * client.writer.tryWrite(Buffer.from('\0\0\0\x05hello'));
 * ```
 */
export class TcpServer {
  readonly pool: BufferPool;
  /**
   * The open links. One that begins to end leaves at once, also during an iteration: with `end`,
   * `close`, `destroy`, a failure, or the peer's end. {@link close} and {@link destroy} end those
   * as well.
   */
  readonly links: ReadonlySet<TcpLink>;
  readonly #links: Set<TcpLink>;
  /** Links that have begun to end, and have not closed. */
  readonly #ending: Set<TcpLink> = new Set();
  readonly #server: ConnectionListener;
  readonly #totals = new LinkTotals();
  #accepted = 0;
  readonly #onError: TcpServerOptions['onError'];
  #refused = 0;
  #failed = 0;
  #lastError: Error | undefined;
  #destroyed = false;
  /** Its port or path, also once it is closed, for warnings. */
  #place: string = '';

  private constructor(pool: BufferPool, server: ConnectionListener, options: TcpServerOptions) {
    checkMade(options !== undefined, new.target);
    this.pool = pool;
    this.#server = server;
    this.#links = new Set();
    this.links = this.#links;
    this.#notePlace();
    const {
      backlog: _b,
      host: _h,
      port: _p,
      path: _q,
      fd: _f,
      maxLinks,
      readBuffersMax,
      onError,
      ...linkOptions
    } = options;
    this.#onError = onError;
    const host: TcpLinkHost = {
      allowance: new BufferAllowance(readBuffersMax ?? readBuffersDefault(pool.bufferCount)),
      linkEnding: (link) => {
        if (this.#links.delete(link)) this.#ending.add(link);
      },
      linkFailed: (failure) => {
        this.#failed++;
        this.#lastError = failure;
      },
      linkUnheard: (link, failure) => {
        this.#report('a link without onClose has failed', failure, link);
      },
    };
    if (maxLinks !== undefined) server.maxConnections = maxLinks;
    server.on('connection', (socket) => {
      this.#accepted++;
      try {
        const link = TcpLink.adoptWithin(host, pool, socket, linkOptions);
        // The link's own handler may have ended it.
        (link.isOpen ? this.#links : this.#ending).add(link);
        // Before the link's own listener: its `onClose` may throw.
        link.socket.prependListener('close', () => {
          if (this.#links.delete(link) || this.#ending.delete(link)) this.#totals.add(link);
        });
        if (acceptEvent.hasSubscribers) publish(acceptEvent, { server: this, link });
        // The link's own handler may have destroyed the server.
        if (this.#destroyed) link.destroy();
      } catch (error) {
        socket.destroy();
        if (onError === undefined && !BusbarError.isOne(error)) {
          this.#refused++;
          throw error;
        }
        this.#refuse(error as Error);
      }
    });
  }

  /**
   * Listens; resolves when it accepts connections.
   *
   * **Throws** (rejects) ERR_BUSBAR_LINK_REFUSED with the system's error as cause, for example if
   * the port is taken; TypeError or RangeError naming the option.
   */
  static async listen(pool: BufferPool, options: TcpServerOptions): Promise<TcpServer> {
    checkPool(pool);
    const own = readTcpOptions(options, SERVER_KEYS);
    resolveTcpOptions(pool, own, SERVER_KEYS);
    const where = listenOptions(own);
    checkNetAllowed();
    // Paused: nothing is read before the link has named the memory to read into.
    const listener = createServer({ pauseOnConnect: true, allowHalfOpen: true });
    const server = TcpServer.over(pool, listener, own);
    await new Promise<void>((resolve, reject) => {
      listener.once('error', (cause) => {
        listener.close();
        reject(new BusbarError('ERR_BUSBAR_LINK_REFUSED', cause.message, { cause }));
      });
      // The signal closed the server before it listened, or in the same turn.
      listener.once('close', () => reject(own.signal?.reason));
      listener.listen(where, () => resolve());
    });
    if (own.signal?.aborted) {
      listener.close();
      throw own.signal.reason;
    }
    server.#notePlace();
    listener.removeAllListeners('error');
    listener.on('error', (error) => {
      server.#refuse(error);
    });
    return server;
  }

  /** @internal Creates a server on any listener. **Throws** as {@link listen} rejects. */
  static over(
    pool: BufferPool,
    listener: ConnectionListener,
    options: TcpServerOptions,
  ): TcpServer {
    const resolved = resolveTcpOptions(pool, options, SERVER_KEYS);
    const { signal } = resolved;
    if (options.onError !== undefined) checkFunction('onError', options.onError);
    if (options.maxLinks !== undefined) checkInteger('maxLinks', options.maxLinks, 1, COUNT_MAX);
    const { readBuffersMax } = options;
    if (readBuffersMax !== undefined) {
      checkInteger('readBuffersMax', readBuffersMax, 1, pool.bufferCount);
    }
    signal?.throwIfAborted();
    tryCodec(pool, resolved);
    const server = new TcpServer(pool, listener, options);
    if (signal !== undefined) {
      const destroy = (): void => server.destroy();
      onAbort(signal, destroy);
      listener.on('close', () => offAbort(signal, destroy));
    }
    return server;
  }

  /** The port; 0 for a path, or when closed. */
  get port(): number {
    return (this.#server.address() as AddressInfo | null)?.port ?? 0;
  }

  /** The address or path; '' when closed. */
  get host(): string {
    const address = this.#server.address();
    return typeof address === 'string' ? address : (address?.address ?? '');
  }

  /** Connections accepted so far. */
  get accepted(): number {
    return this.#accepted;
  }

  /** Connections that could not be accepted, or not become a link. */
  get refused(): number {
    return this.#refused;
  }

  /** Links that have closed because of a failure: their `error`, and no act of this program. */
  get failed(): number {
    return this.#failed;
  }

  /** Why a link failed, or a connection was refused, most recently. */
  get lastError(): Error | undefined {
    return this.#lastError;
  }

  /** **Cost** a few loads per open link. */
  stats(): TcpServerStats {
    return {
      links: this.#links.size,
      accepted: this.#accepted,
      refused: this.#refused,
      failed: this.#failed,
      ...this.#totals.with(this.#unclosed()),
    };
  }

  /** Keeps the event loop alive while listening (the default). Links have their own `ref`. */
  ref(): void {
    this.#server.ref();
  }

  /** Allows the process to exit while listening. */
  unref(): void {
    this.#server.unref();
  }

  /** Stops accepting; open links stay until {@link close}. */
  stopListening(): void {
    this.#server.close();
  }

  /**
   * Stops accepting and closes every link in good order, see `TcpLink.close`. Resolves when all are
   * closed.
   */
  async close(options: { readonly deadlineMs?: number } = {}): Promise<void> {
    const own = checkOptions('options', options, ['deadlineMs']);
    if (own.deadlineMs !== undefined) checkTimeoutMs('deadlineMs', own.deadlineMs);
    const closed = new Promise<void>((resolve) => {
      // The callback gets an error if the server had stopped listening before; it is closed, too.
      this.#server.close(() => resolve());
    });
    // Again: a handler may close the server before its own link is in the set.
    do {
      await Promise.all(this.#unclosed().map((link) => link.close(own)));
    } while (this.#unclosed().length > 0);
    await closed;
  }

  /** Stops accepting and closes every link at once. */
  destroy(): void {
    this.#destroyed = true;
    this.#server.close();
    for (const link of this.#unclosed()) link.destroy();
  }

  #notePlace(): void {
    this.#place = this.port > 0 ? `port ${this.port}` : this.host;
  }

  #unclosed(): TcpLink[] {
    return [...this.#links, ...this.#ending];
  }

  #refuse(error: Error): void {
    this.#refused++;
    this.#lastError = error;
    if (refuseEvent.hasSubscribers) publish(refuseEvent, { server: this, error });
    this.#report('a connection was refused', error);
  }

  #report(what: string, error: Error, link?: TcpLink): void {
    if (this.#onError !== undefined) this.#onError(error, link);
    else warnUnheard(`a server on ${this.#place}: ${what}`, error);
  }

  /** Closes in good order. */
  [Symbol.asyncDispose](): Promise<void> {
    return this.close();
  }
}

function readBuffersDefault(bufferCount: number): number {
  return Math.max(1, bufferCount - Math.ceil(bufferCount / WRITE_PART));
}

function listenOptions(options: TcpServerOptions): ListenOptions & { readonly fd?: number } {
  const backlog = checkInteger('backlog', options.backlog ?? BACKLOG_DEFAULT, 1, COUNT_MAX);
  for (const name of ['host', 'path'] as const) {
    const value: unknown = options[name];
    // With an empty string Node would listen on every address.
    if (value === '') throw new RangeError(`${name} must not be empty, got ""`);
    if (value === undefined || typeof value === 'string') continue;
    throw new TypeError(`${name} must be a string, got ${show(value)}`);
  }
  if (options.fd !== undefined) {
    if (options.port !== undefined) throw new TypeError('options must not have both port and fd');
    if (options.path !== undefined) throw new TypeError('options must not have both path and fd');
    return { fd: checkInteger('fd', options.fd, 0, COUNT_MAX), backlog };
  }
  if (options.path !== undefined) {
    if (options.port !== undefined) throw new TypeError('options must not have both port and path');
    return { path: options.path, backlog };
  }
  const port = checkInteger('port', options.port ?? 0, 0, 65535);
  return { host: options.host ?? '127.0.0.1', port, backlog };
}

describeAs(TcpServer, 'TcpServer', (server) => ({
  host: server.host,
  port: server.port,
  accepted: server.accepted,
  failed: server.failed,
}));
