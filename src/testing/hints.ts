// SPDX-License-Identifier: MIT
/** Model checker: `hintsOf` names the words of busbar structures on which races are allowed. */

import { BusbarError } from '../base/errors.ts';
import { isChannelHint } from '../channel/channel-hints.ts';
import { CHANNEL_KINDS, HEADER_CAPACITY, HEADER_KIND } from '../channel/channel-layout.ts';
import { type ChannelHandle, layoutOf as channelLayoutOf } from '../channel/channel-options.ts';
import { layoutOf as poolLayoutOf } from '../pool/pool-blocks.ts';
import { isOwnerWord, isPoolHint, isPoolStatistic } from '../pool/pool-hints.ts';
import type { BufferPoolHandle } from '../pool/pool-options.ts';
import * as flusher from '../writer/flusher-layout.ts';
import type { WriteFlusherHandle } from '../writer/flusher-options.ts';
import type { SharedWriterHandle } from '../writer/shared-writer-handle.ts';
import * as writer from '../writer/shared-writer-layout.ts';
import { isFlusherHint, isReferenceWord, isWriterHint } from '../writer/writer-hints.ts';
import { activeMachine } from './active.ts';
import type { WordPredicate } from './scenario.ts';

/** The handle of a shared structure of busbar. */
export type SharedHandle =
  | BufferPoolHandle
  | ChannelHandle
  | WriteFlusherHandle
  | SharedWriterHandle;

/**
 * For `racy` of a scenario whose threads use pools, channels, flushers and shared writers: returns
 * true for their hints, which are read without order and checked again before they count.
 *
 * **Threads** only inside `racy`. **Throws** TypeError for anything but a handle.
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
