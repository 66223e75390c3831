// SPDX-License-Identifier: MIT
/** A group of executors under measurement: started, sent to, waited for, stopped. */

import { ExecutorGroup, type Idle, type Partitioner } from 'busbar/executor';
import { Packet } from 'busbar/packet';
import { BufferPool, NO_BUFFER } from 'busbar/pool';
import { createProgress, handledSoFar, sumSoFar, type WorkKind } from './group-work.ts';
import { MESSAGE_BYTES } from './message.ts';

const MODULE = new URL('./threads/group.worker.js', import.meta.url);
export const LANE_CAPACITY = 1024;
/** Looks at the executors' progress before the event loop gets a turn. */
const LOOKS = 200;
/** How long the measuring thread then leaves its core to others. */
const NAP_MS = 0.02;
/** What lanes, caches and hands may hold of each executor. */
const BUFFERS_PER_EXECUTOR = 2048;

export interface GroupCaseOptions {
  readonly kind: WorkKind;
  readonly count: number;
  readonly partitioner?: Partitioner;
  readonly idle?: Idle;
}

export class GroupCase {
  readonly group: ExecutorGroup;
  readonly pool: BufferPool;
  private readonly progress: Int32Array;
  /** What was sent and must have been handled, modulo 2³². */
  private goal = 0;
  private crash: unknown;
  /** A word that never changes. */
  private readonly never: Int32Array = new Int32Array(new SharedArrayBuffer(4));

  private constructor(group: ExecutorGroup, pool: BufferPool, progress: Int32Array) {
    this.group = group;
    this.pool = pool;
    this.progress = progress;
    group.closed.catch((error: unknown) => {
      this.crash = error;
    });
  }

  static async start({ kind, count, partitioner, idle }: GroupCaseOptions): Promise<GroupCase> {
    const pool = BufferPool.create({
      bufferSize: MESSAGE_BYTES,
      bufferCount: (count + 1) * BUFFERS_PER_EXECUTOR,
      maxThreads: count + 2,
    });
    const progress = createProgress(count);
    const group = await ExecutorGroup.start({
      pool,
      module: MODULE,
      count,
      laneCapacity: LANE_CAPACITY,
      data: { kind, progress },
      ...(partitioner === undefined ? {} : { partitioner }),
      ...(idle === undefined ? {} : { idle }),
    });
    return new GroupCase(group, pool, progress);
  }

  /** A packet over a free buffer; undefined: none is free now. */
  tryPacket(length: number): Packet | undefined {
    const { pool } = this;
    const id = pool.tryAcquire();
    return id === NO_BUFFER ? undefined : Packet.wrap(pool, id, pool.offsetOf(id), length);
  }

  /** The same, waiting for a buffer. */
  async packet(length: number): Promise<Packet> {
    const { pool } = this;
    const id = await pool.acquire();
    return Packet.wrap(pool, id, pool.offsetOf(id), length);
  }

  /** Counts packets that were sent. */
  expect(packets: number): void {
    this.goal = (this.goal + packets) | 0;
  }

  /**
   * Resolves when all that was sent has been handled. Leaves the core to the executors meanwhile:
   * there may be more of them than cores.
   */
  async handled(): Promise<void> {
    for (let looks = 1; handledSoFar(this.progress) !== this.goal; looks++) {
      if (looks % LOOKS !== 0) continue;
      this.check();
      await new Promise((resolve) => setImmediate(resolve));
      Atomics.wait(this.never, 0, 0, NAP_MS);
    }
  }

  /** What all numbers handled so far add up to; also checks that nothing came wrong. */
  sum(): number {
    return sumSoFar(this.progress);
  }

  /** **Throws** what a crash was caused by. */
  check(): void {
    if (this.crash !== undefined) throw this.crash;
  }

  async close(): Promise<void> {
    await this.handled();
    this.sum();
    const { dropped } = await this.group.stop();
    this.check();
    if (dropped > 0) throw new Error(`${dropped} packets were dropped`);
    this.pool.detach();
  }
}
