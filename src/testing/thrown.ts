// SPDX-License-Identifier: MIT
/** Model checker: exceptions that are thrown into threads, and their conversion to failures. */

import type { MachineFailure } from './machine-contract.ts';

/** Thrown in a thread to stop it. */
export const PAUSE: object = Object.freeze({ pausedBy: 'model checker' });

/** Pauses that a thread may catch before its reads lead it out of its loop. */
const CAUGHT = 100;

/**
 * Stops a thread that catches every exception and tries again: its accesses return varying values
 * until it ends, and have no effect.
 */
export class Escape {
  #caught = 0;

  begin(): void {
    this.#caught = 0;
  }

  /** The result of the access, unless it throws. */
  next(): number {
    const caught = ++this.#caught;
    if (caught < CAUGHT || caught % 4 === 0) throw PAUSE;
    return caught % 3 === 0 ? caught >> 3 : caught % 3;
  }
}

/** The error that an engine throws at a call for which the stack has no room. */
export function stackOverflow(): RangeError {
  return new RangeError('Maximum call stack size exceeded');
}

/** Messages of the engine's own `Atomics` functions about views that those of the model take. */
const KEPT: readonly RegExp[] = [
  /^\[object (?:U?[Ii]nt(?:8|16|32)|BigU?[Ii]nt64)Array\] is not an integer (?:shared )?typed/,
  /^\[object (?:Int32|BigInt64)Array\] is not an int32 /,
];

/** The failure for an exception of a thread. */
export function failureOf(error: unknown): MachineFailure {
  const message = messageOf(error);
  if (!(error instanceof TypeError) || !KEPT.some((text) => text.test(error.message))) {
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
