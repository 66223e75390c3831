// SPDX-License-Identifier: MIT
/** The sending threads of shared-nothing's channel workloads. */

import { type ChannelHandle, PacketChannel, WordChannel } from 'busbar/channel';
import { BufferPool, type BufferPoolHandle, NO_BUFFER } from 'busbar/pool';
import { NOTHING } from './control.ts';
import { NUMBER_BYTES } from './group-work.ts';
import type { Role } from './role.ts';

export interface NumberProducerData {
  readonly pool: BufferPoolHandle;
  readonly channel: ChannelHandle;
  /** What it sends in a turn: the numbers `[begin, end)`. */
  readonly begin: number;
  readonly end: number;
}

/** Sends its numbers in packets of eight bytes. The channel has room for all of them. */
export function createNumberProducer({ begin, end, ...data }: NumberProducerData): Role {
  const pool = BufferPool.attach(data.pool);
  const sender = PacketChannel.attach(pool, data.channel).sender();
  return {
    run() {
      const { view } = pool;
      for (let i = begin; i < end; i++) {
        let id = pool.tryAcquire();
        while (id === NO_BUFFER) id = pool.tryAcquire();
        const offset = pool.offsetOf(id);
        view.setInt32(offset, i, true);
        view.setInt32(offset + 4, 0, true);
        if (!sender.trySendRegion(id, offset, NUMBER_BYTES)) throw new Error('there was no room');
      }
      return NOTHING;
    },
    close() {
      sender.close();
      pool.detach();
    },
  };
}

/** The same with bare words. */
export function createShortNumberProducer({ begin, end, ...data }: NumberProducerData): Role {
  const pool = BufferPool.attach(data.pool);
  const sender = WordChannel.attach(pool, data.channel).sender();
  return {
    run() {
      for (let i = begin; i < end; i++) {
        if (!sender.trySend(i)) throw new Error('there was no room');
      }
      return NOTHING;
    },
    close() {
      sender.close();
      pool.detach();
    },
  };
}
