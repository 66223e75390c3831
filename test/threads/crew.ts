// SPDX-License-Identifier: MIT
/** Test tool: messages between the main thread and the workers of a traffic test. */

import type { SendPacket } from 'busbar/packet';
import type { BufferPoolHandle } from 'busbar/pool';

/** Given to each worker. */
export interface Assignment {
  readonly handle: BufferPoolHandle;
  readonly lane: number;
  readonly lanes: number;
  readonly perPair: number;
  readonly boxes: SharedArrayBuffer;
  readonly board: SharedArrayBuffer;
  readonly seed: number;
  /** Deeds until it stops by itself. */
  readonly deeds: number;
  /** Send through postMessage too. Else it may be killed. */
  readonly post: boolean;
}

/** A packet that the main thread passes on. */
export interface Posted {
  readonly to: number;
  readonly stamp: number;
  readonly packet: SendPacket;
}

// Words of the board.
/** How many lanes have done all their deeds; each clears its boxes from then on. */
export const FINISHED = 0;
/** How many packets were posted, and how many of them have been received. */
export const POSTED = 1;
export const RECEIVED = 2;
/** First of one word per lane: the thread slot of its worker, plus one. */
export const SLOTS = 16;
/** First of one word per lane: what its worker is to do to itself. */
export const ORDERS = 48;
/** First of one word per lane: deeds done so far. */
export const DEEDS = 80;
export const BOARD_WORDS = 128;

/** ORDERS: nothing special. */
export const CARRY_ON = 0;
export const EXIT = 1;
export const THROW = 2;
/** Do no more deeds: finish. */
export const STOP = 3;

/** What a worker says when it was told to throw. */
export const TOLD_TO_THROW = 'told to throw';
