// SPDX-License-Identifier: MIT
/**
 * Example: a TCP server that sends every message back. This is the whole program.
 *
 * A message is its length in four bytes, high byte first, followed by that many bytes. Nothing is
 * dropped: the server stops reading from a client that does not read the replies, until it does.
 */

import { parseArgs } from 'node:util';
import { LengthPrefixCodec } from 'busbar/framer';
import { type TcpLink, TcpServer } from 'busbar/link';
import { type BufferId, BufferPool } from 'busbar/pool';

const HELP = `A TCP server that sends every message back. A message is its length in four bytes,
high byte first, and so many bytes, 65532 at most.

Usage: npm run example:tcp-echo -- [--port N] [--host ADDRESS] [--path FILE]

  --port N         listen on this port (7000; 0: any that is free)
  --host ADDRESS   and on this address (127.0.0.1: this machine only)
  --path FILE      listen on a Unix socket instead
`;

/** Enough for all clients: each needs at most 2 buffers to read into and a dozen to send. */
const pool = BufferPool.create({ bufferSize: 65536, bufferCount: 1024 });
const maxLinks = 64;

function listen(place: { port: number; host: string } | { path: string }): Promise<TcpServer> {
  return TcpServer.listen(pool, {
    ...place,
    maxLinks,
    codec: () => new LengthPrefixCodec('u32'),
    handler: (link) => ({
      onFrame: (offset, length, bufferId) => {
        // The frame is two numbers: it lies in pool.bytes, after its prefix. Send both.
        const isSent = link.writer.tryWrite(pool.bytes, offset - 4, offset + length);
        if (!isSent) void sendLater(link, offset - 4, offset + length, bufferId);
      },
      onClose: (_link, error) => {
        if (error !== undefined) console.error(`A client was cut off: ${error.message}`);
      },
    }),
  });
}

/** Keeps a frame that cannot be sent now, and stops reading until there is room for it. */
async function sendLater(link: TcpLink, begin: number, end: number, bufferId: BufferId) {
  link.pause();
  pool.retain(bufferId);
  try {
    const room = await link.writer.reserve(end - begin);
    pool.bytes.copyWithin(room.offset, begin, end);
    room.commit();
    link.resume();
  } catch {
    // The link has closed since then: no client waits for the message.
  } finally {
    pool.release(bufferId);
  }
}

async function main(): Promise<number> {
  let server: TcpServer;
  try {
    const { values } = parseArgs({
      options: {
        help: { type: 'boolean', short: 'h', default: false },
        port: { type: 'string' },
        host: { type: 'string' },
        path: { type: 'string' },
      },
    });
    if (values.help) {
      console.log(HELP);
      return 0;
    }
    const { port = '7000', host = '127.0.0.1', path } = values;
    server = await listen(path === undefined ? { port: Number(port), host } : { path });
  } catch (error) {
    console.error(`${(error as Error).message}\nTry: npm run example:tcp-echo -- --help`);
    return 2;
  }
  console.log(`Echo on ${server.port === 0 ? server.host : `${server.host}:${server.port}`}`);
  await new Promise((resolve) => process.once('SIGINT', resolve).once('SIGTERM', resolve));
  await server.close();
  return 0;
}

process.exitCode = await main();
