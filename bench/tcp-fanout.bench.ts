// SPDX-License-Identifier: MIT
/**
 * A batch of messages sent to a thousand TCP connections on loopback, all ends on one thread.
 *
 * One operation is one batch, ten messages of 64 bytes each, to one connection. Between a fan-out
 * to all of them and the next, all receivers have read it. The percentiles are those of the sending
 * alone: from the first write until the system has taken the bytes of all thousand.
 */

import { once } from 'node:events';
import { connect, createServer, type Server, type Socket } from 'node:net';
import { LengthPrefixCodec } from 'busbar/framer';
import { type TcpLink, TcpServer } from 'busbar/link';
import { BufferPool } from 'busbar/pool';
import type { BenchCase, PreparedCase } from './bench-case.ts';
import { Histogram } from './histogram.ts';
import { Stopwatch } from './latency.ts';
import { Meter } from './meter.ts';

const CONNECTIONS = 1000;
const FRAME_BYTES = 64;
const FRAMES = 10;
const BATCH_BYTES = FRAMES * FRAME_BYTES;
/** Connections that are opened at once: no more than a listener keeps waiting. */
const OPENING = 100;
const IDLE_MS = 2 ** 30;

export const tcpFanoutCases: readonly BenchCase[] = [
  {
    id: 'tcp/fanout-1000',
    what: 'a batch of 10 messages to one of 1000 links, sent at the end of the turn, received',
    unit: CONNECTIONS,
    threads: 1,
    prepare: () => Fanout.open(() => LinkSenders.listen(false)),
  },
  {
    id: 'tcp/fanout-1000-streams',
    what: 'the same links, each through its net.Socket (all that there is without the shim)',
    unit: CONNECTIONS,
    threads: 1,
    prepare: () => Fanout.open(() => LinkSenders.listen(true)),
  },
  {
    id: 'tcp/fanout-1000-sockets',
    what: 'a batch of 10 messages to one of 1000 sockets, socket.write each, received',
    unit: CONNECTIONS,
    threads: 1,
    prepare: () => Fanout.open(() => SocketSenders.listen()),
  },
];

/** The sending ends. */
interface Senders {
  readonly port: number;
  /** Connections that are accepted. */
  readonly count: number;
  /** Sends the batch to each; done when the system has taken everything. */
  send(batch: Buffer): void | Promise<void>;
  close(): Promise<void>;
}

class LinkSenders implements Senders {
  private readonly server: TcpServer;
  private readonly links: readonly TcpLink[];
  private batches = 0;

  private constructor(server: TcpServer, links: readonly TcpLink[]) {
    this.server = server;
    this.links = links;
  }

  static async listen(byStream: boolean): Promise<LinkSenders> {
    const pool = BufferPool.create({ bufferSize: 4096, bufferCount: 2 * CONNECTIONS });
    const links: TcpLink[] = [];
    const server = await TcpServer.listen(pool, {
      codec: () => new LengthPrefixCodec('u32'),
      handler: (link) => {
        links.push(link);
        // What has an idle timer is not written to past its stream.
        if (byStream) (link.socket as Socket).setTimeout(IDLE_MS);
        return { onFrame() {} };
      },
    });
    return new LinkSenders(server, links);
  }

  get port(): number {
    return this.server.port;
  }

  get count(): number {
    return this.links.length;
  }

  async send(batch: Buffer): Promise<void> {
    this.batches++;
    for (const { writer } of this.links) {
      if (!writer.tryWrite(batch)) throw new Error('a link was full');
    }
    const last = this.links[CONNECTIONS - 1];
    do await turnEnd();
    while (last.stats().bytesWritten < this.batches * BATCH_BYTES);
    if (this.links.some((link) => link.bufferedBytes > 0)) throw new Error('a link was full');
  }

  async close(): Promise<void> {
    await this.server.close();
    this.server.pool.close();
    this.server.pool.detach();
  }
}

class SocketSenders implements Senders {
  private readonly server: Server;
  private readonly sockets: Socket[] = [];

  private constructor(server: Server) {
    this.server = server;
    server.on('connection', (socket) => this.sockets.push(socket));
  }

  static async listen(): Promise<SocketSenders> {
    const senders = new SocketSenders(createServer({ noDelay: true }));
    senders.server.listen(0, '127.0.0.1');
    await once(senders.server, 'listening');
    return senders;
  }

  get port(): number {
    return (this.server.address() as { readonly port: number }).port;
  }

  get count(): number {
    return this.sockets.length;
  }

  /** The same bytes for all: no socket needs a copy of its own. */
  send(batch: Buffer): void {
    for (const socket of this.sockets) socket.write(batch);
    if (this.sockets.some((socket) => socket.writableLength > 0)) throw new Error('one was full');
  }

  async close(): Promise<void> {
    for (const socket of this.sockets) socket.destroy();
    this.server.close();
    await once(this.server, 'close');
  }
}

/** Receivers that count bytes, all into the same memory. */
class Fanout implements PreparedCase {
  readonly latencies: Histogram = new Histogram();
  private readonly senders: Senders;
  private readonly receivers: Socket[] = [];
  private readonly stopwatch: Stopwatch = new Stopwatch(this.latencies);
  private readonly batch: Buffer = makeBatch();
  private readonly scratch: Buffer = Buffer.alloc(65_536);
  private meter: Meter = new Meter();
  private bytes = 0;
  private reads = 0;
  private batches = 0;
  private arrived: () => void = () => {};

  private constructor(senders: Senders) {
    this.senders = senders;
  }

  static async open(listen: () => Promise<Senders>): Promise<Fanout> {
    const fanout = new Fanout(await listen());
    while (fanout.receivers.length < CONNECTIONS) {
      await Promise.all(Array.from({ length: OPENING }, () => fanout.connect()));
    }
    while (fanout.senders.count < CONNECTIONS) await new Promise(setImmediate);
    fanout.meter = new Meter();
    return fanout;
  }

  async run(ops: number): Promise<number> {
    for (let sent = 0; sent < ops; sent += CONNECTIONS) {
      this.batches += CONNECTIONS;
      const arrived = new Promise<void>((resolve) => {
        this.arrived = resolve;
      });
      this.stopwatch.begin();
      const sent = this.senders.send(this.batch);
      if (sent !== undefined) await sent;
      this.stopwatch.end();
      await arrived;
    }
    return this.bytes;
  }

  note(): string {
    return this.meter.note(this.bytes / FRAME_BYTES, this.batches + this.reads);
  }

  async close(): Promise<void> {
    for (const receiver of this.receivers) receiver.destroy();
    await this.senders.close();
  }

  private async connect(): Promise<void> {
    const receiver = connect({
      port: this.senders.port,
      host: '127.0.0.1',
      onread: { buffer: this.scratch, callback: (count) => this.take(count) },
    });
    await once(receiver, 'connect');
    this.receivers.push(receiver);
  }

  private take(count: number): boolean {
    this.reads++;
    this.bytes += count;
    if (this.bytes === this.batches * BATCH_BYTES) this.arrived();
    return true;
  }
}

function makeBatch(): Buffer {
  const batch = Buffer.alloc(BATCH_BYTES, 0x42);
  for (let at = 0; at < BATCH_BYTES; at += FRAME_BYTES) batch.writeUInt32BE(FRAME_BYTES - 4, at);
  return batch;
}

/** After what was put off to the end of this turn by callbacks and promises that are due now. */
function turnEnd(): Promise<void> {
  return new Promise((resolve) => process.nextTick(() => setImmediate(resolve)));
}
