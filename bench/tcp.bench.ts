// SPDX-License-Identifier: MIT
/**
 * Messages over a TCP connection on loopback, both ends on one thread: the cost of one from the
 * writer through the kernel to a packet, and its cost through Node's sockets alone.
 *
 * A message is its length and 60 bytes: every case sends 64 bytes. The receivers of the
 * baselines count bytes and read none.
 */

import { once } from 'node:events';
import { connect, createServer, type Server, type Socket } from 'node:net';
import { LengthPrefixCodec } from 'busbar/framer';
import { TcpLink, TcpServer } from 'busbar/link';
import { BufferPool } from 'busbar/pool';
import type { BenchCase, PreparedCase } from './bench-case.ts';
import { Meter } from './meter.ts';

const PREFIX_BYTES = 4;
const PAYLOAD_BYTES = 60;
const FRAME_BYTES = PREFIX_BYTES + PAYLOAD_BYTES;
/** Messages that are sent before the receiver has its turn: 256 000 bytes. */
const BURST = 4000;
/** Messages in one cork of `tcp/cork-1000`. */
const CORK = 1000;
const CHUNK_BYTES = 65_536;

export const tcpCases: readonly BenchCase[] = [
  tcpCase('tcp/60B-framed', 'copied into the writer, flushed, received as a packet', () =>
    LinkLoop.open(copyBurst, takePackets),
  ),
  tcpCase('tcp/60B-framed-numbers', 'written in place, flushed, received as two numbers', () =>
    LinkLoop.open(writeBurstInPlace, takeNumbers),
  ),
  tcpCase('tcp/write-each', 'socket.write each', () => SocketLoop.open(writeEach)),
  tcpCase('tcp/cork-1000', 'socket.write each, corked by the thousand', () =>
    SocketLoop.open(writeCorked),
  ),
  tcpCase('tcp/copy-64KiB', 'copied into chunks of 64 KiB by hand, socket.write each', () =>
    SocketLoop.open(new ChunkWriter().write),
  ),
];

function tcpCase(id: string, what: string, prepare: BenchCase['prepare']): BenchCase {
  return {
    id,
    what: `a message of 60 B with its length: ${what}`,
    unit: BURST,
    threads: 1,
    prepare,
  };
}

/** The message: what every case sends. */
function makeMessage(): Buffer {
  const message = Buffer.alloc(FRAME_BYTES, 0x42);
  message.writeUInt32BE(PAYLOAD_BYTES, 0);
  return message;
}

/** Writes messages `[first, first + BURST)`, each with its number. */
type SendBurst = (link: TcpLink, message: Buffer, first: number) => void;

function copyBurst(link: TcpLink, message: Buffer, first: number): void {
  const { writer } = link;
  for (let i = first; i < first + BURST; i++) {
    message.writeUInt32BE(i, PREFIX_BYTES);
    while (!writer.tryWrite(message)) link.flush();
  }
  link.flush();
}

/** All 64 bytes, as a program puts fields where they belong. */
function writeBurstInPlace(link: TcpLink, _message: Buffer, first: number): void {
  const { writer } = link;
  const { view } = link.pool;
  for (let i = first; i < first + BURST; i++) {
    let at = writer.tryReserve(FRAME_BYTES);
    while (at < 0) {
      link.flush();
      at = writer.tryReserve(FRAME_BYTES);
    }
    view.setUint32(at, PAYLOAD_BYTES);
    view.setUint32(at + PREFIX_BYTES, i);
    for (let k = at + 8; k < at + FRAME_BYTES; k += 8) view.setFloat64(k, i);
    writer.commit(at, FRAME_BYTES);
  }
  link.flush();
}

/** Takes all frames there are; returns how many, and adds their numbers to `count.sum`. */
type TakeFrames = (link: TcpLink, count: { sum: number }) => number;

function takePackets({ framer }: TcpLink, count: { sum: number }): number {
  let frames = 0;
  let { sum } = count;
  for (let packet = framer.tryReceive(); packet !== undefined; packet = framer.tryReceive()) {
    sum = (sum + packet.getInt32(0)) | 0;
    packet.release();
    frames++;
  }
  count.sum = sum;
  return frames;
}

function takeNumbers({ framer, pool }: TcpLink, count: { sum: number }): number {
  const { view } = pool;
  let frames = 0;
  let { sum } = count;
  while (framer.next()) {
    sum = (sum + view.getInt32(framer.frameOffset)) | 0;
    frames++;
  }
  count.sum = sum;
  return frames;
}

/** A link to a link. */
class LinkLoop implements PreparedCase {
  private readonly pool: BufferPool;
  private readonly server: TcpServer;
  private readonly client: TcpLink;
  private readonly sendBurst: SendBurst;
  private readonly meter: Meter = new Meter();
  private readonly message: Buffer = makeMessage();
  private readonly counted: Counted;
  /** The other end, once the server has accepted it. */
  private readonly served: readonly TcpLink[];

  private constructor(
    client: TcpLink,
    server: TcpServer,
    send: SendBurst,
    counted: Counted,
    served: readonly TcpLink[],
  ) {
    this.pool = client.pool;
    this.client = client;
    this.server = server;
    this.sendBurst = send;
    this.counted = counted;
    this.served = served;
  }

