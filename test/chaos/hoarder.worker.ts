// SPDX-License-Identifier: MIT
/** Test worker: a thread of a chaos run that takes every free buffer for a while. */
import { parentPort, threadId, workerData } from 'node:worker_threads';
import { type BufferId, BufferPool, type BufferPoolHandle, NO_BUFFER } from 'busbar/pool';
import { ACT, Board, HOARDER, HOARDING, HOLDING_ALL, IN_HAND, Place, STARTING } from './board.ts';

export interface HoarderTask {
  readonly pool: BufferPoolHandle;
  readonly board: SharedArrayBuffer;
}

export type HoarderOrder =
  | { readonly kind: 'take' | 'give' | 'end' }
  | { readonly kind: 'ping'; readonly id: number };

export type HoarderNews =
  | { readonly kind: 'ready' | 'dry' | 'given' }
  | { readonly kind: 'pong'; readonly id: number };

const { pool: handle, board: memory } = workerData as HoarderTask;
const port = parentPort as NonNullable<typeof parentPort>;
const board = new Board(memory);
board.set(HOARDER, ACT, STARTING);
const pool = BufferPool.attach(handle);
const place = new Place(board, HOARDER, pool.threadSlot, threadId);
place.act(STARTING);
place.openPath();
place.frenzy = () => {
  const id = pool.tryAcquire();
  if (id !== NO_BUFFER) pool.release(id);
};
const held: BufferId[] = [];
let isTaking = false;
let isDry = false;

function tell(news: HoarderNews): void {
  port.postMessage(news);
}

function give(): void {
  isTaking = false;
  isDry = false;
  for (const id of held.splice(0)) {
    place.act(HOARDING);
    pool.release(id);
    place.add(IN_HAND, -1);
  }
  tell({ kind: 'given' });
}

/** Takes what there is, and what comes back to the pool, until told to give. */
function take(): void {
  for (;;) {
    place.act(HOARDING);
    const id = pool.tryAcquire();
    if (id === NO_BUFFER) break;
    held.push(id);
    place.add(IN_HAND, 1);
  }
  place.act(HOLDING_ALL);
  if (!isDry) tell({ kind: 'dry' });
  isDry = true;
  if (isTaking) setImmediate(() => isTaking && take());
}

port.on('message', (order: HoarderOrder) => {
  switch (order.kind) {
    case 'take':
      isTaking = true;
      take();
      break;
    case 'give':
      give();
      break;
    case 'ping':
      tell({ kind: 'pong', id: order.id });
      break;
    case 'end':
      pool.detach();
      port.close();
      break;
  }
});
tell({ kind: 'ready' });
