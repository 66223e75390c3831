// SPDX-License-Identifier: MIT
/**
 * Example broker: the lane from another executor: its messages go to the subscribers of this one.
 *
 * Notices are heard at once. The stream is dealt with in order. It waits for its share of work, and
 * for a buffer, never for one subscriber. What arrives meanwhile is kept, and is not much: the
 * sender stops for want of a window.
 */

import assert from 'node:assert/strict';
import { type BufferId, type BufferPool, NO_BUFFER } from 'busbar/pool';
import type { Backpressure, Waiter } from './backpressure.ts';
import { MatchSet } from './match-set.ts';
import {
  ASK,
  ASK_BYTES,
  BYE,
  DONE,
  DONE_BYTES,
  FENCE,
  INTEREST,
  MESSAGE_MIN,
  readInterest,
  readServe,
  SERVE,
  SIGN_BYTES,
  STREAM_MIN,
  SYNC,
  TELL,
  TELL_BYTES,
  wordAt,
} from './mesh-messages.ts';
import { Message } from './message.ts';
import { DONE_UNITS, laneUnits, type OutLane } from './out-lane.ts';
import { OP_HPUB, OP_PUB, ProtocolCodec, type ProtocolLimits } from './protocol.ts';
import type { Remainder } from './remainder.ts';
import type { RemoteInterest } from './remote-interest.ts';
import { NOT_NOW, type Router, type Subscriber } from './router.ts';

/** What messages are for before anything is said about it. */
const NO_NAMES: readonly string[] = [];
/** Words of a region that waits: buffer, offset, length. */
const REGION_WORDS = 3;

/** How far the other has come. It is still telling what its clients have subscribed to. */
const TELLING = 0;
/** It has told everything that it had, or is gone. */
const SYNCED = 1;
/** It will send no more messages. */
const PARTED = 2;

/** Nothing is being dealt with. */
const IDLE = 0;
/** A region is being dealt with, further up in the stack. */
const BUSY = 1;
/** The message at `#at` waits, and all that comes. */
const BLOCKED = 2;

/** What lanes from all executors share. */
export interface InLaneCore<S extends Subscriber> {
  readonly pool: BufferPool;
  readonly limits: ProtocolLimits;
  readonly router: Router<S>;
  readonly remote: RemoteInterest<S>;
  readonly backpressure: Backpressure;
  readonly counters: { messagesOut: number };
  readonly epoch: number;
  /** Word of what is done is given after so many regions or bytes, without being asked. */
  readonly doneRegions: number;
  readonly doneBytes: number;
  /** Something has been heard that others may wait for. */
  heard(): void;
  /** Sends what waits, and lets those go on. */
  goOn(): void;
}

export class InLane<S extends Subscriber> implements Waiter {
  readonly carriesMany: boolean = true;
  /** Who tells; 0: nobody, and what comes is not for us. */
  teller: number = 0;
  /** This one and all before it have ended. */
  #lostEpoch: number = 0;

  readonly #core: InLaneCore<S>;
  readonly #pool: BufferPool;
  readonly #out: OutLane;
  readonly #codec: ProtocolCodec;
  readonly #message: Message;
  #progress: typeof TELLING | typeof SYNCED | typeof PARTED = TELLING;
  #state: typeof IDLE | typeof BUSY | typeof BLOCKED = IDLE;

  // What is being dealt with.
  #bufferId: BufferId = NO_BUFFER;
  #begin: number = 0;
  #at: number = 0;
  #end: number = 0;
  #remainder: Remainder<S> | undefined = undefined;
  /**
   * Regions that came meanwhile, from `#waitingBegin` on. One with NO_BUFFER is the place where
   * another teller's stream begins.
   */
  readonly #waiting: number[] = [];
  #waitingBegin: number = 0;
  /** Such places. */
  #beginningCount: number = 0;

  #servesPlain: boolean = true;
  #serves: readonly string[] = NO_NAMES;
  #found: MatchSet<S> = new MatchSet();
  #foundStamp: number = -1;

  // Modulo 2³²: dealt with, and what the other has been told of that.
  #interests: number = 0;
  #toldInterests: number = 0;
  #regions: number = 0;
  #toldRegions: number = 0;
  #bytes: number = 0;
  #toldBytes: number = 0;
  /** Work in regions that have been dealt with since it was told, and in the present one. */
  #units: number = 0;
  #regionUnits: number = 0;
  #isFenced: boolean = false;

  constructor(core: InLaneCore<S>, out: OutLane) {
    const { pool, limits } = core;
    this.#core = core;
    this.#pool = pool;
    this.#out = out;
    this.#message = new Message(pool.view, pool.bytes);
    // The canonical form of a line is longer by one byte, if it ended with LF alone.
    const maxControlLineBytes = limits.maxControlLineBytes + 1;
    this.#codec = new ProtocolCodec(pool.view, { ...limits, maxControlLineBytes });
  }

