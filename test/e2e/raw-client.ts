// SPDX-License-Identifier: MIT
/** End to end: a client that sends exactly the bytes of a test, and shows what comes back. */

import { connect, type Socket } from 'node:net';

/** What a modern client says first. */
const GREETING = 'CONNECT {"verbose":false,"pedantic":false,"headers":true}\r\n';

/** A connection without any knowledge of the protocol. Text is latin1: one character per byte. */
export class RawClient {
  readonly socket: Socket;
  /** What the server said of itself. */
  info: Record<string, unknown> = {};
  /** Resolves when the server has closed the connection. */
  readonly closed: Promise<void>;
  /** What has come and not been taken yet, as it came. */
  #chunks: string[] = [];
  #isClosed = false;
  #changed: () => void = () => {};

  private constructor(socket: Socket) {
    this.socket = socket;
    socket.setNoDelay(true);
    socket.on('data', (chunk) => {
      this.#chunks.push(chunk.toString('latin1'));
      this.#changed();
    });
    socket.on('error', () => {});
    this.closed = new Promise((resolve) => {
      socket.on('close', () => {
        this.#isClosed = true;
        this.#changed();
        resolve();
      });
    });
  }

  /** Connects, waits for INFO and says `greeting`. */
  static async connect(port: number, greeting: string = GREETING): Promise<RawClient> {
    const client = new RawClient(connect(port, '127.0.0.1'));
    const line = await client.takeThrough('\r\n');
    client.info = JSON.parse(line.slice('INFO '.length)) as Record<string, unknown>;
    if (greeting !== '') client.say(greeting);
    return client;
  }

  say(text: string): void {
    this.socket.write(Buffer.from(text, 'latin1'));
  }

  /** Says it in pieces of one byte, each in a packet of its own as far as the system allows. */
  async sayBytewise(text: string): Promise<void> {
    for (const character of text) {
      await new Promise<void>((resolve) => {
        this.socket.write(Buffer.from(character, 'latin1'), () => resolve());
      });
    }
  }

  /** Says it and a PING; everything that comes until the answer to that, which is not included. */
  async converse(text: string): Promise<string> {
    this.say(`${text}PING\r\n`);
    return (await this.takeThrough('PONG\r\n')).slice(0, -'PONG\r\n'.length);
  }

  /** Waits for the text, and takes everything up to and with it. */
  async takeThrough(text: string): Promise<string> {
    let searched = 0;
    let before = '';
    let length = 0;
    for (;;) {
      while (searched < this.#chunks.length) {
        const chunk = this.#chunks[searched++];
        const at = (before + chunk).indexOf(text);
        if (at >= 0) return this.#take(length - before.length + at + text.length);
        length += chunk.length;
        before = (before + chunk).slice(1 - text.length);
      }
      if (this.#isClosed) throw new Error(`closed without ${JSON.stringify(text)}`);
      await this.#change();
    }
  }

  /** Waits for this many bytes and takes them. */
  async takeBytes(count: number): Promise<string> {
    while (this.#length() < count && !this.#isClosed) await this.#change();
    return this.#take(count);
  }

  /** Everything that comes until the server closes. */
  async untilClosed(): Promise<string> {
    await this.closed;
    return this.#take(this.#length());
  }

  destroy(): void {
    this.socket.destroy();
  }

  #length(): number {
    return this.#chunks.reduce((sum, chunk) => sum + chunk.length, 0);
  }

  #take(count: number): string {
    const all = this.#chunks.join('');
    this.#chunks = count < all.length ? [all.slice(count)] : [];
    return all.slice(0, count);
  }

  #change(): Promise<void> {
    return new Promise((resolve) => {
      this.#changed = resolve;
    });
  }
}
