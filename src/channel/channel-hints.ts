// SPDX-License-Identifier: MIT
/**
 * The words of a channel that are read without order on purpose; see the table in
 * channel-layout.ts.
 *
 * The model checker allows races of plain accesses on them; test/model/racy-words.ts argues for
 * each.
 */

import { type ChannelKind, type ChannelLayout, HEAD, TAIL } from './channel-layout.ts';

export function isChannelHint(
  layout: ChannelLayout,
  { kind, capacity }: { readonly kind: ChannelKind; readonly capacity: number },
  word: number,
): boolean {
  if (word === TAIL) return true;
  // Only the receiver of an mpsc channel uses HEAD; SYNC(seat) orders it for the successor.
  if (word === HEAD) return kind !== 'mpsc';
  if (kind === 'spsc') return false;
  const slot = word - layout.slots;
  return slot >= 0 && slot < capacity * layout.slotWords && slot % layout.slotWords === 0;
}
