// SPDX-License-Identifier: MIT
/**
 * Datagrams over loopback, sender and receiver on one thread: the cost of a message from the writer
 * through the kernel to a released packet.
 */

import { createSocket, type Socket } from 'node:dgram';
import { once } from 'node:events';
import { UdpLink, type UdpLinkOptions } from 'busbar/link';
import type { Packet } from 'busbar/packet';
import { BufferPool } from 'busbar/pool';
import type { BenchCase, PreparedCase } from './bench-case.ts';
import { Meter } from './meter.ts';

const SMALL_BYTES = 64;
const LARGE_BYTES = 1200;
/** Bytes of the length before each message of a packed datagram. */
const PREFIX_BYTES = 2;
/** What a socket may hold: more than a burst, so that nothing is lost. */
const RECEIVE_BYTES = 4 * 1024 * 1024;

export const udpCases: readonly BenchCase[] = [
  linkCase('udp/64B-gso-gro', 'segments of 64 B', SMALL_BYTES, 4096, {
    messageBytes: SMALL_BYTES,
  }),
  linkCase('udp/64B-mmsg', 'sendmmsg, recvmmsg', SMALL_BYTES, 1024, {
    messageBytes: SMALL_BYTES,
    offload: false,
  }),
  linkCase('udp/64B-packed', 'many in a datagram', SMALL_BYTES, 4096, { mode: 'packed' }),
  linkCase('udp/1200B-gso-gro', 'segments of 1200 B', LARGE_BYTES, 512, {
    messageBytes: LARGE_BYTES,
  }),
  {
    id: 'udp/dgram-64B',
    what: 'socket.send of 64 B, one message event',
    unit: 128,
    threads: 1,
    prepare: prepareDgram,
  },
];

function linkCase(
  id: string,
  how: string,
  messageBytes: number,
  burst: number,
  options: Partial<UdpLinkOptions>,
): BenchCase {
  return {
    id,
    what: `a message of ${messageBytes} B written, sent, received as a packet: ${how}`,
    unit: burst,
    threads: 1,
    prepare: () => LinkLoop.open(messageBytes, burst, options),
  };
}

/** A link to a link. */
class LinkLoop implements PreparedCase {
  private readonly pool: BufferPool;
  private readonly burst: number;
  private readonly messageBytes: number;
  private readonly packed: boolean;
  private readonly meter: Meter = new Meter();
  private server: UdpLink | undefined;
  private client: UdpLink | undefined;
  private received = 0;
  private expected = 0;
  private sum = 0;
  private arrived: () => void = () => {};

  private constructor(messageBytes: number, burst: number, packed: boolean) {
    this.pool = BufferPool.create({ bufferSize: 65_536, bufferCount: 256 });
    this.messageBytes = messageBytes;
    this.burst = burst;
    this.packed = packed;
  }

  static async open(
    messageBytes: number,
    burst: number,
    options: Partial<UdpLinkOptions>,
  ): Promise<LinkLoop> {
    const { mode, offload } = options;
    const loop = new LinkLoop(messageBytes, burst, mode === 'packed');
    loop.server = await UdpLink.open(loop.pool, {
      ...(mode === undefined ? {} : { mode }),
      ...(offload === undefined ? {} : { offload }),
      receiveBytes: RECEIVE_BYTES,
      handler: () => ({ onPacket: (packet) => loop.take(packet) }),
    });
    const { host, port } = loop.server.local;
    loop.client = await UdpLink.open(loop.pool, {
      ...options,
      peer: { host, port },
      writer: { flush: 'manual' },
      handler: () => ({ onMessage() {} }),
    });
    return loop;
  }

  async run(ops: number): Promise<number> {
    this.sum = 0;
    this.received = 0;
    for (let sent = 0; sent < ops; sent += this.burst) {
      this.expected = sent + this.burst;
      const arrived = new Promise<void>((resolve) => {
        this.arrived = resolve;
      });
      this.send(sent, this.burst);
      await arrived;
    }
    if (this.sum !== sumBelow(ops)) throw new Error(`${this.received} of ${ops} arrived`);
    return this.sum;
  }

  note(): string {
    const reads = this.server?.stats().reads ?? 0;
    const messages = this.server?.stats().messages ?? 0;
    return this.meter.note(messages, reads + (this.client?.stats().writes ?? 0));
  }

  async close(): Promise<void> {
    await this.client?.close();
    await this.server?.close();
    this.pool.close();
    this.pool.detach();
  }

  private send(first: number, count: number): void {
    const client = this.client as UdpLink;
    const { writer } = client;
    const { view } = this.pool;
    const messageBytes = this.messageBytes;
    const prefixBytes = this.packed ? PREFIX_BYTES : 0;
    for (let i = first; i < first + count; i++) {
      let at = writer.tryReserve(prefixBytes + messageBytes);
      if (at < 0) {
        client.flush();
        at = writer.tryReserve(prefixBytes + messageBytes);
      }
      if (prefixBytes > 0) view.setUint16(at, messageBytes);
      view.setUint32(at + prefixBytes, i);
      writer.commit(at, prefixBytes + messageBytes);
    }
    client.flush();
  }

  private take(packet: Packet): void {
    this.sum = (this.sum + packet.getInt32(0)) | 0;
    packet.release();
    if (++this.received === this.expected) this.arrived();
  }
}

/** The sum of all whole numbers below `count`, an even one, modulo 2³². */
function sumBelow(count: number): number {
  return ((count / 2) * (count - 1)) | 0;
}

async function prepareDgram(): Promise<PreparedCase> {
  const receiver = createSocket({ type: 'udp4', recvBufferSize: RECEIVE_BYTES });
  receiver.bind(0, '127.0.0.1');
  await once(receiver, 'listening');
  const sender = createSocket('udp4');
  sender.connect(receiver.address().port, '127.0.0.1');
  await once(sender, 'connect');
  return new DgramLoop(receiver, sender);
}

/** Node's sockets, used as its documentation shows it. */
class DgramLoop implements PreparedCase {
  private readonly receiver: Socket;
  private readonly sender: Socket;
  private readonly meter: Meter = new Meter();
  private readonly message: Buffer = Buffer.alloc(SMALL_BYTES);
  private received = 0;
  private total = 0;
  private expected = 0;
  private sum = 0;
  private arrived: () => void = () => {};

  constructor(receiver: Socket, sender: Socket) {
    this.receiver = receiver;
    this.sender = sender;
    receiver.on('message', (message) => {
      this.sum = (this.sum + message.readInt32BE(0)) | 0;
      this.total++;
      if (++this.received === this.expected) this.arrived();
    });
  }

  async run(ops: number): Promise<number> {
    const burst = 128;
    this.sum = 0;
    this.received = 0;
    for (let sent = 0; sent < ops; sent += burst) {
      this.expected = sent + burst;
      const arrived = new Promise<void>((resolve) => {
        this.arrived = resolve;
      });
      for (let i = sent; i < sent + burst; i++) {
        // The kernel copies before send returns, unless it has no room: it has.
        this.message.writeUInt32BE(i, 0);
        this.sender.send(this.message);
      }
      await arrived;
    }
    if (this.sum !== sumBelow(ops)) throw new Error('datagrams were lost or changed');
    return this.sum;
  }

  note(): string {
    return this.meter.note(this.total, 2 * this.total);
  }

  close(): void {
    this.receiver.close();
    this.sender.close();
  }
}
