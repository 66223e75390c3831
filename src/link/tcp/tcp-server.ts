// SPDX-License-Identifier: MIT
/** The socket's end of the way: a listening socket that makes a link of every connection. */

import { type AddressInfo, createServer, type ListenOptions } from 'node:net';
import type { Duplex } from 'node:stream';
import { offAbort, onAbort } from '../../base/abort.ts';
import {
  checkFunction,
  checkInteger,
  checkOptions,
  checkTimeoutMs,
  show,
} from '../../base/check.ts';
import { describeAs } from '../../base/description.ts';
import { BusbarError } from '../../base/errors.ts';
import { BufferAllowance } from '../../framer/buffer-allowance.ts';
import { checkNetAllowed } from '../../native/permission.ts';
import type { BufferPool } from '../../pool/index.ts';
import { TcpLink, type TcpLinkOptions } from './tcp-link.ts';
import { readTcpOptions, resolveTcpOptions, tryCodec } from './tcp-options.ts';

/** Where to listen, and what to make of connections. */
export interface TcpServerOptions extends TcpLinkOptions {
  /** Name or address. Default '127.0.0.1': say '0.0.0.0' or '::' to be reached from outside. */
  readonly host?: string;
  /** 0 … 65535; 0, the default, lets the system choose: see `server.port`. */
  readonly port?: number;
  /** A Unix socket instead, or a Windows pipe. */
  readonly path?: string;
  /**
   * A listening socket that is open already, by its file descriptor, such as one of
   * `listenReusePort`. The server closes it; on failure the caller still has it.
   */
  readonly fd?: number;
  /** Connections that may wait to be accepted. Default 511, as Node's. */
  readonly backlog?: number;
  /** Connections beyond this are closed as soon as they are accepted. Default: no limit. */
  readonly maxLinks?: number;
  /**
   * Buffers that all links of the server together may hold for what they read; a link that finds
   * none left waits. The rest of the pool is for what is written in answer, so that more peers than
   * there are buffers cannot stop each other. Default: three quarters of the pool's. Give each of
   * several servers that share a pool its part.
   */
  readonly readBuffersMax?: number;
  /**
   * A connection could not be accepted (no file descriptor is free) or not become a link (no writer
   * slot is free); it is closed, and counted in `server.refused`. What `codec` or `handler` throw
   * comes here too; without `onError` it is thrown on.
   */
  readonly onError?: (error: Error) => void;
}

/** What a server asks of whatever listens for it; a `net.Server` has it. */
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
/** What reading leaves of a pool. */
const WRITE_PART = 4;

