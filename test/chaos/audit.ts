// SPDX-License-Identifier: MIT
/** Test tool: finds the owner of every buffer of a chaos run at rest. */
import type { SharedWriter } from 'busbar/writer';
import { BUFFER, SharedWriterLayout } from '../../src/writer/shared-writer-layout.ts';
import { auditPool } from '../pool-audit.ts';
import { SEAT_COUNT, SEATS, SLOT } from './board.ts';
import type { Hub } from './hub.ts';

/** Buffers that a shared writer keeps for its next messages: those of its segments. */
function segmentsOf(writer: SharedWriter): number {
  const words = new Int32Array(writer.handle.control);
  const layout = SharedWriterLayout.of(words);
  let count = 0;
  for (let epoch = 0; epoch < layout.segmentCount; epoch++) {
    if (words[layout.segment(epoch) + BUFFER] !== 0) count++;
  }
  return count;
}

/** Bytes committed to a shared writer, by any thread, and not yet in its lane. */
export function undeliveredBytes(writer: SharedWriter): number {
  const { delivery } = writer as unknown as { delivery: { undelivered(): number } };
  return delivery.undelivered();
}

/**
 * What is wrong with the pool while no message is in flight and no thread holds any: every buffer
 * must be free, or lie in a segment of a shared writer.
 */
export function auditAtRest(hub: Hub): string[] {
  const { pool, board, flusher } = hub;
  const wrong = auditPool(pool);
  const stats = pool.who();
  const slots = new Set([pool.threadSlot as number]);
  for (let seat = 0; seat < SEAT_COUNT; seat++) slots.add(board.get(seat, SLOT) - 1);
  for (const { slot, held, state, waiting } of stats.threads) {
    const seat = SEATS.findIndex((_, i) => board.get(i, SLOT) === slot + 1);
    const name = slot === pool.threadSlot ? 'the host' : (SEATS[seat] ?? `slot ${slot}`);
    if (!slots.has(slot)) wrong.push(`${name} is ${state}, and nobody's`);
    if (held > 0) wrong.push(`${name} holds ${held} buffers`);
    if (waiting) wrong.push(`${name} waits for a buffer`);
  }
  const segments = segmentsOf(hub.twinsWriter) + segmentsOf(hub.executorsWriter);
  if (stats.inTransit !== segments) {
    wrong.push(`${stats.inTransit} buffers are in transit, ${segments} in shared writers`);
  }
  const free = stats.freeShared + stats.freeCached;
  const known = free + stats.held;
  if (known !== stats.capacity) wrong.push(`of ${stats.capacity} buffers ${known} are known`);
  const { waitingRegions } = flusher.stats();
  if (waitingRegions > 0) wrong.push(`${waitingRegions} regions wait in the flusher`);
  return wrong;
}
