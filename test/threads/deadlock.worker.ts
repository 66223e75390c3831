// SPDX-License-Identifier: MIT
/** Test program: takes one lock, waits until all others have theirs, and takes another. */
import { parentPort, workerData } from 'node:worker_threads';
import { BufferPool, type BufferPoolHandle } from 'busbar/pool';
import { Mutex, type MutexHandle, Semaphore, type SemaphoreHandle } from 'busbar/sync';

/** How many threads have their first lock. */
export const READY = 0;

export interface DeadlockTask {
  readonly pool: BufferPoolHandle;
  readonly board: Int32Array;
  /** How many threads must be READY before the second is taken. */
  readonly count: number;
  readonly first: MutexHandle | SemaphoreHandle;
  readonly second: MutexHandle | SemaphoreHandle;
  readonly timeoutMs: number;
}

/** What became of the second lock. */
export interface DeadlockResult {
  readonly slot: number;
  readonly result: string;
  readonly message?: string;
}

interface Lock {
  take(timeoutMs: number): string;
  giveBack(): void;
}

// The test imports types and a constant from here.
if ((workerData as DeadlockTask | null)?.board !== undefined) run(workerData as DeadlockTask);

function run(task: DeadlockTask): void {
  const pool = BufferPool.attach(task.pool);
  const first = lockOf(pool, task.first);
  const second = lockOf(pool, task.second);
  first.take(Infinity);
  Atomics.add(task.board, READY, 1);
  Atomics.notify(task.board, READY);
  for (;;) {
    const ready = Atomics.load(task.board, READY);
    if (ready >= task.count) break;
    Atomics.wait(task.board, READY, ready);
  }
  let end: DeadlockResult;
  try {
    end = { slot: pool.threadSlot, result: second.take(task.timeoutMs) };
  } catch (error) {
    const { code, message } = error as { code: string; message: string };
    end = { slot: pool.threadSlot, result: code, message };
  }
  if (end.result === 'acquired') second.giveBack();
  first.giveBack();
  parentPort?.postMessage(end);
  pool.detach();
}

function lockOf(pool: BufferPool, handle: MutexHandle | SemaphoreHandle): Lock {
  if (handle.kind === 'busbar/mutex') {
    const mutex = Mutex.attach(pool, handle);
    return {
      take: (timeoutMs) => mutex.lockSync(timeoutMs),
      giveBack: () => mutex.unlock(),
    };
  }
  const semaphore = Semaphore.attach(pool, handle);
  return {
    take: (timeoutMs) => semaphore.acquireSync(1, timeoutMs),
    giveBack: () => void semaphore.release(),
  };
}
