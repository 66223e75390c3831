// SPDX-License-Identifier: MIT
/**
 * Which options and which STATE a block of each kind can have, whatever its threads do, and
 * wherever one of them dies. A thread that attaches checks both: a block with others is refused.
 */

import { loadAcquire, type Words } from '../base/atomics.ts';
import { slotOf } from '../pool/pool-layout.ts';
import {
  CLOSING,
  COUNT_MAX,
  ENTRIES_MAX,
  EPOCH_BITS,
  FAILED,
  OPEN,
  PHASE,
  RUNNING,
} from './phase-layout.ts';
import { SIGNALS_MAX } from './signal-tree-layout.ts';
import {
  BADGE_MAX,
  CHOICE_COUNT,
  FREE,
  HEADER_CHOICES,
  HEADER_THREADS,
  HOLDER_MASK,
  PERMITS_MASK,
  POISONED,
  STATE,
  type SyncKind,
  WAITED,
} from './sync-layout.ts';

/** The kinds of blocks: a view of a read-write lock lies in that of the lock. */
export type BlockKind = Exclude<SyncKind, 'readLock'>;

/** What the words of one kind can be. */
interface Possible {
  /** The least and the most of each word from HEADER_CHOICES on; those left out are 0. */
  readonly choices: readonly (readonly [number, number])[];
  readonly isState: (state: number, words: Words) => boolean;
}

/** One of two. */
const EITHER = [0, 1] as const;

const POSSIBLE: Readonly<Record<BlockKind, Possible>> = {
  mutex: { choices: [[0, 2], EITHER], isState: isHolder },
  rwlock: { choices: [EITHER], isState: isHolder },
  semaphore: {
    choices: [[1, PERMITS_MASK], EITHER],
    isState: (state, words) => (state & PERMITS_MASK) <= words[HEADER_CHOICES],
  },
  event: { choices: [EITHER], isState: () => true },
  waitGroup: { choices: [], isState: (state) => (state & PHASE) === OPEN },
  countdown: { choices: [], isState: isCount },
  barrier: { choices: [], isState: (state) => isCount(state) && (state & PHASE) !== RUNNING },
  gate: {
    choices: [[1, ENTRIES_MAX + 1]],
    isState(state) {
      const phase = state & PHASE;
      return phase !== FAILED && (phase === RUNNING || (state & CLOSING) === 0);
    },
  },
  once: { choices: [EITHER], isState: (state) => (state & (EPOCH_BITS | COUNT_MAX)) === 0 },
  signalTree: { choices: [[1, SIGNALS_MAX]], isState: (state) => (state & ~WAITED) === 0 },
};

/** True if a block that says it is of that kind has options and a STATE that it can have. */
export function isPossible(kind: BlockKind, words: Words): boolean {
  const { choices, isState } = POSSIBLE[kind];
  for (let i = 0; i < CHOICE_COUNT; i++) {
    const [least, most] = choices[i] ?? [0, 0];
    const choice = words[HEADER_CHOICES + i];
    if (choice < least || choice > most) return false;
  }
  return isState(loadAcquire(words, STATE), words);
}

/** Free, of a thread that the pool may have, orphaned, or poisoned. */
function isHolder(state: number, words: Words): boolean {
  const holder = state & HOLDER_MASK;
  if (holder === FREE || holder >= POISONED) return true;
  return holder <= BADGE_MAX && slotOf(holder) < words[HEADER_THREADS];
}

/** Some are still to come, or it has come to an end. */
function isCount(state: number): boolean {
  return (state & EPOCH_BITS) === 0 && ((state & PHASE) === OPEN) === ((state & COUNT_MAX) !== 0);
}
