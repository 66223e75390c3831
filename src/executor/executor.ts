// SPDX-License-Identifier: MIT
/** A single executor: a group of one. */

import { checkMade, checkOptions } from '../base/check.ts';
import { describeAs } from '../base/description.ts';
import type { Packet } from '../packet/index.ts';
import type { WaitOptions } from '../pool/index.ts';
import { ExecutorGroup, type ExecutorStats } from './executor-group.ts';
import { EXECUTOR_KEYS, type ExecutorGroupOptions, type StopOptions } from './group-options.ts';
import type { StopReport } from './group-state.ts';
import type { Mailbox } from './mailbox.ts';

/** Options of a single executor. */
export interface ExecutorOptions
  extends Omit<ExecutorGroupOptions, 'count' | 'pin' | 'partitioner'> {
  /** The cpu to which it is pinned; default: none. */
  readonly cpu?: number;
}

const KNOWN: readonly (keyof ExecutorOptions)[] = [...EXECUTOR_KEYS, 'cpu'];

/**
 * A thread with its own event loop that runs the user's module: an {@link ExecutorGroup} of one,
 * which documents the methods.
 */
export class Executor {
  /** What the executor sends to the host. */
  readonly mailbox: Mailbox;
  /** Resolves when it has been stopped; rejects with ERR_BUSBAR_EXECUTOR_CRASHED. */
  readonly closed: Promise<void>;
  private readonly group: ExecutorGroup;

  private constructor(group: ExecutorGroup) {
    checkMade(group instanceof ExecutorGroup, new.target);
    this.group = group;
    this.mailbox = group.mailbox;
    this.closed = group.closed;
  }

  /** Starts the thread; see {@link ExecutorGroup.start}. */
  static async start(options: ExecutorOptions): Promise<Executor> {
    const own = checkOptions('options', options, KNOWN);
    const { cpu, ...rest } = own;
    const pin = cpu === undefined ? 'none' : [cpu];
    return new Executor(await ExecutorGroup.start({ ...rest, count: 1, pin }));
  }

  /** Sends a packet; false: full, and the packet is still the caller's. */
  trySend(packet: Packet): boolean {
    return this.group.trySendTo(0, packet);
  }

  /** {@link trySend} that waits while the lane is full. */
  send(packet: Packet, options?: WaitOptions): Promise<void> {
    return this.group.sendTo(0, packet, options);
  }

  /** See {@link ExecutorGroup.request}. */
  request(packet: Packet, options?: WaitOptions): Promise<Packet> {
    return this.group.requestTo(0, packet, options);
  }

  /** See {@link ExecutorGroup.ping}. */
  ping(options?: WaitOptions): Promise<number> {
    return this.group.ping(0, options);
  }

  pause(): Promise<void> {
    return this.group.pause();
  }

  resume(): Promise<void> {
    return this.group.resume();
  }

  /** See {@link ExecutorGroup.stop}. */
  stop(options?: StopOptions): Promise<StopReport> {
    return this.group.stop(options);
  }

  unref(): void {
    this.group.unref();
  }

  ref(): void {
    this.group.ref();
  }

  stats(): ExecutorStats {
    return this.group.stats()[0] as ExecutorStats;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.stop();
  }
}

describeAs(Executor, 'Executor', (executor) => ({ ...executor.stats() }));
