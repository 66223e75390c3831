// SPDX-License-Identifier: MIT
/** Test worker: executes commands of the main thread on its pool and reports the results. */
import { parentPort, workerData } from 'node:worker_threads';
import { type ChannelHandle, WordChannel } from 'busbar/channel';
import { Packet } from 'busbar/packet';
import { BufferPool } from 'busbar/pool';
import type { Answer, Question } from './hand.ts';

const pool = BufferPool.attach(workerData.handle);
const words = new Int32Array(workerData.words);
const packets = new Map<number, Packet>();

/** What can be asked for, besides the methods of the pool. */
const deeds: Record<string, (...args: never[]) => unknown> = {
  slot: () => pool.threadSlot,
  exit: (code: number) => process.exit(code),
  /** Never turns its event loop again until the word has the value. */
  spin: (index: number, value: number) => {
    Atomics.add(words, index, 1);
    while (Atomics.load(words, index) !== value);
  },
  /** Becomes a receiver of a channel, for ever. */
  join: (channel: ChannelHandle) => {
    WordChannel.attach(pool, channel).receiver();
  },
  /** Blocks, outside of the pool. */
  block: (index: number) => {
    Atomics.add(words, index, 1);
    Atomics.wait(words, index, Atomics.load(words, index));
  },
  /** Waits its turn for the only buffer, says which number it was, gives it back. */
  queue: (index: number) => {
    const id = pool.acquireSync();
    const number = Atomics.add(words, index, 1);
    pool.release(id);
    return number;
  },
  write: (id: never, text: string) => {
    const bytes = new TextEncoder().encode(text);
    pool.bytes.set(bytes, pool.offsetOf(id));
    return bytes.length;
  },
  wrap: (id: never, length: number) => {
    packets.set(id, Packet.wrap(pool, id, pool.offsetOf(id), length));
  },
  clone: (id: never, as: number) => {
    packets.set(as, (packets.get(id) as Packet).clone());
  },
  send: (id: number) => packets.get(id)?.moveOut(),
  receive: (as: number, sent: never) => {
    const packet = Packet.moveIn(pool, sent);
    packets.set(as, packet);
    return packet.toString();
  },
  drop: (id: number) => packets.get(id)?.release(),
};

parentPort?.on('message', async ({ id, call, args }: Question) => {
  let answer: Answer;
  try {
    const method = (pool as unknown as Record<string, (...args: never[]) => unknown>)[call];
    const result =
      deeds[call] === undefined
        ? await method.apply(pool, args as never[])
        : await deeds[call](...(args as never[]));
    answer = { id, result };
  } catch (error) {
    const { code, message } = error as { code?: string; message: string };
    answer = { id, error: { code, message } };
  }
  parentPort?.postMessage(answer);
});
