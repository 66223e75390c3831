// SPDX-License-Identifier: MIT
/** The broker: `Peers`, the interface by which a broker reaches the other executors. */

import type { PeerGroup } from 'busbar/bus';
import { Board } from './board.ts';

/** One lane to and one lane from every other executor. */
export interface Peers extends PeerGroup {
  readonly count: number;
  readonly board: Board;
}

/** The peers of a broker on a single thread: none. */
export function noPeers(): Peers {
  const board = Board.create(1);
  const epoch = board.enter(0);
  const nothing = (): void => {};
  return {
    index: 0,
    count: 1,
    epoch,
    board,
    carriers: [undefined],
    isExpected: () => true,
    onRegion: nothing,
    poll: nothing,
    onGone: nothing,
  };
}
