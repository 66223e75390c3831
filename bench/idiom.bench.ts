// SPDX-License-Identifier: MIT
/**
 * The snippets of README and guides as they are written, beside what a Node programmer writes
 * today. Compare the CPU time as well: both threads work.
 */

import { once } from 'node:events';
import { connect, createServer, type Server, type Socket } from 'node:net';
import { Worker } from 'node:worker_threads';
import { PacketChannel } from 'busbar/channel';
import { ExecutorGroup } from 'busbar/executor';
import { DelimiterCodec } from 'busbar/framer';
import { type TcpLink, TcpServer } from 'busbar/link';
import { Packet } from 'busbar/packet';
import { BufferPool } from 'busbar/pool';
import { LocalWriter, WriteFlusher } from 'busbar/writer';
import type { BenchCase, PreparedCase } from './bench-case.ts';

const WORKER = new URL('./idiom.worker.js', import.meta.url);
const EXECUTOR = new URL('./idiom-rpc.worker.js', import.meta.url);
const LINE = `${JSON.stringify({ room: 'lobby', text: 'a line as chat programs send them' })}\n`;
const BATCH = 1000;
/** A request of 20 bytes and its end. */
const REQUEST = 'twenty small letters\n';
/** Who is in a room, and how many lines come at once. */
const ROOM_SIZE = 200;
const ROOM_LINES = 20;
/** Deliveries of one batch. */
export const ROOM_UNIT: number = ROOM_LINES * ROOM_SIZE;

export const idiomCases: readonly BenchCase[] = [
  {
    id: 'idiom/channel-for-await',
    what: '64 B: Packet.tryFrom(text), await send; there for await, toString, release',
    unit: BATCH,
    threads: 2,
    prepare: () => prepareChannel('loop'),
  },
  {
    id: 'idiom/channel-handle',
    what: 'the same, read by receiver.handle',
    unit: BATCH,
    threads: 2,
    prepare: () => prepareChannel('handle'),
  },
  {
    id: 'idiom/channel-postMessage',
    what: 'the same text by postMessage',
    unit: BATCH,
    threads: 2,
    prepare: preparePort,
  },
  {
    id: 'idiom/echo-for-await',
    what: 'a line echoed: for await (const packet of link) await link.write(packet)',
    unit: BATCH,
    threads: 1,
    prepare: () => prepareEcho(listenLoop),
  },
  {
    id: 'idiom/echo-callback',
    what: 'the same by onFrame and link.tryWrite',
    unit: BATCH,
    threads: 1,
    prepare: () => prepareEcho(listenCallback),
  },
  {
    id: 'idiom/echo-net',
    what: 'the same by node:net: split at newlines, socket.write for each line',
    unit: BATCH,
    threads: 1,
    prepare: () => prepareEcho(() => listenNet()),
  },
  {
    id: 'idiom/rpc-tag',
    what: '20 B from two links in capitals, by 2 executors: packet.tag, trySendTo, respond, handle',
    unit: 2 * BATCH,
    threads: 3,
    prepare: () => prepareEcho(listenExecutors('tag'), REQUEST, 2),
  },
  {
    id: 'idiom/rpc-request',
    what: 'the same by link.handle and await group.request',
    unit: 2 * BATCH,
    threads: 3,
    prepare: () => prepareEcho(listenExecutors('request'), REQUEST, 2),
  },
  {
    id: 'idiom/rpc-one-thread',
    what: 'the same without executors: onFrame, link.tryWrite',
    unit: 2 * BATCH,
    threads: 1,
    prepare: () => prepareEcho(listenCapitals, REQUEST, 2),
  },
  {
    id: 'idiom/rpc-net',
    what: 'the same by node:net on one thread: split at newlines, upper case, a write for each',
    unit: 2 * BATCH,
    threads: 1,
    prepare: () => prepareEcho(listenNetCapitals, REQUEST, 2),
  },
  {
    id: 'idiom/fanout-packet',
    what: 'a line to one of 200 links: a packet of it, link.trySend(packet.clone()) for each',
    unit: ROOM_UNIT,
    threads: 1,
    prepare: () => prepareRoom(listenRoom('packet')),
  },
  {
    id: 'idiom/fanout-write',
    what: 'the same by link.tryWrite for each',
    unit: ROOM_UNIT,
    threads: 1,
    prepare: () => prepareRoom(listenRoom('write')),
  },
  {
    id: 'idiom/fanout-joined',
    what: 'the same with the lines of a turn joined by a writer, whose region goes to each link',
    unit: ROOM_UNIT,
    threads: 1,
    prepare: () => prepareRoom(listenJoiningRoom),
  },
  {
    id: 'idiom/fanout-net',
    what: 'the same by node:net: the lines of a turn joined, socket.write for each socket',
    unit: ROOM_UNIT,
    threads: 1,
    prepare: () => prepareRoom(listenNetRoom),
  },
];

