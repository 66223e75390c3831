// SPDX-License-Identifier: MIT
/** Requests of a bus that wait for their replies. */

import type { PendingRequest } from './pending-request.ts';

const CODE_0 = '0'.charCodeAt(0);

/**
 * The requests by the number at the end of their reply subjects: each reply subject is a new
 * string, and Node 26 takes 300 ns to hash one, for each of the calls of a map.
 */
export class PendingRequests {
  readonly #byNumber: Map<number, PendingRequest> = new Map();

  get count(): number {
    return this.#byNumber.size;
  }

  add(request: PendingRequest): void {
    this.#byNumber.set(request.number, request);
  }

  remove(request: PendingRequest): void {
    this.#byNumber.delete(request.number);
  }

  /** The one whose reply subject this is; `subject` may be of any type. */
  find(subject: string): PendingRequest | undefined {
    if (typeof subject !== 'string') return undefined;
    const request = this.#byNumber.get(numberOf(subject));
    return request?.reply === subject ? request : undefined;
  }

  failAll(error: unknown): void {
    for (const request of [...this.#byNumber.values()]) request.fail(error);
  }
}

/** The number that the digits at the end are; -1 if there is none. */
function numberOf(text: string): number {
  let number = 0;
  let place = 1;
  for (let i = text.length - 1; i >= 0; i--) {
    const digit = text.charCodeAt(i) - CODE_0;
    if (digit < 0 || digit > 9) break;
    number += digit * place;
    place *= 10;
  }
  return place === 1 ? -1 : number;
}
