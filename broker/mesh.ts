// SPDX-License-Identifier: MIT
/**
 * Example broker: the mesh of a broker's executors. Each has its own clients, and a lane to and
 * from every other one; they share nothing but the pool.
 *
 *   client ─▶ Connection ─▶ Router ─▶ subscribers here
 *                              └────▶ OutLane ═══▶ InLane ─▶ Router ─▶ subscribers there
 *
 * **Interest.** Each executor announces its clients' subscriptions to all others: one INTEREST of
 * weight 1 or 0 for all subscriptions with the same subject; for a queue group, at every change,
 * one with the number of its members. The others store them beside their own subscriptions, so one
 * lookup in the cache of matches finds all recipients of a message, here and elsewhere.
 *
 * **Messages.** A message is sent once to each executor with an interest in it, as a reference to
 * the bytes that the publisher's socket was read into. The receiving executor matches it against
 * its own subscriptions. For queue groups the sender chooses the executor, weighted by the numbers
 * of members. If the set of its groups differs from that of the previous message, it sends SERVE
 * with the set first. If the members have left meanwhile, the executor passes the message on to
 * another one with members.
 *
 * **Stalled.** A sender cannot see whether clients of another executor have room. So an executor
 * announces an interest again, as stalled, when a recipient of a message is held back (for a queue
 * group: when all members are), and once more when there is room. Publishers elsewhere wait
 * meanwhile, each in its own connection, so nothing in the lane waits for one client. Messages
 * already in transit, a window at most, are still delivered.
 *
 * **Order.** Messages and their SERVEs form a stream, in which a subscriber gets the messages of
 * one publisher in order. All else are notices, handled at once even if the stream has to wait. If
 * a client subscribes and then publishes, the interest is announced before the message leaves.
 *
 * **PONG means everywhere.** A PING is answered, and a SUB or UNSUB of a verbose client confirmed,
 * when all other executors have handled everything that this client caused: its SUB is known there,
 * its UNSUB too, and its messages have been handed to their subscribers. DONE reports how many
 * interests and regions of the stream have been handled; FENCE, in the stream, requests it. DONE
 * also reopens the window, which keeps messages from filling a lane.
 *
 * **Beginning and end.** An executor that starts sends ASK, with an epoch that no predecessor had,
 * to all others. They reply with TELL and that epoch, then all interests, then SYNC; what came in
 * the lane before was for a predecessor. They send ASK to it in turn. An
 * executor listens for clients once it is synced with all. When one dies, the others are told
 * (`lost`), forget its interests, and stop waiting for it; its successor begins with ASK. Before
 * the broker stops, each executor sends BYE after its last message, and keeps its clients until it
 * has received BYE from all.
 *
 * **Changes are bounded.** A client that subscribes and unsubscribes a lot waits until the others
 * have handled its changes: notices and messages share a lane, and messages must not wait in it
 * behind 100 000 changes.
 *
 * **When nothing fits.** A full window makes the publisher wait, see `backpressure.ts`. When memory
 * is short, every executor notices; the one whose client has most output waiting, as the board
 * shows, closes that client.
 */

import assert from 'node:assert/strict';
import { type Interest, OwnInterest, RemoteInterest } from 'busbar/bus';
import type { BufferId, BufferPool } from 'busbar/pool';
import type { Backpressure, Elsewhere, Waiter } from './backpressure.ts';
import { Departure } from './departure.ts';
import { CHANGE_UNITS, type FairShare } from './fair-share.ts';
import { InLane, type InLaneCore } from './in-lane.ts';
import type { RemoteExecutor } from './matches.ts';
import { BYE } from './mesh-messages.ts';
import { CHANGES_MAX, type LaneCore, MARK_WORDS, OutLane } from './out-lane.ts';
import type { Peers } from './peers.ts';
import type { ProtocolLimits } from './protocol.ts';
import type { Router, Subscriber } from './router.ts';
import { Scratch } from './scratch.ts';
import type { Subscription } from './subscription.ts';

/** What the mesh needs of the broker. */
export interface MeshCore<S extends Subscriber> {
  readonly pool: BufferPool;
  readonly router: Router<S>;
  readonly backpressure: Backpressure;
  readonly counters: { messagesOut: number };
  readonly limits: ProtocolLimits;
  /** Bytes and regions of messages that may be on their way from one executor to another. */
  readonly windowBytes: number;
  readonly windowRegions: number;
}

/** How far each other executor must come. */
export type Mark = Int32Array;

