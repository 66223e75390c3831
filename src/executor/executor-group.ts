// SPDX-License-Identifier: MIT
/** The public handle of a group of executors, one thread for each core. */

import { checkInteger, checkMade, show } from '../base/check.ts';
import { nowMs } from '../base/clock.ts';
import { describeAs } from '../base/description.ts';
import type { BusbarError } from '../base/errors.ts';
import { ensureStep } from '../base/stack.ts';
import { resolveWaitOptions, type WaitLimits } from '../base/wait-guard.ts';
import type { PacketSender } from '../channel/index.ts';
import type { Packet } from '../packet/index.ts';
import type { BufferPool, WaitOptions } from '../pool/index.ts';
import type { ExecutorSlot } from './executor-slot.ts';
import type { Reading } from './gauges.ts';
import {
  type ExecutorGroupOptions,
  type ResolvedGroupOptions,
  resolveGroupOptions,
  resolveStopOptions,
  type StopOptions,
} from './group-options.ts';
import { type CrashWatcher, GroupState, type StopReport } from './group-state.ts';
import type { Mailbox } from './mailbox.ts';
import { checkIndex, type Key, type Partitioner } from './partitioner.ts';
import type { OpenRequest } from './requests.ts';

/** Which executors received a broadcast packet. */
export interface BroadcastReport {
  readonly sent: readonly number[];
  /** Executors whose lane was full, or for which no stack was left after others got the packet. */
  readonly full: readonly number[];
  readonly closed: readonly number[];
}

/** The statistics of one executor. */
export interface ExecutorStats extends Reading {
  readonly index: number;
  /** Packets in its lanes that it has not taken yet. */
  readonly queued: number;
  /** The cpu to which it is pinned. */
  readonly cpu: number | undefined;
  /** Why it is not pinned; '' if it is. */
  readonly unpinned: string;
  /** How often it was restarted. */
  readonly restarts: number;
  readonly lastCrash: BusbarError | undefined;
}

/**
 * Threads that share nothing but the pool. Each has an event loop, a core to which it is pinned,
 * and a lane to every other thread.
 *
 * Each runs the user's module, which handles the packets in its mailbox, sends to its peers and to
 * the host, and may own sockets and timers. The host is the thread that has started the group. It
 * sends by key: packets of one key go to one executor and stay in order.
 *
 * The group keeps the process alive until it is stopped, unless `unref` was called. A group whose
 * handle is garbage-collected stops by itself. When an executor crashes and the restart policy
 * does not restart it, the group stops and {@link closed} rejects; a rejection that is not handled
 * is reported by Node, so no crash is silent.
 *
 * **Threads** the one that started the group.
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
 * if (packet !== undefined && !group.trySend('a key', packet)) packet.release(); // still ours
 * console.log(await group.stop()); // { handled: 1, dropped: 0, leaked: 0, terminated: [] }
 * for await (using answer of group.mailbox) console.log(answer.toString());
 * ```
 */
export class ExecutorGroup {
  /** The option `name`. */
  readonly name: string;
  /** How many executors. */
  readonly count: number;
  /** What executors send to the host. It can be read to its end after `stop`. */
  readonly mailbox: Mailbox;
  /** Resolves when the group has been stopped; rejects with ERR_BUSBAR_EXECUTOR_CRASHED. */
  readonly closed: Promise<void>;
  readonly pool: BufferPool;
  private readonly state: GroupState;
  private readonly senders: GroupState['senders'];
  private readonly partitioner: Partitioner;

  private constructor(state: GroupState, options: ResolvedGroupOptions) {
    checkMade(state instanceof GroupState, new.target);
    const { name, partitioner } = options;
    this.name = name;
    this.count = state.slots.length;
    this.mailbox = state.mailbox;
    this.closed = state.closed;
    this.state = state;
    this.pool = state.pool;
    this.senders = state.senders;
    this.partitioner = partitioner;
    dropped.register(this, state);
  }

  /**
   * Starts all threads and resolves when the module has returned in each. If one fails, all end.
   *
   * **Throws** TypeError or RangeError naming the option that is wrong; (rejects)
   * ERR_BUSBAR_EXECUTOR_START whose cause is what the module threw.
   */
  static async start(options: ExecutorGroupOptions): Promise<ExecutorGroup> {
    const resolved = resolveGroupOptions(options);
    return new ExecutorGroup(await GroupState.start(resolved), resolved);
  }

  /**
   * Sends a packet to the executor of the key. Returns false if its lane is full.
   *
   * **Ownership** on success the packet is the executor's; otherwise it stays the caller's.
   * **Cost** the partitioner's, and one read-modify-write.
   * **Throws** ERR_BUSBAR_CHANNEL_CLOSED once the group stops, RangeError if the partitioner
   * returns anything but the index of an executor.
   */
  trySend(key: Key, packet: Packet): boolean {
    return this.senders[this.indexOf(key)].trySend(packet);
  }

