// SPDX-License-Identifier: MIT
/**
 * Model checker: which words of busbar's own structures are read without order on purpose, so that
 * scenarios that use them are not told of those.
 */

import { BusbarError } from '../base/errors.ts';
import {
  CHANNEL_KINDS,
  type ChannelKind,
  type ChannelLayout,
  HEAD,
  HEADER_CAPACITY,
  HEADER_KIND,
  TAIL,
} from '../channel/channel-layout.ts';
import { type ChannelHandle, layoutOf as channelLayoutOf } from '../channel/channel-options.ts';
import { layoutOf as poolLayoutOf } from '../pool/pool-blocks.ts';
import {
  ACQUIRES,
  ATTENTION,
  CACHE_COUNT,
  GIVE_BACKS,
  OWNER,
  type PoolLayout,
  TICKET,
} from '../pool/pool-layout.ts';
import type { BufferPoolHandle } from '../pool/pool-options.ts';
import { TRANSIT_MARK } from '../pool/transit-layout.ts';
import * as flusher from '../writer/flusher-layout.ts';
import type { WriteFlusherHandle } from '../writer/flusher-options.ts';
import type { SharedWriterHandle } from '../writer/shared-writer-handle.ts';
import * as writer from '../writer/shared-writer-layout.ts';
import { activeMachine } from './active.ts';
import type { WordPredicate } from './scenario.ts';

/** A handle of something of busbar's that threads share. */
export type SharedHandle =
  | BufferPoolHandle
  | ChannelHandle
  | WriteFlusherHandle
  | SharedWriterHandle;

/**
 * For `racy` of a scenario whose threads use pools, channels, flushers and shared writers: true for
 * the words of theirs that are read without order and looked at again before they count.
 *
 * **Threads** only inside `racy`. **Throws** TypeError for what is no handle.
 */
export function hintsOf(...handles: readonly SharedHandle[]): WordPredicate {
  const machine = activeMachine();
  if (machine === undefined) throw new Error('hintsOf() is for `racy` of a scenario only');
  const hints = new Map<number, (word: number) => boolean>();
  for (const [i, handle] of handles.entries()) {
    const region = machine.memory.regionOf(handle?.control);
    if (region === undefined) {
      throw new TypeError(`handles[${i}] must be the handle of something that setup made`);
    }
    hints.set(region.ordinal, hintsOfOne(handle));
  }
  return (block, word) => hints.get(block)?.(word) ?? false;
}

function hintsOfOne(handle: SharedHandle): (word: number) => boolean {
  const words = new Int32Array(handle.control);
  switch (handle.kind) {
    case 'busbar/pool': {
      const layout = poolLayoutOf(words);
      return (word) =>
        isPoolHint(layout, word) || isOwnerWord(layout, word) || isPoolStatistic(layout, word);
    }
    case 'busbar/channel': {
      const layout = channelLayoutOf(words);
      const shape = {
        kind: CHANNEL_KINDS[words[HEADER_KIND]],
        capacity: words[HEADER_CAPACITY],
      };
      return (word) => isChannelHint(layout, shape, word);
    }
    case 'busbar/flusher': {
      const layout = new flusher.FlusherLayout(
        words[flusher.HEADER_WRITERS],
        words[flusher.HEADER_REGIONS],
      );
      return (word) => isFlusherHint(layout, word) || isReferenceWord(layout, word);
    }
    case 'busbar/shared-writer': {
      const layout = writer.SharedWriterLayout.of(words);
      return (word) => isWriterHint(layout, word);
    }
    default:
      throw new BusbarError('ERR_BUSBAR_BAD_HANDLE');
  }
}

export function isPoolHint(layout: PoolLayout, word: number): boolean {
  if (word === ATTENTION) return true;
  for (let slot = 0; slot < layout.maxThreads; slot++) {
    if (word === layout.thread(slot) + CACHE_COUNT) return true;
    // A server may read it while the waiter, served by another, registers again: fairness at stake,
    // nothing else.
    if (word === layout.thread(slot) + TICKET) return true;
  }
  return false;
}

/** What `stats()` reads while the threads that own it go on: counters and REFS. */
export function isPoolStatistic(layout: PoolLayout, word: number): boolean {
  for (let slot = 0; slot < layout.maxThreads; slot++) {
    const counter = word - layout.thread(slot);
    if (counter >= ACQUIRES && counter <= GIVE_BACKS) return true;
    const id = word - layout.refs(slot);
    if (id >= 0 && id < layout.bufferCount) return true;
  }
  return false;
}

/** OWNER words: reclaim reads all of them while living threads change theirs. */
export function isOwnerWord(layout: PoolLayout, word: number): boolean {
  for (let id = 0; id < layout.bufferCount; id++) {
    if (word === layout.buffer(id) + OWNER) return true;
  }
  return false;
}

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

export function isFlusherHint(layout: flusher.FlusherLayout, word: number): boolean {
  for (let lane = 0; lane < layout.writerCount; lane++) {
    // A writer that joins looks at TAIL before it may use it, and again when it does.
    if (word === layout.readyWord(lane) || word === layout.lane(lane) + flusher.TAIL) return true;
  }
  return false;
}

/**
 * Last words of regions: when a flusher is closed, several threads may take one back; the exchange
 * of that word decides who does.
 */
export function isReferenceWord(layout: flusher.FlusherLayout, word: number): boolean {
  for (let lane = 0; lane < layout.writerCount; lane++) {
    for (let slot = 0; slot < layout.regionCount; slot++) {
      if (word === layout.slot(lane, slot) + TRANSIT_MARK) return true;
    }
  }
  return false;
}

export function isWriterHint(layout: writer.SharedWriterLayout, word: number): boolean {
  // Where a reservation begins to look; the compare-exchange of FILL decides.
  if (word === writer.EPOCH) return true;
  // recover() asks whether the dead thread was ending the writer, while a living one may be.
  if (word === writer.SHUT) return true;
  for (let place = 0; place < layout.segmentCount; place++) {
    const segment = layout.segment(place);
    if (word === segment + writer.FILL || word === segment + writer.BUFFER) return true;
    for (let entry = 0; entry < layout.entryCount; entry++) {
      if (word === layout.entry(place, entry) + writer.STATE) return true;
    }
  }
  return false;
}