  /** A message waits here. */
  get isBlocked(): boolean {
    return this.#state === BLOCKED;
  }

  /** The other has told everything that it had, or is gone. */
  get isSynced(): boolean {
    return this.#progress !== TELLING;
  }

  /** The other will send no more messages. */
  get hasSaidBye(): boolean {
    return this.#progress === PARTED;
  }

  /** Takes a region over, and a reference with it. */
  take(bufferId: BufferId, offset: number, length: number): void {
    if (this.#pool.bytes[offset] < STREAM_MIN) {
      const end = offset + length;
      for (let at = offset; at < end; ) at = this.#hear(at);
      this.#pool.release(bufferId);
    } else {
      this.#enqueue(bufferId, offset, length);
    }
  }

  /** There may be room again. */
  proceed(): void {
    if (this.#state !== BLOCKED) return;
    this.#state = IDLE;
    this.#goOn();
    this.flush();
    this.#core.goOn();
  }

  /** Gives word of what is done, if it is time. */
  flush(): void {
    if (this.teller === 0 || this.#beginningCount > 0) return;
    const interests = this.#interests;
    const regions = this.#regions;
    const bytes = this.#bytes;
    const core = this.#core;
    const isDue =
      this.#isFenced ||
      interests !== this.#toldInterests ||
      ((regions - this.#toldRegions) | 0) >= core.doneRegions ||
      ((bytes - this.#toldBytes) | 0) >= core.doneBytes ||
      this.#units >= DONE_UNITS;
    if (!isDue || !this.#out.tellDone(interests, regions, bytes)) return;
    this.#isFenced = false;
    this.#toldInterests = interests;
    this.#toldRegions = regions;
    this.#toldBytes = bytes;
    this.#units = 0;
  }

  /** The other has ended. Messages of its clients that are here still go their way. */
  lose(epoch: number): void {
    this.#lostEpoch = epoch;
    if (this.teller > epoch) return;
    this.#core.remote.forget(this.#out);
    this.#progress = PARTED;
    this.teller = 0;
  }

  /** Gives back what it holds. */
  close(): void {
    const pool = this.#pool;
    if (this.#state === BLOCKED) {
      pool.release(this.#bufferId);
      this.#state = IDLE;
    }
    const waiting = this.#waiting;
    for (let i = this.#waitingBegin; i < waiting.length; i += REGION_WORDS) {
      if (waiting[i] !== NO_BUFFER) pool.release(waiting[i] as BufferId);
    }
    waiting.length = 0;
    this.#waitingBegin = 0;
  }

  #enqueue(bufferId: BufferId, offset: number, length: number): void {
    if (this.#state !== IDLE) {
      this.#waiting.push(bufferId, offset, length);
    } else {
      this.#enter(bufferId, offset, length);
      // Where another stream begins there is nothing to do.
      if (bufferId === NO_BUFFER || !this.#core.router.share.isSpent) {
        this.#goOn();
      } else {
        this.#becomeBlocked();
      }
    }
  }

  #enter(bufferId: BufferId, offset: number, length: number): void {
    this.#bufferId = bufferId;
    this.#begin = offset;
    this.#at = offset;
    this.#end = offset + length;
  }

  /** Deals with what there is, until it is all done or there is no room. */
  #goOn(): void {
    assert(this.#state === IDLE, 'regions are dealt with one after the other');
    this.#state = BUSY;
    try {
      do {
        if (this.#bufferId === NO_BUFFER) {
          this.#beginStream();
        } else if (this.#goOnInRegion()) {
          this.#pool.release(this.#bufferId);
        } else {
          this.#becomeBlocked();
          return;
        }
      } while (this.#enterNext());
    } finally {
      if (this.#state === BUSY) this.#state = IDLE;
    }
  }

  #becomeBlocked(): void {
    assert(this.#state !== BLOCKED, 'who waits does not begin to');
    this.#state = BLOCKED;
    this.#core.backpressure.block(this);
  }

  #enterNext(): boolean {
    const waiting = this.#waiting;
    const next = this.#waitingBegin;
    if (next === waiting.length) return false;
    this.#enter(waiting[next] as BufferId, waiting[next + 1], waiting[next + 2]);
    this.#waitingBegin = next + REGION_WORDS;
    if (this.#waitingBegin === waiting.length) {
      waiting.length = 0;
      this.#waitingBegin = 0;
    }
    return true;
  }

  #goOnInRegion(): boolean {
    const { bytes } = this.#pool;
    const end = this.#end;
    while (this.#at < end) {
      const next = bytes[this.#at] < MESSAGE_MIN ? this.#follow(this.#at) : this.#deliver();
      if (next < 0) return false;
      this.#at = next;
    }
    this.#regions = (this.#regions + 1) | 0;
    this.#units += this.#regionUnits;
    this.#regionUnits = 0;
    this.#bytes = (this.#bytes + end - this.#begin) | 0;
    return true;
  }

  /** Delivers the message at `#at`. Returns where it ends, or -1: no room now. */
  #deliver(): number {
    const router = this.#core.router;
    const message = this.#message;
    const codec = this.#codec;
    const begin = this.#at;
    let taken: number;
    if (this.#remainder === undefined) {
      const length = codec.measure(this.#pool.bytes, begin, this.#end, 0);
      const isMessage = codec.op === OP_PUB || codec.op === OP_HPUB;
      if (!isMessage || begin + length > this.#end) throw new Error('no message in the lane');
      message.set(codec, codec.op === OP_HPUB, begin, begin + length);
      if (!codec.isRepeated || !router.isCurrent(this.#found, this.#foundStamp)) {
        // Seen again it is a repeated subject, of which nothing is known yet.
        this.#foundStamp = -1;
        if (!router.share.tryStep()) return -1;
        const { subjectBegin, subjectEnd, subjectHash } = codec;
        this.#found = router.find(begin + subjectBegin, begin + subjectEnd, subjectHash);
        this.#foundStamp = this.#found.stamp;
      }
      taken = router.routeHere(message, this.#found, this.#servesPlain, this.#serves);
    } else {
      taken = router.resume(message, undefined, this.#remainder);
    }
    if (taken === NOT_NOW) {
      this.#remainder ??= router.remainder;
      return -1;
    }
    this.#remainder = undefined;
    this.#regionUnits += laneUnits(message.end - message.begin, this.#serves.length);
    this.#core.counters.messagesOut += taken;
    return message.end;
  }

  /** Follows what stands in the stream at `at`, and is no message; returns where it ends. */
  #follow(at: number): number {
    const { view, bytes } = this.#pool;
    const kind = wordAt(view, at, 0);
    switch (kind) {
      case SERVE: {
        const { plain, names, end } = readServe(view, bytes, at);
        this.#servesPlain = plain;
        this.#serves = names;
        return end;
      }
      case FENCE:
        this.#isFenced = true;
        return at + SIGN_BYTES;
      case BYE:
        this.#progress = PARTED;
        this.#core.heard();
        return at + SIGN_BYTES;
      default:
        throw meaningless(kind);
    }
  }

  /** Hears the notice at `at`; returns where it ends. */
  #hear(at: number): number {
    const { view, bytes } = this.#pool;
    const core = this.#core;
    const kind = wordAt(view, at, 0);
    switch (kind) {
      case ASK:
        this.#hearAsk(wordAt(view, at, 1));
        return at + ASK_BYTES;
      case TELL:
        if (wordAt(view, at, 1) === core.epoch) this.#listenTo(wordAt(view, at, 2));
        return at + TELL_BYTES;
      case INTEREST: {
        const { subject, queue, weight, end } = readInterest(view, bytes, at);
        const isOver = this.teller !== 0 && core.remote.set(this.#out, subject, queue, weight);
        if (isOver) core.heard();
        this.#interests = (this.#interests + 1) | 0;
        return end;
      }
      case SYNC:
        if (this.teller !== 0 && this.#progress === TELLING) this.#progress = SYNCED;
        core.heard();
        return at + SIGN_BYTES;
      case DONE:
        this.#out.done(wordAt(view, at, 1), wordAt(view, at, 2), wordAt(view, at, 3));
        core.heard();
        return at + DONE_BYTES;
      default:
        throw meaningless(kind);
    }
  }

  /** The other wants to know what we have. */
  #hearAsk(epoch: number): void {
    if (epoch <= this.#lostEpoch) return;
    if (this.#out.listener !== epoch) this.#out.open(epoch);
    // It is new, so what we know of its predecessor is void, and it may not know that we ask.
    if (this.teller !== epoch) this.#out.ask();
  }

  /** The other begins to tell what it has. */
  #listenTo(teller: number): void {
    if (teller <= this.#lostEpoch) return;
    this.#core.remote.forget(this.#out);
    // Publishers may have waited for a client of its predecessor.
    this.#core.heard();
    this.teller = teller;
    this.#progress = TELLING;
    this.#interests = 0;
    this.#toldInterests = 0;
    this.#beginningCount++;
    this.#enqueue(NO_BUFFER, 0, 0);
  }

  /** What its predecessor has left is dealt with. */
  #beginStream(): void {
    this.#beginningCount--;
    this.#servesPlain = true;
    this.#serves = NO_NAMES;
    this.#units = 0;
    this.#regionUnits = 0;
    this.#regions = 0;
    this.#toldRegions = 0;
    this.#bytes = 0;
    this.#toldBytes = 0;
    this.#isFenced = false;
  }
}

function meaningless(kind: number): Error {
  return new Error(`another executor says ${kind}, which means nothing`);
}