  static async open(send: SendBurst, take: TakeFrames): Promise<LinkLoop> {
    const pool = BufferPool.create({ bufferSize: 65_536, bufferCount: 64 });
    const codec = (): LengthPrefixCodec => new LengthPrefixCodec('u32');
    const counted = new Counted();
    const served: TcpLink[] = [];
    const server = await TcpServer.listen(pool, {
      codec,
      handler: (link) => {
        served.push(link);
        return { onFrames: () => counted.add(take(link, counted)) };
      },
    });
    const client = await TcpLink.connect(pool, {
      port: server.port,
      codec,
      highWaterBytes: 2 * BURST * FRAME_BYTES,
      handler: () => ({ onFrame() {} }),
    });
    return new LinkLoop(client, server, send, counted, served);
  }

  async run(ops: number): Promise<number> {
    const { counted } = this;
    counted.sum = 0;
    for (let sent = 0; sent < ops; sent += BURST) {
      const arrived = counted.expect(BURST);
      this.sendBurst(this.client, this.message, sent);
      await arrived;
    }
    if (counted.sum !== sumBelow(ops)) throw new Error('messages were lost or changed');
    return counted.sum;
  }

  note(): string {
    const { writes } = this.client.stats();
    const reads = this.served[0].stats().reads;
    return this.meter.note(this.counted.total, reads + writes);
  }

  async close(): Promise<void> {
    await this.client.close();
    await this.server.close();
    this.pool.close();
    this.pool.detach();
  }
}

/** What has arrived, and what is waited for. */
class Counted {
  total = 0;
  /** Of the messages' numbers, modulo 2³². */
  sum = 0;
  private expected = 0;
  private arrived: () => void = () => {};

  /** Resolves when this many more have come. */
  expect(count: number): Promise<void> {
    this.expected = this.total + count;
    return new Promise((resolve) => {
      this.arrived = resolve;
    });
  }

  add(count: number): void {
    this.total += count;
    if (this.total === this.expected) this.arrived();
  }
}

/** The sum of all whole numbers below `count`, an even one, modulo 2³². */
function sumBelow(count: number): number {
  return ((count / 2) * (count - 1)) | 0;
}

/** Writes messages `[first, first + BURST)`. Returns how many system calls that should be. */
type WriteBurst = (socket: Socket, message: Buffer, first: number) => number;

/** A message may be changed only once the system has it: one of its own for each. */
function writeEach(socket: Socket, message: Buffer, first: number): number {
  for (let i = first; i < first + BURST; i++) socket.write(numbered(message, i));
  return BURST;
}

function writeCorked(socket: Socket, message: Buffer, first: number): number {
  for (let i = first; i < first + BURST; ) {
    socket.cork();
    for (const end = i + CORK; i < end; i++) socket.write(numbered(message, i));
    socket.uncork();
  }
  return BURST / CORK;
}

function numbered(message: Buffer, i: number): Buffer {
  const copy = Buffer.from(message);
  copy.writeUInt32BE(i, PREFIX_BYTES);
  return copy;
}

/** Chunks that are used again when the socket is done with them. */
class ChunkWriter {
  private readonly free: Buffer[] = [];

  readonly write: WriteBurst = (socket, message, first) => {
    let chunk = this.take();
    let at = 0;
    let writes = 0;
    for (let i = first; i < first + BURST; i++) {
      if (at + FRAME_BYTES > CHUNK_BYTES) {
        this.give(socket, chunk, at);
        writes++;
        chunk = this.take();
        at = 0;
      }
      message.writeUInt32BE(i, PREFIX_BYTES);
      chunk.set(message, at);
      at += FRAME_BYTES;
    }
    this.give(socket, chunk, at);
    return writes + 1;
  };

  private take(): Buffer {
    return this.free.pop() ?? Buffer.allocUnsafeSlow(CHUNK_BYTES);
  }

  private give(socket: Socket, chunk: Buffer, length: number): void {
    socket.write(chunk.subarray(0, length), () => this.free.push(chunk));
  }
}

/** A socket to a socket that counts bytes. */
class SocketLoop implements PreparedCase {
  private readonly server: Server;
  private readonly sender: Socket;
  private readonly receiver: Socket;
  private readonly writeBurst: WriteBurst;
  private readonly meter: Meter = new Meter();
  private readonly message: Buffer = makeMessage();
  private readonly bytes: Counted = new Counted();
  private calls = 0;

  private constructor(server: Server, sender: Socket, receiver: Socket, writeBurst: WriteBurst) {
    this.server = server;
    this.sender = sender;
    this.receiver = receiver;
    this.writeBurst = writeBurst;
    receiver.on('data', (chunk) => {
      this.calls++;
      this.bytes.add(chunk.length);
    });
  }

  static async open(writeBurst: WriteBurst): Promise<SocketLoop> {
    const server = createServer();
    server.listen(0, '127.0.0.1');
    await once(server, 'listening');
    const accepted = once(server, 'connection');
    const sender = connect({ port: portOf(server), host: '127.0.0.1', noDelay: true });
    const [receiver] = (await accepted) as [Socket];
    await (sender.connecting ? once(sender, 'connect') : undefined);
    return new SocketLoop(server, sender, receiver, writeBurst);
  }

  async run(ops: number): Promise<number> {
    for (let sent = 0; sent < ops; sent += BURST) {
      const arrived = this.bytes.expect(BURST * FRAME_BYTES);
      this.calls += this.writeBurst(this.sender, this.message, sent);
      await arrived;
    }
    return this.bytes.total / FRAME_BYTES;
  }

  note(): string {
    return this.meter.note(this.bytes.total / FRAME_BYTES, this.calls);
  }

  close(): void {
    this.sender.destroy();
    this.receiver.destroy();
    this.server.close();
  }
}

function portOf(server: Server): number {
  return (server.address() as { readonly port: number }).port;
}
