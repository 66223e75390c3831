// SPDX-License-Identifier: MIT
/**
 * The words in which each executor shows its state, and who may write them.
 *
 *   one block, in records of 64 words (256 bytes; the second half keeps the records apart)
 *   ┌──────────────┬──────────────┬─────┬────────────────┬──────┐
 *   │ executor 0   │ executor 1   │  …  │ the host       │ pad  │
 *   └──────────────┴──────────────┴─────┴────────────────┴──────┘
 *
 *   word            unit           written by              read by     access
 *   STATE           see below      its thread; the host,   everyone    atomic, SYNC(executor-state)
 *                                  while no thread is
 *   BADGE           pool badge     its thread, before it   the host    atomic, SYNC(executor-badge)
 *                                  is attached
 *   TURNS, _HIGH    passes         its thread              stats       plain, one writer
 *   HANDLED, _HIGH  packets        its thread              stats       plain, one writer
 *   DROPPED         packets        its thread; the host,   stats       plain, one writer at a time
 *                                  while no thread is
 *   PARKS           parks          its thread              stats       plain, one writer
 *   TURN_MS         ms since the   its thread              stats       plain, one writer
 *                   group's epoch
 *   COUNTERS[16]    the user's     its thread              stats       the user's
 *
 *                    ┌──────────────── crash, restart ◀──────────────┐
 *                    ▼                                               │
 *   ENDED ──▶ STARTING ──▶ RUNNING ◀──▶ PARKED ───────stop──┐        │
 *     ▲           │           ▲ ▼                           ▼        │
 *     │           │          PAUSED ────────stop──────▶ DRAINING ────┤
 *     └───────────┴─────────────────────────────────────────┴────────┘
 *
 * PARKED: the thread waits for work. RUNNING with an old TURN_MS: it is stuck in the user's code. A
 * record outlives its thread: the next thread in the slot continues its counts. What a death
 * leaves, and what the host does after 'exit':
 *
 *   died                        left behind                    the host
 *   before BADGE                BADGE of the thread before it  reclaimed it, when that had died
 *   after BADGE, not attached   a BADGE that is not in the     finds no such thread: holds nothing
 *                               pool
 *   attached, before a lane     cache, slot                    reclaims the BADGE
 *   at an end of a lane         its role on the lane, a        reclaims the BADGE, recovers every
 *                               packet half sent or received   lane of the slot
 *   after it left the lanes or  what the module kept           the same; finds no such thread if it
 *   the pool                                                   had left the pool
 *   anywhere                    STATE, TURN_MS as they were    STATE: STARTING or ENDED
 *   within a pass               HANDLED, TURNS, DROPPED        nothing: they count what was shown
 *                               without that pass
 *
 * Every word but BADGE is one plain or one atomic store of its thread, so none is half written; the
 * two halves of a wide one are written with no call in between. The host's death takes its
 * executors along: a worker's workers end before it does.
 *
 * The host's own STATE is DRAINING before it closes any lane, so an executor that finds a lane
 * closed knows why.
 */

import { assert } from '../base/assert.ts';
import { LINE_WORDS } from '../base/lines.ts';

let word = 0;
export const STATE: number = word++;
export const BADGE: number = word++;
export const TURNS: number = word++;
export const TURNS_HIGH: number = word++;
export const HANDLED: number = word++;
export const HANDLED_HIGH: number = word++;
export const DROPPED: number = word++;
export const PARKS: number = word++;
export const TURN_MS: number = word++;
/** First of the user's own words. */
export const COUNTERS: number = word;
/** How many of them. */
export const COUNTER_COUNT = 16;
word += COUNTER_COUNT;

assert(word <= LINE_WORDS, 'the words of an executor must fit in one line');
/** Words from one record to the next: no two threads' words come closer than 128 bytes. */
export const RECORD_WORDS: number = 2 * LINE_WORDS;

/** STATE, by number. */
export const EXECUTOR_STATES = [
  'starting',
  'running',
  'parked',
  'paused',
  'draining',
  'ended',
] as const;

/** The state of an executor. */
export type ExecutorState = (typeof EXECUTOR_STATES)[number];

export const STARTING = 0;
export const RUNNING = 1;
export const PARKED = 2;
export const PAUSED = 3;
export const DRAINING = 4;
export const ENDED = 5;

/** Words of the block of `count` executors and their host. */
export function blockWords(count: number): number {
  return (count + 2) * RECORD_WORDS;
}
