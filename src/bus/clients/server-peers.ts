// SPDX-License-Identifier: MIT
/** The threads of a server, each with clients of its own, as peers. */

import { assert } from '../../base/assert.ts';
import { checkInteger } from '../../base/check.ts';
import { checkPool } from '../../pool/check-pool.ts';
import type { BufferId, BufferPool } from '../../pool/index.ts';
import { FrameMemory } from '../frame-memory.ts';
import type { Incoming } from '../peer/incoming.ts';
import type { Outgoing } from '../peer/outgoing.ts';
import type { Wanting } from '../peer/own-interest.ts';
import type { PeerGroup, RegionReceiver } from '../peer/peer-carrier.ts';
import { GROUPS, PLAIN } from '../peer/peer-layout.ts';
import { Peers } from '../peer/peers.ts';
import { Arrivals, arrivalCost, BYE, BYE_BYTES, type MessageReader } from './arrivals.ts';
import type { Backpressure } from './backpressure.ts';
import { Departure } from './departure.ts';
import { CHANGE_UNITS, type FairShare } from './fair-share.ts';
import type { FanOut, FanOutMessage, FanOutSubscription } from './fan-out.ts';

/** What the peers need of the server of this thread. */
export interface ServerHome<M extends FanOutMessage, S extends FanOutSubscription<M, S>> {
  readonly pool: BufferPool;
  readonly fanOut: FanOut<M, S>;
  readonly backpressure: Backpressure;
  /** Bytes and regions of messages that may be on their way from one thread to another. */
  readonly windowBytes: number;
  readonly windowRegions: number;
  /** A reader for the messages of one peer; each begins with a byte from 0x20 to 0xfe. */
  reader(): MessageReader<M>;
  /** Called with the number of clients here that took a message of a peer. */
  delivered(count: number): void;
}

/**
 * Changes of interest that a peer has not heard yet: no more are sent, and clients wait with
 * further ones.
 */
export const CHANGES_MAX = 1024;
/** Clients that have done much may cause such a part of them, and fill such a part of a window. */
const HEAVY_PART = 4;

// RUNNING ──sayBye──▶ BYE_DUE ──▶ PARTED
const RUNNING = 0;
const BYE_DUE = 1; // the others are to be told that no message follows
const PARTED = 2; // they were; their messages still come

/**
 * The threads of a server, each with clients of its own, as peers (`executorPeers`). They
 * share nothing but the pool.
 *
 * **Interest.** Each thread announces its clients' subscriptions to all others, which store them
 * beside their own: so one lookup finds all recipients of a message, here and elsewhere.
 *
 * **Messages** go once to each thread with an interest in them, as references to the bytes that the
 * publisher's socket was read into. The receiving thread matches them against its own
 * subscriptions. For queue groups the sender chooses the thread, weighted by the numbers of
 * members; if these have left meanwhile, the message is passed on to another. Messages that follow
 * each other in a publisher's buffer travel as one region, with one reference.
 *
 * **Stalled.** A sender cannot see whether clients elsewhere have room. So a thread announces an
 * interest again, as stalled, when a recipient of a message is held back (for a queue group: when
 * all members are), and once more when there is room. Publishers elsewhere wait meanwhile, each for
 * itself, so nothing in the stream waits for one client. What is on its way, a window at most, is
 * still delivered.
 *
 * **Changes are bounded.** A client that subscribes and unsubscribes a lot waits until the others
 * have handled its changes (`mayChange`): notices and messages share a stream, and messages must
 * not wait in it behind 100 000 changes.
 *
 * **Beginning and end.** A thread lets clients in once `isSynced`. Before the server stops, each
 * thread calls `sayBye` after its last message, and keeps its clients until it `hasHeardBye`.
 *
 * **Threads** one object for each thread.
 * **Cost** of a message to a peer: a few comparisons and additions, no garbage; of several that lie
 * one after the other, one region.
 */
export class ServerPeers<M extends FanOutMessage, S extends FanOutSubscription<M, S> & Wanting> {
  /** @internal */
  readonly name: string = 'server';
  /** @internal */
  readonly pool: BufferPool;
  /** @internal */
  readonly memory: FrameMemory;
  /** @internal */
  readonly windowBytes: number;
  /** @internal */
  readonly windowRegions: number;
  /** @internal */
  readonly windowInterests: number = CHANGES_MAX;
  /** @internal Regions are sent at the end of the turn, or when another one begins. */
  readonly promptBytes: number = Infinity;
  /** @internal */
  readonly fanOut: FanOut<M, S>;
  /** @internal */
  readonly backpressure: Backpressure;
  /** @internal */
  readonly streams: Peers<S>;

