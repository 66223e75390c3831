// SPDX-License-Identifier: MIT
/** A relay of metrics: each datagram goes to two collectors, by reference. */
import { UdpAddress, UdpLink } from 'busbar/link';
import { BufferPool } from 'busbar/pool';

export async function startMetrics(
  ports: readonly number[],
): Promise<{ pool: BufferPool; link: UdpLink; missed: () => number }> {
  const pool = BufferPool.create({ bufferSize: 65536, bufferCount: 64 });
  const targets = ports.map((port) => UdpAddress.of('127.0.0.1', port));
  let missed = 0;
  const link = await UdpLink.open(pool, {
    receiveBytes: 1 << 20,
    handler: () => ({
      onPacket(packet) {
        for (const target of targets) {
          const copy = packet.clone();
          if (link.trySend(copy, target)) continue;
          copy.release();
          missed++;
        }
        packet.release();
      },
    }),
  });
  return { pool, link, missed: () => missed };
}
