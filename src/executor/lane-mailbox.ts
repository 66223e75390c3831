// SPDX-License-Identifier: MIT
/** `LaneMailbox`: the mailbox of one thread over its inbound lanes. */

import { assert } from '../base/assert.ts';
import { checkFunction } from '../base/check.ts';
import { describeAs } from '../base/description.ts';
import { BusbarError } from '../base/errors.ts';
import { type Linked, LinkedList } from '../base/linked-list.ts';
import { Runs } from '../base/runs.ts';
import { ensureStep } from '../base/stack.ts';
import {
  resolveWaitOptions,
  WaitGuard,
  type WaitLimits,
  type WaitOptions,
} from '../base/wait-guard.ts';
import type { PacketReceiver, PacketSender } from '../channel/index.ts';
import { type HandleOptions, Handling } from '../packet/handling.ts';
import { Packet } from '../packet/index.ts';
import type { BufferId, BufferPool } from '../pool/index.ts';
import type { Mailbox, RegionHandler } from './mailbox.ts';
import { type PacketHandler, type ReplyHandler, refuse, replying } from './replies.ts';
import { isReply, isRequest, type Requests } from './requests.ts';

/** The receiving ends of a thread's inbound lanes, by sender. */
export type Lanes = readonly (PacketReceiver | undefined)[];

interface Waiter extends Linked<Waiter> {
  readonly resolve: (packet: Packet | undefined) => void;
  guard: WaitGuard | undefined;
}

/** At most this many packets are taken out of one lane before the next lane. */
export const BATCH_MAX = 64;

/** The capacity of the largest lane. */
const DISCARD_MAX = 1 << 15;

/** Packets are handed out. */
const OPEN = 0;
/** `receive` and `tryReceive` find nothing. */
const PAUSED = 1;
/** No more packets will come. */
const ENDED = 2;
type MailboxState = typeof OPEN | typeof PAUSED | typeof ENDED;

/**
 * The mailbox of a thread: the receivers of its inbound lanes.
 *
 *   OPEN ◀──pause, resume──▶ PAUSED; from both: end ▸ ENDED
 */
export class LaneMailbox implements Mailbox {
  /** Number of packets handed out. */
  handled = 0;
  /** Most packets that one pass takes out of a lane; the loop lowers it when packets take long. */
  batch: number = BATCH_MAX;
  from = -1;
  /**
   * Called when a reader has taken a packet or finds that no more can come; set while the group
   * drains.
   */
  onTake: (() => void) | undefined;
  /** The requests of this thread; undefined: it makes none. */
  requests: Requests | undefined;
  /** The lane to a sender, for replies. */
  laneTo: (index: number) => PacketSender = () => {
    throw new BusbarError('ERR_BUSBAR_CHANNEL_ROLE', 'this mailbox sends nothing');
  };
  /** For errors: 'mailbox of parser-0'. */
  private readonly label = (): string => `mailbox of ${this.pool.threadName}`;
  private readonly pool: BufferPool;
  private readonly lanes: Lanes;
  private readonly wake: () => void;
  private readonly waiters = new LinkedList<Waiter>();
  /** One function for each lane, which drains it into the handler; empty without a handler. */
  private sinks: (() => number)[] = [];
  private handling: Handling | undefined;
  /** What a handler's promise was rejected with. */
  private failure: { readonly error: unknown } | undefined;
  /** Packets whose handlers failed, until the next pass: if the thread ends, they are in hand. */
  private readonly failed: Packet[] = [];
  /** True once `receive` or `tryReceive` was called. */
  private asked = false;
  /** True: the handler replies to requests. */
  private responds = false;
  private state: MailboxState = OPEN;
  /** The lane at which the next pass begins. */
  private first = 0;
  /** How many packets `receive` may still return before the next pass. */
  private allowance: number = BATCH_MAX;

  /** `wake` asks the thread's loop for a turn. */
  constructor(pool: BufferPool, lanes: Lanes, wake: () => void) {
    this.pool = pool;
    this.lanes = lanes;
    this.wake = wake;
    for (const lane of lanes) lane?.setReadyCallback(wake);
  }

  handle(handler: PacketHandler, options?: HandleOptions): void {
    const { wake } = this;
    const handling = new Handling(
      handler,
      options,
      wake,
      (error) => {
        // The next pass throws it, as it does what a handler throws at once.
        this.failure = { error };
      },
      this.failed,
    );
    this.serve((lane, from) => {
      const { pool } = this;
      const sink = (id: BufferId, offset: number, length: number, tag: number): void => {
        const packet = Packet.within(pool, id, offset, length, tag);
        if (tag < 0 && this.settles(packet, from)) return;
        handling.give(packet, from);
        this.handled++;
        if (handling.isFull) lane.halt();
      };
      return () => {
        // A handler under way may wait for a reply.
        if (handling.isFull) return this.awaitsReplies ? this.takeReplies(lane, from) : 0;
        return lane.hasNews ? lane.drainRegions(sink, this.batch) : 0;
      };
    });
    this.handling = handling;
  }

