// SPDX-License-Identifier: MIT
/**
 * Example broker: the mesh of a broker's executors. Each has its own clients, and a lane to and
 * from every other one; they share nothing but the pool.
 *
 *   client ─▶ Connection ─▶ Router ─▶ subscribers here
 *                              └────▶ Peers ═══▶ InLane ─▶ Router ─▶ subscribers there
 *
 * **Interest.** Each executor announces its clients' subscriptions to all others: one INTEREST of
 * weight 1 or 0 for all subscriptions with the same subject; for a queue group, at every change,
 * one with the number of its members. The others store them beside their own subscriptions, so one
 * lookup in the cache of matches finds all recipients of a message, here and elsewhere.
 *
 * **Messages.** A message is sent once to each executor with an interest in it, as a reference to
 * the bytes that the publisher's socket was read into. The receiving executor matches it against
 * its own subscriptions. For queue groups the sender chooses the executor, weighted by the numbers
 * of members. If the members have left meanwhile, the executor passes the message on to another one
 * with members. Messages that follow each other in a publisher's buffer travel as one region, with
 * one reference.
 *
 * **The streams** between executors are those of `busbar/bus`: `Peers`. There stands how an
 * executor learns the interests of the others, what a window is, what is left by one that dies;
 * what is a region of the broker's messages is *own messages* there.
 *
 * **Stalled.** A sender cannot see whether clients of another executor have room. So an executor
 * announces an interest again, as stalled, when a recipient of a message is held back (for a queue
 * group: when all members are), and once more when there is room. Publishers elsewhere wait
 * meanwhile, each in its own connection, so nothing in the lane waits for one client. Messages
 * already in transit, a window at most, are still delivered.
 *
 * **PONG means everywhere.** A PING is answered, and a SUB or UNSUB of a verbose client confirmed,
 * when all other executors have passed a fence after everything that this client caused: its SUB is
 * known there, its UNSUB too, and its messages have been handed to their subscribers.
 *
 * **Beginning and end.** An executor listens for clients once it is synced with all. Before the
 * broker stops, each executor says BYE after its last message, and keeps its clients until it has
 * heard BYE from all.
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
import {
  FrameMemory,
  GROUPS,
  type Incoming,
  type Outgoing,
  Peers as PeerStreams,
  type PeersHome,
  PLAIN,
  type RegionReceiver,
} from 'busbar/bus';
import type { BufferId, BufferPool } from 'busbar/pool';
import type { Backpressure, Elsewhere, Waiter } from './backpressure.ts';
import { Departure } from './departure.ts';
import { CHANGE_UNITS, type FairShare } from './fair-share.ts';
import { BYE, InLane, type InLaneCore, laneCost } from './in-lane.ts';
import type { Lanes } from './matches.ts';
import type { Message } from './message.ts';
import type { Peers } from './peers.ts';
import type { ProtocolLimits } from './protocol.ts';
import type { Router, Subscriber } from './router.ts';
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
/** For each: who listens, and the number of a fence. */
const MARK_WORDS = 2;

/**
 * Changes of interest that another executor has not heard yet: no more are sent, and clients wait
 * with further ones.
 */
export const CHANGES_MAX = 1024;
/** Clients that have done much may cause such a part of them, and fill such a part of a window. */
const HEAVY_PART = 4;

// RUNNING ──sayBye──▶ PARTING ──close──▶ CLOSED; close also from RUNNING
const RUNNING = 0;
const PARTING = 1; // our last message was sent; those of others still come
const CLOSED = 2; // regions that still come are released

