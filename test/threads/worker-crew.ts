// SPDX-License-Identifier: MIT
/**
 * Test tool: starts the workers of a traffic test, forwards their messages, and records how each
 * ended.
 */
import { Worker } from 'node:worker_threads';
import type { BufferPool } from 'busbar/pool';
import { arbitrarySeed } from '../../src/base/random.ts';
import * as crew from './crew.ts';
import { Mailboxes } from './mailboxes.ts';

/** Where scripts/build.mjs puts the workers. */
export function workerUrl(name: string): URL {
  return new URL(`../../build/test/threads/${name}.worker.js`, import.meta.url);
}

/** The seed of this run: random unless BUSBAR_TEST_SEED is set. */
export function testSeed(): number {
  return Number(process.env.BUSBAR_TEST_SEED ?? arbitrarySeed());
}

/** How one worker ended. */
export interface End {
  readonly code: number;
  readonly error: Error | undefined;
}

export interface CrewOptions {
  readonly lanes: number;
  readonly perPair: number;
  readonly deeds: number;
  readonly post: boolean;
  readonly seed: number;
}

/** The lanes of one test; lanes that the main thread travels itself have no worker. */
export class WorkerCrew {
  readonly boxes: Mailboxes;
  readonly board: Int32Array<SharedArrayBuffer>;
  readonly #pool: BufferPool;
  readonly #options: CrewOptions;
  readonly #workers = new Map<number, Worker>();
  #started = 0;

  constructor(pool: BufferPool, options: CrewOptions) {
    this.#pool = pool;
    this.#options = options;
    this.boxes = new Mailboxes(options.lanes, options.perPair);
    this.board = new Int32Array(new SharedArrayBuffer(4 * crew.BOARD_WORDS));
  }

  /** Starts a worker in a lane; the promise says how it ended, and never rejects. */
  start(lane: number): Promise<End> {
    const { handle } = this.#pool;
    this.board[crew.SLOTS + lane] = 0;
    this.board[crew.ORDERS + lane] = crew.CARRY_ON;
    this.board[crew.DEEDS + lane] = 0;
    const assignment: crew.Assignment = {
      ...this.#options,
      handle,
      lane,
      boxes: this.boxes.memory,
      board: this.board.buffer,
      seed: this.#options.seed + this.#started++ * 7919,
    };
    const worker = new Worker(workerUrl('traffic'), { workerData: assignment });
    this.#workers.set(lane, worker);
    worker.on('message', (posted: crew.Posted) => {
      this.#workers.get(posted.to)?.postMessage(posted);
    });
    return new Promise((resolve) => {
      let error: Error | undefined;
      worker.on('error', (caught: Error) => {
        error = caught;
        // The others would wait for it for ever.
        if (caught.message !== crew.TOLD_TO_THROW) this.terminateAll();
      });
      worker.on('exit', (code) => resolve({ code, error }));
    });
  }

  terminateAll(): void {
    for (const worker of this.#workers.values()) void worker.terminate();
  }

  terminate(lane: number): void {
    void this.#workers.get(lane)?.terminate();
  }

  order(lane: number, order: number): void {
    Atomics.store(this.board, crew.ORDERS + lane, order);
  }

  deeds(lane: number): number {
    return Atomics.load(this.board, crew.DEEDS + lane);
  }

  /** The slot that the lane's worker has attached to, or −1. */
  slot(lane: number): number {
    return Atomics.load(this.board, crew.SLOTS + lane) - 1;
  }
}
