// SPDX-License-Identifier: MIT
/** Example broker: `Peers` on the lanes of an executor group. */

import type { PacketSender } from 'busbar/channel';
import type { ExecutorContext } from 'busbar/executor';
import type { BufferId } from 'busbar/pool';
import type { Board } from './board.ts';
import type { Peers, RegionReceiver } from './peers.ts';

/** A text from the host, in pool memory. */
export type TextReceiver = (text: string) => void;

export class ExecutorPeers implements Peers {
  readonly index: number;
  readonly count: number;
  readonly epoch: number;
  readonly laneCapacity: number;
  readonly board: Board;
  readonly #context: ExecutorContext;
  readonly #senders: readonly PacketSender[];
  readonly #onText: TextReceiver;

  constructor(context: ExecutorContext, board: Board, laneCapacity: number, onText: TextReceiver) {
    const { index, count } = context;
    this.index = index;
    this.count = count;
    this.epoch = board.enter(index);
    this.laneCapacity = laneCapacity;
    this.board = board;
    this.#context = context;
    this.#onText = onText;
    this.#senders = Array.from({ length: count }, (_, to) => context.peer(to));
  }

  trySend(to: number, bufferId: BufferId, offset: number, length: number): boolean {
    // After the group has begun to stop, no executor receives.
    if (this.#context.signal.aborted) return false;
    return this.#senders[to].trySendRegion(bufferId, offset, length);
  }

  receive(receiver: RegionReceiver): void {
    const { count } = this;
    const { mailbox, pool } = this.#context;
    mailbox.handleRegions((bufferId, offset, length, from) => {
      if (from < count) {
        receiver(from, bufferId, offset, length);
        return;
      }
      const text = Buffer.from(pool.bytes.slice(offset, offset + length)).toString();
      pool.release(bufferId);
      this.#onText(text);
    });
  }
}
