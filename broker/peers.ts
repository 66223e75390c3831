// SPDX-License-Identifier: MIT
/** The broker: `Peers`, the interface by which a broker reaches the other executors. */

import { LaneCarrier, type PeerGroup, type RegionReceiver } from 'busbar/bus';
import type { ExecutorContext } from 'busbar/executor';
import { Board } from './board.ts';

/** One lane to and one lane from every other executor. */
export interface Peers extends PeerGroup {
  readonly count: number;
  readonly board: Board;
}

/** The peers of a broker on a single thread: none. */
export function noPeers(): Peers {
  const board = Board.create(1);
  return { index: 0, count: 1, epoch: board.enter(0), board, carriers: [undefined], onRegion() {} };
}

/** The executors of a group; `onText` is called with each text from the host, in pool memory. */
export function peersOf(
  context: ExecutorContext,
  board: Board,
  onText: (text: string) => void,
): Peers {
  const { index, count, mailbox, pool } = context;
  const carriers = Array.from({ length: count }, (_, to) =>
    to === index ? undefined : new LaneCarrier(context.peer(to)),
  );
  const onRegion = (receiver: RegionReceiver): void => {
    mailbox.handleRegions((bufferId, offset, length, from) => {
      if (from < count) {
        receiver(bufferId, offset, length, from);
        return;
      }
      const text = Buffer.from(pool.bytes.slice(offset, offset + length)).toString();
      pool.release(bufferId);
      onText(text);
    });
  };
  return { index, count, epoch: board.enter(index), board, carriers, onRegion };
}
