// SPDX-License-Identifier: MIT
/** `SharedPort`: one port at which several threads of a program accept connections. */

import { randomBytes } from 'node:crypto';
import { lookup } from 'node:dns/promises';
import { rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import {
  checkBoolean,
  checkInteger,
  checkMade,
  checkOptions,
  checkText,
} from '../../base/check.ts';
import { native } from '../../native/features.ts';
import { checkNetAllowed } from '../../native/permission.ts';
import { listenReusePort } from '../../native/reuse-port.ts';
import { listenAlone, PortClaim, refused } from './port-claim.ts';
import { PortForwarder } from './port-forwarder.ts';

/** Where the threads accept connections. */
export interface SharedPortOptions {
  /** Name or address. Default '127.0.0.1'. */
  readonly host?: string;
  /** 0 … 65535; 0, the default, lets the system choose: see `port`. */
  readonly port?: number;
}

/** What a thread needs to listen; structured-cloneable. */
export interface SharedPortHandle {
  /** An address. */
  readonly host: string;
  readonly port: number;
  /** True: the threads listen on the port; false: on paths, and connections are forwarded. */
  readonly isShared: boolean;
}

/** Where one thread listens: options of `TcpServer.listen`. */
export type SharedPlace = { readonly fd: number } | { readonly path: string };

const KEYS = ['host', 'port'];
const PLACE_KEYS = ['fd', 'path'];
const HANDLE_KEYS = ['host', 'port', 'isShared'];
/** What a group of threads may have at most. */
const THREADS_MAX = 1 << 16;

/**
 * One port at which several threads accept connections, each its own. With the native shim on Linux
 * the threads listen on it together, and the kernel spreads the connections. Without, this thread
 * accepts them, and forwards the bytes to the threads, which take turns.
 *
 * 1. One thread claims the port, and passes {@link handle} to the others.
 * 2. Each of these listens at its `SharedPort.placeOf(handle)`, and tells the first one.
 * 3. That calls {@link opened} for each, and {@link release} when all have begun, or failed.
 *
 * Two programs of one user that claim the same port do so one after the other: the second is
 * refused, although the kernel would let both listen.
 *
 * @example
 * ```ts
 * import { SharedPort, TcpServer } from 'busbar/link';
 * import { FixedCodec } from 'busbar/framer';
 * import { BufferPool } from 'busbar/pool';
 *
 * const port = await SharedPort.claim();
 *
 * // In each thread:
 * const pool = BufferPool.create({ bufferSize: 4096, bufferCount: 64 });
 * const place = SharedPort.placeOf(port.handle);
 * const server = await TcpServer.listen(pool, {
 *   ...place,
 *   codec: () => new FixedCodec(8),
 *   handler: () => ({ onFrame() {} }),
 * });
 *
 * port.opened(0, place);
 * port.release();
 * console.log(`serving port ${port.port}`);
 *
 * await Promise.all([port.close(), server.close()]);
 * ```
 */
export class SharedPort {
  readonly handle: SharedPortHandle;
  /** Why connections are forwarded; '' if the threads share the port. */
  readonly forwarded: string;
  readonly #claim: PortClaim | undefined;
  readonly #forwarder: PortForwarder | undefined;
  /** By thread, where it listens. */
  readonly #paths: (string | undefined)[] = [];

  private constructor(handle: SharedPortHandle, by: PortClaim | PortForwarder) {
    checkMade(by !== undefined, new.target, 'SharedPort.claim');
    this.handle = handle;
    this.#claim = by instanceof PortClaim ? by : undefined;
    this.#forwarder = by instanceof PortForwarder ? by : undefined;
    this.forwarded = handle.isShared ? '' : native.features.reusePort.reason;
  }

  /**
   * Claims a port; nothing listens on it yet, unless connections are forwarded.
   *
   * **Throws** (rejects) ERR_BUSBAR_LINK_REFUSED with the system's error as cause, if the port is
   * taken or the host unknown; TypeError or RangeError naming the option.
   */
  static async claim(options: SharedPortOptions = {}): Promise<SharedPort> {
    const own = checkOptions('options', options, KEYS);
    const name = checkText('host', own.host ?? '127.0.0.1');
    const port = checkInteger('port', own.port ?? 0, 0, 65_535);
    checkNetAllowed();
    const { address: host } = await lookup(name).catch((cause: Error) => {
      throw refused(cause);
    });
    const isShared = native.features.reusePort.available;
    const by = isShared
      ? await PortClaim.take(host, port)
      : new PortForwarder(await listenAlone(host, port));
    return new SharedPort({ host, port: by.port, isShared }, by);
  }

  /**
   * Where the calling thread listens. Each call is another place.
   *
   * **Ownership** a file descriptor is the caller's until a server has it: close it if `listen`
   * rejects an option. Connections wait in it.
   * **Throws** ERR_BUSBAR_NATIVE_FAILED with step and errno.
   */
  static placeOf(handle: SharedPortHandle): SharedPlace {
    const { host, port, isShared } = checkOptions('handle', handle, HANDLE_KEYS);
    return checkBoolean('handle.isShared', isShared)
      ? { fd: listenReusePort({ host, port }).fd }
      : { path: privatePath() };
  }

  get port(): number {
    return this.handle.port;
  }

  /** Thread `index` listens at that place, in the place of a predecessor perhaps. */
  opened(index: number, place: SharedPlace): void {
    checkInteger('index', index, 0, THREADS_MAX - 1);
    const { path } = checkOptions<{ fd?: number; path?: string }>('place', place, PLACE_KEYS);
    if (path !== undefined) checkText('place.path', path);
    this.#paths[index] = path;
    this.#forwarder?.setPath(index, path);
  }

  /** Thread `index` has ended: no connection is forwarded to it. */
  closed(index: number): void {
    checkInteger('index', index, 0, THREADS_MAX - 1);
    const path = this.#paths[index];
    if (path === undefined) return;
    this.#paths[index] = undefined;
    this.#forwarder?.setPath(index, undefined);
    rmSync(path, { force: true });
  }

  /** Lets other programs claim the port: the threads listen now, or never will. Idempotent. */
  release(): void {
    this.#claim?.release();
  }

  /** Accepts no more connections; resolves when the last forwarded one has ended. */
  async close(): Promise<void> {
    this.release();
    await this.#forwarder?.close();
  }

  /** The same, and ends forwarded connections at once. */
  destroy(): void {
    void this.close();
    this.#forwarder?.destroy();
  }
}

/** A path that no other program guesses. */
function privatePath(): string {
  const name = `busbar-${process.pid}-${randomBytes(6).toString('hex')}`;
  return process.platform === 'win32' ? `\\\\.\\pipe\\${name}` : join(tmpdir(), `${name}.sock`);
}
