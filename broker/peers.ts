// SPDX-License-Identifier: MIT
/** Example broker: `Peers`, the interface by which a broker reaches the other executors. */

import type { BufferId } from 'busbar/pool';
import { Board } from './board.ts';

/**
 * Receives a region of the pool from the executor `from`, with one reference on its buffer.
 */
export type RegionReceiver = (
  from: number,
  bufferId: BufferId,
  offset: number,
  length: number,
) => void;

/**
 * One lane to and one lane from every other executor. Regions of one lane arrive in the order of
 * sending. Regions that an executor has not received when it ends may be lost, or received by its
 * successor.
 */
export interface Peers {
  /** Index of this executor. */
  readonly index: number;
  readonly count: number;
  /** Distinguishes this executor from its predecessors with the same index. More than 0. */
  readonly epoch: number;
  /** Regions that fit into one lane. */
  readonly laneCapacity: number;
  readonly board: Board;
  /** Sends a region with one reference on its buffer. False: no room, nothing was sent. */
  trySend(to: number, bufferId: BufferId, offset: number, length: number): boolean;
  /** Sets the receiver of all regions, including those that have arrived already. */
  receive(receiver: RegionReceiver): void;
}

/** The peers of a broker on a single thread: none. */
export function noPeers(): Peers {
  const board = Board.create(1);
  return {
    index: 0,
    count: 1,
    epoch: board.enter(0),
    laneCapacity: 0,
    board,
    trySend: () => false,
    receive: () => {},
  };
}
