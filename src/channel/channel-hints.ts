// SPDX-License-Identifier: MIT
/**
 * The words of a channel that are read without order on purpose, by the table of channel-layout.ts.
 *
 * The model checker lets plain accesses race on them; test/model/racy-words.ts has the argument for
 * each.
 */

import { type ChannelKind, type ChannelLayout, HEAD, TAIL } from './channel-layout.ts';

export function isChannelHint(
  layout: ChannelLayout,
  { kind, capacity }: { readonly kind: ChannelKind; readonly capacity: number },
  word: number,
): boolean {
  if (word === TAIL) return true;
  // The receiver of an mpsc channel has its HEAD for itself, and leaves it in order to its heir.
  if (word === HEAD) return kind !== 'mpsc';
  if (kind === 'spsc') return false;
  const slot = word - layout.slots;
  return slot >= 0 && slot < capacity * layout.slotWords && slot % layout.slotWords === 0;
}
