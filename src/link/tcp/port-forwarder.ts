// SPDX-License-Identifier: MIT
/**
 * Accepts all connections of a port on one thread and forwards their bytes to others, for systems
 * without the native shim, where threads cannot share a port.
 *
 *   client ◀──TCP──▶ forwarder (the host's thread) ◀──Unix socket──▶ executor
 *
 * Node 20 cannot pass an open socket to another thread: both threads would own its file descriptor,
 * and the second to close it would close an unrelated one. A shared listening descriptor has the
 * same fault: the first thread that dies closes it for all. So bytes are forwarded. That is correct
 * whichever thread dies, but each byte passes through the system twice, and through one thread.
 * Executors do not learn the client's address.
 */

import { type AddressInfo, connect, type Server, type Socket } from 'node:net';

export class PortForwarder {
  readonly port: number;
  readonly #server: Server;
  /** By executor: the path where it listens; undefined: it does not listen now. */
  readonly #paths: (string | undefined)[] = [];
  readonly #clients: Set<Socket> = new Set();
  /** Clients that connected before any executor listened; undefined: one does. */
  #early: Socket[] | undefined = [];
  #next: number = 0;

  /** Takes over a listening server. */
  constructor(server: Server) {
    this.#server = server;
    this.port = (server.address() as AddressInfo).port;
    server.on('connection', (client: Socket) => this.#accept(client));
  }

  /** Sets the path where the executor takes clients; undefined: it takes none. */
  setPath(index: number, path: string | undefined): void {
    this.#paths[index] = path;
    const early = this.#early;
    if (path === undefined || early === undefined) return;
    this.#early = undefined;
    for (const client of early) this.#lead(client, this.#paths.length);
  }

  /**
   * Stops accepting, and ends the clients that no executor serves yet; resolves when the last has
   * left.
   */
  close(): Promise<void> {
    for (const client of this.#early ?? []) client.destroy();
    return new Promise((resolve) => this.#server.close(() => resolve()));
  }

  /** Closes all connections at once. */
  destroy(): void {
    for (const client of this.#clients) client.destroy();
  }

  #accept(client: Socket): void {
    this.#clients.add(client);
    client.once('close', () => this.#clients.delete(client));
    client.on('error', () => {});
    client.setNoDelay(true);
    if (this.#early !== undefined) this.#early.push(client);
    else this.#lead(client, this.#paths.length);
  }

  /** Connects the client to the next executor, or, if that has just ended, to the one after it. */
  #lead(client: Socket, tries: number): void {
    const path = this.#nextPath();
    if (path === undefined || tries === 0 || client.destroyed) {
      client.destroy();
      return;
    }
    const inner = connect({ path, allowHalfOpen: true });
    const onRefused = (): void => this.#lead(client, tries - 1);
    inner.once('error', onRefused);
    inner.once('connect', () => {
      inner.off('error', onRefused);
      // It may have left, or been ended, meanwhile.
      if (client.destroyed) inner.destroy();
      else join(client, inner);
    });
  }

  /** Executors take turns. */
  #nextPath(): string | undefined {
    for (let tried = 0; tried < this.#paths.length; tried++) {
      this.#next = (this.#next + 1) % this.#paths.length;
      const path = this.#paths[this.#next];
      if (path !== undefined) return path;
    }
    return undefined;
  }
}

/** Joins two sockets: forwards bytes in both directions; if one closes, closes the other. */
function join(client: Socket, inner: Socket): void {
  for (const [one, other] of [
    [client, inner],
    [inner, client],
  ] as const) {
    one.on('error', () => other.destroy());
    one.on('close', () => other.destroySoon());
    one.pipe(other);
  }
}