/** Those who have done much already may cause such a part of them. */
const HEAVY_PART = 4;
/** A DONE is given unasked when this share of the window or of the lane has been dealt with. */
const DONE_SHARE = 8;

// RUNNING ──sayBye──▶ PARTING ──close──▶ CLOSED; close also from RUNNING
const RUNNING = 0;
const PARTING = 1; // our last message was sent; those of others still come
const CLOSED = 2; // regions that still come are released

export class Mesh<S extends Subscriber> implements LaneCore, InLaneCore<S>, Waiter, Elsewhere {
  readonly pool: BufferPool;
  readonly peers: Peers;
  readonly own: OwnInterest = new OwnInterest();
  readonly remote: RemoteInterest<Subscription<S>, RemoteExecutor>;
  readonly scratch: Scratch;
  readonly windowBytes: number;
  readonly windowRegions: number;
  readonly router: Router<S>;
  readonly share: FairShare;
  readonly backpressure: Backpressure;
  readonly counters: { messagesOut: number };
  readonly limits: ProtocolLimits;
  readonly epoch: number;
  readonly doneRegions: number;
  readonly doneBytes: number;
  isDirty: boolean = false;

  /** By index; none at our own. */
  readonly #out: (OutLane | undefined)[] = [];
  readonly #in: (InLane<S> | undefined)[] = [];
  /** True if a notice arrived that a waiting caller may continue after. */
  #hasNews: boolean = false;
  readonly #changed: (() => void)[] = [];
  #life: typeof RUNNING | typeof PARTING | typeof CLOSED = RUNNING;

