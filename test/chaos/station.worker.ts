// SPDX-License-Identifier: MIT
/** Test worker: a thread of a chaos run that receives messages from a channel. */
import { parentPort, threadId, workerData } from 'node:worker_threads';
import { type ChannelHandle, PacketChannel } from 'busbar/channel';
import type { Packet } from 'busbar/packet';
import { BufferPool, type BufferPoolHandle } from 'busbar/pool';
import {
  LocalWriter,
  SharedWriter,
  type SharedWriterHandle,
  WriteFlusher,
  type WriteFlusherHandle,
} from 'busbar/writer';
import { ACT, Board, Ledger, Place, RECEIVING, STARTING, WAITING } from './board.ts';
import { PREFIX_BYTES } from './message.ts';
import { INTO_WRITER, Station } from './station.ts';

export interface StationTask {
  readonly seat: number;
  readonly pool: BufferPoolHandle;
  readonly flusher: WriteFlusherHandle;
  readonly channel: ChannelHandle;
  /** Absent: the thread has writers of its own. */
  readonly writer?: SharedWriterHandle;
  readonly board: SharedArrayBuffer;
  readonly ledger: SharedArrayBuffer;
  readonly sources: number;
}

/** What a station is told. */
export type StationOrder =
  | { readonly kind: 'ping'; readonly id: number }
  /** Regions of this writer are taken; messages in it have lengths of this many bytes. */
  | { readonly kind: 'plugged'; readonly writerId: number; readonly prefixBytes: number };

/** What a station says. */
export type StationNews =
  | { readonly kind: 'ready' }
  | { readonly kind: 'pong'; readonly id: number }
  | { readonly kind: 'writer'; readonly writerId: number; readonly path: number };

/** Messages between two turns of the event loop. */
const RUN_MAX = 32;

const task = workerData as StationTask;
const port = parentPort as NonNullable<typeof parentPort>;
const board = new Board(task.board);
board.set(task.seat, ACT, STARTING);
const pool = BufferPool.attach(task.pool);
const place = new Place(board, task.seat, pool.threadSlot, threadId);
place.act(STARTING);
const flusher = WriteFlusher.attach(pool, task.flusher);
const channel = PacketChannel.attach(pool, task.channel);
let prefixBytes = PREFIX_BYTES;
let onPlugged: (writerId: number) => void = () => {};

function tell(news: StationNews): void {
  port.postMessage(news);
}

port.on('message', (order: StationOrder) => {
  if (order.kind === 'ping') {
    tell({ kind: 'pong', id: order.id });
  } else {
    prefixBytes = order.prefixBytes;
    onPlugged(order.writerId);
  }
});

const station = await Station.open({
  pool,
  place,
  ledger: new Ledger(task.sources, task.ledger),
  openWriter: () =>
    task.writer === undefined
      ? new LocalWriter(flusher)
      : SharedWriter.attach(flusher, task.writer),
  async announce(writer) {
    if (task.writer !== undefined) return;
    const plugged = new Promise<void>((resolve) => {
      onPlugged = (writerId) => writerId === writer.id && resolve();
    });
    tell({ kind: 'writer', writerId: writer.id, path: board.get(task.seat, 0) });
    await plugged;
  },
  prefixBytes: () => prefixBytes,
  wayOf: () => INTO_WRITER,
});
const receiver = channel.receiver();
tell({ kind: 'ready' });

async function next(): Promise<Packet | undefined> {
  place.act(RECEIVING);
  const packet = receiver.tryReceive();
  if (packet !== undefined) return packet;
  await station.settle();
  for (;;) {
    place.act(WAITING);
    try {
      return await receiver.receive();
    } catch (error) {
      // All who sent have died. Others will come.
      if ((error as { code?: string }).code !== 'ERR_BUSBAR_CHANNEL_PEER_DIED') throw error;
    }
  }
}

for (let count = 1; ; count++) {
  try {
    const packet = await next();
    if (packet === undefined) break;
    station.note(packet);
    await station.take(packet, -1);
  } catch (error) {
    place.survive(error);
  }
  if (count % RUN_MAX === 0) await new Promise((resolve) => setImmediate(resolve));
}
await station.settle();
const dropped = station.close();
if (dropped > 0) throw new Error(`seat ${task.seat}: close dropped ${dropped} bytes`);
receiver.close();
pool.detach();
port.close();