  handleRegions(handler: RegionHandler): void {
    checkFunction('handler', handler);
    this.serve((lane, from) => {
      const sink = (id: BufferId, offset: number, length: number, tag: number): void => {
        if (tag < 0 && this.settles(Packet.within(this.pool, id, offset, length, tag), from)) {
          return;
        }
        handler(id, offset, length, from, tag);
        this.handled++;
      };
      return () => (lane.hasNews ? lane.drainRegions(sink, this.batch) : 0);
    });
  }

  respond(handler: ReplyHandler, options?: HandleOptions): void {
    checkFunction('handler', handler);
    this.handle(replying(handler, this.laneTo), options);
    this.responds = true;
  }

  /**
   * True: the packet is a reply, and its request, if it is open, has it now; or it is a request,
   * which fails, since the handler does not reply.
   */
  private settles(packet: Packet, from: number): boolean {
    const { tag } = packet;
    if (this.requests === undefined) {
      if (this.responds || !isRequest(tag)) return false;
      refuse(packet, this.laneTo(from));
    } else {
      if (!isReply(tag)) return false;
      packet.tag = 0;
      this.requests.settle(packet, tag, from);
    }
    this.handled++;
    return true;
  }

  /** A request begins: a loop that parked while the handler was busy must look for its reply. */
  expectReply(): void {
    if (this.handling?.isFull) this.wake();
  }

  private get awaitsReplies(): boolean {
    return this.requests !== undefined && this.requests.size > 0;
  }

  /** Takes replies only, as no other packet can be handed out now: one stops its lane. */
  private takeReplies(lane: PacketReceiver, from: number): number {
    let done = 0;
    while (done < this.batch && isReply(lane.nextTag)) {
      const packet = lane.tryReceive();
      if (packet === undefined) break;
      this.settles(packet, from);
      done++;
    }
    return done;
  }

  private takeAllReplies(): number {
    let done = 0;
    for (const [from, lane] of this.lanes.entries()) {
      if (lane !== undefined) done += this.takeReplies(lane, from);
    }
    return done;
  }

  tryReceive(): Packet | undefined {
    this.ask();
    const packet = this.take();
    if (packet === undefined && this.onTake !== undefined && this.ended) this.onTake();
    return packet;
  }

  async receive(options?: WaitOptions): Promise<Packet | undefined> {
    const limits = resolveWaitOptions(options);
    this.ask();
    // A reader that always finds a packet must not starve the event loop.
    if (this.waiters.isEmpty && this.allowance > 0) {
      const packet = this.takeAllowed();
      if (packet !== undefined) return packet;
      if (this.ended) {
        this.onTake?.();
        return undefined;
      }
    }
    this.wake();
    return this.wait(limits);
  }

  [Symbol.asyncIterator](): AsyncIterableIterator<Packet, void, undefined> {
    return new Runs(
      () => this.takeAllowed(),
      () => this.receive(),
    );
  }

  /** The next packet if it is there; a reader must not starve the event loop. */
  private takeAllowed(): Packet | undefined {
    this.ask();
    if (!this.waiters.isEmpty || this.allowance === 0) return undefined;
    const packet = this.take();
    if (packet !== undefined) this.allowance--;
    return packet;
  }

  /** One pass over all lanes: hands out a bounded number of packets and returns how many. */
  pump(): number {
    this.allowance = BATCH_MAX;
    const { sinks, failure } = this;
    if (failure !== undefined) {
      this.failure = undefined;
      throw failure.error;
    }
    if (this.failed.length > 0) this.releaseFailed();
    if (sinks.length === 0) {
      if (!this.waiters.isEmpty) return this.serveWaiters();
      return this.requests?.isUsed ? this.takeAllReplies() : 0;
    }
    const first = this.first < sinks.length ? this.first : 0;
    this.first = first + 1;
    let done = 0;
    for (let i = first; i < sinks.length; i++) done += sinks[i]();
    for (let i = 0; i < first; i++) done += sinks[i]();
    return done;
  }

  /** Makes every lane wake the loop. Returns false if a lane holds a packet already. */
  arm(): boolean {
    // Promises under way: when one settles, it wakes the loop.
    if (this.handling?.isFull && !this.awaitsReplies) return true;
    let empty = true;
    for (const lane of this.lanes) {
      if (lane !== undefined && !lane.ended && !lane.arm()) empty = false;
    }
    return empty;
  }

  /** True if no more packets can come: every lane is closed and empty. */
  get ended(): boolean {
    if (this.state === ENDED) return true;
    for (const lane of this.lanes) if (lane !== undefined && !lane.ended) return false;
    return true;
  }

