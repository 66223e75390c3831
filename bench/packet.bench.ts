// SPDX-License-Identifier: MIT
/** Costs of references on buffers: retain and release, and the trip to another thread and back. */

import { Packet } from 'busbar/packet';
import { BufferPool } from 'busbar/pool';
import type { BenchCase } from './bench-case.ts';

const BUFFER_SIZE = 2048;
const BUFFER_COUNT = 64;
const PACKET_BYTES = 60;
const SEND_WORDS = 4;

export const packetCases: readonly BenchCase[] = [
  {
    id: 'packet/clone-release',
    what: 'packet.clone(), its length read, release()',
    unit: 1000,
    threads: 1,
    prepare() {
      const { pool, packet } = createPacket();
      return {
        run(ops) {
          let sum = 0;
          for (let i = 0; i < ops; i++) {
            const clone = packet.clone();
            sum = (sum + clone.length) | 0;
            clone.release();
          }
          return sum;
        },
        close() {
          packet.release();
          pool.detach();
        },
      };
    },
  },
  {
    id: 'packet/clone-release-numbers',
    what: 'pool.retain, pool.release',
    unit: 1000,
    threads: 1,
    prepare() {
      const { pool, packet } = createPacket();
      const { bufferId } = packet;
      return {
        run(ops) {
          for (let i = 0; i < ops; i++) {
            pool.retain(bufferId);
            pool.release(bufferId);
          }
          return ops;
        },
        close() {
          packet.release();
          pool.detach();
        },
      };
    },
  },
  {
    id: 'packet/send-receive',
    what: 'retain, moveInto, moveFrom, release through four shared words, one thread',
    unit: 1000,
    threads: 1,
    prepare() {
      const { pool, packet } = createPacket();
      const { bufferId, offset, length } = packet;
      const words = new Int32Array(new SharedArrayBuffer(64));
      return {
        run(ops) {
          let sum = 0;
          for (let i = 0; i < ops; i++) {
            const index = (i & 3) * SEND_WORDS;
            pool.retain(bufferId);
            pool.moveInto(bufferId, offset, length, words, index);
            const received = pool.moveFrom(words, index);
            sum = (sum + words[index + 2]) | 0;
            pool.release(received);
          }
          return sum;
        },
        close() {
          packet.release();
          pool.detach();
        },
      };
    },
  },
  {
    id: 'packet/send-receive-objects',
    what: 'packet.clone(), send(), Packet.moveIn(), its length read, release(), one thread',
    unit: 1000,
    threads: 1,
    prepare() {
      const { pool, packet } = createPacket();
      return {
        run(ops) {
          let sum = 0;
          for (let i = 0; i < ops; i++) {
            const received = Packet.moveIn(pool, packet.clone().moveOut());
            sum = (sum + received.length) | 0;
            received.release();
          }
          return sum;
        },
        close() {
          packet.release();
          pool.detach();
        },
      };
    },
  },
];

function createPacket(): { pool: BufferPool; packet: Packet } {
  const pool = BufferPool.create({ bufferSize: BUFFER_SIZE, bufferCount: BUFFER_COUNT });
  const packet = Packet.tryFrom(pool, new Uint8Array(PACKET_BYTES));
  if (packet === undefined) throw new Error('a new pool has no buffer');
  return { pool, packet };
}
