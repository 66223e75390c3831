// SPDX-License-Identifier: MIT
/**
 * Test worker: an executor of a chaos run, which sends messages to clients or to other executors.
 */
import { threadId } from 'node:worker_threads';
import { type ChannelHandle, PacketChannel } from 'busbar/channel';
import type { ExecutorContext } from 'busbar/executor';
import type { Packet } from 'busbar/packet';
import {
  SharedWriter,
  type SharedWriterHandle,
  WriteFlusher,
  type WriteFlusherHandle,
} from 'busbar/writer';
import {
  ACT,
  Board,
  COLLECTOR,
  EXECUTOR,
  Ledger,
  Place,
  STARTING,
  TO_HOST,
  TO_SEAT,
  WAITING,
} from './board.ts';
import { choiceOf, PREFIX_BYTES } from './message.ts';
import { INTO_WRITER, Station, type Way, wayTo } from './station.ts';

export interface ExecutorTask {
  readonly flusher: WriteFlusherHandle;
  readonly writer: SharedWriterHandle;
  /** To the collector. */
  readonly channel: ChannelHandle;
  readonly board: SharedArrayBuffer;
  readonly ledger: SharedArrayBuffer;
  readonly sources: number;
}

export async function run(context: ExecutorContext): Promise<void> {
  const { pool, index, count, host, mailbox } = context;
  const task = context.data as ExecutorTask;
  const seat = EXECUTOR + index;
  const board = new Board(task.board);
  board.set(seat, ACT, STARTING);
  const place = new Place(board, seat, pool.threadSlot, threadId);
  place.act(STARTING);
  const flusher = WriteFlusher.attach(pool, task.flusher);
  const collector = PacketChannel.attach(pool, task.channel).sender();
  const other = (index + 1) % count;
  const ways: readonly Way[] = [
    INTO_WRITER,
    wayTo(TO_HOST, host),
    wayTo(TO_SEAT + COLLECTOR, collector),
    wayTo(TO_SEAT + EXECUTOR + other, context.peer(other)),
  ];
  const station = await Station.open({
    pool,
    place,
    ledger: new Ledger(task.sources, task.ledger),
    openWriter: () => SharedWriter.attach(flusher, task.writer),
    announce: async () => {},
    prefixBytes: () => PREFIX_BYTES,
    // What has come from another executor goes back to clients from here.
    wayOf: (sequence, from) => ways[from === count ? choiceOf(sequence) : sequence & 1] as Way,
  });
  const queue: [Packet, number][] = [];
  let isBusy = false;
  const work = async (): Promise<void> => {
    isBusy = true;
    for (;;) {
      const first = queue.shift();
      try {
        if (first === undefined) await station.settle();
        else await station.take(...first);
      } catch (error) {
        place.survive(error);
      }
      if (first === undefined && queue.length === 0) break;
    }
    isBusy = false;
    place.act(WAITING);
  };
  mailbox.handle((packet, from) => {
    station.note(packet);
    queue.push([packet, from]);
    if (!isBusy) void work();
  });
  context.defer(async () => {
    await station.settle();
    const dropped = station.close();
    if (dropped > 0) throw new Error(`executor ${index}: close dropped ${dropped} bytes`);
    collector.close();
  });
}
