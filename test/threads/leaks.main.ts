// SPDX-License-Identifier: MIT
/** Test program: does not release its packets, so that a leak report appears at exit. */
import { Packet } from 'busbar/packet';
import { BufferPool } from 'busbar/pool';

const pool = BufferPool.create({ bufferSize: 64, bufferCount: 64, maxThreads: 2 });

function forget(count: number): Packet[] {
  return Array.from({ length: count }, () => Packet.tryFrom(pool, Uint8Array.of(1)) as Packet);
}

const packets = forget(Number(process.argv[2]));
// Otherwise the collector may find them dropped before the exit, which is a report of its own.
Object.assign(globalThis, { packets });
if (process.argv[3] === 'release') for (const packet of packets) packet.release();
if (process.argv[3] === 'detach') {
  for (const packet of packets) packet.release();
  pool.detach();
}
