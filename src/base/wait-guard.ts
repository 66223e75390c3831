// SPDX-License-Identifier: MIT
/** WaitGuard: the timeout and the AbortSignal of one wait. */

import { offAbort, onAbort } from './abort.ts';
import { checkOptions, checkSignal, checkTimeoutMs, showMs } from './check.ts';
import { startTimer, stopTimer, type Timer } from './clock.ts';
import { BusbarError } from './errors.ts';

/** How a wait may end early. */
export interface WaitOptions {
  /** Ends the wait; the promise rejects with `signal.reason`. */
  readonly signal?: AbortSignal;
  /** Ends the wait with ERR_BUSBAR_TIMEOUT. Milliseconds; default none. */
  readonly timeoutMs?: number;
}

/** Options with every default applied. */
export interface WaitLimits {
  readonly signal: AbortSignal | undefined;
  readonly timeoutMs: number;
}

/** A wait without a signal or a timeout. */
export const NO_LIMITS: WaitLimits = Object.freeze({ signal: undefined, timeoutMs: Infinity });

/** Checks the options. **Throws** TypeError, RangeError, `signal.reason` if it has aborted. */
export function resolveWaitOptions(options: WaitOptions | undefined): WaitLimits {
  const limits = checkWaitOptions(options);
  limits.signal?.throwIfAborted();
  return limits;
}

/** {@link resolveWaitOptions} for a caller that looks itself whether the signal has aborted. */
export function checkWaitOptions(options: WaitOptions | undefined): WaitLimits {
  const own = copyWaitOptions(options);
  if (own === undefined) return NO_LIMITS;
  const signal = checkSignal('signal', own.signal);
  const { timeoutMs = Infinity } = own;
  return { signal, timeoutMs: checkTimeoutMs('timeoutMs', timeoutMs) };
}

/** A copy of the options, for code that reads them again after a wait. **Throws** TypeError. */
export function copyWaitOptions(options: WaitOptions | undefined): WaitOptions | undefined {
  if (options === undefined) return undefined;
  return checkOptions('options', options, ['signal', 'timeoutMs']);
}

/** Guards one wait: calls `reject` at most once, on timeout or abort, unless ended before. */
export class WaitGuard {
  readonly #signal: AbortSignal | undefined;
  readonly #timer: Timer | undefined;
  readonly #onAbort: (() => void) | undefined;

  /** `what` names the wait in the error of a time-out, `detail` may say more. */
  constructor(
    limits: WaitLimits,
    what: string,
    reject: (reason: unknown) => void,
    detail?: () => string,
  ) {
    const { signal, timeoutMs } = limits;
    if (timeoutMs !== Infinity) {
      this.#timer = startTimer(timeoutMs, () => {
        this.end();
        const more = detail?.() ?? '';
        const text = `${what}, ${showMs(timeoutMs)}${more === '' ? '' : `; ${more}`}`;
        reject(new BusbarError('ERR_BUSBAR_TIMEOUT', text));
      });
    }
    if (signal === undefined) return;
    this.#signal = signal;
    this.#onAbort = () => {
      this.end();
      reject(reasonOf(signal));
    };
    try {
      onAbort(signal, this.#onAbort);
    } catch (error) {
      stopTimer(this.#timer);
      throw error;
    }
  }

  /** Ends the guard: `reject` is not called any more. */
  end(): void {
    stopTimer(this.#timer);
    if (this.#signal !== undefined && this.#onAbort !== undefined) {
      offAbort(this.#signal, this.#onAbort);
    }
  }
}

/** The reason of an aborted signal, or what its getter throws: a wait that is over must say so. */
function reasonOf(signal: AbortSignal): unknown {
  try {
    return signal.reason;
  } catch (error) {
    return error;
  }
}
