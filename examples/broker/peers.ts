// SPDX-License-Identifier: MIT
/** Example broker: the other executors, as the broker of one executor sees them. */

import type { BufferId } from 'busbar/pool';
import { Board } from './board.ts';

/**
 * Receives a region of the pool from the executor `from`, and one reference on its buffer with it.
 */
export type RegionReceiver = (
  from: number,
  bufferId: BufferId,
  offset: number,
  length: number,
) => void;

/**
 * One lane to and one lane from every other executor. Regions of one lane arrive in the order in
 * which they were sent; what an executor has not received when it ends may be lost, or may be
 * received by its successor.
 */
export interface Peers {
  /** Which of the executors this one is. */
  readonly index: number;
  readonly count: number;
  /** Tells this executor from its predecessors with the same index. More than 0. */
  readonly epoch: number;
  /** Regions that fit into one lane. */
  readonly laneCapacity: number;
  readonly board: Board;
  /** Sends a region, and one reference on its buffer with it. False: no room, nothing was done. */
  trySend(to: number, bufferId: BufferId, offset: number, length: number): boolean;
  /** Whom to give what arrives from now on, and what has arrived. */
  receive(receiver: RegionReceiver): void;
}

/** What a broker on one thread has instead of others. */
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
