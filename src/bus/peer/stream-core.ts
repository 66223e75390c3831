// SPDX-License-Identifier: MIT
/** What the streams to all peers of one bus share. */

import type { OwnInterest } from './own-interest.ts';
import type { PeerMemory } from './peer-carrier.ts';

export interface StreamCore {
  readonly name: string;
  readonly epoch: number;
  readonly memory: PeerMemory;
  readonly own: OwnInterest;
  /** Regions and bytes that may be with a peer. */
  readonly windowRegions: number;
  readonly windowBytes: number;
  /** Interests that a peer may not have heard of yet. */
  readonly windowInterests: number;
  /** A region that waits and has this many bytes is sent at once. */
  readonly promptBytes: number;
  /** Something waits for `flush`. */
  dirty(): void;
  /** A frame could not be written: no buffer is free now. */
  lacksBuffer(): void;
  /** The carrier of the stream to that peer has ended. */
  ended(index: number): void;
}
