// SPDX-License-Identifier: MIT
/**
 * The words of flushers and shared writers that are read without order on purpose, by the table of
 * flusher-layout.ts and shared-writer-layout.ts.
 *
 * The model checker lets plain accesses race on them; test/model/racy-words.ts has the argument for
 * each.
 */

import { TRANSIT_MARK } from '../pool/transit-layout.ts';
import { type FlusherLayout, TAIL } from './flusher-layout.ts';
import {
  BUFFER,
  EPOCH,
  FILL,
  SHUT,
  type SharedWriterLayout,
  STATE,
} from './shared-writer-layout.ts';

export function isFlusherHint(layout: FlusherLayout, word: number): boolean {
  for (let lane = 0; lane < layout.writerCount; lane++) {
    // A writer that joins looks at TAIL before it may use it, and again when it does.
    if (word === layout.readyWord(lane) || word === layout.lane(lane) + TAIL) return true;
  }
  return false;
}

/**
 * Last words of regions: when a flusher is closed, several threads may take one back; the exchange
 * of that word decides who does.
 */
export function isReferenceWord(layout: FlusherLayout, word: number): boolean {
  for (let lane = 0; lane < layout.writerCount; lane++) {
    for (let slot = 0; slot < layout.regionCount; slot++) {
      if (word === layout.slot(lane, slot) + TRANSIT_MARK) return true;
    }
  }
  return false;
}

export function isWriterHint(layout: SharedWriterLayout, word: number): boolean {
  // Where a reservation begins to look; the compare-exchange of FILL decides.
  if (word === EPOCH) return true;
  // recover() asks whether the dead thread was ending the writer, while a living one may be.
  if (word === SHUT) return true;
  for (let place = 0; place < layout.segmentCount; place++) {
    const segment = layout.segment(place);
    if (word === segment + FILL || word === segment + BUFFER) return true;
    for (let entry = 0; entry < layout.entryCount; entry++) {
      if (word === layout.entry(place, entry) + STATE) return true;
    }
  }
  return false;
}
