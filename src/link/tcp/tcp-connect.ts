// SPDX-License-Identifier: MIT
/** Opens a TCP or Unix connection, with a timeout, a signal and repeated attempts. */

import { connect, isIP, Socket } from 'node:net';
import type { Duplex } from 'node:stream';
import { checkInteger, checkTimeoutMs, show } from '../../base/check.ts';
import { BusbarError } from '../../base/errors.ts';
import { WaitGuard } from '../../base/wait-guard.ts';
import { checkNetAllowed } from '../../native/permission.ts';
import { type ConnectRetry, connectAgain, resolveRetry } from './connect-retry.ts';
import type { ReadTarget } from './read-target.ts';

/** Where to connect. */
export interface TcpAddress {
  /** Name or address. Default '127.0.0.1'. */
  readonly host?: string;
  /** 1 … 65535. Required, unless `path` is given. */
  readonly port?: number;
  /** Path of a Unix socket or a Windows pipe, in place of `port`. */
  readonly path?: string;
  /** The local address to connect from; not a name. Default: the system's choice. */
  readonly localAddress?: string;
  /** Longest time of one attempt. Default: the system's limit. */
  readonly timeoutMs?: number;
  /** Repeats attempts that are refused or time out. Default: one attempt. */
  readonly retry?: ConnectRetry;
}

/** Names of the fields of an address. */
export const TCP_ADDRESS_KEYS: readonly string[] = [
  'host',
  'port',
  'path',
  'localAddress',
  'timeoutMs',
  'retry',
];

/** Returns a checked copy of an address. */
export function readAddress(address: TcpAddress): TcpAddress {
  const { host, port, path, localAddress, timeoutMs } = address;
  if ((port === undefined) === (path === undefined)) {
    throw new TypeError('options must have either port or path');
  }
  if (port !== undefined) checkInteger('port', port, 1, 65535);
  for (const [name, value] of Object.entries({ host, path, localAddress })) {
    if (value !== undefined && typeof value !== 'string') {
      throw new TypeError(`${name} must be a string, got ${show(value)}`);
    }
    if (value === '') throw new RangeError(`${name} must not be empty, got ""`);
  }
  if (localAddress !== undefined && isIP(localAddress) === 0) {
    throw new RangeError(`localAddress must be an IPv4 or IPv6 address, got ${show(localAddress)}`);
  }
  if (timeoutMs !== undefined) checkTimeoutMs('timeoutMs', timeoutMs);
  return { ...address, retry: resolveRetry(address.retry) };
}

/**
 * Opens a socket and passes it to `onOpen` in the same turn in which it connects, before anything
 * can be read.
 *
 * **Throws** (rejects), after closing the socket, ERR_BUSBAR_LINK_REFUSED with the system's error
 * as cause, ERR_BUSBAR_TIMEOUT, `signal.reason`, and exceptions of `onOpen`. After several attempts
 * the last one's error is the cause.
 */
export function openSocket<T>(
  address: TcpAddress,
  target: ReadTarget | undefined,
  signal: AbortSignal | undefined,
  onOpen: (socket: Socket) => T,
): Promise<T> {
  checkNetAllowed();
  const attempt = (): Promise<T> => openOnce(address, target, signal, onOpen);
  return connectAgain(attempt, resolveRetry(address.retry), signal);
}

async function openOnce<T>(
  address: TcpAddress,
  target: ReadTarget | undefined,
  signal: AbortSignal | undefined,
  onOpen: (socket: Socket) => T,
): Promise<T> {
  signal?.throwIfAborted();
  const { host = '127.0.0.1', port, path, localAddress, timeoutMs = Infinity } = address;
  const where = path ?? `${host}:${port}`;
  return new Promise((resolve, reject) => {
    const socket = connect({
      ...(path === undefined ? { host, port: port as number } : { path }),
      ...(localAddress === undefined ? {} : { localAddress }),
      ...(target === undefined ? {} : { onread: target }),
      allowHalfOpen: true,
    });
    const fail = (reason: unknown): void => {
      settle();
      socket.on('error', () => {});
      socket.destroy();
      reject(reason);
    };
    const onError = (cause: Error): void => {
      fail(new BusbarError('ERR_BUSBAR_LINK_REFUSED', `${where}, ${cause.message}`, { cause }));
    };
    const onConnect = (): void => {
      settle();
      try {
        resolve(onOpen(socket));
      } catch (error) {
        fail(error);
      }
    };
    const guard = new WaitGuard({ signal, timeoutMs }, `connect to ${where}`, fail);
    const settle = (): void => {
      guard.end();
      socket.off('error', onError);
      socket.off('connect', onConnect);
    };
    socket.on('error', onError);
    socket.on('connect', onConnect);
  });
}

/** Sets the options of a `net.Socket`; other streams stay as they are. */
export function tuneSocket(
  socket: Duplex,
  options: { readonly noDelay: boolean; readonly keepAliveMs: number | undefined },
): void {
  if (!(socket instanceof Socket)) return;
  if (options.noDelay) socket.setNoDelay(true);
  if (options.keepAliveMs !== undefined) socket.setKeepAlive(true, options.keepAliveMs);
}

/** A socket, or a simulated one, whose connection can be reset; a pipe of Node cannot. */
type Resettable = Duplex & {
  readonly _handle?: { readonly reset?: unknown } | null;
  resetAndDestroy?(): unknown;
};

/**
 * Destroys a stream. A TCP connection whose end was not sent is reset, so that its peer does not
 * take this for the end of all data; so are other streams that have `resetAndDestroy`.
 */
export function destroyWithReset(stream: Duplex): void {
  const { _handle, resetAndDestroy, writableEnded, destroyed } = stream as Resettable;
  // A handle of Bun has no reset, but its sockets have.
  const resets = typeof _handle?.reset === 'function' || (_handle && 'bun' in process.versions);
  const isAble = stream instanceof Socket ? resets : !destroyed;
  if (isAble && !writableEnded && resetAndDestroy !== undefined) resetAndDestroy.call(stream);
  else stream.destroy();
}
