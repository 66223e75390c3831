// SPDX-License-Identifier: MIT
/** Shows `pool.who()` the references that lie in the words of flushers and shared writers. */

import { loadAcquire, type Words } from '../base/atomics.ts';
import type { BufferPool } from '../pool/index.ts';
import { TRANSIT_MARK } from '../pool/transit-layout.ts';
import { type FlusherLayout, LANES_USED } from './flusher-layout.ts';
import { BUFFER, type SharedWriterLayout } from './shared-writer-layout.ts';

/** Regions that were flushed and not drained. The pool knows the result weakly: keep it. */
export function flusherTransits(pool: BufferPool, words: Words, layout: FlusherLayout): object {
  return pool.transits.add({
    transitKind: 'flusher',
    transitName: '',
    transitBlock: words.buffer,
    eachInTransit: (visit) => {
      const lanes = loadAcquire(words, LANES_USED);
      for (let i = 0; i < lanes * layout.regionCount; i++) {
        const lane = Math.trunc(i / layout.regionCount);
        const at = layout.slot(lane, i % layout.regionCount);
        if (words[at + TRANSIT_MARK] !== 0) visit(words[at]);
      }
    },
  });
}

/** Buffers of segments, and those that members have for the next one; keep the result. */
export function segmentTransits(
  pool: BufferPool,
  words: Words,
  layout: SharedWriterLayout,
): object {
  return pool.transits.add({
    transitKind: 'shared writer',
    transitName: '',
    transitBlock: words.buffer,
    eachInTransit: (visit) => {
      for (let place = 0; place < layout.segmentCount; place++) {
        const buffer = words[layout.segment(place) + BUFFER];
        if (buffer !== 0) visit(buffer - 1);
      }
      for (let slot = 0; slot < pool.maxThreads; slot++) {
        const pending = layout.pending(slot);
        if (words[pending + TRANSIT_MARK] !== 0) visit(words[pending]);
      }
    },
  });
}
