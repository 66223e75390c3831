// SPDX-License-Identifier: MIT
/**
 * Example broker: the receiving end of the lane from another executor. Delivers its messages to
 * subscribers of this one.
 *
 * Notices are handled at once. The stream is handled in order; it waits for its share of work, and
 * for a buffer, never for one subscriber. Regions that arrive meanwhile are kept; the sender's
 * window bounds them.
 */

import assert from 'node:assert/strict';
import { MatchSet } from 'busbar/bus';
import { type BufferId, type BufferPool, NO_BUFFER } from 'busbar/pool';
import type { Backpressure, Waiter } from './backpressure.ts';
import type { Matches, RemoteInterest } from './matches.ts';
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
import { NOT_NOW, type Router, type Subscriber } from './router.ts';

/** Recipients of messages before the first SERVE. */
const NO_NAMES: readonly string[] = [];
/** Words of a waiting region: buffer, offset, length. */
const REGION_WORDS = 3;

/** Progress of the other executor. It is still sending its interests. */
const TELLING = 0;
/** It has sent all its interests, or has ended. */
const SYNCED = 1;
/** It sends no more messages. */
const PARTED = 2;

/** The lane has nothing to do. */
const IDLE = 0;
/** A region is being handled, further up in the call stack. */
const BUSY = 1;
/** The message at `#at` waits, and all regions behind it. */
const BLOCKED = 2;

/** The part of the mesh that all incoming lanes share. */
export interface InLaneCore<S extends Subscriber> {
  readonly pool: BufferPool;
  readonly limits: ProtocolLimits;
  readonly router: Router<S>;
  readonly remote: RemoteInterest<S>;
  readonly backpressure: Backpressure;
  readonly counters: { messagesOut: number };
  readonly epoch: number;
  /** DONE is sent after this many regions or bytes. */
  readonly doneRegions: number;
  readonly doneBytes: number;
  /** Called after a notice that others may wait for. */
  heard(): void;
  /** Sends what waits, and lets waiters continue. */
  goOn(): void;
}

export class InLane<S extends Subscriber> implements Waiter {
  /** Epoch of the executor that sends; 0: none, and the stream is ignored. */
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

  // The region being handled.
  #bufferId: BufferId = NO_BUFFER;
  #begin: number = 0;
  #at: number = 0;
  #end: number = 0;
  #remainder: Remainder<S> | undefined = undefined;
  /**
   * Regions that arrived meanwhile, from `#waitingBegin` on. One with NO_BUFFER marks the beginning
   * of another sender's stream.
   */
  readonly #waiting: number[] = [];
  #waitingBegin: number = 0;
  /** Number of such marks. */
  #beginningCount: number = 0;

  #servesPlain: boolean = true;
  #serves: readonly string[] = NO_NAMES;
  #found: Matches<S> = new MatchSet();
  #foundStamp: number = -1;

  // Modulo 2³²: counts of handled items, and those last reported to the other executor.
  #interests: number = 0;
  #toldInterests: number = 0;
  #regions: number = 0;
  #toldRegions: number = 0;
  #bytes: number = 0;
  #toldBytes: number = 0;
  /** Work in regions handled since the last report, and in the current one. */
  #units: number = 0;
  #regionUnits: number = 0;
  #isFenced: boolean = false;

  constructor(core: InLaneCore<S>, out: OutLane) {
    const { pool, limits } = core;
    this.#core = core;
    this.#pool = pool;
    this.#out = out;
    this.#message = new Message(pool.view, pool.bytes, pool);
    // The canonical form of a line that ended with LF alone is one byte longer.
    const maxControlLineBytes = limits.maxControlLineBytes + 1;
    this.#codec = new ProtocolCodec(pool.view, { ...limits, maxControlLineBytes });
  }

  /** A lane has the work of many clients, see {@link Waiter}. */
  get carriesMany(): boolean {
    return true;
  }

  /** Whether a message waits here. */
  get isBlocked(): boolean {
    return this.#state === BLOCKED;
  }

  /** True once the other executor has sent all its interests, or has ended. */
  get isSynced(): boolean {
    return this.#progress !== TELLING;
  }

  /** True once the other executor sends no more messages. */
  get hasSaidBye(): boolean {
    return this.#progress === PARTED;
  }

  /** Takes a region and one reference on its buffer. */
  take(bufferId: BufferId, offset: number, length: number): void {
    if (this.#pool.bytes[offset] < STREAM_MIN) {
      const end = offset + length;
      for (let at = offset; at < end; ) at = this.#hear(at);
      this.#pool.release(bufferId);
    } else {
      this.#enqueue(bufferId, offset, length);
    }
  }

  /** Called when there may be room again. */
  proceed(): void {
    if (this.#state !== BLOCKED) return;
    this.#state = IDLE;
    this.#goOn();
    this.flush();
    this.#core.goOn();
  }

  /** Reports what is done, if it is time. */
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

  /** Called when the other executor has ended. Its messages that are here are still delivered. */
  lose(epoch: number): void {
    this.#lostEpoch = epoch;
    if (this.teller > epoch) return;
    this.#core.remote.forget(this.#out);
    this.#progress = PARTED;
    this.teller = 0;
  }

  /** Releases all buffers. */
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
      // A mark needs no work.
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

  /** Handles all that is there, until it is done or there is no room. */
  #goOn(): void {
    assert(this.#state === IDLE, 'regions are handled one after the other');
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
    assert(this.#state !== BLOCKED, 'a blocked lane does not block again');
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
