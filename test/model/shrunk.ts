// SPDX-License-Identifier: MIT
/**
 * Model checker: copies of modules with few bits for counters that wrap (numbers of attached
 * threads, laps of slots), so that a small scenario goes around them.
 */

import { loadCopy, type Variant } from './copies.ts';
import { makeMortal } from './mortal.ts';

/** Numbers of attached threads run modulo 4 instead of 2³⁰, in badges, too; lives modulo 2. */
const POOL: readonly (readonly [string, string])[] = [
  ['TIMES_MASK = 0x3fff_ffff', 'TIMES_MASK = 3'],
  ['& 0xf_ffff)', '& 3)'],
  ['export const LIVES = 8;', 'export const LIVES = 2;'],
];

/**
 * The lap in TURN has 2 bits instead of 16, and a group one slot, so that hints are written at each
 * position: that they lag by few laps is what a lap needs bits for. (At every eighth position, and
 * slots of which there is one, they lag by eight laps.)
 */
const CHANNEL: readonly (readonly [string, string])[] = [
  ['export const LAP_SHIFT = 16;', 'export const LAP_SHIFT = 30;'],
  ['assert((GROUPED | PHASE_MASK | MARKS | SEAT_MASK) === LAP - 1,', 'assert(LAP !== 0,'],
  ['export const GROUP = 8;', 'export const GROUP = 1;'],
  ['CAPACITY_MAX: number = 1 << 15', 'CAPACITY_MAX: number = 4'],
];

/** A sender that waits for room is woken late already with two slots, not from 16 on. */
const WAKING: readonly (readonly [string, string])[] = [
  ['shape.capacity < 16', 'shape.capacity < 2'],
];

/** Two carriers, and some pages of a line each: reclaim looks at all of them. */
const CARRIERS: readonly (readonly [string, string])[] = [
  ['ENTRY_COUNT = 64;', 'ENTRY_COUNT = 2;'],
  ['PAGE_WORDS = 1024;', 'PAGE_WORDS = 32;'],
  ['LANE_WORDS_USUAL: number = 1024 * (TRANSIT_WORDS + 1) + 256;', 'LANE_WORDS_USUAL: number = 8;'],
];

const CHANGES: Readonly<Record<string, readonly (readonly [string, string])[]>> = {
  'pool/carrier-layout.ts': CARRIERS,
  'pool/pool-layout.ts': POOL,
  'channel/channel-layout.ts': CHANNEL,
  'channel/spsc-ring.ts': WAKING,
};

/** Groups of two slots instead of 8. */
const PAIRS: typeof CHANGES = {
  'channel/channel-layout.ts': [['export const GROUP = 8;', 'export const GROUP = 2;']],
};

function change(changes: typeof CHANGES, entry: string, text: string): string {
  let small = text;
  for (const [from, to] of changes[entry] ?? []) {
    // Code changes, and what was to be shrunk may be gone.
    if (!small.includes(from)) throw new Error(`${entry} has no ${from}`);
    small = small.replace(from, to);
  }
  return small;
}

/** Copies with few bits, mortal as well. */
export const SHRUNK: Variant = {
  name: 'shrunk',
  change: (entry, text, target) => makeMortal(change(CHANGES, entry, text), target),
};

/** Copies in which a group of slots has two, mortal as well. */
export const PAIRED: Variant = {
  name: 'paired',
  change: (entry, text, target) => makeMortal(change(PAIRS, entry, text), target),
};

/** Loads the copy of a module under `src/` with few bits. */
export function shrunk<Exports>(module: string): Promise<Exports> {
  return loadCopy(SHRUNK, module);
}

/** Loads the copy of a module in which a group of slots has two. */
export function paired<Exports>(module: string): Promise<Exports> {
  return loadCopy(PAIRED, module);
}
