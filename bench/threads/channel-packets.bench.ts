// SPDX-License-Identifier: MIT
/** What 64 bytes cost from thread to thread: a reference travels, the bytes stay where they are. */

import { type ChannelHandle, PacketChannel } from 'busbar/channel';
import { type BufferId, BufferPool } from 'busbar/pool';
import type { BenchCase, PreparedCase } from '../bench-case.ts';
import {
  BATCH,
  BUFFER_COUNT,
  CAPACITY,
  type PacketSourceData,
  tryTakeMessage,
} from './channel-packets.ts';
import { Crew, ROUNDS_PER_CHECK } from './crew.ts';
import { BUFFER_BYTES, SLOTS } from './id-ring.ts';
import { checkMessage, MESSAGE_BYTES, nextNumber } from './message.ts';

interface PacketChannelSizes {
  readonly bufferSize: number;
  readonly bufferCount: number;
  readonly capacity: number;
}

const SMALL = { bufferSize: MESSAGE_BYTES, bufferCount: BUFFER_COUNT, capacity: CAPACITY };
/** As many buffers on their way as in the bare ring (`id-ring.ts`), and the threads' caches. */
const WHOLE = { bufferSize: BUFFER_BYTES, bufferCount: 2 * SLOTS, capacity: SLOTS };

export const packetChannelCases: readonly BenchCase[] = [
  {
    id: 'channel/spsc-packets-64B',
    what: 'a buffer taken, 64 B written, trySendRegion; there tryReceiveRegion, 64 B read, release',
    unit: BATCH * 16,
    threads: 2,
    prepare: prepareOneByOne,
  },
  {
    id: 'channel/spsc-packets-64B-batch64',
    what: 'the same with trySendBatch of 64 packets and drainRegions of up to 64',
    unit: BATCH * 16,
    threads: 2,
    prepare: () => prepareBatches(createPacketChannel()),
  },
  {
    id: 'channel/buffers-batch64',
    what: 'the same with whole buffers of 16 KiB, of which 64 B are written and read; per buffer',
    unit: BATCH * 16,
    threads: 2,
    prepare: () => prepareBatches(createPacketChannel(WHOLE)),
  },
];

async function prepareOneByOne(): Promise<PreparedCase> {
  const { pool, channel, data } = createPacketChannel();
  const crew = await Crew.start([{ role: 'packet-source', data }]);
  const receiver = channel.receiver();
  return {
    run(ops) {
      crew.begin(ops);
      let idleRounds = 0;
      for (let i = 0, number = 0; i < ops; ) {
        if (tryTakeMessage(pool, receiver, number)) {
          number = nextNumber(number);
          i++;
        } else if (++idleRounds % ROUNDS_PER_CHECK === 0) crew.check();
      }
      crew.finish();
      return ops;
    },
    close: () => crew.closeWith(receiver, pool),
  };
}

async function prepareBatches({
  pool,
  channel,
  data,
}: ReturnType<typeof createPacketChannel>): Promise<PreparedCase> {
  const crew = await Crew.start([{ role: 'packet-batch-source', data }]);
  const receiver = channel.receiver();
  let number = 0;
  const take = (id: BufferId, offset: number): void => {
    checkMessage(pool.view, offset, number);
    number = nextNumber(number);
    pool.release(id);
  };
  return {
    run(ops) {
      crew.begin(ops);
      number = 0;
      let idleRounds = 0;
      for (let left = ops; left > 0; ) {
        const count = receiver.drainRegions(take, BATCH);
        left -= count;
        if (count === 0 && ++idleRounds % ROUNDS_PER_CHECK === 0) crew.check();
      }
      crew.finish();
      return ops;
    },
    close: () => crew.closeWith(receiver, pool),
  };
}

/** A pool, by default of buffers of one message each, and a channel over it. */
export function createPacketChannel({
  bufferSize,
  bufferCount,
  capacity,
}: PacketChannelSizes = SMALL): {
  pool: BufferPool;
  channel: PacketChannel;
  data: PacketSourceData;
} {
  const pool = BufferPool.create({ bufferSize, bufferCount });
  const channel = PacketChannel.create(pool, { kind: 'spsc', capacity });
  const handle: ChannelHandle = channel.handle;
  return { pool, channel, data: { pool: pool.handle, channel: handle, length: bufferSize } };
}

export function createMessagePool(): BufferPool {
  return BufferPool.create({ bufferSize: MESSAGE_BYTES, bufferCount: BUFFER_COUNT });
}
