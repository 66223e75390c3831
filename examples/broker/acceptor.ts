// SPDX-License-Identifier: MIT
/**
 * Example broker: brings clients to executors that cannot share a port, because there is no native
 * shim: one thread accepts all connections and passes their bytes on.
 *
 *   client ◀──TCP──▶ acceptor (the host's thread) ◀──Unix socket──▶ executor
 *
 * Node 20 cannot give an open socket to another thread: both threads would own its file descriptor,
 * and whoever closes it second closes somebody else's. A listening descriptor that several threads
 * share has the same fault: the first one that dies closes it for all. So bytes are passed on,
 * which is correct whoever dies, and costs: each byte goes through the system twice, and through
 * one thread. Executors do not learn the client's address.
 */

import { type AddressInfo, connect, type Server, type Socket } from 'node:net';

export class Acceptor {
  readonly port: number;
  readonly #server: Server;
  /** Of the executors that listen; undefined: it does not, now. */
  readonly #paths: (string | undefined)[] = [];
  readonly #clients: Set<Socket> = new Set();
  /** Who came before any executor listened; undefined: one does. */
  #early: Socket[] | undefined = [];
  #next: number = 0;

  private constructor(server: Server) {
    this.#server = server;
    this.port = (server.address() as AddressInfo).port;
    server.on('connection', (client: Socket) => this.#accept(client));
  }

  /** Takes over a server that listens. */
  static on(server: Server): Acceptor {
    return new Acceptor(server);
  }

  /** The executor takes clients at this path, or none any more. */
  setPath(index: number, path: string | undefined): void {
    this.#paths[index] = path;
    const early = this.#early;
    if (path === undefined || early === undefined) return;
    this.#early = undefined;
    for (const client of early) this.#lead(client, this.#paths.length);
  }

  /** Accepts no more, and resolves when the last client is gone. */
  close(): Promise<void> {
    return new Promise((resolve) => this.#server.close(() => resolve()));
  }

  /** Lets everybody go at once. */
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

  /** Tries the next executor, and the one after it, if that one has just ended. */
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
      join(client, inner);
    });
  }

  /** In turn. */
  #nextPath(): string | undefined {
    for (let tried = 0; tried < this.#paths.length; tried++) {
      this.#next = (this.#next + 1) % this.#paths.length;
      const path = this.#paths[this.#next];
      if (path !== undefined) return path;
    }
    return undefined;
  }
}

/** What one says the other hears; when one is gone the other has to go, too. */
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
