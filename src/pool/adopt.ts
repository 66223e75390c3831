// SPDX-License-Identifier: MIT
/** References of a dead thread that the reclaiming thread takes over instead of releasing them. */

import type { Words } from '../base/atomics.ts';
import { NO_BUFFER, OWNER, type PoolLayout, SHARED } from './pool-layout.ts';

/** How many references a dead thread held on a buffer. */
export type HeldByDead = (id: number) => number;

/**
 * Chooses buffers of a dead thread, once for each reference to take over. Called while the
 * reclaiming thread alone may change the dead one's account; must not call the pool.
 */
export type ChooseHeld = (held: HeldByDead) => Words;

/** What `adopt` needs of the reclaiming thread. */
interface Self {
  readonly words: Words;
  readonly layout: PoolLayout;
  readonly slot: number;
}

/**
 * Takes over one reference for each of `ids`; those that the dead thread did not hold become
 * NO_BUFFER. Where it held shares, all of them come along with the first reference.
 *
 * If this thread dies in between, each buffer is in one of the two accounts.
 */
export function adopt(self: Self, slot: number, ids: Words): void {
  const { words, layout } = self;
  for (let i = 0; i < ids.length; i++) {
    const id = ids[i];
    const owner = layout.buffer(id) + OWNER;
    const theirs = layout.shares(slot) + id;
    const refs = layout.refs(self.slot) + id;
    const shares = layout.shares(self.slot) + id;
    const isHeld = words[layout.refs(slot) + id] > 0;
    // No call from one store to the next.
    if (words[owner] === SHARED && (words[theirs] > 0 || words[refs] > 0)) {
      words[shares] += words[theirs];
      words[theirs] = 0;
      words[refs]++;
    } else if (isHeld && (words[owner] === slot || words[owner] === self.slot)) {
      words[theirs] = 0;
      words[owner] = self.slot;
      words[refs]++;
    } else {
      ids[i] = NO_BUFFER;
    }
  }
}
