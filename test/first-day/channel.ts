// SPDX-License-Identifier: MIT
/** Messages to a worker over a channel, in place of `postMessage`: bounded, and in order. */
import { once } from 'node:events';
import { Worker } from 'node:worker_threads';
import { PacketChannel } from 'busbar/channel';
import { Packet } from 'busbar/packet';
import { BufferPool } from 'busbar/pool';

export async function countWords(
  program: URL,
  texts: Iterable<string>,
): Promise<{ pool: BufferPool; words: number }> {
  const pool = BufferPool.create({ bufferSize: 256, bufferCount: 1024, maxThreads: 2 });
  const channel = PacketChannel.create(pool, { kind: 'spsc', capacity: 512 });
  const worker = new Worker(program, { workerData: [pool.handle, channel.handle] });
  // Listeners for both from the beginning: a message that is read at the exit is emitted with it.
  const [counted, exited] = [once(worker, 'message'), once(worker, 'exit')];
  const sender = channel.sender();
  // Waits for a buffer and for room in the channel.
  for (const text of texts) await sender.send(await Packet.from(pool, text));
  sender.close();
  const [words] = await counted;
  await exited;
  return { pool, words };
}
