// SPDX-License-Identifier: MIT
/** The room where packets are worked on: a thread for each core, and the handle on all of them. */

import { checkInteger, show } from '../base/check.ts';
import { nowMs } from '../base/clock.ts';
import { describeAs } from '../base/description.ts';
import type { BusbarError } from '../base/errors.ts';
import type { Packet } from '../packet/index.ts';
import type { BufferPool, WaitOptions } from '../pool/index.ts';
import { Crew, type StopReport } from './crew.ts';
import type { Reading } from './gauges.ts';
import {
  type ExecutorGroupOptions,
  resolveGroupOptions,
  resolveStopOptions,
  type StopOptions,
} from './group-options.ts';
import type { Mailbox } from './mailbox.ts';
import { checkIndex, type Key, type Partitioner } from './partitioner.ts';
import type { Seat } from './seat.ts';

/** Which executors got a packet that was sent to all of them. */
export interface BroadcastReport {
  readonly sent: readonly number[];
  /** Their lane from the host was full. */
  readonly full: readonly number[];
  readonly closed: readonly number[];
}

/** One executor, seen from outside. */
export interface ExecutorStats extends Reading {
  readonly index: number;
  /** Packets that wait for it. */
  readonly queued: number;
  /** The cpu to which it is pinned. */
  readonly cpu: number | undefined;
  /** Why it is not pinned; '' if it is. */
  readonly unpinned: string;
  /** How often it was started again. */
  readonly restarts: number;
  readonly lastCrash: BusbarError | undefined;
}

/**
 * Threads that share nothing but the pool, each with an event loop of its own, pinned to a core,
 * and with a lane to every other.
 *
 * Each runs the user's module, which handles what comes to its mailbox, sends to its peers and to
 * the host, and owns sockets and timers if it likes. The host is the thread that has started the
 * group, and sends by key: packets of one key go to one executor and stay in order.
 *
 * The group keeps the process alive until it is stopped, unless `unref` was called. One whose
 * handle is dropped (and that no handler on its mailbox mentions) stops by itself when the
 * collector finds out. When an executor crashes and no restart policy mends it, the others are
 * stopped and {@link closed} rejects; if nobody looks at `closed`, that is an unhandled rejection,
 * so no crash goes unseen.
 *
 * **Threads** the one that has started the group.
 *
 * @example
 * ```ts
 * import { ExecutorGroup } from 'busbar/executor';
 * import { Packet } from 'busbar/packet';
 * import { BufferPool } from 'busbar/pool';
 *
 * const pool = BufferPool.create({ bufferSize: 4096, bufferCount: 256 });
 * // Usually a file: new URL('./worker.js', import.meta.url)
 * const module = `data:text/javascript,
 *   export function run({ mailbox, host }) {
 *     mailbox.handle((packet) => host.trySend(packet) || packet.release());
 *   }`;
 * const group = await ExecutorGroup.start({ pool, module, count: 2 });
 *
 * const packet = Packet.tryFrom(pool, new TextEncoder().encode('hello'));
 * if (packet !== undefined && !group.send('a key', packet)) packet.release(); // full: still ours
 * console.log(await group.stop()); // { handled: 1, dropped: 0 }
 * for await (using answer of group.mailbox) console.log(answer.toString());
 * ```
 */
export class ExecutorGroup {
  /** How many executors. */
  readonly count: number;
  /** What executors send to the host. It can be read to its end after `stop`. */
  readonly mailbox: Mailbox;
  /** Resolves when the group has been stopped; rejects with ERR_BUSBAR_EXECUTOR_CRASHED. */
  readonly closed: Promise<void>;
  private readonly crew: Crew;
  private readonly pool: BufferPool;
  private readonly senders: Crew['senders'];
  private readonly partitioner: Partitioner;

  private constructor(crew: Crew, partitioner: Partitioner) {
    this.count = crew.seats.length;
    this.mailbox = crew.mailbox;
    this.closed = crew.closed;
    this.crew = crew;
    this.pool = crew.pool;
    this.senders = crew.senders;
    this.partitioner = partitioner;
    dropped.register(this, crew);
  }

  /**
   * Starts all threads and resolves when the module has returned in each. If one fails, none is
   * left.
   *
   * **Throws** TypeError or RangeError naming the option that is wrong; (rejects)
   * ERR_BUSBAR_EXECUTOR_START whose cause is what the module threw.
   */
  static async start(options: ExecutorGroupOptions): Promise<ExecutorGroup> {
    const resolved = resolveGroupOptions(options);
    return new ExecutorGroup(await Crew.start(resolved), resolved.partitioner);
  }

  /**
   * Sends a packet to the executor that the key belongs to. False: its lane is full.
   *
   * **Ownership** the packet ends on success; else it is still the caller's.
   * **Cost** the partitioner's, and one read-modify-write.
   * **Throws** ERR_BUSBAR_CHANNEL_CLOSED once the group stops, RangeError if the partitioner's
   * answer is no executor.
   */
  send(key: Key, packet: Packet): boolean {
    return this.senders[this.indexOf(key)].trySend(packet);
  }

  /** {@link send} to the executor of that number. */
  sendTo(index: number, packet: Packet): boolean {
    return this.senders[this.checkExecutor(index)].trySend(packet);
  }

