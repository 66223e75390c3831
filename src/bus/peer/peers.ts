// SPDX-License-Identifier: MIT
/** All peers of one bus: the streams to and from each, and what waits for them. */

import type { BufferId } from '../../pool/index.ts';
import type { Bytes } from '../subject.ts';
import { SubscriptionIndex } from '../subscription-index.ts';
import type { Indexed } from '../token-tree.ts';
import { Incoming } from './incoming.ts';
import { Ledger } from './ledger.ts';
import { MessageFrame } from './message-frame.ts';
import { Outgoing } from './outgoing.ts';
import { type Interest, OwnInterest, type Wanting } from './own-interest.ts';
import type { PeerGroup, PeerMemory } from './peer-carrier.ts';
import { type Beyond, RemoteInterest } from './remote-interest.ts';

/** What the peers need of their bus. */
export interface PeersHome {
  readonly name: string;
  readonly memory: PeerMemory;
  readonly windowRegions: number;
  readonly windowBytes: number;
  /** Interests that a peer may not have heard of; default: what the window has room for. */
  readonly windowInterests?: number;
  /** A region that waits and has this many bytes is sent at once; default 4096. */
  readonly promptBytes?: number;
  /**
   * @internal The message in `frame` came; its bytes lie in that buffer. Borrowed. Without it, such
   * messages are strays.
   */
  arrived?(frame: MessageFrame, from: Incoming, bufferId: BufferId): void;
  /**
   * Messages of one's own have come, `[begin, end)` of a buffer. Borrowed. Returns the end, or
   * where those begin that it has not taken, for which it calls `proceed` later. Without it, such
   * messages are strays.
   */
  arrivedOwn?(from: Incoming, bufferId: BufferId, begin: number, end: number): number;
  /** @internal A message came for a predecessor, which has died, or from one that has parted. */
  missed?(): void;
  /** Publishers may have room now. */
  heard(): void;
  /** Calls `flush` soon. */
  flushSoon(): void;
  /** Calls `flush` once a buffer is free. */
  lacksBuffer(): void;
  /** @internal After its end it has written what it can for now. */
  flushed?(): void;
}

/** A call that waits until all peers have handled what was sent before it. */
interface Fence {
  /** By index, the epoch that is to handle it; {@link UNHEARD}: none has asked yet; 0: none. */
  readonly listeners: number[];
  readonly numbers: number[];
  resolve(): void;
}

/** A peer that is expected, and may publish before it knows of us. */
const UNHEARD = -1;

const PROMPT_BYTES = 4096;

/** Streams go on. */
const OPEN = 0;
/** Nothing is published or delivered any more; what is queued is still sent. */
const CLOSED = 1;
/** Nothing is held. */
const DESTROYED = 2;

/** All peers of one bus: the streams to and from each. */
export class Peers<S extends Indexed & Wanting> {
  /** @internal */
  readonly name: string;
  /** @internal */
  readonly epoch: number;
  /** @internal */
  readonly memory: PeerMemory;
  /** @internal */
  readonly own: OwnInterest = new OwnInterest();
  /** @internal */
  readonly remote: RemoteInterest<S, Outgoing>;
  /** @internal */
  readonly windowRegions: number;
  /** @internal */
  readonly windowBytes: number;
  /** @internal */
  readonly windowInterests: number;
  /** @internal */
  readonly promptBytes: number;
  /** The stream to each peer, by its index. */
  readonly out: readonly (Outgoing | undefined)[];
  /** @internal */
  readonly frame: MessageFrame = new MessageFrame();
  /** @internal Regions that were sent by no bus. */
  strays: number = 0;
  readonly #home: PeersHome;
  readonly #group: PeerGroup;
  readonly #in: (Incoming | undefined)[] = [];
  #fences: Fence[] = [];
  #state: typeof OPEN | typeof CLOSED | typeof DESTROYED = OPEN;
  #isDirty: boolean = false;
  /** Every expected peer has told its interests, or has ended. */
  #wasSettled: boolean = false;

