// SPDX-License-Identifier: MIT
/**
 * What the packaging tests install, compile, bundle and run: a channel between two threads, a group
 * of executors, frames over TCP on loopback. It is the module of its threads, too.
 */
import { isMainThread, Worker, workerData } from 'node:worker_threads';
import { type ChannelHandle, PacketChannel } from 'busbar/channel';
import { isBusbarError } from 'busbar/errors';
import { type ExecutorContext, ExecutorGroup } from 'busbar/executor';
import { LengthPrefixCodec } from 'busbar/framer';
import { TcpLink, TcpServer } from 'busbar/link';
import { native } from 'busbar/native';
import { Packet } from 'busbar/packet';
import { BufferPool, type BufferPoolHandle } from 'busbar/pool';

const SELF: URL = new URL(import.meta.url);
const COUNT = 1000;

interface SenderData {
  readonly role: 'sender';
  readonly pool: BufferPoolHandle;
  readonly channel: ChannelHandle;
}

export function run({ pool, mailbox }: ExecutorContext): void {
  if (!(pool instanceof BufferPool)) throw new Error('the pool is of another copy of busbar');
  mailbox.handle((packet) => packet.release());
}

async function main(): Promise<void> {
  const pool = BufferPool.create({ bufferSize: 1024, bufferCount: 256, maxThreads: 8 });
  const report = {
    received: await receive(pool),
    handled: await handle(pool),
    echoed: await echo(pool),
    refused: await refuse(pool),
    shim: native.features.udp.reason,
  };
  pool.detach();
  console.log(JSON.stringify(report));
}

/** Receives what another thread sends through a channel; the sum says whether all came. */
async function receive(pool: BufferPool): Promise<number> {
  const channel = PacketChannel.create(pool, { kind: 'spsc', capacity: 16 });
  const data: SenderData = { role: 'sender', pool: pool.handle, channel: channel.handle };
  const worker = new Worker(SELF, { workerData: data });
  const exit = new Promise((resolve, reject) => {
    worker.on('exit', resolve);
    worker.on('error', reject);
  });
  const receiver = channel.receiver();
  let sum = 0;
  for await (const packet of receiver) {
    sum += Number(packet.toString());
    packet.release();
  }
  receiver.close();
  await exit;
  pool.reclaimDead();
  return sum;
}

async function send({ pool: handle, channel }: SenderData): Promise<void> {
  const pool = BufferPool.attach(handle);
  const sender = PacketChannel.attach(pool, channel).sender();
  for (let i = 1; i <= COUNT; i++) {
    await sender.send(await packetOf(pool, i));
  }
  sender.close();
  pool.detach();
}

/** Waits for a buffer if none is free at the moment. */
async function packetOf(pool: BufferPool, value: number): Promise<Packet> {
  const bytes = new TextEncoder().encode(String(value));
  let packet = Packet.tryFrom(pool, bytes);
  while (packet === undefined) {
    pool.release(await pool.acquire());
    packet = Packet.tryFrom(pool, bytes);
  }
  return packet;
}

async function handle(pool: BufferPool): Promise<number | string> {
  try {
    const group = await ExecutorGroup.start({ pool, module: SELF, count: 2 });
    for (let i = 0; i < 10; i++) {
      const packet = await packetOf(pool, i);
      if (!group.trySendTo(i % 2, packet)) packet.release();
    }
    return (await group.stop()).handled;
  } catch (error) {
    if (!isBusbarError(error, 'ERR_BUSBAR_EXECUTOR_START')) throw error;
    return error.message;
  }
}

async function echo(pool: BufferPool): Promise<string> {
  const codec = (): LengthPrefixCodec => new LengthPrefixCodec('u32');
  const server = await TcpServer.listen(pool, {
    host: '127.0.0.1',
    codec,
    handler: (link) => ({
      onFrame: (offset, length) => {
        link.writer.tryWrite(pool.bytes, offset - 4, offset + length);
      },
    }),
  });
  const text = await new Promise<string>((resolve, reject) => {
    TcpLink.connect(pool, {
      host: '127.0.0.1',
      port: server.port,
      codec,
      handler: (link) => ({
        onFrame(offset, length) {
          resolve(Buffer.from(pool.bytes.slice(offset, offset + length)).toString());
          link.end();
        },
      }),
    }).then((link) => link.writer.tryWrite(Buffer.from('\0\0\0\x05hello')), reject);
  });
  await server.close();
  return text;
}

/** An error has to be known as busbar's, with its code. */
async function refuse(pool: BufferPool): Promise<string> {
  const held = Array.from({ length: 256 }, () => pool.tryAcquire()).filter((id) => id >= 0);
  try {
    await pool.acquire({ timeoutMs: 1 });
    return 'nothing was refused';
  } catch (error) {
    return isBusbarError(error) ? error.code : String(error);
  } finally {
    for (const id of held) pool.release(id);
  }
}

const data = workerData as SenderData | { readonly role?: undefined } | null;
if (isMainThread) void main();
else if (data?.role === 'sender') void send(data);
