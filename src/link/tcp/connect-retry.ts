// SPDX-License-Identifier: MIT
/** Repeats failed attempts to connect, with exponential backoff and jitter. */

import { offAbort, onAbort } from '../../base/abort.ts';
import { checkInteger, checkOptions, show } from '../../base/check.ts';
import { startTimer, stopTimer } from '../../base/clock.ts';
import { BusbarError } from '../../base/errors.ts';
import { arbitrarySeed, Random } from '../../base/random.ts';

/**
 * How often to try to connect, and how long to wait in between. The wait before attempt n + 1 is
 * drawn uniformly from 0 to `minDelayMs` · 2ⁿ⁻¹, at most `maxDelayMs`. So thousands of clients that
 * have lost their server do not come back at the same time.
 */
export interface ConnectRetry {
  /** 1 … 2³¹ − 1, or `Infinity`: until the signal aborts. Default 10. */
  readonly attempts?: number;
  /** Upper limit of the first wait, in milliseconds. Default 100. */
  readonly minDelayMs?: number;
  /** Upper limit of every wait, in milliseconds. Default 10 000. */
  readonly maxDelayMs?: number;
}

const ATTEMPTS_DEFAULT = 10;
const MIN_DELAY_MS_DEFAULT = 100;
const MAX_DELAY_MS_DEFAULT = 10_000;
const INTEGER_MAX = 2 ** 31 - 1;

/**
 * Transient errors, worth another attempt: no process listens yet, the route or the name server is
 * down, the system lacks ports. A name that does not exist is not among them.
 */
const PASSING: ReadonlySet<unknown> = new Set([
  'ECONNREFUSED',
  'ECONNRESET',
  'ECONNABORTED',
  'ETIMEDOUT',
  'EHOSTUNREACH',
  'EHOSTDOWN',
  'ENETUNREACH',
  'ENETDOWN',
  'EADDRNOTAVAIL',
  'EAI_AGAIN',
  // Unix sockets: the path does not exist yet, or the backlog is full.
  'ENOENT',
  'EAGAIN',
]);

/** Checks the options and applies the defaults; undefined: one attempt. */
export function resolveRetry(retry: ConnectRetry | undefined): Required<ConnectRetry> {
  if (retry === undefined) return { attempts: 1, minDelayMs: 0, maxDelayMs: 0 };
  checkOptions('retry', retry, ['attempts', 'minDelayMs', 'maxDelayMs']);
  const attempts = retry.attempts ?? ATTEMPTS_DEFAULT;
  if (attempts !== Infinity) checkInteger('retry.attempts', attempts, 1, INTEGER_MAX);
  const minDelayMs = checkInteger(
    'retry.minDelayMs',
    retry.minDelayMs ?? MIN_DELAY_MS_DEFAULT,
    0,
    INTEGER_MAX,
  );
  const maxDelayMs = checkInteger(
    'retry.maxDelayMs',
    retry.maxDelayMs ?? Math.max(minDelayMs, MAX_DELAY_MS_DEFAULT),
    0,
    INTEGER_MAX,
  );
  if (maxDelayMs < minDelayMs) {
    throw new RangeError(
      `retry.maxDelayMs must be at least retry.minDelayMs (${minDelayMs}), got ${show(maxDelayMs)}`,
    );
  }
  return { attempts, minDelayMs, maxDelayMs };
}

/**
 * Returns the result of the first successful attempt.
 *
 * **Throws** (rejects) an attempt's error at once if it is not transient; otherwise, after the last
 * attempt, an error with the same code as that attempt's error, which is its cause. Also
 * `signal.reason`, even during a wait.
 */
export async function connectAgain<T>(
  attempt: () => Promise<T>,
  retry: Required<ConnectRetry>,
  signal: AbortSignal | undefined,
  random: Random = new Random(arbitrarySeed()),
): Promise<T> {
  const { attempts, minDelayMs, maxDelayMs } = retry;
  for (let made = 1, ceilingMs = minDelayMs; ; made++, ceilingMs *= 2) {
    try {
      return await attempt();
    } catch (error) {
      if (attempts === 1 || !mayPass(error)) throw error;
      if (made >= attempts) throw error.saying(`the last of ${made} attempts`);
    }
    await wait(random.between(0, Math.min(ceilingMs, maxDelayMs)), signal);
  }
}

function mayPass(error: unknown): error is BusbarError {
  if (!BusbarError.isOne(error)) return false;
  if (error.code === 'ERR_BUSBAR_TIMEOUT') return true;
  const { code } = (error.cause ?? {}) as { readonly code?: unknown };
  return error.code === 'ERR_BUSBAR_LINK_REFUSED' && PASSING.has(code);
}

function wait(delayMs: number, signal: AbortSignal | undefined): Promise<void> {
  return new Promise((resolve, reject) => {
    const abort = (): void => {
      stopTimer(timer);
      reject(signal?.reason);
    };
    const timer = startTimer(delayMs, () => {
      if (signal !== undefined) offAbort(signal, abort);
      resolve();
    });
    if (signal?.aborted) abort();
    else if (signal !== undefined) onAbort(signal, abort);
  });
}
