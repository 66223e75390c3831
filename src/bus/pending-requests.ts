// SPDX-License-Identifier: MIT
/** Requests of a bus that wait for their replies. */

import type { PendingRequest } from './pending-request.ts';

const CODE_0 = '0'.charCodeAt(0);

/**
 * The requests by the number at the end of their reply subjects. A map by the subjects would be
 * slower: each is a new string, and Node 26 takes 300 ns to hash a new string.
 */
export class PendingRequests {
  readonly #byNumber: Map<number, PendingRequest> = new Map();
  #lastNumber: number = 0;

  get count(): number {
    return this.#byNumber.size;
  }

  /** For the next request. */
  nextNumber(): number {
    return ++this.#lastNumber;
  }

  add(request: PendingRequest): void {
    this.#byNumber.set(request.number, request);
  }

  remove(request: PendingRequest): void {
    this.#byNumber.delete(request.number);
  }

  /** The request whose reply subject this is. A `subject` that is not a string has none. */
  find(subject: string): PendingRequest | undefined {
    if (typeof subject !== 'string') return undefined;
    const request = this.#byNumber.get(numberOf(subject));
    return request?.reply === subject ? request : undefined;
  }

  failAll(error: unknown): void {
    for (const request of [...this.#byNumber.values()]) request.fail(error);
  }
}

/** The number at the end of the text; −1 without one. */
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
