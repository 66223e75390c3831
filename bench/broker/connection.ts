// SPDX-License-Identifier: MIT
/**
 * A bare client connection for load threads: a plain socket, the NATS greeting, then raw chunks.
 */

import { connect, type Socket } from 'node:net';

const RECEIVE_BYTES = 65_536;
const GREETING_TIMEOUT_MS = 10_000;
const PONG = 'PONG\r\n';
/** The system chooses the executor of a connection, at random. */
const TRIES_MAX = 1000;
/** With protocol 1, a newer nats-server sends a second INFO, at any time after the greeting. */
const CONNECT =
  'CONNECT {"verbose":false,"pedantic":false,"lang":"bench","version":"1","protocol":0}\r\n';

/** Receives what arrives after the greeting; `bytes` is reused for the next chunk. */
export type ChunkHandler = (bytes: Buffer, size: number) => void;

/** A server: each connection belongs to one of its executors, and its id says to which. */
export interface Target {
  readonly port: number;
  readonly executors: number;
}

/** A greeted connection. */
export class Connection {
  readonly socket: Socket;
  /** What the server calls it. */
  id: number = 0;
  #onChunk: ChunkHandler = () => {};
  #onError: (error: Error) => void = () => {};

  private constructor(port: number) {
    const buffer = Buffer.allocUnsafe(RECEIVE_BYTES);
    this.socket = connect({
      port,
      host: '127.0.0.1',
      noDelay: true,
      onread: {
        buffer,
        callback: (size) => {
          try {
            this.#onChunk(buffer, size);
          } catch (error) {
            this.#onError(error as Error);
          }
          return true;
        },
      },
    });
    this.socket.on('error', (error) => this.#onError(error));
    this.socket.on('end', () => this.#onError(new Error('the server closed the connection')));
  }

  /**
   * Connects, sends CONNECT, the protocol lines `lines` and a PING, and waits for the PONG: the
   * server has done all of it.
   *
   * **Throws** when the server does not answer so in time.
   */
  static open(
    port: number,
    lines: string,
    timeoutMs: number = GREETING_TIMEOUT_MS,
  ): Promise<Connection> {
    const connection = new Connection(port);
    return new Promise((resolve, reject) => {
      let text = '';
      const fail = (error: Error): void => {
        clearTimeout(timer);
        connection.socket.destroy();
        reject(error);
      };
      const timer = setTimeout(() => {
        fail(new Error(`no greeting from port ${port}, only ${JSON.stringify(text)}`));
      }, timeoutMs);
      connection.#onError = fail;
      connection.#onChunk = (bytes, size) => {
        text += bytes.toString('latin1', 0, size);
        if (text.includes('-ERR')) fail(new Error(`the server refused: ${text}`));
        if (!text.startsWith('INFO ') || !text.endsWith('PONG\r\n')) return;
        clearTimeout(timer);
        connection.id = Number(/"client_id":(\d+)/.exec(text)?.[1] ?? 0);
        resolve(connection);
      };
      connection.socket.write(`${CONNECT}${lines}PING\r\n`);
    });
  }

  /** The same to one of the server's executors: what a message costs depends on whose clients. */
  static async openAt(target: Target, executor: number, lines: string): Promise<Connection> {
    const { port, executors } = target;
    for (let tries = 0; tries < TRIES_MAX; tries++) {
      const connection = await Connection.open(port, '');
      if (connection.id % executors === executor % executors) {
        connection.socket.write(lines);
        await connection.settle();
        return connection;
      }
      connection.close();
    }
    throw new Error(`port ${port} has no executor ${executor}`);
  }

  /** Sends what arrives from now on to `onChunk`, and its and the socket's errors to `onError`. */
  listen(onChunk: ChunkHandler, onError: (error: Error) => void): void {
    this.#onChunk = onChunk;
    this.#onError = onError;
  }

  /**
   * Sends a PING and resolves when the server has answered it: it has taken all that was sent
   * before.
   *
   * **Throws** when anything else arrives than the answer and PINGs of the server, which are
   * answered.
   */
  settle(): Promise<void> {
    return new Promise((resolve, reject) => {
      let text = '';
      this.listen((bytes, size) => {
        text += bytes.toString('latin1', 0, size);
        for (let end = text.indexOf('\r\n'); end >= 0; end = text.indexOf('\r\n')) {
          const line = text.slice(0, end);
          text = text.slice(end + 2);
          if (line === 'PING') this.answerPing();
          else if (line === 'PONG') resolve();
          else reject(new Error(`unexpected: ${JSON.stringify(line)}`));
        }
      }, reject);
      this.socket.write('PING\r\n');
    });
  }

  answerPing(): void {
    this.socket.write(PONG);
  }

  /** Ends the connection; nothing is reported any more. */
  close(): void {
    this.listen(
      () => {},
      () => {},
    );
    this.socket.destroy();
  }
}