  /** {@link trySend} to the executor with that index. */
  trySendTo(index: number, packet: Packet): boolean {
    return this.senders[this.checkExecutor(index)].trySend(packet);
  }

  /**
   * {@link trySend} that waits while the lane is full, also across a restart. Callers that wait for
   * one executor are served in order, and no `trySend` overtakes them.
   *
   * **Throws** (rejects) what `trySend` throws, ERR_BUSBAR_TIMEOUT, `signal.reason`; the packet is
   * then the caller's again.
   */
  async send(key: Key, packet: Packet, options?: WaitOptions): Promise<void> {
    return this.sendTo(this.indexOf(key), packet, options);
  }

  /** {@link send} to the executor with that index. */
  async sendTo(index: number, packet: Packet, options?: WaitOptions): Promise<void> {
    const sender = this.senders[this.checkExecutor(index)];
    const deadlineMs = nowMs() + (options?.timeoutMs ?? Infinity);
    let present = options;
    for (;;) {
      try {
        return await sender.send(packet, present);
      } catch (error) {
        const code = (error as BusbarError).code;
        if (code !== 'ERR_BUSBAR_CHANNEL_PEER_DIED' || this.slot(index).isEmpty) throw error;
        // Soon another thread starts in the slot, or the lane is closed.
        present = { ...options, timeoutMs: Math.max(0, deadlineMs - nowMs()) };
      }
    }
  }

  /**
   * Sends a packet to the executor of the key, and resolves with the reply of its
   * `mailbox.respond`. Replies come through {@link mailbox}, after what the executor sent before:
   * if it sends other packets, too, read them.
   *
   * **Ownership** of the packet as {@link send}; once sent, its tag is the request's. The reply is
   * the caller's. Negative tags are taken by requests and replies.
   * **Cost** that of two lanes, a promise and a few objects.
   * **Throws** (rejects) what `send` throws; ERR_BUSBAR_REQUEST_FAILED if the handler failed,
   * ERR_BUSBAR_EXECUTOR_CRASHED if its thread crashed after it had taken the packet (one that it
   * had not taken waits for the next thread), ERR_BUSBAR_EXECUTOR_STOPPED if the group ended,
   * ERR_BUSBAR_TIMEOUT, `signal.reason`. A reply that comes later is released.
   */
  request(key: Key, packet: Packet, options?: WaitOptions): Promise<Packet> {
    return settled(() => this.requestNow(this.indexOf(key), packet, options));
  }

  /** {@link request} to the executor with that index. */
  requestTo(index: number, packet: Packet, options?: WaitOptions): Promise<Packet> {
    return settled(() => this.requestNow(this.checkExecutor(index), packet, options));
  }

  private requestNow(index: number, packet: Packet, options?: WaitOptions): Promise<Packet> {
    checkPacket(packet, this.pool);
    const limits = resolveWaitOptions(options);
    const { mailbox, requests } = this.state;
    const { tag } = packet;
    const request = requests.begin(index, this);
    try {
      packet.tag = request.tag;
      if (this.senders[index].trySend(packet)) {
        request.isSent = true;
        mailbox.expectReply();
        return request.wait(limits);
      }
    } catch (error) {
      requests.forget(request);
      if (!packet.released) packet.tag = tag;
      throw error;
    }
    return this.requestLater(request, packet, tag, limits);
  }

  /** {@link requestNow} when the lane is full: waits for it. */
  private async requestLater(
    request: OpenRequest,
    packet: Packet,
    tag: number,
    { signal, timeoutMs }: WaitLimits,
  ): Promise<Packet> {
    const deadlineMs = nowMs() + timeoutMs;
    try {
      await this.sendTo(request.to, packet, { signal, timeoutMs } as WaitOptions);
    } catch (error) {
      this.state.requests.forget(request);
      if (!packet.released) packet.tag = tag;
      throw error;
    }
    request.isSent = true;
    this.state.mailbox.expectReply();
    return request.wait({ signal, timeoutMs: Math.max(0, deadlineMs - nowMs()) });
  }

  /** The lane to the executor with that index. **Throws** RangeError. */
  peer(index: number): PacketSender {
    return this.senders[this.checkExecutor(index)];
  }

  /** @internal Calls back at each crash, before `onCrash`. */
  onGone(listener: CrashWatcher): void {
    this.state.watchers.push(listener);
  }

