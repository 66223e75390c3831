// SPDX-License-Identifier: MIT
/** The other threads of a case: started before it is measured, and directed turn by turn. */

import os from 'node:os';
import { type TransferListItem, Worker } from 'node:worker_threads';
import type { BufferPool } from 'busbar/pool';
import {
  awaitFinish,
  beginTurn,
  type ControlWords,
  createControl,
  hasFailed,
  hasFinished,
  looksAmong,
  type Outcome,
  outcomeOf,
} from './control.ts';

/** Which role a thread plays (see member.worker.ts), and what it needs for it. */
export interface Part {
  readonly role: string;
  readonly data: unknown;
  /** Ports that go to the thread with its data. */
  readonly transfer?: readonly TransferListItem[];
}

/** What a member's thread is started with. */
export interface MemberData {
  readonly role: string;
  readonly data: unknown;
  readonly control: ControlWords;
  readonly member: number;
  /** How often it looks for its turn before it sleeps. */
  readonly looksMax: number;
}

/** A measuring thread that waits looks for failures once in this many rounds. */
export const ROUNDS_PER_CHECK = 0x1_0000;

const MEMBER_PROGRAM = new URL('./threads/member.worker.js', import.meta.url);

/** The threads of one case. */
export class Crew {
  readonly workers: readonly Worker[];
  private readonly control: ControlWords;
  private readonly looksMax: number;
  private readonly exits: Promise<unknown>;
  private turn = 0;
  private failure: unknown;

  private constructor(control: ControlWords, workers: readonly Worker[], looksMax: number) {
    this.control = control;
    this.looksMax = looksMax;
    this.workers = workers;
    for (const worker of workers) {
      worker.on('error', (error) => {
        this.failure ??= error;
      });
    }
    this.exits = Promise.all(
      workers.map((worker) => new Promise((resolve) => worker.once('exit', resolve))),
    );
  }

  /** Resolves when every thread waits for its first turn. */
  static async start(parts: readonly Part[]): Promise<Crew> {
    const control = createControl(parts.length);
    const looksMax = looksAmong(parts.length + 1, os.availableParallelism());
    const workers = parts.map(({ role, data, transfer = [] }, member) => {
      const workerData: MemberData = { role, data, control, member, looksMax };
      return new Worker(MEMBER_PROGRAM, { workerData, transferList: [...transfer] });
    });
    const crew = new Crew(control, workers, looksMax);
    await Promise.all(
      workers.map(
        (worker) =>
          new Promise((resolve, reject) => worker.once('message', resolve).once('error', reject)),
      ),
    );
    return crew;
  }

  /** Lets every member run `ops` operations. */
  begin(ops: number): void {
    this.turn = beginTurn(this.control, ops);
  }

  /** Waits, blocking this thread, until all have finished their turn. **Throws** if one failed. */
  finish(): void {
    for (let member = 0; member < this.workers.length; member++) {
      awaitFinish(this.control, member, this.turn, this.looksMax);
    }
    this.check();
  }

  /** Like {@link finish}, while this thread's event loop turns. */
  async finishAsync(): Promise<void> {
    while (!this.workers.every((_worker, member) => hasFinished(this.control, member, this.turn))) {
      this.check();
      await new Promise((resolve) => setImmediate(resolve));
    }
    this.check();
  }

  /** **Throws** if a member has failed. */
  check(): void {
    if (this.failure !== undefined) throw this.failure;
    if (this.workers.some((_worker, member) => hasFailed(this.control, member))) {
      throw new Error('another thread of this case has failed');
    }
  }

  /** What a member counted and added up in the turn that has finished. */
  outcome(member: number): Outcome {
    return outcomeOf(this.control, member);
  }

  /** Ends all threads and waits for them. */
  async close(): Promise<void> {
    this.begin(-1);
    await this.exits;
    this.check();
  }

  /** The same; then the end of the channel here, and the pool. */
  async closeWith(end: { close(): void }, pool: BufferPool): Promise<void> {
    await this.close();
    end.close();
    pool.detach();
  }
}
