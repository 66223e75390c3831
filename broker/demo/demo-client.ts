// SPDX-License-Identifier: MIT
/**
 * A small NATS client for the demonstration, made of the same parts as the broker.
 */

import type { Codec, FrameReader } from 'busbar/framer';
import { type TcpHandler, TcpLink } from 'busbar/link';
import type { BufferPool } from 'busbar/pool';

const LF = 0x0a;
const CR = 0x0d;
const SPACE = 0x20;
const ZERO = 0x30;
const LETTER_M = 0x4d;
const LETTER_I = 0x49;

/** Frames a server's output: MSG with its payload, everything else a line. */
class ServerCodec implements Codec {
  payloadSkip: number = 0;
  payloadTrim: number = 0;

  measure(bytes: Uint8Array, begin: number, end: number, scanned: number): number {
    let at = begin + scanned;
    while (at < end && bytes[at] !== LF) at++;
    if (at === end) return 0;
    const lineLength = at + 1 - begin;
    this.payloadSkip = 0;
    this.payloadTrim = 0;
    if (bytes[begin] !== LETTER_M) return lineLength;
    let size = 0;
    let scale = 1;
    for (at -= bytes[at - 1] === CR ? 2 : 1; bytes[at] !== SPACE; at--, scale *= 10) {
      size += (bytes[at] - ZERO) * scale;
    }
    this.payloadSkip = lineLength;
    this.payloadTrim = 2;
    return lineLength + size + 2;
  }
}

/** The client's credentials. */
export interface DemoCredentials {
  readonly user?: string | undefined;
  readonly pass?: string | undefined;
  readonly token?: string | undefined;
}

/**
 * One connection. Payloads of messages go to the callback, as `[offset, offset + length)` of the
 * pool.
 */
export class DemoClient implements TcpHandler {
  readonly link: TcpLink;
  readonly #framer: FrameReader;
  readonly #onMessage: (offset: number, length: number) => void;
  /** The server's last error, or why the connection failed. */
  error: string | undefined = undefined;
  #ponged: (() => void) | undefined = undefined;

  private constructor(link: TcpLink, onMessage: (offset: number, length: number) => void) {
    this.link = link;
    this.#framer = link.framer;
    this.#onMessage = onMessage;
  }

  static async connect(
    pool: BufferPool,
    port: number,
    host: string,
    credentials: DemoCredentials,
    onMessage: (offset: number, length: number) => void,
  ): Promise<DemoClient> {
    let client: DemoClient | undefined;
    await TcpLink.connect(pool, {
      host,
      port,
      codec: () => new ServerCodec(),
      handler: (link) => (client = new DemoClient(link, onMessage)),
    });
    if (client === undefined) throw new Error('no handler was asked for');
    const { user, pass, token } = credentials;
    const options = { verbose: false, pedantic: false, user, pass, auth_token: token };
    client.say(`CONNECT ${JSON.stringify(options)}\r\n`);
    await client.ping();
    return client;
  }

  /** Resolves when the server has carried out everything sent before. */
  ping(): Promise<void> {
    return new Promise((resolve) => {
      this.#ponged = resolve;
      this.say('PING\r\n');
    });
  }

  subscribe(subject: string, id: number): void {
    this.say(`SUB ${subject} ${id}\r\n`);
  }

  say(text: string): void {
    if (!this.link.writer.tryWrite(Buffer.from(text))) throw new Error('no room to write');
  }

  onFrames(): void {
    const framer = this.#framer;
    const { bytes } = framer.pool;
    while (framer.next()) {
      const codec = framer.codec as ServerCodec;
      const offset = framer.frameOffset;
      if (codec.payloadTrim !== 0) this.#onMessage(offset, framer.frameLength);
      else if (bytes[offset] !== LETTER_I) this.#onLine(offset, framer.frameLength);
    }
  }

  onClose(_link: TcpLink, error: Error | undefined): void {
    this.error ??= error?.message ?? 'the broker closed the connection';
    this.#ponged?.();
  }

  #onLine(offset: number, length: number): void {
    const line = Buffer.from(this.#framer.pool.bytes.slice(offset, offset + length)).toString();
    if (line.startsWith('PONG')) this.#ponged?.();
    else if (line.startsWith('PING')) this.say('PONG\r\n');
    else if (line.startsWith('-ERR')) this.error = line.trim();
  }
}
