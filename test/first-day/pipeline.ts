// SPDX-License-Identifier: MIT
/** A pipeline: lines are parsed by an executor, which a line may crash, and summed up here. */
import { ExecutorGroup } from 'busbar/executor';
import { Packet } from 'busbar/packet';
import { BufferPool } from 'busbar/pool';

export async function startPipeline(module: URL): Promise<{
  pool: BufferPool;
  parsers: ExecutorGroup;
  sums: Map<string, number>;
  lost: string[];
  send: (line: string) => Promise<void>;
}> {
  const pool = BufferPool.create({ bufferSize: 256, bufferCount: 256, maxThreads: 8 });
  const sums = new Map<string, number>();
  const lost: string[] = [];
  const parsers = await ExecutorGroup.start({
    pool,
    module,
    count: 1,
    laneCapacity: 64,
    restart: { maxRestarts: 5 },
    // The line in hand is lost; what waits in the lane is for the next thread.
    onCrash: (_index, crash) => void lost.push(crash.message),
  });
  parsers.mailbox.handle((packet) => {
    const name = pool.text(packet.offset + 8, packet.length - 8);
    sums.set(name, (sums.get(name) ?? 0) + packet.getFloat64(0));
    packet.release();
  });
  const send = async (line: string): Promise<void> =>
    parsers.sendTo(0, await Packet.from(pool, line));
  return { pool, parsers, sums, lost, send };
}
