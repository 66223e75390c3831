// SPDX-License-Identifier: MIT
/** Test tool: workers that use one synchronization primitive, and are ended while they do. */
import { Worker } from 'node:worker_threads';
import { BufferPool } from 'busbar/pool';
import type { SeqLockHandle, SyncHandle } from 'busbar/sync';
import type { TestContext } from 'vitest';
import { until } from '../turns.ts';
import * as at from './sync-board.ts';
import { testSeed, workerUrl } from './worker-crew.ts';

/** Of this run. */
export const seed: number = testSeed();
export const replay: string = `replay with BUSBAR_TEST_SEED=${seed}`;
export const THREADS = 3;

const teams: Team[] = [];

/** After each test: ends its workers, and shows the seed if it has failed, by a time-out, too. */
export async function endTeams({ task }: TestContext): Promise<void> {
  if (task.result?.state === 'fail') console.error(`${task.name}: ${replay}`);
  await Promise.all(teams.splice(0).map((team) => team.terminate()));
}

interface TeamOptions {
  readonly count?: number;
  readonly isHolder?: boolean;
  readonly mayDie?: boolean;
  readonly writes?: boolean;
  readonly more?: readonly SyncHandle[];
}

/** Workers that use one primitive. */
export class Team {
  readonly board: Int32Array<SharedArrayBuffer> = new Int32Array(
    new SharedArrayBuffer(4 * at.BOARD_WORDS),
  );
  readonly workers: Worker[] = [];
  failed: unknown;
  readonly #pool: BufferPool;
  readonly #sync: SyncHandle | SeqLockHandle;
  readonly #isHolder: boolean;
  readonly #mayDie: boolean;
  readonly #writes: boolean;
  readonly #more: readonly SyncHandle[];
  #started = 0;

  constructor(pool: BufferPool, sync: SyncHandle | SeqLockHandle, options: TeamOptions = {}) {
    const { count = THREADS, isHolder = false, mayDie = false, writes = false } = options;
    this.#pool = pool;
    this.#sync = sync;
    this.#isHolder = isHolder;
    this.#mayDie = mayDie;
    this.#writes = writes;
    this.#more = options.more ?? [];
    teams.push(this);
    for (let i = 0; i < count; i++) this.start();
  }

  start(): void {
    const id = this.#started++;
    const workerData: at.SyncTask = {
      pool: this.#pool.handle,
      sync: this.#sync,
      board: this.board.buffer,
      isHolder: this.#isHolder,
      mayDie: this.#mayDie,
      writes: this.#writes,
      more: this.#more,
      id,
      seed: seed + id * 7919,
    };
    const worker = new Worker(workerUrl('sync'), { workerData });
    worker.on('error', (error) => {
      this.failed ??= error;
    });
    this.workers.push(worker);
  }

  /** How often the primitive was used. */
  get done(): number {
    let sum = 0;
    for (let id = 0; id < this.#started; id++) sum += Atomics.load(this.board, at.DONE + id);
    return sum;
  }

  /** Waits until it has been used that often once more. */
  async reaches(count: number): Promise<void> {
    const enough = this.done + count;
    await until(() => this.failed !== undefined || this.done >= enough);
    if (this.failed !== undefined) throw this.failed;
  }

  /** Ends one of the threads, and starts another. */
  async kill(index: number): Promise<void> {
    const [worker] = this.workers.splice(index, 1);
    await worker.terminate();
    this.#pool.reclaimDead();
    this.start();
  }

  async stop(): Promise<void> {
    Atomics.store(this.board, at.STOP, 1);
    const ends = this.workers.map(
      (worker) => new Promise((resolve) => worker.once('exit', resolve)),
    );
    await Promise.all(ends);
    if (this.failed !== undefined) throw this.failed;
  }

  async terminate(): Promise<void> {
    await Promise.all(this.workers.map((worker) => worker.terminate()));
  }
}

export function createPool(): BufferPool {
  return BufferPool.create({ bufferSize: 64, bufferCount: 4, maxThreads: THREADS + 3 });
}