export class Mesh<S extends Subscriber>
  implements PeersHome, InLaneCore<S>, Lanes, Waiter, Elsewhere
{
  readonly name = 'broker';
  readonly pool: BufferPool;
  readonly memory: FrameMemory;
  readonly peers: Peers;
  readonly streams: PeerStreams<Subscription<S>>;
  readonly windowBytes: number;
  readonly windowRegions: number;
  readonly windowInterests: number = CHANGES_MAX;
  /** Regions are sent at the end of the turn, or when another one begins. */
  readonly promptBytes: number = Infinity;
  readonly router: Router<S>;
  readonly share: FairShare;
  readonly backpressure: Backpressure;
  readonly counters: { messagesOut: number };
  readonly limits: ProtocolLimits;

  /** By index; none at our own. */
  readonly #in: (InLane<S> | undefined)[] = [];
  /** True if something was heard that a waiting caller may continue after. */
  #hasNews: boolean = false;
  /** The others are to be told that no message follows. */
  #isByeDue: boolean = false;
  readonly #changed: (() => void)[] = [];
  #life: typeof RUNNING | typeof PARTING | typeof CLOSED = RUNNING;
  readonly #flush = (): void => this.flush();

  constructor(core: MeshCore<S>, peers: Peers) {
    this.pool = core.pool;
    this.router = core.router;
    this.share = core.router.share;
    this.backpressure = core.backpressure;
    this.counters = core.counters;
    this.limits = core.limits;
    this.windowBytes = core.windowBytes;
    this.peers = peers;
    this.memory = new FrameMemory(core.pool);
    const { index, epoch, carriers } = peers;
    const capacity = Math.min(...carriers.map((each) => each?.capacity ?? Infinity));
    this.windowRegions = Math.min(core.windowRegions, Math.floor(capacity / 2));
    for (const [at, each] of carriers.entries()) {
      this.#in.push(each === undefined ? undefined : new InLane<S>(this, at));
    }
    const group = {
      index,
      epoch,
      carriers,
      onRegion: (receiver: RegionReceiver) => {
        peers.onRegion((bufferId, offset, length, from) => {
          this.share.beginArrival();
          receiver(bufferId, offset, length, from);
          this.goOn();
        });
      },
    };
    core.router.lanes = this;
    this.streams = new PeerStreams<Subscription<S>>(this, group, core.router.index);
    if (!this.isAlone) core.backpressure.elsewhere = this;
    this.flush();
  }

  /** There are no other executors. */
  get isAlone(): boolean {
    return this.peers.count === 1;
  }

  /** Whether it is known what everybody else's clients have subscribed to. */
  get isSynced(): boolean {
    return this.streams.isSettled;
  }

  /** Messages of others that wait for clients here. */
  get blockedCount(): number {
    return this.#in.reduce((count, lane) => count + (lane?.isBlocked === true ? 1 : 0), 0);
  }

  /**
   * Whether a client may change its subscriptions. If not, too many changes are still on their way
   * to another executor; who waits in the back-pressure goes on when that has heard them.
   */
  get mayChange(): boolean {
    const most = this.share.isLight ? CHANGES_MAX : CHANGES_MAX / HEAVY_PART;
    for (const lane of this.streams.out) {
      if (lane !== undefined && lane.unheardInterests >= most) return false;
    }
    return true;
  }

  /** A client here has subscribed. */
  add(subscription: Subscription<S>): void {
    this.share.units -= CHANGE_UNITS;
    this.router.index.add(subscription);
    if (!this.isAlone) this.streams.add(subscription);
  }

  /** Whether a message for the subscription came from elsewhere while its client is held back. */
  setStalled(subscription: Subscription<S>, isStalled: boolean): void {
    if (!this.isAlone) this.streams.setStalled(subscription, isStalled);
  }

  /** A subscription has ended. */
  remove(subscription: Subscription<S>): void {
    if (subscription.place < 0) return;
    this.share.units -= CHANGE_UNITS;
    this.router.index.remove(subscription);
    if (!this.isAlone) this.streams.remove(subscription);
  }

  /** The client that had these is gone. Many are removed over several turns. */
  removeAll(subscriptions: Iterator<Subscription<S>>): void {
    this.share.begin();
    new Departure(subscriptions, this, this.share, this.backpressure).proceed();
  }

  /** Sends what waits. At the end of each turn in which something does. */
  flush(): void {
    if (this.#isByeDue) this.#trySayBye();
    this.streams.flush();
    this.memory.close();
  }

  /** Notes how far everybody else must come. */
  mark(mark: Mark): void {
    for (const [index, lane] of this.streams.out.entries()) {
      if (lane === undefined) continue;
      mark[index * MARK_WORDS] = lane.listener;
      mark[index * MARK_WORDS + 1] = lane.fence();
    }
  }

  /** Whether everybody else has come that far, or has ended. */
  isDone(mark: Mark): boolean {
    for (const [index, lane] of this.streams.out.entries()) {
      const listener = mark[index * MARK_WORDS];
      if (lane === undefined || listener === 0 || listener !== lane.listener) continue;
      if (!lane.hasPassed(mark[index * MARK_WORDS + 1])) return false;
    }
    return true;
  }

  /** Room for a {@link Mark}. */
  makeMark(): Mark {
    return new Int32Array(MARK_WORDS * this.peers.count);
  }

  /** Another executor has ended. One that has a successor already is not forgotten again. */
  lost(index: number, epoch: number): void {
    this.streams.gone(index, epoch);
    this.goOn();
  }

  /** Every now and then: what could not be sent is tried again. */
  check(): void {
    this.flush();
  }

  /** Says that no message comes any more. */
  sayBye(): void {
    assert(this.#life === RUNNING, 'the last message is sent once');
    this.#life = PARTING;
    this.#isByeDue = true;
    this.flush();
  }

  /** Whether everybody has said so, or has ended. */
  get hasHeardBye(): boolean {
    return this.#in.every((lane, index) => {
      return lane === undefined || lane.hasSaidBye || this.streams.isParted(index);
    });
  }

  /** Resolves when something was heard, for those who wait for `isSynced` or `hasHeardBye`. */
  change(): Promise<void> {
    return new Promise((resolve) => {
      this.#changed.push(resolve);
    });
  }

  close(): void {
    this.#life = CLOSED;
    this.streams.destroy();
    this.memory.close();
  }

  // ── For the router: messages to other executors ───────────────────────────────────────

  offer(to: Outgoing, message: Message, isPlain: boolean, groups: readonly string[]): boolean {
    if (to.listener === 0) return true;
    const recipients = isPlain ? PLAIN : GROUPS;
    const names = namesOf(groups);
    const cost = laneCost(groups.length);
    const { begin, end } = message;
    if (to.isFor(recipients, names) && to.tryExtendOwn(begin, end, cost)) return true;
    // What the publisher's client has subscribed to before is known there before.
    if (!to.hasRoom || (!this.share.isLight && this.#isHeavilyLoaded(to))) return false;
    if (!to.trySetRecipients(recipients, names)) return false;
    to.postOwn(begin, end, this.pool.bufferAt(begin), cost);
    return true;
  }

  pass(to: Outgoing, message: Message, groups: readonly string[]): void {
    if (!to.trySetRecipients(GROUPS, namesOf(groups))) return;
    const { begin, end } = message;
    to.postOwn(begin, end, this.pool.bufferAt(begin), laneCost(groups.length));
  }

  /** Most of the window is for those who send little, so that others do not keep them waiting. */
  #isHeavilyLoaded(to: Outgoing): boolean {
    // One region may be unreported for good: see DONE.
    const regions = Math.max(2, this.windowRegions / HEAVY_PART);
    const bytes = this.windowBytes / HEAVY_PART;
    return to.regionsOut >= regions || to.bytesOut >= bytes;
  }

  // ── For the streams, their lanes and the back-pressure ────────────────────────────────

  arrivedOwn(from: Incoming, _bufferId: BufferId, begin: number, end: number): number {
    const lane = this.#in[from.out.index];
    return lane === undefined ? end : lane.deliver(from, begin, end);
  }

  resume(from: number): void {
    this.streams.proceed(from);
    this.goOn();
  }

  heard(): void {
    this.#hasNews = true;
  }

  flushSoon(): void {
    queueMicrotask(this.#flush);
  }

  lacksBuffer(): void {
    this.backpressure.noBuffer(this);
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
    return this.#in.every((lane, index) => lane === undefined || board.burdenOf(index) <= bytes);
  }

  #trySayBye(): void {
    const { memory } = this;
    const at = memory.tryReserve(BYE.length);
    if (at < 0) {
      this.lacksBuffer();
      return;
    }
    this.#isByeDue = false;
    memory.put(at, BYE, BYE.length);
    for (const lane of this.streams.out) lane?.postOwn(at, at + BYE.length, memory.bufferId, 0);
  }
}

function namesOf(groups: readonly string[]): string {
  return groups.length < 2 ? (groups[0] ?? '') : groups.join(' ');
}
