// SPDX-License-Identifier: MIT
/** Listeners that share one port, so that each thread accepts its own connections. */
import { isIP } from 'node:net';
import { checkInteger, checkOptions, show } from '../base/check.ts';
import { failure, requireCall } from './shim.ts';

/** Where to listen. */
export interface ReusePortOptions {
  /** An address, not a name: '0.0.0.0', '::1'. '::' takes IPv4 as well. */
  readonly host: string;
  /** 0: the kernel picks one; pass it to the other listeners. */
  readonly port: number;
  /** Connections that wait to be accepted. Default 511, Node's own; the kernel may allow fewer. */
  readonly backlog?: number;
}

/** A listening socket. */
export interface ReusePortListener {
  /** For `net.Server#listen({ fd })`, which owns it from then on. */
  readonly fd: number;
  readonly port: number;
}

const OPTIONS = ['host', 'port', 'backlog'];

/** The steps of native/bus.h, enum bus_step. */
export const LISTEN_STEPS: readonly string[] = [
  'address',
  'socket',
  'setsockopt',
  'bind',
  'listen',
  'getsockname',
];

/**
 * Listens on a port that other sockets of this user may listen on, too. The kernel spreads new
 * connections over all of them, from this call on; connections to a listener that does not accept
 * wait.
 *
 * **Ownership**: the descriptor is the caller's until it is given to a server.
 * **Throws** ERR_BUSBAR_NATIVE_UNAVAILABLE, ERR_BUSBAR_NATIVE_FAILED with step and errno.
 */
export function listenReusePort(options: ReusePortOptions): ReusePortListener {
  const own = checkOptions('options', options, OPTIONS);
  const { host } = own;
  if (typeof host !== 'string') throw new TypeError(`host must be a string, got ${show(host)}`);
  if (isIP(host) === 0) {
    throw new RangeError(`host must be an IPv4 or IPv6 address, got ${show(host)}`);
  }
  const port = checkInteger('port', own.port, 0, 65_535);
  const backlog = checkInteger('backlog', own.backlog ?? 511, 1, 0x7fffffff);
  const result = new Int32Array(2);
  requireCall('listenReusePort')(host, port, backlog, result);
  const [fd = -1, detail = 0] = result;
  if (fd < 0) throw failure(`listenReusePort: ${LISTEN_STEPS[detail]}`, fd);
  return { fd, port: detail };
}
