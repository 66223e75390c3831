// SPDX-License-Identifier: MIT
/** The socket's end of the way: trying to connect again, later and later, while that may help. */

import { offAbort, onAbort } from '../../base/abort.ts';
import { checkInteger, checkOptions, show } from '../../base/check.ts';
import { startTimer, stopTimer } from '../../base/clock.ts';
import { BusbarError } from '../../base/errors.ts';
import { arbitrarySeed, Random } from '../../base/random.ts';

/**
 * How often to try to connect, and how long to wait in between: before attempt n + 1 a time drawn
 * evenly from 0 to `minDelayMs` · 2ⁿ⁻¹, at most to `maxDelayMs`. So thousands of clients that have
 * lost their server come back one after the other.
 */
export interface ConnectRetry {
  /** 1 … 2³¹ − 1, or `Infinity`: until somebody calls it off. Default 10. */
  readonly attempts?: number;
  /** The longest first wait, in milliseconds. Default 100. */
  readonly minDelayMs?: number;
  /** The longest wait of all, in milliseconds. Default 10 000. */
  readonly maxDelayMs?: number;
}

const ATTEMPTS_DEFAULT = 10;
const MIN_DELAY_MS_DEFAULT = 100;
const MAX_DELAY_MS_DEFAULT = 10_000;
const INTEGER_MAX = 2 ** 31 - 1;

/**
 * What may be otherwise in a moment: nobody listens yet, the way or the name server is down, the
 * system is short of ports. A name that does not exist is not among them.
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
  // Unix sockets: there is none yet, or too many wait to be accepted.
  'ENOENT',
  'EAGAIN',
]);

/** Checks it and applies the defaults; undefined: one attempt. */
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
 * Answers what the first attempt that works answers.
 *
 * **Throws** (rejects) what an attempt throws that another one would not change; after the last
 * attempt its error's code, with that error as cause; `signal.reason`, also from within a wait.
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
      if (made >= attempts) {
        throw new BusbarError(error.code, `${made} attempts, the last: ${error.message}`, {
          cause: error,
        });
      }
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
