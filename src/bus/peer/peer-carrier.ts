// SPDX-License-Identifier: MIT
/** What the protocol between buses needs of whatever carries it: lanes of a group, links. */

import type { BufferId } from '../../pool/index.ts';
import type { Bytes } from '../subject.ts';

/** It was sent; the reference is the carrier's. */
export const SENT = 1;
/** Nothing was sent: there is no room now. */
export const NOT_NOW = 0;
/** Nothing was sent, and nothing will be. */
export const ENDED = -1;
export type SendResult = typeof SENT | typeof NOT_NOW | typeof ENDED;

/** The way to one peer: regions arrive whole and in order, or not at all. */
export interface PeerCarrier {
  /** Regions that it has room for, at least. */
  readonly capacity: number;
  /**
   * Sends a region with one reference on its buffer; of length 0: the reference alone. It delivers
   * later: no receiver is called before this returns.
   *
   * **Ownership** the carrier's on SENT, else the caller's.
   */
  trySend(bufferId: BufferId, offset: number, length: number): SendResult;
}

/** Takes a region from peer `from`, with one reference on its buffer. */
export type RegionReceiver = (
  bufferId: BufferId,
  offset: number,
  length: number,
  from: number,
) => void;

/** All peers of one bus, by index. */
export interface PeerGroup {
  /** The bus's own index. */
  readonly index: number;
  /** Higher than that of all predecessors with the same index; more than 0. */
  readonly epoch: number;
  /** None at its own index. */
  readonly carriers: readonly (PeerCarrier | undefined)[];
  /** Whether the bus asks that peer, and waits for it before it publishes; default: all. */
  isExpected?(index: number): boolean;
  /** Sets the receiver of all regions. */
  onRegion(receiver: RegionReceiver): void;
  /** Calls `flush` whenever regions may wait to be sent; it returns how many were. */
  poll?(flush: () => number): void;
  /** Calls back when the bus with that index and epoch has ended without a word. */
  onGone?(listener: (index: number, epoch: number) => void): void;
}

/** Pool memory for frames. */
export interface PeerMemory {
  readonly bufferSize: number;
  readonly bytes: Bytes;
  readonly words: Int32Array<ArrayBufferLike>;
  /** Where `length` bytes may be written, a multiple of four; -1: no buffer is free now. */
  tryReserve(length: number): number;
  /** The buffer of the last reservation. */
  readonly bufferId: BufferId;
  offsetOf(bufferId: BufferId): number;
  retain(bufferId: BufferId): void;
  release(bufferId: BufferId): void;
}
