// SPDX-License-Identifier: MIT
/** Costs of references on buffers: retain and release, and the trip to another thread and back. */

import { Packet } from 'busbar/packet';
import { BufferPool } from 'busbar/pool';
import type { BenchCase, PreparedCase } from './bench-case.ts';

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
    prepare: () =>
      withPacket((_pool, packet) => {
        return (ops) => {
          let sum = 0;
          for (let i = 0; i < ops; i++) {
            const clone = packet.clone();
            sum = (sum + clone.length) | 0;
            clone.release();
          }
          return sum;
        };
      }),
  },
  {
    id: 'packet/clone-release-numbers',
    what: 'pool.retain, pool.release',
    unit: 1000,
    threads: 1,
    prepare: () =>
      withPacket((pool, packet) => {
        const { bufferId } = packet;
        return (ops) => {
          for (let i = 0; i < ops; i++) {
            pool.retain(bufferId);
            pool.release(bufferId);
          }
          return ops;
        };
      }),
  },
  {
    id: 'packet/send-receive',
    what: 'retain, moveInto, moveFrom, release through four shared words, one thread',
    unit: 1000,
    threads: 1,
    prepare: () =>
      withPacket((pool, packet) => {
        const { bufferId, offset, length } = packet;
        const words = new Int32Array(new SharedArrayBuffer(64));
        return (ops) => {
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
        };
      }),
  },
  {
    id: 'packet/send-receive-objects',
    what: 'packet.clone(), send(), Packet.moveIn(), its length read, release(), one thread',
    unit: 1000,
    threads: 1,
    prepare: () =>
      withPacket((pool, packet) => {
        return (ops) => {
          let sum = 0;
          for (let i = 0; i < ops; i++) {
            const received = Packet.moveIn(pool, packet.clone().moveOut());
            sum = (sum + received.length) | 0;
            received.release();
          }
          return sum;
        };
      }),
  },
];

/** A case about one packet: `make` returns its `run`. */
function withPacket(make: (pool: BufferPool, packet: Packet) => PreparedCase['run']): PreparedCase {
  const pool = BufferPool.create({ bufferSize: BUFFER_SIZE, bufferCount: BUFFER_COUNT });
  const packet = Packet.tryFrom(pool, new Uint8Array(PACKET_BYTES));
  if (packet === undefined) throw new Error('a new pool has no buffer');
  return {
    run: make(pool, packet),
    close() {
      packet.release();
      pool.detach();
    },
  };
}
