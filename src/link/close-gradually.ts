// SPDX-License-Identifier: MIT
/** `closeGradually`: the end of a server with many clients. */

import { setTimeout as sleep } from 'node:timers/promises';
import { checkInteger, checkOptions, checkSignal, show } from '../base/check.ts';
import { TIMER_DELAY_MS_MAX } from '../base/clock.ts';

/** Longest pause between closing two clients. */
const PAUSE_MS_MAX = 1000;
/** The resolution of timers. */
const PAUSE_MS_MIN = 1;

/** How long it takes. */
export interface CloseGraduallyOptions {
  /** Time for clients to leave by themselves, in milliseconds. Default 10 000. */
  readonly graceMs?: number;
  /** Time until the last one is closed, with the grace period. Default 120 000. */
  readonly durationMs?: number;
  /** Ends it: the caller closes the rest. */
  readonly signal?: AbortSignal;
}

/** Resolves after `ms`; may reject when the signal aborts. */
type Wait = (ms: number, signal: AbortSignal | undefined) => Promise<unknown>;

const KEYS = ['graceMs', 'durationMs', 'signal'];
const wait: Wait = (ms, signal) => sleep(ms, undefined, signal === undefined ? {} : { signal });

/**
 * Closes clients that were told to go elsewhere, such as the links of a server that no longer
 * listens: those that remain after a grace period one after the other, at most a second apart, so
 * that they do not all come to another server at once. (nats-server calls this lame duck mode.)
 *
 * Resolves when the last one was told to close, or when the signal aborts.
 *
 * **Throws** (rejects) TypeError or RangeError naming the option.
 */
export function closeGradually(
  clients: ReadonlySet<{ close(): unknown }>,
  options?: CloseGraduallyOptions,
): Promise<void>;
/** @internal `waitFor` and `random`, a number in `[0, 1)`, are for tests. */
export function closeGradually(
  clients: ReadonlySet<{ close(): unknown }>,
  options: CloseGraduallyOptions,
  waitFor: Wait,
  random: () => number,
): Promise<void>;
export async function closeGradually(
  clients: ReadonlySet<{ close(): unknown }>,
  options: CloseGraduallyOptions = {},
  waitFor: Wait = wait,
  random: () => number = Math.random,
): Promise<void> {
  const own = checkOptions('options', options, KEYS);
  const graceMs = checkInteger('graceMs', own.graceMs ?? 10_000, 0, TIMER_DELAY_MS_MAX);
  const durationMs = checkInteger('durationMs', own.durationMs ?? 120_000, 0, TIMER_DELAY_MS_MAX);
  const signal = checkSignal('signal', own.signal);
  if (typeof clients?.[Symbol.iterator] !== 'function') {
    throw new TypeError(`clients must be a set, got ${show(clients)}`);
  }
  if (clients.size === 0) return;
  const pause = (ms: number): Promise<unknown> =>
    signal?.aborted ? Promise.resolve() : waitFor(ms, signal).catch(() => {});
  await pause(graceMs);
  const rest = [...clients];
  const leftMs = Math.max(0, durationMs - graceMs);
  const pauseMs = Math.min(PAUSE_MS_MAX, leftMs / rest.length);
  let dueMs = 0;
  for (const client of rest) {
    if (dueMs >= PAUSE_MS_MIN) {
      await pause(dueMs);
      dueMs = 0;
    }
    if (signal?.aborted) return;
    client.close();
    dueMs += pauseMs * (0.5 + random() / 2);
  }
}
