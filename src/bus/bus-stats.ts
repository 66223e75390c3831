// SPDX-License-Identifier: MIT
/** Counters of a bus. */

/** What a bus has done, and what it holds. */
export interface BusStats {
  readonly name: string;
  readonly subscriptions: number;
  /** Messages that were accepted, with or without a subscriber. */
  readonly published: number;
  /** Of these, those without a subscriber. */
  readonly unmatched: number;
  /** Calls of `publish` and `request` that wait for room. */
  readonly waiting: number;
  /** Messages that wait until the running handler returns. */
  readonly backlog: number;
  /** Requests without an answer so far. */
  readonly requests: number;
}