  constructor(home: PeersHome, group: PeerGroup, index: SubscriptionIndex<S, Beyond<S, Outgoing>>) {
    if (!(index instanceof SubscriptionIndex)) {
      throw new TypeError('index must be a SubscriptionIndex');
    }
    this.#home = home;
    this.#group = group;
    this.name = home.name;
    this.epoch = group.epoch;
    this.memory = home.memory;
    this.windowRegions = home.windowRegions;
    this.windowBytes = home.windowBytes;
    this.windowInterests = home.windowInterests ?? Infinity;
    this.promptBytes = home.promptBytes ?? PROMPT_BYTES;
    this.remote = new RemoteInterest(index);
    const all: (Outgoing | undefined)[] = [];
    this.out = all;
    for (const [at, carrier] of group.carriers.entries()) {
      const ledger = new Ledger();
      const out = carrier === undefined ? undefined : new Outgoing(this, at, carrier, ledger);
      all.push(out);
      this.#in.push(out === undefined ? undefined : new Incoming(this, out, ledger));
      if (this.#isExpected(at)) out?.ask();
    }
    group.onRegion((bufferId, offset, length, from) => this.take(bufferId, offset, length, from));
    group.onGone?.((at, epoch) => this.lost(at, epoch));
    group.poll?.(() => this.flush());
  }

  /** @internal */
  get isClosed(): boolean {
    return this.#state !== OPEN;
  }

  /** Whether it is known what every expected peer wants, or wanted when it ended. */
  get isSettled(): boolean {
    this.#wasSettled ||= this.#in.every(
      (each, at) => each === undefined || each.isSettled || !this.#isExpected(at),
    );
    return this.#wasSettled;
  }

  /** Whether that peer has ended, or said goodbye. */
  isParted(index: number): boolean {
    return this.#in[index]?.isParted === true;
  }

  /** @internal Peers whose interests are known. */
  get count(): number {
    return this.#in.reduce((count, each) => count + (each?.isSynced === true ? 1 : 0), 0);
  }

  /** @internal Regions that are with peers, or wait. */
  get regionsOut(): number {
    return this.out.reduce(
      (sum, each) => sum + (each === undefined || each.listener === 0 ? 0 : each.regionsOut),
      0,
    );
  }

  add(wanting: Pick<Wanting, 'subject' | 'queue'>): void {
    this.#announce(this.own.add(wanting));
  }

  remove(wanting: Wanting): void {
    this.#announce(this.own.remove(wanting));
  }

  setStalled(wanting: Wanting, isStalled: boolean): void {
    this.#announce(this.own.setStalled(wanting, isStalled));
  }