  /** Packets whose handlers have returned promises that are not settled. */
  get running(): number {
    return this.handling === undefined ? 0 : this.handling.running;
  }

  get hasHandler(): boolean {
    return this.sinks.length > 0;
  }

  /** True once the mailbox has had a reader or a handler. */
  get isRead(): boolean {
    return this.asked || this.hasHandler;
  }

  /** Hands out nothing until {@link resume}; the loop calls no handlers meanwhile. */
  pause(): void {
    if (this.state === ENDED) return;
    assert(this.state === OPEN, 'a mailbox is paused once');
    this.state = PAUSED;
  }

  resume(): void {
    if (this.state === ENDED) return;
    assert(this.state === PAUSED, 'a mailbox is resumed after a pause');
    this.state = OPEN;
  }

  /** Ends every waiting `receive`: no more packets will come. */
  end(): void {
    this.state = ENDED;
    for (let first = this.waiters.first; first !== undefined; first = this.waiters.first) {
      this.settle(first, undefined);
    }
  }

  /** Releases the queued packets, a bounded number if a sender continues. Returns their number. */
  releaseQueued(): number {
    this.releaseFailed();
    let count = 0;
    const release = (bufferId: BufferId): void => this.pool.release(bufferId);
    for (const lane of this.lanes) count += lane?.drainRegions(release, DISCARD_MAX) ?? 0;
    return count;
  }

  private releaseFailed(): void {
    for (const packet of this.failed.splice(0)) if (!packet.released) packet.release();
  }

  /** Closes the receiving ends of the lanes. */
  close(): void {
    this.end();
    this.requests?.close();
    for (const lane of this.lanes) lane?.close();
  }

  private serve(sinkOf: (lane: PacketReceiver, from: number) => () => number): void {
    if (this.asked) {
      throw new BusbarError('ERR_BUSBAR_CHANNEL_ROLE', `${this.label()} is read by receive()`);
    }
    const sinks: (() => number)[] = [];
    for (const [from, lane] of this.lanes.entries()) {
      if (lane !== undefined) sinks.push(sinkOf(lane, from));
    }
    this.wake();
    // Last: if a call above throws because the stack is full, no handler is set.
    this.responds = false;
    this.sinks = sinks;
  }

  private ask(): void {
    if (this.sinks.length > 0) {
      throw new BusbarError('ERR_BUSBAR_CHANNEL_ROLE', `${this.label()} has a handler`);
    }
    this.asked = true;
  }

  private take(): Packet | undefined {
    const { lanes } = this;
    if (this.state !== OPEN) return undefined;
    // A packet taken out of a lane must reach the caller: throw now rather than below.
    const hasAsked = this.requests?.isUsed === true;
    ensureStep();
    for (let i = 0; i < lanes.length; i++) {
      const from = (this.first + i) % lanes.length;
      const lane = lanes[from];
      let packet = lane?.tryReceive();
      // By the lane's field: a call that threw here would lose the packet.
      while (packet !== undefined && (lane?.tag ?? 0) < 0) {
        if (!this.settles(packet, from)) break;
        packet = lane?.tryReceive();
      }
      if (packet === undefined) continue;
      this.first = (from + 1) % lanes.length;
      this.from = from;
      this.handled++;
      // Replies may come after what is taken.
      if (hasAsked) this.wake();
      this.onTake?.();
      return packet;
    }
    return undefined;
  }

  /** Returns how many packets it took, replies included: after 0 the loop may park unarmed. */
  private serveWaiters(): number {
    const before = this.handled;
    while (this.handled - before < BATCH_MAX) {
      const { first } = this.waiters;
      const packet = first === undefined ? undefined : this.take();
      if (first === undefined || packet === undefined) break;
      this.settle(first, packet);
    }
    if (!this.waiters.isEmpty && this.ended) this.end();
    return this.handled - before;
  }

  private wait(limits: WaitLimits): Promise<Packet | undefined> {
    return new Promise((resolve, reject) => {
      const waiter: Waiter = {
        resolve,
        guard: undefined,
        list: undefined,
        previous: undefined,
        next: undefined,
      };
      const giveUp = (reason: unknown): void => {
        if (this.waiters.remove(waiter)) reject(reason);
      };
      waiter.guard = new WaitGuard(limits, 'receive', giveUp, this.label);
      // Last: if a call throws because the stack is full, no caller waits.
      this.waiters.push(waiter);
    });
  }

  /** Ends one wait. */
  private settle(waiter: Waiter, packet: Packet | undefined): void {
    this.waiters.remove(waiter);
    waiter.resolve(packet);
    waiter.guard?.end();
  }
}

describeAs(LaneMailbox, 'Mailbox', (mailbox) => ({
  ended: mailbox.ended,
  hasHandler: mailbox.hasHandler,
}));
