// SPDX-License-Identifier: MIT
/** From the program to the outbox, past the writers: packets that are sent as they are. */

import { checkInteger, show } from '../base/check.ts';
import { Packet } from '../packet/index.ts';
import type { BufferId, BufferPool } from '../pool/index.ts';

/** Takes one reference of this thread, if it answers true. */
export type TrySendRegion = (bufferId: BufferId, offset: number, length: number) => boolean;

/** Sends a packet by its numbers; it ends if that succeeds. **Throws** TypeError. */
export function trySendPacket(packet: Packet, pool: BufferPool, trySend: TrySendRegion): boolean {
  if (!(packet instanceof Packet) || packet.pool !== pool) {
    throw new TypeError(`packet must be a Packet of the link's pool, got ${show(packet)}`);
  }
  if (!trySend(packet.bufferId, packet.offset, packet.length)) return false;
  packet.letGo();
  return true;
}

/** **Throws** ERR_BUSBAR_NOT_HELD, RangeError: this thread has no reference, or not that region. */
export function checkHeldRegion(
  pool: BufferPool,
  bufferId: BufferId,
  offset: number,
  length: number,
): void {
  pool.retain(bufferId);
  pool.release(bufferId);
  const begin = pool.offsetOf(bufferId);
  checkInteger('offset', offset, begin, begin + pool.bufferSize);
  checkInteger('length', length, 0, begin + pool.bufferSize - offset);
}