async function prepareChannel(way: 'loop' | 'handle'): Promise<PreparedCase> {
  const pool = BufferPool.create({ bufferSize: 64, bufferCount: 256 });
  const channel = PacketChannel.create(pool, { kind: 'spsc', capacity: 64 });
  const worker = new Worker(WORKER, { workerData: [pool.handle, channel.handle] });
  const receiver = channel.receiver();
  let count = 0;
  let wanted = 0;
  let done = (): void => {};
  const take = (packet: Packet): void => {
    if (packet.toString().length === 64) count++;
    packet.release();
    if (count === wanted) done();
  };
  if (way === 'handle') void receiver.handle(take).catch(() => {});
  else {
    void (async () => {
      for await (const packet of receiver) take(packet);
    })().catch(() => {});
  }
  return {
    async run(ops) {
      count = 0;
      wanted = ops;
      const finished = new Promise<void>((resolve) => {
        done = resolve;
      });
      worker.postMessage(ops);
      await finished;
      return count;
    },
    async close() {
      await worker.terminate();
      receiver.close();
      pool.detach();
    },
  };
}

function preparePort(): PreparedCase {
  const worker = new Worker(WORKER, { workerData: null });
  let count = 0;
  let wanted = 0;
  let done = (): void => {};
  worker.on('message', (text: string) => {
    if (text.length === 64) count++;
    if (count === wanted) done();
  });
  return {
    async run(ops) {
      count = 0;
      wanted = ops;
      const finished = new Promise<void>((resolve) => {
        done = resolve;
      });
      worker.postMessage(ops);
      await finished;
      return count;
    },
    async close() {
      await worker.terminate();
    },
  };
}

export interface Echo {
  readonly port: number;
  close(): Promise<unknown>;
}

/** Sends batches of lines over plain sockets, and waits for all of each to come back. */
async function prepareEcho(
  listen: () => Promise<Echo>,
  line: string = LINE,
  count: number = 1,
): Promise<PreparedCase> {
  const server = await listen();
  const batch = Buffer.from(line.repeat(BATCH));
  let received = 0;
  let wanted = 0;
  let done = (): void => {};
  const sockets: Socket[] = [];
  for (let i = 0; i < count; i++) {
    const socket = connect(server.port).setNoDelay();
    await once(socket, 'connect');
    socket.on('data', (data) => {
      received += data.length;
      if (received === wanted) done();
    });
    sockets.push(socket);
  }
  return {
    async run(ops) {
      for (let i = 0; i < ops; i += count * BATCH) {
        wanted = received + count * batch.length;
        const finished = new Promise<void>((resolve) => {
          done = resolve;
        });
        for (const socket of sockets) socket.write(batch);
        await finished;
      }
      return received;
    },
    async close() {
      for (const socket of sockets) socket.destroy();
      await server.close();
    },
  };
}

/**
 * Sends lines over one socket; done when all sockets of the room have got them. They read into the
 * same memory: buffers of their own would be most of the garbage, and their collections would
 * cost the more, the less garbage the server makes.
 */
export async function prepareRoom(listen: () => Promise<Echo>): Promise<PreparedCase> {
  const server = await listen();
  const batch = Buffer.from(LINE.repeat(ROOM_LINES));
  let left = 0;
  let done = (): void => {};
  const sockets: Socket[] = [];
  const callback = (count: number): boolean => {
    left -= count;
    if (left === 0) done();
    return true;
  };
  const onread = { buffer: Buffer.alloc(65_536), callback };
  for (let i = 0; i < ROOM_SIZE; i++) {
    const socket = connect({ port: server.port, host: '127.0.0.1', onread }).setNoDelay();
    await once(socket, 'connect');
    sockets.push(socket);
  }
  return {
    async run(ops) {
      for (let i = 0; i < ops; i += ROOM_UNIT) {
        left = batch.length * ROOM_SIZE;
        const finished = new Promise<void>((resolve) => {
          done = resolve;
        });
        sockets[0].write(batch);
        await finished;
      }
      return ops;
    },
    async close() {
      for (const socket of sockets) socket.destroy();
      await server.close();
    },
  };
}

function listenRoom(way: 'packet' | 'write'): () => Promise<Echo> {
  return () => {
    const links = new Set<TcpLink>();
    const roomSize = { bufferSize: 4096, bufferCount: 8 * ROOM_SIZE };
    return listenWith((link: TcpLink) => {
      const { pool } = link;
      links.add(link);
      return {
        onFrame(offset, length) {
          if (way === 'write') {
            for (const other of links) {
              if (!other.tryWrite(pool.bytes, offset, offset + length)) throw new Error('not now');
            }
            return;
          }
          const line = Packet.tryFrom(pool, pool.bytes.subarray(offset, offset + length + 1));
          if (line === undefined) throw new Error('not now');
          for (const other of links) if (!other.trySend(line.clone())) throw new Error('not now');
          line.release();
        },
        onClose: () => void links.delete(link),
      };
    }, roomSize);
  };
}

