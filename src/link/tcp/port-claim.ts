// SPDX-License-Identifier: MIT
/**
 * Claims a port for one program before several of its threads listen on it together.
 *
 * Sockets that share a port would share it with another program of the same user, too. And opening
 * and closing a port to test that it is free resets clients that connect meanwhile. So no socket
 * listens before the first thread can serve; until then connections are refused.
 */

import { once } from 'node:events';
import { type AddressInfo, connect, createServer, type Server, type Socket } from 'node:net';
import { BusbarError } from '../../base/errors.ts';

/** A listener accepts within this time, or its backlog is full. */
const ANSWER_MS_MAX = 2000;
/** A program has started, or has ended, within this time. */
const LOCK_MS_MAX = 30_000;
/** Addresses at which a listener on all addresses can be reached. */
const LOOPBACK: Readonly<Record<string, string>> = { '0.0.0.0': '127.0.0.1', '::': '::1' };

/** A claim on a port: programs that start on the same port do so one after the other. */
export class PortClaim {
  readonly port: number;
  readonly #lock: PortLock | undefined;

  private constructor(port: number, lock: PortLock | undefined) {
    this.port = port;
    this.#lock = lock;
  }

  /**
   * Waits until no other program is about to listen on this port, and makes others wait until
   * {@link release}. Chooses a port if it is 0. Rejects with ERR_BUSBAR_LINK_REFUSED if the port is
   * in use.
   */
  static async take(address: string, port: number): Promise<PortClaim> {
    if (port === 0) return new PortClaim(await freePort(address), undefined);
    const lock = await PortLock.take(port);
    if (await isAnswered(LOOPBACK[address] ?? address, port)) {
      lock?.close();
      throw refused(taken(port));
    }
    return new PortClaim(port, lock);
  }

  /** Called when the threads listen, or never will. */
  release(): void {
    this.#lock?.close();
  }
}

/** Listens without sharing: for the thread that forwards, or to choose a port. */
export async function listenAlone(host: string, port: number): Promise<Server> {
  const server = createServer({ allowHalfOpen: true });
  try {
    server.listen(port, host);
    await once(server, 'listening');
  } catch (cause) {
    throw refused(cause as Error);
  }
  return server;
}

/** Chooses a free port. No client knows it, so none connects before it is closed again. */
async function freePort(address: string): Promise<number> {
  const server = await listenAlone(address, 0);
  const { port } = server.address() as AddressInfo;
  const closed = once(server, 'close');
  server.close();
  await closed;
  return port;
}

/**
 * A lock on a port: an abstract Unix socket, which is visible in the same network namespace as the
 * port, and ends with the process. A program that finds it taken connects to it, and waits until it
 * is closed.
 */
class PortLock {
  readonly #server: Server;
  readonly #waiting: Set<Socket> = new Set();

  private constructor() {
    this.#server = createServer((socket) => {
      this.#waiting.add(socket);
      socket.on('error', () => {});
      socket.on('close', () => this.#waiting.delete(socket));
    });
  }

  /** Returns undefined if the system has no abstract sockets. */
  static async take(port: number): Promise<PortLock | undefined> {
    if (process.platform !== 'linux') return undefined;
    const path = `\0busbar-port ${port}`;
    const untilMs = performance.now() + LOCK_MS_MAX;
    do {
      const lock = new PortLock();
      try {
        lock.#server.listen({ path });
        await once(lock.#server, 'listening');
        return lock;
      } catch (cause) {
        if ((cause as NodeJS.ErrnoException).code !== 'EADDRINUSE') throw refused(cause as Error);
      }
      await untilClosed(connect({ path }), untilMs - performance.now());
    } while (performance.now() < untilMs);
    throw refused(taken(port));
  }

  close(): void {
    this.#server.close();
    for (const socket of this.#waiting) socket.destroy();
  }
}

/** Resolves when it has closed, even if it could not connect: what it waits for has ended then. */
export function untilClosed(socket: Socket, timeoutMs: number): Promise<void> {
  const timer = setTimeout(() => socket.destroy(), timeoutMs);
  socket.on('error', () => {});
  return new Promise((resolve) => {
    socket.on('close', () => {
      clearTimeout(timer);
      resolve();
    });
  });
}

/** Whether the port is in use. */
async function isAnswered(host: string, port: number): Promise<boolean> {
  const socket = connect({ host, port });
  const timer = setTimeout(() => socket.destroy(new Error('no answer')), ANSWER_MS_MAX);
  try {
    await once(socket, 'connect');
    return true;
  } catch (error) {
    // Other errors occur again, and are reported, when threads listen.
    return (error as Error).message === 'no answer';
  } finally {
    clearTimeout(timer);
    socket.destroy();
  }
}

function taken(port: number): Error {
  return Object.assign(new Error(`port ${port} is taken`), { code: 'EADDRINUSE' });
}

export function refused(cause: Error): BusbarError {
  return new BusbarError('ERR_BUSBAR_LINK_REFUSED', cause.message, { cause });
}
