// SPDX-License-Identifier: MIT
/** Checks packets and regions that a program sends as they are, without a writer. */

import { checkInteger, show } from '../../base/check.ts';
import { Packet } from '../../packet/index.ts';
import type { BufferId, BufferPool } from '../../pool/index.ts';

/** **Throws** TypeError for anything but a packet of the pool. */
export function checkPacketOf(pool: BufferPool, packet: Packet): void {
  if (packet instanceof Packet && packet.pool === pool) return;
  throw new TypeError(`packet must be a Packet of the link's pool, got ${show(packet)}`);
}

/** **Throws** ERR_BUSBAR_NOT_HELD without a reference, RangeError for a region outside of it. */
export function checkHeldRegion(
  pool: BufferPool,
  bufferId: BufferId,
  offset: number,
  length: number,
): void {
  pool.checkHeld(bufferId);
  const begin = pool.offsetOf(bufferId);
  checkInteger('offset', offset, begin, begin + pool.bufferSize);
  checkInteger('length', length, 0, begin + pool.bufferSize - offset);
}
