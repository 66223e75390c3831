// SPDX-License-Identifier: MIT
/**
 * The room where packets are worked on, as a plan: the words in which each executor shows itself,
 * and who may write them.
 *
 *   one block, in records of 64 words (256 bytes; the second half keeps the records apart)
 *   ┌──────────────┬──────────────┬─────┬────────────────┬──────┐
 *   │ executor 0   │ executor 1   │  …  │ the host       │ pad  │
 *   └──────────────┴──────────────┴─────┴────────────────┴──────┘
 *
 *   word            unit           written by              read by     access
 *   STATE           see below      its thread; the host,   everyone    atomic, SYNC(executor-state)
 *                                  while no thread is
 *   SLOT            pool slot + 1  its thread              the host    atomic, SYNC(executor-slot)
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
 * PARKED is a thread that waits for something to do. RUNNING with an old TURN_MS is one that is
 * stuck in somebody's code. A record outlives its thread: the next one on the same seat counts on.
 * The host's own STATE is DRAINING before it closes any lane: whoever finds one closed knows why.
 */

import { assert } from '../base/assert.ts';

let word = 0;
export const STATE: number = word++;
export const SLOT: number = word++;
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

const LINE_WORDS = 32;
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

/** What an executor is at. */
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