  /**
   * {@link send} that waits while the lane is full, through a restart, too; those who wait for one
   * executor are served in order, and no `send` overtakes them.
   *
   * **Throws** (rejects) as `send`, ERR_BUSBAR_TIMEOUT, `signal.reason`; the packet is then the
   * caller's again.
   */
  async sendWhenRoom(key: Key, packet: Packet, options?: WaitOptions): Promise<void> {
    return this.sendToWhenRoom(this.indexOf(key), packet, options);
  }

  /** {@link sendWhenRoom} to the executor of that number. */
  async sendToWhenRoom(index: number, packet: Packet, options?: WaitOptions): Promise<void> {
    const sender = this.senders[this.checkExecutor(index)];
    const deadlineMs = nowMs() + (options?.timeoutMs ?? Infinity);
    let present = options;
    for (;;) {
      try {
        return await sender.send(packet, present);
      } catch (error) {
        const code = (error as BusbarError).code;
        if (code !== 'ERR_BUSBAR_CHANNEL_PEER_DIED' || this.seat(index).isEmpty) throw error;
        // Somebody else takes the seat soon, or the lane is closed.
        present = { ...options, timeoutMs: Math.max(0, deadlineMs - nowMs()) };
      }
    }
  }

  /**
   * Sends a packet to every executor, as one reference each; a full lane stops nobody else.
   *
   * **Ownership** the packet stays the caller's.
   */
  broadcast(packet: Packet): BroadcastReport {
    const { pool, senders } = this;
    if (packet?.pool !== pool) {
      throw new TypeError(`packet must be a Packet of the group's pool, got ${show(packet)}`);
    }
    const { bufferId, offset, length } = packet;
    const report = { sent: [] as number[], full: [] as number[], closed: [] as number[] };
    for (let index = 0; index < senders.length; index++) {
      pool.retain(bufferId);
      try {
        if (senders[index].trySendRegion(bufferId, offset, length)) {
          report.sent.push(index);
          continue;
        }
        report.full.push(index);
      } catch (error) {
        if ((error as BusbarError).code !== 'ERR_BUSBAR_CHANNEL_CLOSED') {
          pool.release(bufferId);
          throw error;
        }
        report.closed.push(index);
      }
      pool.release(bufferId);
    }
    return report;
  }

  /**
   * Milliseconds until the executor has answered, between two slices of its turns.
   *
   * **Throws** (rejects) ERR_BUSBAR_EXECUTOR_STOPPED if its thread ends or has ended.
   */
  async ping(index: number): Promise<number> {
    const beginMs = nowMs();
    await this.seat(index).worker.ask('ping');
    return nowMs() - beginMs;
  }

  /**
   * Makes one executor, or all, leave its mailbox and its polls alone; resolves when it does. What
   * is sent meanwhile waits. Sockets, timers and the control lane go on. An executor that is
   * started again after a crash is not paused.
   */
  async pause(index?: number): Promise<void> {
    await Promise.all(this.seatsOf(index).map(({ worker }) => worker.ask('pause')));
  }

  /** Undoes {@link pause}. */
  async resume(index?: number): Promise<void> {
    await Promise.all(this.seatsOf(index).map(({ worker }) => worker.ask('resume')));
  }

  /**
   * Ends all executors, in parallel: their `signal` aborts, nothing can be sent any more, what is
   * queued is handled (with what that sends to other executors) or dropped, what they have deferred
   * runs. Resolves when no thread is left; never rejects, but throws for options that are wrong. A
   * second call has the same answer; with mode 'now' it makes the first one hurry.
   */
  stop(options?: StopOptions): Promise<StopReport> {
    return this.crew.stop(resolveStopOptions(options));
  }

  /** Lets the process end although the group is there. */
  unref(): void {
    for (const seat of this.crew.seats) seat.setRef(false);
  }

  /** Undoes {@link unref}. */
  ref(): void {
    for (const seat of this.crew.seats) seat.setRef(true);
  }

  /**
   * Looks at every executor, stopping nobody. One with a state of 'running' and a large
   * `sinceTurnMs` is stuck in somebody's code.
   */
  stats(): ExecutorStats[] {
    return this.crew.seats.map((seat) => {
      const started = seat.worker.startReport;
      return {
        index: seat.index,
        ...seat.gauges.read(),
        queued: this.crew.mesh.queued(seat.index),
        cpu: started?.cpu,
        unpinned: started?.unpinned ?? 'not started',
        restarts: seat.restarts,
        lastCrash: seat.lastCrash,
      };
    });
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.stop();
  }

  private indexOf(key: Key): number {
    const index = this.partitioner.partition(key, this.count);
    return checkIndex('the partitioner', index, key, this.count);
  }

  private checkExecutor(index: number): number {
    return checkInteger('index', index, 0, this.count - 1);
  }

  private seat(index: number): Seat {
    return this.crew.seats[this.checkExecutor(index)] as Seat;
  }

  private seatsOf(index: number | undefined): readonly Seat[] {
    return index === undefined ? this.crew.seats : [this.seat(index)];
  }
}

/** Groups whose handles are gone: what was sent is handled, then the threads end. */
const dropped = new FinalizationRegistry<Crew>((crew) => {
  void crew.stop(resolveStopOptions()).then(() => crew.forsake());
});

describeAs(ExecutorGroup, 'ExecutorGroup', (group) => ({ executors: group.stats() }));
