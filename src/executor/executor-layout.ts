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
 *   STATE           see below      its thread; the host    everyone    atomic, SYNC(executor-state)
 *                                  while there is none
 *   BADGE           pool badge     its thread, before it   the host    atomic, SYNC(executor-badge)
 *                                  is attached
 *   TURNS, _HIGH    passes         its thread              stats       plain, one writer
 *   HANDLED, _HIGH  packets        its thread              stats       plain, one writer
 *   DROPPED         packets        its thread; the host    stats       plain, one writer at a time
 *                                  while there is none
 *   PARKS           parks          its thread              stats       plain, one writer
 *   TURN_MS         ms since the   its thread              stats       plain, one writer
 *                   group's epoch
 *   COUNTERS[16]    the user's     its thread              stats       the user's
 *
 *   ENDED ──▶ STARTING ──▶ RUNNING ◀──▶ PARKED
 *                             ▲ ▼
 *                            PAUSED
 *   any living state ──stop──▶ DRAINING ──▶ ENDED
 *   any living state ──crash──▶ STARTING, or ENDED without a restart
 *
 * PARKED: the thread waits for work. RUNNING with an old TURN_MS: it is stuck in the user's code. A
 * record outlives its thread: the next thread in the slot continues the counts. This table shows
 * what a thread that dies leaves behind, and what the host does after its 'exit':
 *
 *   died                        left behind                    the host
 *   before BADGE                BADGE of the previous thread   reclaimed it when that thread died
 *   after BADGE, not attached   a BADGE that is not in the     finds no such thread, so no buffer
 *                               pool
 *   attached, before a lane     cache, slot                    reclaims the BADGE
 *   at an end of a lane         its role on the lane, a        reclaims the BADGE, recovers every
 *                               packet half sent or received   lane of the slot
 *   after it left the lanes or  buffers that its module kept   the same; finds no such thread if it
 *   the pool                                                   had left the pool
 *   anywhere                    STATE, TURN_MS as they were    sets STATE to STARTING or ENDED
 *   within a pass               HANDLED, TURNS, DROPPED        nothing: that pass is not counted
 *                               without that pass
 *
 * Each word is written by one store, plain or atomic, so none is ever half written; the two words
 * of a wide count are written with no call in between. When the host dies, its executors die first:
 * a worker's own workers end before it does.
 *
 * The host sets its own STATE to DRAINING before it closes any lane, so that an executor that finds
 * a lane closed knows why.
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
/** How many words the user has. */
export const COUNTER_COUNT = 16;
word += COUNTER_COUNT;

assert(word <= LINE_WORDS, 'the words of an executor must fit in one line');
/** Words from one record to the next: no two threads' words come closer than 128 bytes. */
export const RECORD_WORDS: number = 2 * LINE_WORDS;

// STATE, by number.
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

/** Words of the block of `count` executors, their host, and the padding. */
export function blockWords(count: number): number {
  return (count + 2) * RECORD_WORDS;
}
