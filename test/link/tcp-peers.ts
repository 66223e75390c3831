// SPDX-License-Identifier: MIT
/** Test tool: TCP links and bare sockets as peers of each other, and numbered payloads. */

import { once } from 'node:events';
import { connect, createServer, type Server, type Socket } from 'node:net';
import type { BusbarError } from '../../src/base/errors.ts';
import { LengthPrefixCodec } from '../../src/framer/index.ts';
import { type TcpHandler, TcpLink, type TcpLinkOptions, TcpServer } from '../../src/link/index.ts';
import { BufferPool } from '../../src/pool/index.ts';

export const PREFIX = 4;
export const u32 = (): LengthPrefixCodec => new LengthPrefixCodec('u32');

export function makePool(bufferCount = 64, bufferSize = 16384): BufferPool {
  return BufferPool.create({ bufferSize, bufferCount, maxThreads: 2 });
}

/** One frame with a u32 prefix. */
export function frame(payload: Uint8Array): Uint8Array {
  const bytes = new Uint8Array(PREFIX + payload.length);
  new DataView(bytes.buffer).setUint32(0, payload.length);
  bytes.set(payload, PREFIX);
  return bytes;
}

/** Payload number i: its length and every byte follow from i. */
export function payloadOf(i: number, length: number = (i * 7919) % 90): Uint8Array {
  const payload = new Uint8Array(length + 4);
  new DataView(payload.buffer).setUint32(0, i);
  for (let k = 4; k < payload.length; k++) payload[k] = (i + k) & 0xff;
  return payload;
}

export function isPayload(bytes: Uint8Array, offset: number, length: number, i: number): boolean {
  const expected = payloadOf(i, length - 4);
  for (let k = 0; k < length; k++) if (bytes[offset + k] !== expected[k]) return false;
  return true;
}

/**
 * Sends every frame back; when the writer says "not now" it keeps the frame and pauses until there
 * is room.
 */
export function echo(link: TcpLink): TcpHandler {
  const { pool, framer, writer } = link;
  const copyBack = (offset: number, length: number, at: number): void => {
    pool.view.setUint32(at, length);
    pool.bytes.copyWithin(at + PREFIX, offset, offset + length);
    writer.commit(at, PREFIX + length);
  };
  return {
    onFrame(offset, length) {
      const at = writer.tryReserve(PREFIX + length);
      if (at >= 0) {
        copyBack(offset, length, at);
        return;
      }
      const packet = framer.takePacket();
      link.pause();
      writer.reserve(PREFIX + length).then(
        (reservation) => {
          copyBack(packet.offset, packet.length, reservation.offset);
          packet.release();
          link.resume();
        },
        () => packet.release(),
      );
    },
  };
}

/** Index of the first payload that is not what it should be, or −1. */
export function firstWrong(payloads: readonly Uint8Array[], from = 0): number {
  return payloads.findIndex((bytes, i) => !isPayload(bytes, 0, bytes.length, from + i));
}

export const ignore = (): TcpHandler => ({ onFrame() {} });

/** A link to a peer that does not read. */
export async function connectToIdle(
  pool: BufferPool,
  handler: (link: TcpLink) => TcpHandler,
): Promise<{ server: Server; link: TcpLink; peer: Socket }> {
  const { server, port, accepted } = await listenBare();
  const link = await TcpLink.connect(pool, { port, codec: u32, handler });
  const peer = await accepted;
  peer.pause();
  return { server, link, peer };
}

/** A server whose first link comes as a promise. */
export async function listenFor(
  pool: BufferPool,
  options: Partial<TcpLinkOptions> = {},
): Promise<{ server: TcpServer; accepted: Promise<TcpLink>; port: number }> {
  let accept: (link: TcpLink) => void = () => {};
  const accepted = new Promise<TcpLink>((resolve) => {
    accept = resolve;
  });
  const make = options.handler ?? ignore;
  const server = await TcpServer.listen(pool, {
    codec: u32,
    ...options,
    handler: (link) => {
      accept(link);
      return make(link);
    },
  });
  return { server, accepted, port: server.port };
}

/** A bare TCP server, for peers that are not links. */
export async function listenBare(): Promise<{
  server: Server;
  port: number;
  accepted: Promise<Socket>;
}> {
  const server = createServer({ allowHalfOpen: true });
  const accepted = once(server, 'connection').then(([socket]) => socket as Socket);
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  return { server, port: (server.address() as { port: number }).port, accepted };
}

export async function connectBare(port: number): Promise<Socket> {
  const socket = connect({ port, host: '127.0.0.1', allowHalfOpen: true });
  await once(socket, 'connect');
  return socket;
}

/**
 * Writes the same bytes until nothing moves any more: the peer does not read. Returns how many
 * bytes were accepted.
 */
export async function fill(link: TcpLink, bytes: Uint8Array): Promise<number> {
  let accepted = 0;
  for (let still = 0; still < 100; still++) {
    const { bytesWritten } = link.stats();
    while (link.writer.tryWrite(bytes)) {
      accepted += bytes.length;
      still = 0;
    }
    await new Promise(setImmediate);
    if (link.stats().bytesWritten > bytesWritten) still = 0;
  }
  return accepted;
}

/** A handler that collects payloads and tells when there are `count`. */
export function collect(count: number): {
  payloads: Uint8Array[];
  arrived: Promise<void>;
  handler: (link: TcpLink) => TcpHandler;
} {
  const payloads: Uint8Array[] = [];
  let done: () => void = () => {};
  const arrived = new Promise<void>((resolve) => {
    done = resolve;
  });
  const handler = (link: TcpLink): TcpHandler => ({
    onFrame(offset, length) {
      payloads.push(link.pool.bytes.slice(offset, offset + length));
      if (payloads.length === count) done();
    },
  });
  return { payloads, arrived, handler };
}

/** Resolves with the close reason. */
export function closing(handler: (link: TcpLink) => TcpHandler = ignore): {
  closed: Promise<BusbarError | undefined>;
  handler: (link: TcpLink) => TcpHandler;
} {
  let resolve: (error: BusbarError | undefined) => void = () => {};
  const closed = new Promise<BusbarError | undefined>((done) => {
    resolve = done;
  });
  return {
    closed,
    handler: (link: TcpLink): TcpHandler => ({
      ...handler(link),
      onClose: (_link, error) => resolve(error),
    }),
  };
}
