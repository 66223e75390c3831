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
  /** Requests without a reply so far. */
  readonly requests: number;
  /** Other buses whose subscriptions are known. */
  readonly peers: number;
  /** Regions that are with them, or wait to be sent. */
  readonly regionsOut: number;
  /**
   * Messages for a member of a queue group that had left when they came, or when their turn came,
   * and found no other; and those that came for the predecessor of this bus, which has died.
   */
  readonly lost: number;
  /** Packets in the thread's mailbox that no bus has sent; they were released. */
  readonly strays: number;
}
