// SPDX-License-Identifier: MIT
/** The broker: `Peers` on the lanes of an executor group. */

import { LaneCarrier, type PeerCarrier, type RegionReceiver } from 'busbar/bus';
import type { ExecutorContext } from 'busbar/executor';
import type { Board } from './board.ts';
import type { Peers } from './peers.ts';

/** A text from the host, in pool memory. */
export type TextReceiver = (text: string) => void;

/** Nothing was sent, and nothing will be. */
const ENDED = -1;

export class ExecutorPeers implements Peers {
  readonly index: number;
  readonly count: number;
  readonly epoch: number;
  readonly board: Board;
  readonly carriers: readonly (PeerCarrier | undefined)[];
  readonly #context: ExecutorContext;
  readonly #onText: TextReceiver;

  constructor(context: ExecutorContext, board: Board, onText: TextReceiver) {
    const { index, count, signal } = context;
    this.index = index;
    this.count = count;
    this.epoch = board.enter(index);
    this.board = board;
    this.#context = context;
    this.#onText = onText;
    this.carriers = Array.from({ length: count }, (_, to) => {
      if (to === index) return undefined;
      const lane = new LaneCarrier(context.peer(to));
      return {
        capacity: lane.capacity,
        // After the group has begun to stop, no executor receives.
        trySend: (bufferId, offset, length) =>
          signal.aborted ? ENDED : lane.trySend(bufferId, offset, length),
      };
    });
  }

  isExpected(): boolean {
    return true;
  }

  onRegion(receiver: RegionReceiver): void {
    const { mailbox, pool } = this.#context;
    mailbox.handleRegions((bufferId, offset, length, from) => {
      if (from < this.count) {
        receiver(bufferId, offset, length, from);
        return;
      }
      const text = Buffer.from(pool.bytes.slice(offset, offset + length)).toString();
      pool.release(bufferId);
      this.#onText(text);
    });
  }

  /** A lane has room for more than its window; `Mesh.check` tries again what it has not. */
  poll(): void {}

  /** The host says so: see `HostMessage`. */
  onGone(): void {}
}