  /**
   * Resolves when every peer has handled all that came before, or has ended. **Cost** a promise and
   * two small arrays; until it has passed, a step for each peer whenever one says something.
   */
  fence(): Promise<void> {
    if (this.#state !== OPEN) return Promise.resolve();
    const numbers = this.out.map((each) => each?.fence() ?? 0);
    const listeners = this.out.map((each, at) => this.#listenerAt(at, each));
    return new Promise((resolve) => {
      const fence = { listeners, numbers, resolve };
      if (this.#hasPassed(fence)) resolve();
      else this.#fences.push(fence);
    });
  }

  /** @internal The name of the bus at that index; '' if it is not known. */
  nameAt(index: number): string {
    return index === this.#group.index ? this.name : (this.#in[index]?.name ?? '');
  }

  /** Sends what waits, as far as there is room; returns how many regions. */
  flush(): number {
    this.#isDirty = false;
    if (this.#state === DESTROYED) return 0;
    let sent = 0;
    for (const each of this.out) if (each !== undefined) sent += each.flush();
    if (this.#state === CLOSED) this.#home.flushed?.();
    return sent;
  }

  /** @internal Takes a region from a peer, with its reference. */
  take(bufferId: BufferId, offset: number, length: number, from: number): void {
    const lane = this.#in[from];
    if (lane === undefined || this.#state === DESTROYED) {
      this.memory.release(bufferId);
      return;
    }
    lane.take(bufferId, offset, length);
    if (this.#isDirty) this.flush();
  }

  /** Offers again what was refused of the stream from that peer. */
  proceed(from: number): void {
    if (this.#state === DESTROYED) return;
    this.#in[from]?.proceed();
    if (this.#isDirty) this.flush();
  }

  /** @internal The bus at that index has ended; the others are told. */
  lost(index: number, epoch: number): void {
    this.gone(index, epoch);
    for (const [at, each] of this.out.entries()) if (at !== index) each?.sayGone(index, epoch);
    this.flush();
  }

  /** @internal Says goodbye. What is queued is sent as soon as there is room. */
  close(): void {
    if (this.#state !== OPEN) return;
    this.#state = CLOSED;
    for (const each of this.out) each?.sayBye();
    this.flush();
    this.#passFences();
  }

  /** Gives back all that it holds, and says nothing. */
  destroy(): void {
    this.#state = DESTROYED;
    for (const each of this.out) each?.close();
    for (const each of this.#in) each?.close();
    this.#passFences();
  }

  // ── For the streams ───────────────────────────────────────────────────────────────────

  /** @internal */
  dirty(): void {
    if (this.#isDirty) return;
    this.#isDirty = true;
    this.#home.flushSoon();
  }

  /** @internal */
  ended(index: number): void {
    this.remote.forget(this.out[index] as Outgoing);
    // Not now: a message may be on its way to several.
    queueMicrotask(() => this.heard());
  }

  /** @internal */
  lacksBuffer(): void {
    this.#home.lacksBuffer();
  }

  /** @internal */
  setInterest(peer: Outgoing, subject: Bytes, queue: string, weight: number): void {
    this.remote.set(peer, subject, queue, weight);
  }

  /** @internal */
  forgetInterest(peer: Outgoing): void {
    this.remote.forget(peer);
  }

  /** @internal */
  arrived(from: Incoming, bufferId: BufferId): void {
    if (this.#home.arrived === undefined) this.strays++;
    else this.#home.arrived(this.frame, from, bufferId);
  }

  /** @internal */
  arrivedOwn(from: Incoming, bufferId: BufferId, begin: number, end: number): number {
    if (this.#home.arrivedOwn !== undefined) {
      return this.#home.arrivedOwn(from, bufferId, begin, end);
    }
    this.strays++;
    return end;
  }

  /** @internal */
  heard(): void {
    if (this.#fences.length > 0) this.#passFences();
    if (this.#state === OPEN) this.#home.heard();
  }

  gone(index: number, epoch: number): void {
    this.#in[index]?.lose(epoch);
  }

  /** @internal */
  missed(): void {
    this.#home.missed?.();
  }

  /** @internal */
  stray(): void {
    this.strays++;
  }

  #isExpected(at: number): boolean {
    return this.#group.isExpected?.(at) !== false;
  }

  #announce(interest: Interest | undefined): void {
    if (interest === undefined) return;
    if (this.#state === OPEN) for (const each of this.out) each?.announce(interest);
    this.own.dropVoid(interest);
  }

  #listenerAt(at: number, out: Outgoing | undefined): number {
    if (out === undefined || out.isEnded) return 0;
    const isMissing =
      out.listener === 0 && this.#isExpected(at) && this.#in[at]?.isParted === false;
    return isMissing ? UNHEARD : out.listener;
  }

  #passFences(): void {
    const isOver = this.#state !== OPEN;
    this.#fences = this.#fences.filter((fence) => {
      const isPassed = isOver || this.#hasPassed(fence);
      if (isPassed) fence.resolve();
      return !isPassed;
    });
  }

  #hasPassed({ listeners, numbers }: Fence): boolean {
    let isPassed = true;
    for (const [at, each] of this.out.entries()) {
      if (each === undefined) continue;
      // Another one in its place may have begun before us, and not know us yet.
      const listener = this.#listenerAt(at, each);
      if (listener !== listeners[at]) {
        listeners[at] = listener;
        numbers[at] = each.fence();
      }
      if (listener === 0) continue;
      isPassed &&= listener !== UNHEARD && each.hasPassed(numbers[at]);
    }
    return isPassed;
  }
}
