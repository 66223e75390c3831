// SPDX-License-Identifier: MIT
/** Test program: takes one lock, waits until all others have theirs, and takes another. */
import { parentPort, workerData } from 'node:worker_threads';
import { BufferPool, type BufferPoolHandle } from 'busbar/pool';
import { Mutex, Once, RwLock, Semaphore, type SyncHandle } from 'busbar/sync';

/** How many threads have their first lock. */
export const READY = 0;

export interface DeadlockTask {
  readonly pool: BufferPoolHandle;
  readonly board: Int32Array;
  /** How many threads must be READY before the second is taken. */
  readonly count: number;
  readonly first: SyncHandle;
  readonly second: SyncHandle;
  readonly timeoutMs: number;
  /** How read-write locks are used. */
  readonly ways?: readonly [Way, Way];
}

/** What a thread does with a read-write lock. */
export type Way = 'read' | 'write';

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
  const [firstWay, secondWay] = task.ways ?? ['write', 'write'];
  const first = lockOf(pool, task.first, firstWay);
  const second = lockOf(pool, task.second, secondWay);
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

function lockOf(pool: BufferPool, handle: SyncHandle, way: Way): Lock {
  switch (handle.kind) {
    case 'busbar/mutex': {
      const mutex = Mutex.attach(pool, handle as never);
      return { take: (timeoutMs) => mutex.lockSync(timeoutMs), giveBack: () => mutex.unlock() };
    }
    case 'busbar/rwlock': {
      const lock = RwLock.attach(pool, handle as never);
      if (way === 'read') {
        return { take: (timeoutMs) => lock.readSync(timeoutMs), giveBack: () => lock.unlockRead() };
      }
      return { take: (timeoutMs) => lock.writeSync(timeoutMs), giveBack: () => lock.unlockWrite() };
    }
    case 'busbar/once': {
      const once = Once.attach(pool, handle as never);
      return {
        take: (timeoutMs) => {
          const result = once.beginSync(timeoutMs);
          return result === 'begun' || result === 'done' ? 'acquired' : result;
        },
        giveBack: () => {
          if (once.state === 'running') once.finish();
        },
      };
    }
    default: {
      const semaphore = Semaphore.attach(pool, handle as never);
      return {
        take: (timeoutMs) => semaphore.acquireSync(1, timeoutMs),
        giveBack: () => void semaphore.release(),
      };
    }
  }
}
