// SPDX-License-Identifier: MIT
/**
 * The words of flushers and shared writers that are read without order on purpose; see the tables
 * in flusher-layout.ts and shared-writer-layout.ts.
 *
 * The model checker allows races of plain accesses on them; test/model/racy-words.ts argues for
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
    // A joining writer reads TAIL before it may use it, and again when it does.
    if (word === layout.readyWord(lane) || word === layout.lane(lane) + TAIL) return true;
  }
  return false;
}

/**
 * The last words of regions. When a flusher is closed, several threads may take back a region; the
 * exchange of this word decides which one does.
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
  // A reservation starts its search there; the compare-exchange of FILL decides.
  if (word === EPOCH) return true;
  // recover() checks whether the dead thread was ending the writer, while a living one may be.
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
