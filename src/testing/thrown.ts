// SPDX-License-Identifier: MIT
/** Model checker: what is thrown into threads. */

import type { MachineFailure } from './machine-contract.ts';

/** Thrown out of a thread that is not to go on. */
export const PAUSE: object = Object.freeze({ pausedBy: 'model checker' });

/** Pauses that a thread may catch before it is led out by what it reads. */
const CAUGHT = 100;

/**
 * The way out of a thread that catches what is thrown into it and tries again: its accesses return
 * this and that until it comes to an end, and what it does does not count.
 */
export class Escape {
  #caught = 0;

  begin(): void {
    this.#caught = 0;
  }

  /** What the access returns, if it does not throw. */
  next(): number {
    const caught = ++this.#caught;
    if (caught < CAUGHT || caught % 4 === 0) throw PAUSE;
    return caught % 3 === 0 ? caught >> 3 : caught % 3;
  }
}

/** What an engine throws at a call for which the stack has no room. */
export function stackOverflow(): RangeError {
  return new RangeError('Maximum call stack size exceeded');
}

/** What an engine's own function of `Atomics` says of the model's views. */
const KEPT = /^\[object \w+Array\] is not an integer (shared )?typed array/;

/** A thread has thrown. */
export function failureOf(error: unknown): MachineFailure {
  const message = messageOf(error);
  if (!(error instanceof TypeError) || !KEPT.test(error.message)) {
    return { kind: 'assertion', message, error };
  }
  const why =
    'a function was taken from Atomics before the run, as by `const { load } = Atomics`, and ' +
    "does not know the model's views: look Atomics up when you call it";
  return { kind: 'misuse', message: `${why} (${message})`, error };
}

export function messageOf(error: unknown): string {
  return error instanceof Error ? `${error.name}: ${error.message}` : String(error);
}