async function listenJoiningRoom(): Promise<Echo> {
  const pool = BufferPool.create({ bufferSize: 4096, bufferCount: 8 * ROOM_SIZE });
  const links = new Set<TcpLink>();
  const flusher = WriteFlusher.create(pool);
  const writer = new LocalWriter(flusher, { flush: 'turn' });
  flusher.setReadyCallback(() => {
    flusher.drain((_writerId, offset, length, bufferId) => {
      for (const link of links) {
        pool.retain(bufferId);
        if (!link.trySendRegion(bufferId, offset, length)) throw new Error('not now');
      }
      pool.release(bufferId);
    });
  });
  const server = await TcpServer.listen(pool, {
    codec: () => new DelimiterCodec('\n'),
    handler: (link) => {
      links.add(link);
      return {
        onFrame(offset, length) {
          if (!writer.tryWrite(pool.bytes, offset, offset + length + 1)) throw new Error('not now');
        },
        onClose: () => void links.delete(link),
      };
    },
  });
  return {
    port: server.port,
    async close() {
      writer.close();
      await server.close();
    },
  };
}

async function listenNetRoom(): Promise<Echo> {
  const sockets = new Set<Socket>();
  const server = createServer((socket) => {
    sockets.add(socket.setNoDelay());
    let rest = '';
    socket.on('error', () => {}).on('close', () => sockets.delete(socket));
    socket.setEncoding('utf8').on('data', (data: string) => {
      const lines = (rest + data).split('\n');
      rest = lines.pop() as string;
      const joined = lines.map((line) => `${line}\n`).join('');
      for (const other of sockets) other.write(joined);
    });
  });
  return listening(server, sockets);
}

/** Listens at a free port; `close` ends the connections, too. */
export async function listening(server: Server, sockets: Iterable<Socket>): Promise<Echo> {
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  return {
    port: (server.address() as { port: number }).port,
    async close() {
      for (const socket of sockets) socket.destroy();
      await new Promise((resolve) => server.close(resolve));
    },
  };
}

function listenWith(
  handler: Parameters<typeof TcpServer.listen>[1]['handler'],
  size = { bufferSize: 65536, bufferCount: 64 },
): Promise<Echo> {
  const pool = BufferPool.create(size);
  const codec = () => new DelimiterCodec('\n');
  return TcpServer.listen(pool, { codec, ...(handler === undefined ? {} : { handler }) });
}

function listenLoop(): Promise<Echo> {
  return listenWith(async (link) => {
    for await (const packet of link) {
      await link.write(packet);
      packet.release();
    }
  });
}

function listenCallback(): Promise<Echo> {
  return listenWith((link: TcpLink) => ({
    onFrame(offset, length) {
      if (!link.tryWrite(link.pool.bytes, offset, offset + length)) throw new Error('not now');
    },
  }));
}

/** Two executors turn letters into capitals, each for the links with every second number. */
function listenExecutors(way: 'tag' | 'request'): () => Promise<Echo> {
  return async () => {
    const pool = BufferPool.create({ bufferSize: 65536, bufferCount: 128 });
    const group = await ExecutorGroup.start({
      ...{ pool, module: EXECUTOR, count: 2, laneCapacity: 2048 },
    });
    const links: TcpLink[] = [];
    if (way === 'tag') {
      group.mailbox.handle((packet) => {
        if (links[packet.tag]?.tryWrite(packet) !== true) throw new Error('not now');
        packet.release();
      });
    }
    const codec = () => new DelimiterCodec('\n');
    const handler = (link: TcpLink) => {
      const number = links.push(link) - 1;
      if (way === 'request') {
        void link.handle(
          async (packet) => {
            using reply = await group.requestTo(number % 2, packet);
            await link.write(reply);
          },
          { concurrency: BATCH },
        );
        return undefined;
      }
      return {
        onFrame() {
          const packet = link.framer.takePacket();
          packet.tag = number;
          if (!group.trySendTo(number % 2, packet)) throw new Error('not now');
        },
      };
    };
    const server = await TcpServer.listen(pool, { codec, handler });
    return {
      port: server.port,
      async close() {
        await server.close();
        await group.stop();
      },
    };
  };
}

function listenCapitals(): Promise<Echo> {
  return listenWith((link: TcpLink) => ({
    onFrame(offset, length) {
      const { bytes } = link.pool;
      for (let at = offset; at < offset + length; at++) {
        if (bytes[at] >= 97 && bytes[at] <= 122) bytes[at] -= 32;
      }
      if (!link.tryWrite(bytes, offset, offset + length)) throw new Error('not now');
    },
  }));
}

function listenNetCapitals(): Promise<Echo> {
  return listenNet((line) => line.toUpperCase());
}

async function listenNet(reply: (line: string) => string = (line) => line): Promise<Echo> {
  const sockets: Socket[] = [];
  // As links do. Otherwise the last lines of a batch wait 40 ms for the peer's acknowledgement.
  const server = createServer({ noDelay: true }, (socket) => {
    sockets.push(socket);
    let rest = '';
    socket.setEncoding('utf8').on('data', (data: string) => {
      const lines = (rest + data).split('\n');
      rest = lines.pop() as string;
      for (const line of lines) socket.write(`${reply(line)}\n`);
    });
  });
  return listening(server, sockets);
}
