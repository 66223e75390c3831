// SPDX-License-Identifier: MIT
/**
 * Example broker: the lane to another executor. Two things travel in it: notices, which the other
 * hears at once, and the stream of messages, which it deals with in order when there is room.
 *
 * Both wait in a *pending region* until the end of the turn, or until something comes that does not
 * touch it: messages that lie behind each other in a publisher's buffer, and all go there, travel
 * as one region with one reference. So a burst costs the lane about as much as a message.
 *
 * **Back-pressure** messages wait, and those who publish them, while this many bytes or regions, or
 * so much work, as the window has are with the other executor. Interests have a window of their
 * own, and clients wait with further SUBs and UNSUBs while too many changes have not been heard:
 * messages lie in the lane after those. All other notices always find room: a lane has more of it
 * than both windows.
 */

import { type Interest, type OwnInterest, weightOf } from 'busbar/bus';
import type { BufferPool } from 'busbar/pool';
import { deliveryUnits, type FairShare } from './fair-share.ts';
import type { RemoteExecutor } from './matches.ts';
import {
  ASK_BYTES,
  DONE_BYTES,
  FENCE,
  interestBytes,
  SIGN_BYTES,
  SYNC,
  serveBytes,
  TELL_BYTES,
  writeAsk,
  writeDone,
  writeInterest,
  writeServe,
  writeSign,
  writeTell,
} from './mesh-messages.ts';
import type { Message } from './message.ts';
import type { Peers } from './peers.ts';
import { PendingRegion } from './pending-region.ts';
import type { Scratch } from './scratch.ts';

/** What every new listener takes for granted: messages are for plain subscriptions only. */
const NO_NAMES: readonly string[] = [];

/** Work that may be with the other executor, as far as it can be told here. */
const WINDOW_UNITS = 16 * 1024;
/** Those who send much may fill such a part of the window, and a region more. */
const HEAVY_PART = 4;
/** So much of it done is told unasked. */
export const DONE_UNITS: number = WINDOW_UNITS / 8;
/** For each queue group of which a member is to be found. */
const GROUP_UNITS = 8;

/** What a message takes at the other executor, as both count it. */
export function laneUnits(bytes: number, groupCount: number): number {
  return deliveryUnits(bytes) + groupCount * GROUP_UNITS;
}

/** What lanes of one executor share. */
export interface LaneCore {
  readonly pool: BufferPool;
  readonly peers: Peers;
  readonly own: OwnInterest;
  readonly scratch: Scratch;
  /** Bytes and regions that may be on their way in one lane. */
  readonly windowBytes: number;
  readonly windowRegions: number;
  /** The share of this executor, which sends. */
  readonly share: FairShare;
  /** Something waits for `flush`. */
  isDirty: boolean;
}

/**
 * Changes of interest that another executor has not heard yet: no more are sent, and clients wait
 * with further ones.
 */
export const CHANGES_MAX = 1024;

/** What is due to be told, each a bit. */
const ASK_DUE = 1;
const TELL_DUE = 2;
const NEWS_DUE = 4;
const SYNC_DUE = 8;
/** Notices are written that the lane had no room for yet: no message may overtake them. */
const SEND_DUE = 16;

/** In a mark of progress: who listens, interests, regions. */
export const MARK_WORDS = 3;

export class OutLane implements RemoteExecutor {
  readonly index: number;
  /** Epoch of the executor that listens; 0: none has asked, and nothing is sent. */
  listener: number = 0;
  /** Messages that could not be passed on. */
  lostCount: number = 0;

  readonly #core: LaneCore;
  readonly #pool: BufferPool;
  readonly #notices: PendingRegion;
  readonly #stream: PendingRegion;
  /** The window is not waited for. */
  #isUrgent: boolean = false;

  // Modulo 2³². Sent, and dealt with by the other.
  #sentInterests: number = 0;
  #doneInterests: number = 0;
  #sentRegions: number = 0;
  #doneRegions: number = 0;
  #sentBytes: number = 0;
  #doneBytes: number = 0;
  /** What each region that the other is not done with takes; and all of them. */
  readonly #units: number[] = [];
  #unitsOut: number = 0;
  /** What waits in the stream. */
  #streamUnits: number = 0;
  /** Up to there the other has been asked to say when it is done. */
  #fencedRegions: number = 0;

  // What the other was told last of whom messages are for.
  #servesPlain: boolean = true;
  #serves: readonly string[] = NO_NAMES;

  /** What has changed since it was told. */
  readonly #news: Set<Interest> = new Set();
  /** A set of what is due; 0: nothing is. */
  #due: number = ASK_DUE | SEND_DUE;
  readonly #signsDue: number[] = [];

  constructor(core: LaneCore, index: number) {
    this.#core = core;
    this.#pool = core.pool;
    this.index = index;
    this.#notices = new PendingRegion(core.pool);
    this.#stream = new PendingRegion(core.pool);
    core.isDirty = true;
  }

  /** Asks the other (again) to tell what it has. */
  ask(): void {
    this.#owe(ASK_DUE);
  }