  readonly #home: ServerHome<M, S>;
  readonly #share: FairShare;
  /** By index; none at our own. */
  readonly #in: (Arrivals<M, S> | undefined)[] = [];
  /** True if something was heard that a waiting caller may continue after. */
  #hasNews: boolean = false;
  /** By client, its subscriptions that peers were told are stalled. */
  readonly #stalled: WeakMap<S['owner'], S[]> = new WeakMap();
  readonly #changed: (() => void)[] = [];
  #state: typeof RUNNING | typeof BYE_DUE | typeof PARTED = RUNNING;
  readonly #flush = (): void => this.flush();

  /** Takes the regions of the group, and the messages that `home.fanOut` has for peers. */
  constructor(home: ServerHome<M, S>, group: PeerGroup) {
    this.pool = checkPool(home?.pool);
    this.#home = home;
    this.fanOut = home.fanOut;
    this.backpressure = home.backpressure;
    this.#share = home.fanOut.share;
    this.windowBytes = checkInteger('windowBytes', home.windowBytes, 1, 2 ** 31 - 1);
    this.memory = new FrameMemory(home.pool);
    const { index, epoch, carriers } = group;
    const capacity = Math.min(...carriers.map((each) => each?.capacity ?? Infinity));
    this.windowRegions = Math.min(home.windowRegions, Math.floor(capacity / 2));
    for (const [at, each] of carriers.entries()) {
      const lane = each === undefined ? undefined : new Arrivals<M, S>(this, at, home.reader());
      this.#in.push(lane);
    }
    const onRegion = (receiver: RegionReceiver): void => {
      group.onRegion((bufferId, offset, length, from) => {
        this.#share.beginArrival();
        receiver(bufferId, offset, length, from);
        this.#goOn();
      });
    };
    this.fanOut.lanes = this;
    this.streams = new Peers<S>(this, { index, epoch, carriers, onRegion }, this.fanOut.matcher);
    this.flush();
  }

  /** There are no other threads. */
  get isAlone(): boolean {
    return this.#in.length === 1;
  }

  /** Whether it is known what the clients of all other threads have subscribed to. */
  get isSynced(): boolean {
    return this.streams.isSettled;
  }

  /** Messages of others that wait for clients here. */
  get blockedCount(): number {
    return this.#in.reduce((count, lane) => count + (lane?.isBlocked === true ? 1 : 0), 0);
  }

  /**
   * Whether a client may change its subscriptions. If not, too many changes are still on their way
   * to another thread; what waits in the back-pressure goes on when that has heard them.
   */
  get mayChange(): boolean {
    const most = this.#share.isLight ? CHANGES_MAX : CHANGES_MAX / HEAVY_PART;
    for (const lane of this.streams.out) {
      if (lane !== undefined && lane.unheardInterests >= most) return false;
    }
    return true;
  }

  /** A client here has subscribed. */
  add(subscription: S): void {
    this.#share.units -= CHANGE_UNITS;
    this.fanOut.index.add(subscription);
    if (!this.isAlone) this.streams.add(subscription);
  }

  /** A message for the subscription came from elsewhere while its client is held back. */
  stall(subscription: S): void {
    if (this.isAlone || subscription.isStalled) return;
    const { owner } = subscription;
    const known = this.#stalled.get(owner);
    if (known === undefined) this.#stalled.set(owner, [subscription]);
    else known.push(subscription);
    this.streams.setStalled(subscription, true);
  }

  /** The client is held back no more: see `PressedClient.relieved`. */
  relieve(client: S['owner']): void {
    const stalled = this.#stalled.get(client);
    if (stalled === undefined) return;
    this.#stalled.delete(client);
    for (const subscription of stalled) this.streams.setStalled(subscription, false);
  }

  /** A subscription has ended. */
  remove(subscription: S): void {
    if (subscription.place < 0) return;
    this.#share.units -= CHANGE_UNITS;
    this.fanOut.index.remove(subscription);
    if (!this.isAlone) this.streams.remove(subscription);
  }

