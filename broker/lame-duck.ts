// SPDX-License-Identifier: MIT
/**
 * Example broker: lame duck mode, as in nats-server. Clients have been told that the broker will
 * stop. After a grace period in which they may leave, they are closed one after the other, so that
 * they do not all come to another server at once.
 */

import { setTimeout as sleep } from 'node:timers/promises';

/** Longest pause between closing two clients. */
const PAUSE_MS_MAX = 1000;
/** The resolution of timers. */
const PAUSE_MS_MIN = 1;

export interface LameDuckLimits {
  readonly lameDuckGraceMs: number;
  /** Duration of the whole, with the grace period. */
  readonly lameDuckDurationMs: number;
}

/** Resolves after `ms`; may reject when the signal aborts. */
export type Wait = (ms: number, signal: AbortSignal) => Promise<unknown>;

const wait: Wait = (ms, signal) => sleep(ms, undefined, { signal });

/**
 * Closes all clients that remain after the grace period. Resolves when the last one was told to
 * close, or when the signal aborts: then the caller closes the rest.
 */
export async function closeGradually(
  clients: ReadonlySet<{ close(): void }>,
  limits: LameDuckLimits,
  signal: AbortSignal,
  waitFor: Wait = wait,
  random: () => number = Math.random,
): Promise<void> {
  const { lameDuckGraceMs, lameDuckDurationMs } = limits;
  if (clients.size === 0) return;
  const pause = (ms: number): Promise<unknown> =>
    signal.aborted ? Promise.resolve() : waitFor(ms, signal).catch(() => {});
  await pause(lameDuckGraceMs);
  const rest = [...clients];
  const leftMs = Math.max(0, lameDuckDurationMs - lameDuckGraceMs);
  const pauseMs = Math.min(PAUSE_MS_MAX, leftMs / rest.length);
  let dueMs = 0;
  for (const client of rest) {
    if (dueMs >= PAUSE_MS_MIN) {
      await pause(dueMs);
      dueMs = 0;
    }
    if (signal.aborted) return;
    client.close();
    dueMs += pauseMs * (0.5 + random() / 2);
  }
}