  /**
   * Sends a packet to every executor, one reference each; a full lane does not stop the others.
   *
   * **Ownership** the packet stays the caller's. **Throws** TypeError, ERR_BUSBAR_PACKET_RELEASED.
   */
  tryBroadcast(packet: Packet): BroadcastReport {
    const { pool, senders } = this;
    checkPacket(packet, this.pool);
    const { bufferId, offset, length, tag } = packet;
    // If the stack is full, throw here: no executor gets the packet, rather than some of them.
    ensureStep();
    const report = { sent: [] as number[], full: [] as number[], closed: [] as number[] };
    for (let index = 0; index < senders.length; index++) {
      pool.retain(bufferId);
      try {
        if (senders[index].trySendRegion(bufferId, offset, length, tag)) {
          report.sent.push(index);
          continue;
        }
        report.full.push(index);
      } catch (error) {
        const isClosed = (error as BusbarError).code === 'ERR_BUSBAR_CHANNEL_CLOSED';
        if (!isClosed && report.sent.length === 0) {
          pool.release(bufferId);
          throw error;
        }
        (isClosed ? report.closed : report.full).push(index);
      }
      pool.release(bufferId);
    }
    return report;
  }

  /**
   * Asks the executor for a reply, which it sends between two slices of its loop. Resolves with the
   * milliseconds that this took.
   *
   * **Throws** (rejects) ERR_BUSBAR_EXECUTOR_STOPPED if its thread ends or has ended;
   * ERR_BUSBAR_TIMEOUT, by default after 5000 ms: it is stuck in the user's code; `signal.reason`.
   */
  async ping(index: number, options?: WaitOptions): Promise<number> {
    const beginMs = nowMs();
    const { worker } = this.slot(index);
    const { signal, timeoutMs } = resolveWaitOptions(options);
    const isDefault = options?.timeoutMs === undefined;
    await worker.ask('ping', { signal, timeoutMs: isDefault ? PING_TIMEOUT_MS : timeoutMs });
    return nowMs() - beginMs;
  }

  /**
   * Pauses the mailbox and the polls of one executor, or of all; resolves when they are paused.
   * Packets that are sent meanwhile wait. Sockets, timers and the control lane go on. An executor
   * that restarts after a crash is not paused.
   */
  async pause(index?: number): Promise<void> {
    await Promise.all(this.slotsOf(index).map(({ worker }) => worker.ask('pause')));
  }

  /** Undoes {@link pause}. */
  async resume(index?: number): Promise<void> {
    await Promise.all(this.slotsOf(index).map(({ worker }) => worker.ask('resume')));
  }

  /**
   * Ends all executors, in parallel: their `signal` aborts, the host can send no more, queued
   * packets are handled (with those that their handlers send) or dropped, and the deferred
   * functions run. Resolves when every thread has ended; never rejects, but throws for wrong
   * options, or if the stack is full: then call it again. A second call returns the same promise;
   * with mode 'now' it speeds up the first.
   */
  stop(options?: StopOptions): Promise<StopReport> {
    return this.state.stop(resolveStopOptions(options));
  }

  /** Lets the process end while the group runs. */
  unref(): void {
    for (const slot of this.state.slots) slot.setRef(false);
  }

  /** Undoes {@link unref}. */
  ref(): void {
    for (const slot of this.state.slots) slot.setRef(true);
  }

  /**
   * The statistics of every executor, read without stopping any. An executor whose state is
   * 'running' and whose `sinceTurnMs` is large is stuck in the user's code.
   */
  stats(): ExecutorStats[] {
    return this.state.slots.map((slot) => {
      const started = slot.worker.startReport;
      return {
        index: slot.index,
        ...slot.gauges.read(),
        queued: this.state.mesh.queued(slot.index),
        cpu: started?.cpu,
        unpinned: started?.unpinned ?? 'not started',
        restarts: slot.restarts,
        lastCrash: slot.lastCrash,
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

  private slot(index: number): ExecutorSlot {
    return this.state.slots[this.checkExecutor(index)] as ExecutorSlot;
  }

  private slotsOf(index: number | undefined): readonly ExecutorSlot[] {
    return index === undefined ? this.state.slots : [this.slot(index)];
  }
}

const PING_TIMEOUT_MS = 5000;

/** A promise of what `begin` returns; rejects with what it throws. */
function settled<T>(begin: () => Promise<T>): Promise<T> {
  try {
    return begin();
  } catch (error) {
    return Promise.reject(error);
  }
}

/** Stops groups whose handles were garbage-collected: they drain, then their threads end. */
const dropped = new FinalizationRegistry<GroupState>((state) => {
  void state.stop(resolveStopOptions()).then(() => state.closeMailbox());
});

function checkPacket(packet: Packet, pool: BufferPool): void {
  if (packet?.pool === pool) return;
  throw new TypeError(`packet must be a Packet of the group's pool, got ${show(packet)}`);
}

describeAs(ExecutorGroup, 'ExecutorGroup', (group) => ({
  name: group.name,
  executors: group.stats(),
}));