  constructor(core: MeshCore<S>, peers: Peers) {
    this.pool = core.pool;
    this.router = core.router;
    this.share = core.router.share;
    this.backpressure = core.backpressure;
    this.counters = core.counters;
    this.limits = core.limits;
    this.windowBytes = core.windowBytes;
    this.windowRegions = Math.min(core.windowRegions, peers.laneCapacity >>> 1);
    this.peers = peers;
    this.epoch = peers.epoch;
    this.doneRegions = Math.max(1, Math.floor(this.windowRegions / DONE_SHARE));
    this.doneBytes = Math.max(1, Math.floor(core.windowBytes / DONE_SHARE));
    this.scratch = new Scratch(core.pool, () => core.backpressure.noBuffer(this));
    this.remote = new RemoteInterest(core.router.index);
    if (this.isAlone) return;
    for (let index = 0; index < peers.count; index++) {
      const out = index === peers.index ? undefined : new OutLane(this, index);
      this.#out.push(out);
      this.#in.push(out === undefined ? undefined : new InLane<S>(this, out));
    }
    core.backpressure.elsewhere = this;
    peers.receive((from, bufferId, offset, length) => this.#take(from, bufferId, offset, length));
    this.flush();
  }

  /** There are no other executors. */
  get isAlone(): boolean {
    return this.peers.count === 1;
  }

  /** Whether it is known what everybody else's clients have subscribed to. */
  get isSynced(): boolean {
    return this.#in.every((lane) => lane === undefined || lane.isSynced);
  }

  /** Messages of others that wait for clients here. */
  get blockedCount(): number {
    return this.#in.reduce((count, lane) => count + (lane?.isBlocked === true ? 1 : 0), 0);
  }

  /** Messages that were for a member of a queue group who had left, and reached no other. */
  get lostCount(): number {
    return this.#out.reduce((count, lane) => count + (lane?.lostCount ?? 0), 0);
  }

  /**
   * Whether a client may change its subscriptions. If not, too many changes are still on their way
   * to another executor; who waits in the back-pressure goes on when that has heard them.
   */
  get mayChange(): boolean {
    const most = this.share.isLight ? CHANGES_MAX : CHANGES_MAX / HEAVY_PART;
    for (const lane of this.#out) if (lane !== undefined && lane.unheardCount >= most) return false;
    return true;
  }

  /** A client here has subscribed. */
  add(subscription: Subscription<S>): void {
    this.router.share.units -= CHANGE_UNITS;
    this.router.index.add(subscription);
    if (!this.isAlone) this.#announce(this.own.add(subscription));
  }

  /** A message for the subscription came from elsewhere, and its client is held back. */
  stall(subscription: Subscription<S>): void {
    if (!this.isAlone) this.#announce(this.own.setStalled(subscription, true));
  }

  /** It has room again. */
  unstall(subscription: Subscription<S>): void {
    if (!this.isAlone) this.#announce(this.own.setStalled(subscription, false));
  }

  /** A subscription has ended. */
  remove(subscription: Subscription<S>): void {
    if (subscription.place < 0) return;
    this.router.share.units -= CHANGE_UNITS;
    this.router.index.remove(subscription);
    if (!this.isAlone) this.#announce(this.own.remove(subscription));
  }

  /** The client that had these is gone. Many are removed over several turns. */
  removeAll(subscriptions: Iterator<Subscription<S>>): void {
    const { share } = this.router;
    share.begin();
    new Departure(subscriptions, this, share, this.backpressure).proceed();
  }

  /** Sends what waits. At the end of everything that may have sent something. */
  flush(): void {
    if (this.isDirty) {
      this.isDirty = false;
      for (const lane of this.#out) lane?.flush();
    }
    this.scratch.release();
  }

  /**
   * Notes how far everybody else must come; `withMessages`: with messages too, not only with who
   * has subscribed to what. False: there is no room to ask for it, try again.
   */
  mark(mark: Mark, withMessages: boolean): boolean {
    let isMarked = true;
    for (let index = 0; index < this.#out.length; index++) {
      const lane = this.#out[index];
      if (lane === undefined) continue;
      if (!lane.mark(mark, index * MARK_WORDS, withMessages)) isMarked = false;
    }
    this.scratch.release();
    return isMarked;
  }

  /** Whether everybody else has come that far. */
  isDone(mark: Mark): boolean {
    for (let index = 0; index < this.#out.length; index++) {
      const lane = this.#out[index];
      if (lane !== undefined && !lane.hasDone(mark, index * MARK_WORDS)) return false;
    }
    return true;
  }

  /** Room for a {@link Mark}. */
  makeMark(): Mark {
    return new Int32Array(MARK_WORDS * this.peers.count);
  }

  /** Another executor has ended. One that has a successor already is not forgotten again. */
  lost(index: number, epoch: number): void {
    const out = this.#out[index];
    const lane = this.#in[index];
    if (out === undefined || lane === undefined) return;
    if (out.listener === epoch) out.close();
    lane.lose(epoch);
    this.heard();
    this.goOn();
  }

  /** Every now and then: what could not be sent is tried again. */
  check(): void {
    this.isDirty = true;
    for (const lane of this.#in) lane?.flush();
    this.flush();
  }

  /** Says that no message comes any more. */
  sayBye(): void {
    assert(this.#life === RUNNING, 'the last message is sent once');
    this.#life = PARTING;
    for (const lane of this.#out) lane?.sign(BYE);
    this.flush();
  }

  /** Whether everybody has said so. */
  get hasHeardBye(): boolean {
    return this.#in.every((lane) => lane === undefined || lane.hasSaidBye);
  }

  /** Resolves when something was heard, for those who wait for `isSynced` or `hasHeardBye`. */
  change(): Promise<void> {
    return new Promise((resolve) => {
      this.#changed.push(resolve);
    });
  }

  close(): void {
    this.#life = CLOSED;
    for (const lane of this.#out) lane?.close();
    for (const lane of this.#in) lane?.close();
    this.scratch.release();
  }

  // ── For the lanes and the back-pressure ───────────────────────────────────────────────

  heard(): void {
    this.#hasNews = true;
    this.isDirty = true;
  }

  goOn(): void {
    this.flush();
    if (!this.#hasNews) return;
    this.#hasNews = false;
    for (const resolve of this.#changed.splice(0)) resolve();
    this.backpressure.proceed();
    this.flush();
  }

  /** There is a buffer again. */
  proceed(): void {
    this.check();
  }

  note(bytes: number): void {
    this.peers.board.setBurden(this.peers.index, bytes);
  }

  isHeaviest(bytes: number): boolean {
    const { board } = this.peers;
    return this.#out.every((lane, index) => lane === undefined || board.burdenOf(index) <= bytes);
  }

  #announce(interest: Interest | undefined): void {
    if (interest === undefined) return;
    for (const lane of this.#out) lane?.announce(interest);
  }

  #take(from: number, bufferId: BufferId, offset: number, length: number): void {
    const lane = this.#in[from];
    if (lane === undefined || this.#life === CLOSED) {
      this.pool.release(bufferId);
      return;
    }
    this.share.beginArrival();
    lane.take(bufferId, offset, length);
    lane.flush();
    this.goOn();
  }
}
