// SPDX-License-Identifier: MIT
/** Test worker: a receiver that holds regions for a while, until it is terminated. */
import { parentPort, workerData } from 'node:worker_threads';
import { type BufferId, BufferPool, type BufferPoolHandle } from '../../src/pool/index.ts';
import { WriteFlusher, type WriteFlusherHandle } from '../../src/writer/index.ts';
import { MessageChecker } from './writer-message.ts';

/** What the receiver says: first who it is, then how many messages it has received. */
export type ReceiverNews =
  | { readonly slot: number; readonly flusher: WriteFlusherHandle }
  | { readonly total: number };

const KEPT_MAX = 3;

const port = parentPort as NonNullable<typeof parentPort>;
const pool = BufferPool.attach((workerData as { pool: BufferPoolHandle }).pool);
const flusher = WriteFlusher.create(pool, { writerCount: 16, regionCount: 4 });
const checker = new MessageChecker();
const kept: BufferId[] = [];

function tell(news: ReceiverNews): void {
  port.postMessage(news);
}

flusher.setReadyCallback(() => {
  flusher.drain((_writerId, offset, length, id) => {
    checker.take(pool.bytes, offset, length);
    kept.push(id);
    if (kept.length > KEPT_MAX) pool.release(kept.shift() as BufferId);
  });
  tell({ total: checker.total });
});
port.on('message', () => {});
tell({ slot: pool.threadSlot, flusher: flusher.handle });