  /** Begins for a new listener: announces all interests, and from now on each change. */
  open(listener: number): void {
    this.close();
    this.listener = listener;
    this.#sentInterests = 0;
    this.#doneInterests = 0;
    this.#sentRegions = 0;
    this.#doneRegions = 0;
    this.#sentBytes = 0;
    this.#doneBytes = 0;
    this.#units.length = 0;
    this.#unitsOut = 0;
    this.#fencedRegions = 0;
    this.#servesPlain = true;
    this.#serves = NO_NAMES;
    for (const interest of this.#core.own.all()) this.#news.add(interest);
    this.#owe(TELL_DUE | NEWS_DUE | SYNC_DUE);
  }

  /** Ends the lane to its listener. Drops what waits. */
  close(): void {
    this.listener = 0;
    // The question may be among it; asking twice does no harm.
    if (!this.#notices.isEmpty) this.ask();
    this.#notices.drop();
    this.#stream.drop();
    this.#streamUnits = 0;
    this.#news.clear();
    this.#due &= ASK_DUE | SEND_DUE;
    this.#signsDue.length = 0;
  }

  /** Changes of interest that the other has not heard yet. */
  get unheardCount(): number {
    if (this.listener === 0) return 0;
    return this.#unheardInterests + this.#news.size;
  }

  /** Those that were sent. */
  get #unheardInterests(): number {
    return (this.#sentInterests - this.#doneInterests) | 0;
  }

  /** An interest of ours has changed. */
  announce(interest: Interest): void {
    if (this.listener === 0) return;
    this.#news.add(interest);
    this.#owe(NEWS_DUE);
  }

  /** Says something in the stream, after everything said so far. */
  sign(kind: number): void {
    if (this.listener === 0) return;
    this.#signsDue.push(kind);
    this.#core.isDirty = true;
  }

  offer(message: Message, plain: boolean, groups: readonly string[]): boolean {
    if (this.listener === 0) return true;
    // What the publisher's client has subscribed to before is known there before.
    if (this.#due !== 0 && !this.#notify()) return false;
    if (plain !== this.#servesPlain || !isSame(groups, this.#serves)) {
      if (!this.#serve(plain, groups)) return false;
    }
    const units = laneUnits(message.end - message.begin, groups.length);
    return this.#append(message.begin, message.end, units);
  }

  pass(message: Message, groups: readonly string[]): void {
    this.#isUrgent = true;
    if (!this.offer(message, false, groups)) this.lostCount++;
    else this.#pushStream();
    this.#isUrgent = false;
  }

  /** Sends what waits, as far as there is room. */
  flush(): void {
    if (!this.#notify()) return;
    while (this.#signsDue.length > 0) {
      if (!this.#say(this.#signsDue[0])) return;
      this.#signsDue.shift();
    }
    this.#pushStream();
  }

  /** Tells how much of what came from the other is done. False: no room now. */
  tellDone(interests: number, regions: number, bytes: number): boolean {
    const write = (at: number): void => writeDone(this.#pool.view, at, interests, regions, bytes);
    return this.#notice(DONE_BYTES, write) && this.#pushNotices();
  }

  /** The other is done with so much. */
  done(interests: number, regions: number, bytes: number): void {
    this.#doneInterests = interests;
    let count = (regions - this.#doneRegions) | 0;
    for (const units of this.#units) {
      if (count-- <= 0) break;
      this.#unitsOut -= units;
    }
    this.#units.splice(0, (regions - this.#doneRegions) | 0);
    this.#doneRegions = regions;
    this.#doneBytes = bytes;
  }

  /**
   * Notes in `mark[at, at + MARK_WORDS)` what is to be dealt with, and asks for word of it.
   * False: there is no room for that yet.
   */
  mark(mark: Int32Array, at: number, withMessages: boolean): boolean {
    if (this.listener !== 0) {
      if (!this.#notify()) return false;
      if (withMessages && !this.#fence()) return false;
    }
    mark[at] = this.listener;
    mark[at + 1] = this.#sentInterests;
    mark[at + 2] = withMessages ? this.#sentRegions : this.#doneRegions;
    return true;
  }

  /** Whether the one who listened then has dealt with it, or never will. */
  hasDone(mark: Int32Array, at: number): boolean {
    const listener = mark[at];
    if (listener === 0 || listener !== this.listener) return true;
    const interests = (this.#doneInterests - mark[at + 1]) | 0;
    const regions = (this.#doneRegions - mark[at + 2]) | 0;
    return interests >= 0 && regions >= 0;
  }

  /** Sends the stream so far, and a FENCE unless there is word of it, or will be. */
  #fence(): boolean {
    if (!this.#pushStream()) return false;
    const sent = this.#sentRegions;
    if (this.#doneRegions === sent || this.#fencedRegions === sent) return true;
    if (!this.#say(FENCE) || !this.#pushStream()) return false;
    this.#fencedRegions = this.#sentRegions;
    return true;
  }

  /** Sends the notices that are due. False: no room. */
  #notify(): boolean {
    if (this.#due === 0) return this.#pushNotices();
    const { view } = this.#pool;
    const { epoch } = this.#core.peers;
    if ((this.#due & ASK_DUE) !== 0) {
      if (!this.#notice(ASK_BYTES, (at) => writeAsk(view, at, epoch))) return false;
      this.#due &= ~ASK_DUE;
    }
    if ((this.#due & TELL_DUE) !== 0) {
      const write = (at: number): void => writeTell(view, at, this.listener, epoch);
      if (!this.#notice(TELL_BYTES, write)) return false;
      this.#due &= ~TELL_DUE;
    }
    if (!this.#announceNews()) {
      // It is to hear those, so that the rest can follow.
      this.#pushNotices();
      return false;
    }
    this.#due &= ~NEWS_DUE;
    if ((this.#due & SYNC_DUE) !== 0) {
      if (!this.#notice(SIGN_BYTES, (at) => writeSign(view, at, SYNC))) return false;
      this.#due &= ~SYNC_DUE;
    }
    if (!this.#pushNotices()) return false;
    this.#due &= ~SEND_DUE;
    return true;
  }

  /**
   * At most this many that the other has not heard: an executor that starts anew is told of all,
   * and when many are held back at once, their subscriptions change together. The rest follows when
   * it has heard them.
   */
  #announceNews(): boolean {
    const { view, bytes } = this.#pool;
    for (const interest of this.#news) {
      if (this.#unheardInterests >= CHANGES_MAX && !this.#isUrgent) return false;
      const { subject, queue } = interest;
      const write = (at: number): void =>
        writeInterest(view, bytes, at, subject, queue, weightOf(interest));
      if (!this.#notice(interestBytes(subject, queue), write)) return false;
      this.#sentInterests = (this.#sentInterests + 1) | 0;
      this.#news.delete(interest);
    }
    return true;
  }

  #owe(due: number): void {
    this.#due |= due | SEND_DUE;
    this.#core.isDirty = true;
  }

  /** Writes a notice. False: no memory, or no room for those before. */
  #notice(length: number, write: (at: number) => void): boolean {
    const at = this.#core.scratch.reserve(length);
    if (at < 0) return false;
    write(at);
    if (this.#notices.extend(at, at + length)) return true;
    if (!this.#pushNotices()) return false;
    this.#notices.set(at, at + length);
    return true;
  }

  #serve(plain: boolean, groups: readonly string[]): boolean {
    const { view, bytes } = this.#pool;
    const length = serveBytes(groups);
    const at = this.#core.scratch.reserve(length);
    if (at < 0) return false;
    writeServe(view, bytes, at, plain, groups);
    if (!this.#append(at, at + length, 0)) return false;
    this.#servesPlain = plain;
    this.#serves = [...groups];
    return true;
  }

  /** FENCE or BYE. */
  #say(kind: number): boolean {
    const at = this.#core.scratch.reserve(SIGN_BYTES);
    if (at < 0) return false;
    writeSign(this.#pool.view, at, kind);
    return this.#append(at, at + SIGN_BYTES, 0);
  }

  /** Appends `[begin, end)` to the stream. False: what is before it cannot leave. */
  #append(begin: number, end: number, units: number): boolean {
    const stream = this.#stream;
    const isMuch = this.#streamUnits >= WINDOW_UNITS / HEAVY_PART;
    if (!isMuch && stream.extend(begin, end)) {
      this.#streamUnits += units;
      return true;
    }
    if (!this.#pushStream() || !this.#hasWindow()) return false;
    stream.set(begin, end);
    this.#streamUnits = units;
    this.#core.isDirty = true;
    return true;
  }

  #pushNotices(): boolean {
    const { bufferId, begin, length } = this.#notices;
    if (this.#notices.isEmpty) return true;
    if (!this.#core.peers.trySend(this.index, bufferId, begin, length)) return false;
    this.#notices.forget();
    return true;
  }

  #pushStream(): boolean {
    const stream = this.#stream;
    if (stream.isEmpty) return true;
    if (!this.#hasWindow()) return false;
    const { bufferId, begin, length } = stream;
    if (!this.#core.peers.trySend(this.index, bufferId, begin, length)) return false;
    this.#sentRegions = (this.#sentRegions + 1) | 0;
    this.#sentBytes = (this.#sentBytes + length) | 0;
    this.#units.push(this.#streamUnits);
    this.#unitsOut += this.#streamUnits;
    this.#streamUnits = 0;
    stream.forget();
    return true;
  }

  /** Most of the window is for those who send little, so that others do not keep them waiting. */
  #hasWindow(): boolean {
    const { windowRegions, windowBytes, share } = this.#core;
    const regions = (this.#sentRegions - this.#doneRegions) | 0;
    const bytes = (this.#sentBytes - this.#doneBytes) | 0;
    const part = share.isLight ? 1 : HEAVY_PART;
    return (
      this.#isUrgent ||
      (regions * part < windowRegions &&
        bytes * part < windowBytes &&
        this.#unitsOut * part < WINDOW_UNITS)
    );
  }
}

function isSame(a: readonly string[], b: readonly string[]): boolean {
  if (a === b) return true;
  if (a.length !== b.length) return false;
  for (let i = 0; i < a.length; i++) if (a[i] !== b[i]) return false;
  return true;
}
