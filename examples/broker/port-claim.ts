// SPDX-License-Identifier: MIT
/**
 * Example broker: sees to it that a port is nobody else's, before executors listen on it together.
 *
 * Sockets that share a port would share it with another broker of the same user, too. And whoever
 * opens a port and closes it again, to see that it is free, resets those who connect meanwhile. So
 * nobody listens before the first executor can serve; until then who connects is refused.
 */

import { once } from 'node:events';
import { type AddressInfo, connect, createServer, type Server, type Socket } from 'node:net';
import { BusbarError } from 'busbar/errors';

/** Whoever listens answers by then, or has too many waiting already. */
const ANSWER_MS_MAX = 2000;
/** A broker has begun, or has ended, by then. */
const GATE_MS_MAX = 30_000;
/** Where who listens everywhere can be reached. */
const LOOPBACK: Readonly<Record<string, string>> = { '0.0.0.0': '127.0.0.1', '::': '::1' };

/** Of brokers that are started on one port, one after the other. */
export class PortClaim {
  readonly port: number;
  readonly #gate: Gate | undefined;

  private constructor(port: number, gate: Gate | undefined) {
    this.port = port;
    this.#gate = gate;
  }

  /**
   * Waits until no other broker is about to listen on this port, and makes others wait until
   * {@link release}. With port 0 it chooses one. Rejects with ERR_BUSBAR_LINK_REFUSED when somebody
   * listens there.
   */
  static async take(address: string, port: number): Promise<PortClaim> {
    if (port === 0) return new PortClaim(await freePort(address), undefined);
    const gate = await Gate.enter(port);
    if (await isAnswered(LOOPBACK[address] ?? address, port)) {
      gate?.close();
      throw refused(taken(port));
    }
    return new PortClaim(port, gate);
  }

  /** Executors listen now, or never will. */
  release(): void {
    this.#gate?.close();
  }
}

/** Listens alone, for the thread that brings executors their clients, or to choose a port. */
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

/** Nobody knows it, so nobody connects before it is closed again. */
async function freePort(address: string): Promise<number> {
  const server = await listenAlone(address, 0);
  const { port } = server.address() as AddressInfo;
  const closed = once(server, 'close');
  server.close();
  await closed;
  return port;
}

/**
 * An abstract Unix socket, which is known in the same network namespace as the port, and ends with
 * the process. Who finds it taken connects to it, and waits until it is closed.
 */
class Gate {
  readonly #server: Server;
  readonly #waiting: Set<Socket> = new Set();

  private constructor() {
    this.#server = createServer((socket) => {
      this.#waiting.add(socket);
      socket.on('error', () => {});
      socket.on('close', () => this.#waiting.delete(socket));
    });
  }

  /** Undefined: the system has none. */
  static async enter(port: number): Promise<Gate | undefined> {
    if (process.platform !== 'linux') return undefined;
    const path = `\0busbar-broker ${port}`;
    const untilMs = performance.now() + GATE_MS_MAX;
    do {
      const gate = new Gate();
      try {
        gate.#server.listen({ path });
        await once(gate.#server, 'listening');
        return gate;
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

async function untilClosed(socket: Socket, timeoutMs: number): Promise<void> {
  socket.on('error', () => {});
  const closed = once(socket, 'close');
  const timer = setTimeout(() => socket.destroy(), timeoutMs);
  await closed;
  clearTimeout(timer);
}

/** Whether anybody listens there. */
async function isAnswered(host: string, port: number): Promise<boolean> {
  const socket = connect({ host, port });
  const timer = setTimeout(() => socket.destroy(new Error('no answer')), ANSWER_MS_MAX);
  try {
    await once(socket, 'connect');
    return true;
  } catch (error) {
    // Another error is found again, and told, when executors listen.
    return (error as Error).message === 'no answer';
  } finally {
    clearTimeout(timer);
    socket.destroy();
  }
}

function taken(port: number): Error {
  return Object.assign(new Error(`port ${port} is taken`), { code: 'EADDRINUSE' });
}

function refused(cause: Error): BusbarError {
  return new BusbarError('ERR_BUSBAR_LINK_REFUSED', cause.message, { cause });
}