  /** The client that had these is gone. Many are removed over several turns. */
  removeAll(subscriptions: Iterator<S>): void {
    this.#share.begin();
    new Departure(subscriptions, this, this.#share, this.backpressure).proceed();
  }

  /** Sends what waits; called by itself at the end of a turn, and at intervals by the server. */
  flush(): void {
    if (this.#state === BYE_DUE) this.#trySayBye();
    this.streams.flush();
    this.memory.close();
  }

  /**
   * Resolves when all other threads have handled what was sent so far, or have ended; what waits in
   * the back-pressure then goes on.
   */
  async fence(): Promise<void> {
    await this.streams.fence();
    this.backpressure.proceed();
  }

  /** Another thread has ended. One that has a successor already is not forgotten again. */
  lost(index: number, epoch: number): void {
    this.streams.gone(index, epoch);
    this.#goOn();
  }

  /** Says that no message comes any more. */
  sayBye(): void {
    assert(this.#state === RUNNING, 'the last message is sent once');
    this.#state = BYE_DUE;
    this.flush();
  }

  /** Whether all other threads have said so, or have ended. */
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

  /** Gives back all that it holds; regions that still come are released. */
  close(): void {
    this.streams.destroy();
    this.memory.close();
  }

  // ── For the fan-out: messages to other threads ───────────────────────────────────────

  /** @internal See `FanOutLanes`. */
  offer(to: Outgoing, message: M, isPlain: boolean, groups: readonly string[]): boolean {
    if (to.listener === 0) return true;
    const recipients = isPlain ? PLAIN : GROUPS;
    const names = namesOf(groups);
    const cost = arrivalCost(groups.length);
    const { begin, end } = message;
    if (to.isFor(recipients, names) && to.tryExtendOwn(begin, end, cost)) return true;
    // What the publisher's client has subscribed to before is known there before.
    if (!to.hasRoom || (!this.#share.isLight && this.#isHeavilyLoaded(to))) return false;
    if (!to.trySetRecipients(recipients, names)) return false;
    to.postOwn(begin, end, this.pool.bufferAt(begin), cost);
    return true;
  }

  /** @internal */
  pass(to: Outgoing, message: M, groups: readonly string[]): void {
    if (!to.trySetRecipients(GROUPS, namesOf(groups))) return;
    const { begin, end } = message;
    to.postOwn(begin, end, this.pool.bufferAt(begin), arrivalCost(groups.length));
  }

  /** Most of the window is for those who send little, so that others do not keep them waiting. */
  #isHeavilyLoaded(to: Outgoing): boolean {
    // One region may be unreported for good: see DONE.
    const regions = Math.max(2, this.windowRegions / HEAVY_PART);
    const bytes = this.windowBytes / HEAVY_PART;
    return to.regionsOut >= regions || to.bytesOut >= bytes;
  }

  // ── For the streams, their lanes and the back-pressure ────────────────────────────────

  /** @internal */
  arrivedOwn(from: Incoming, _bufferId: BufferId, begin: number, end: number): number {
    const lane = this.#in[from.out.index];
    return lane === undefined ? end : lane.deliver(from, begin, end);
  }

  /** @internal */
  resume(from: number): void {
    this.streams.proceed(from);
    this.#goOn();
  }

  /** @internal */
  delivered(count: number): void {
    this.#home.delivered(count);
  }

  /** @internal */
  heard(): void {
    this.#hasNews = true;
  }

  /** @internal */
  flushSoon(): void {
    queueMicrotask(this.#flush);
  }

  /** @internal */
  lacksBuffer(): void {
    this.backpressure.noBuffer(this);
  }

  #goOn(): void {
    this.flush();
    if (!this.#hasNews) return;
    this.#hasNews = false;
    for (const resolve of this.#changed.splice(0)) resolve();
    this.backpressure.proceed();
    this.flush();
  }

  /** @internal There is a buffer again. */
  proceed(): void {
    this.flush();
  }

  #trySayBye(): void {
    const { memory } = this;
    const at = memory.tryReserve(BYE_BYTES);
    if (at < 0) {
      this.lacksBuffer();
      return;
    }
    this.#state = PARTED;
    memory.bytes.fill(BYE, at, at + BYE_BYTES);
    for (const lane of this.streams.out) lane?.postOwn(at, at + BYE_BYTES, memory.bufferId, 0);
  }
}

function namesOf(groups: readonly string[]): string {
  return groups.length < 2 ? (groups[0] ?? '') : groups.join(' ');
}