/**
 * A listening socket; every connection becomes a {@link TcpLink} with the same options.
 *
 * @example A server that sends every frame back, and a client that asks it once.
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
  /** The open links. */
  readonly links: ReadonlySet<TcpLink>;
  readonly #links: Set<TcpLink>;
  readonly #server: ConnectionListener;
  #accepted = 0;
  #refused = 0;
  #destroyed = false;

  private constructor(pool: BufferPool, server: ConnectionListener, options: TcpServerOptions) {
    this.pool = pool;
    this.#server = server;
    this.#links = new Set();
    this.links = this.#links;
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
    const allowance = new BufferAllowance(readBuffersMax ?? readBuffersDefault(pool.bufferCount));
    if (maxLinks !== undefined) server.maxConnections = maxLinks;
    server.on('connection', (socket) => {
      this.#accepted++;
      try {
        const link = TcpLink.adoptWithin(allowance, pool, socket, linkOptions);
        this.#links.add(link);
        // Before the link's own listener: its `onClose` may throw.
        link.socket.prependListener('close', () => this.#links.delete(link));
        // By its own handler, say.
        if (this.#destroyed) link.destroy();
      } catch (error) {
        socket.destroy();
        this.#refused++;
        if (onError !== undefined) onError(error as Error);
        else if (!BusbarError.isOne(error)) throw error;
      }
    });
  }

  /**
   * Listens. Resolves when connections can come.
   *
   * **Throws** (rejects) ERR_BUSBAR_LINK_REFUSED with the system's error as cause, as when the port
   * is taken; TypeError or RangeError naming the option that is wrong.
   */
  static async listen(pool: BufferPool, options: TcpServerOptions): Promise<TcpServer> {
    const own = readTcpOptions(options, SERVER_KEYS);
    resolveTcpOptions(pool, own, SERVER_KEYS);
    const where = listenOptions(own);
    checkNetAllowed();
    // Paused: nothing is read before the link says where to.
    const listener = createServer({ pauseOnConnect: true, allowHalfOpen: true });
    const server = TcpServer.over(pool, listener, own);
    await new Promise<void>((resolve, reject) => {
      listener.once('error', (cause) => {
        listener.close();
        reject(new BusbarError('ERR_BUSBAR_LINK_REFUSED', cause.message, { cause }));
      });
      // Aborted before it listened, or in the turn in which it began to.
      listener.once('close', () => reject(own.signal?.reason));
      listener.listen(where, () => resolve());
    });
    if (own.signal?.aborted) {
      listener.close();
      throw own.signal.reason;
    }
    listener.removeAllListeners('error');
    listener.on('error', (error) => {
      server.#refused++;
      own.onError?.(error);
    });
    return server;
  }

  /** @internal A server of whatever listens, or will. **Throws** as {@link listen} rejects. */
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

  /** The port listened on; 0 for a path, or when closed. */
  get port(): number {
    return (this.#server.address() as AddressInfo | null)?.port ?? 0;
  }

  /** The address or path listened on; '' when closed. */
  get host(): string {
    const address = this.#server.address();
    return typeof address === 'string' ? address : (address?.address ?? '');
  }

  /** Connections accepted so far. */
  get accepted(): number {
    return this.#accepted;
  }

  /** Connections that could not be accepted or not become a link. */
  get refused(): number {
    return this.#refused;
  }

  /** Keeps the event loop alive while listening (the default). Links have a `ref` of their own. */
  ref(): void {
    this.#server.ref();
  }

  /** Lets the process end while listening. */
  unref(): void {
    this.#server.unref();
  }

  /** Accepts no more; the links stay, until {@link close}. */
  stopListening(): void {
    this.#server.close();
  }

  /**
   * Accepts no more and closes every link in good order, see `TcpLink.close`. Resolves when all are
   * closed.
   */
  async close(options: { readonly deadlineMs?: number } = {}): Promise<void> {
    checkOptions('options', options, ['deadlineMs']);
    if (options.deadlineMs !== undefined) checkTimeoutMs('deadlineMs', options.deadlineMs);
    const closed = new Promise<void>((resolve) => {
      // The callback gets an error if the server was not listening any more: closed is closed.
      this.#server.close(() => resolve());
    });
    // Again: a handler that closes the server does so before its own link is one of them.
    do {
      await Promise.all([...this.#links].map((link) => link.close(options)));
    } while (this.#links.size > 0);
    await closed;
  }

  /** Accepts no more and closes every link at once. */
  destroy(): void {
    this.#destroyed = true;
    this.#server.close();
    for (const link of [...this.#links]) link.destroy();
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
    // Node listens everywhere then.
    if (value === '') throw new RangeError(`${name} must not be empty, got ""`);
    if (value === undefined || typeof value === 'string') continue;
    throw new TypeError(`${name} must be a string, got ${show(value)}`);
  }
  if (options.fd !== undefined) {
    if (options.port !== undefined) throw new TypeError('options must not have port and fd');
    if (options.path !== undefined) throw new TypeError('options must not have path and fd');
    return { fd: checkInteger('fd', options.fd, 0, COUNT_MAX), backlog };
  }
  if (options.path !== undefined) {
    if (options.port !== undefined) throw new TypeError('options must not have port and path');
    return { path: options.path, backlog };
  }
  const port = checkInteger('port', options.port ?? 0, 0, 65535);
  return { host: options.host ?? '127.0.0.1', port, backlog };
}

describeAs(TcpServer, 'TcpServer', (server) => ({
  host: server.host,
  port: server.port,
  accepted: server.accepted,
}));
