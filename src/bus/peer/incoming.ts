// SPDX-License-Identifier: MIT
/** The stream from one peer: see peer-layout.ts. */

import { readText } from '../../base/text.ts';
import { type BufferId, NO_BUFFER } from '../../pool/index.ts';
import type { Bytes } from '../subject.ts';
import type { Ledger } from './ledger.ts';
import type { MessageFrame } from './message-frame.ts';
import { DONE_DUE, type Outgoing } from './outgoing.ts';
import type { PeerMemory } from './peer-carrier.ts';
import {
  ASK,
  ASK_WORDS,
  BYE,
  BYE_WORDS,
  DONE,
  DONE_WORDS,
  FENCE,
  FENCE_WORDS,
  GONE,
  GONE_WORDS,
  INTEREST,
  INTEREST_WORDS,
  MESSAGE,
  OWN_MIN,
  PLAIN,
  padded,
  REFERENCE,
  SERVE,
  SERVE_WORDS,
  SYNC,
  SYNC_WORDS,
  TELL,
  TELL_WORDS,
  WORD_BYTES,
  wordsOf,
} from './peer-layout.ts';

/** What it needs of the bus. */
export interface IncomingCore {
  readonly epoch: number;
  readonly memory: PeerMemory;
  /** True: nothing is heard any more but that a peer asks. */
  readonly isClosed: boolean;
  readonly frame: MessageFrame;
  readonly windowInterests: number;
  setInterest(peer: Outgoing, subject: Bytes, queue: string, weight: number): void;
  forgetInterest(peer: Outgoing): void;
  /** A message is in `frame`; its bytes lie in that buffer. Borrowed. */
  arrived(from: Incoming, bufferId: BufferId): void;
  /** A message came for a predecessor, or from one that has parted. */
  missed(): void;
  /** See `PeersHome`. */
  arrivedOwn(from: Incoming, bufferId: BufferId, begin: number, end: number): number;
  /** Something changed for which publishers or fences may have waited. */
  heard(): void;
  gone(index: number, epoch: number): void;
  /** What came was sent by no bus. */
  stray(): void;
}

/** It was asked, or is not there. */
const ASKING = 0;
/** It is sending its interests. */
const TELLING = 1;
const SYNCED = 2;
/** It sends no more, or has ended. */
const PARTED = 3;

/** DONE is said unasked when this part of the window was handled. */
const DONE_PART = 8;
/** With 1, each DONE would be a reason for another one. */
const DONE_REGIONS_MIN = 2;
/** What `#follow` returns: that is no frame. */
const STRAY = -1;
/** And that it waits for what has come before. */
const LATER = -2;

/** No region is being read. */
const IDLE = 0;
/** One is, further up in the call stack. */
const BUSY = 1;
/** The first one of those that wait is read in part: own messages were refused. */
const BLOCKED = 2;
/** Of a region: its buffer, where what is left of it begins and ends, its length, its teller. */
const REGION_WORDS = 5;

/** The stream from one peer. */
export class Incoming {
  readonly out: Outgoing;
  /** @internal The peer's name. */
  name: string = '';
  /** Recipients of the messages that follow: see SERVE. */
  recipients: number = PLAIN;
  serves: string = '';
  readonly #core: IncomingCore;
  readonly #ledger: Ledger;
  #progress: typeof ASKING | typeof TELLING | typeof SYNCED | typeof PARTED = ASKING;
  /** This epoch and all before have ended. */
  #lostEpoch: number = 0;
  /** A reference that came, for the frame that follows. */
  #reference: BufferId = NO_BUFFER;
  /** The peer's window. */
  #windowRegions: number = 0;
  #windowBytes: number = 0;
  /** What the peer was told. */
  #toldRegions: number = 0;
  #toldBytes: number = 0;
  #toldFence: number = 0;
  #toldInterests: number = 0;
  #state: typeof IDLE | typeof BUSY | typeof BLOCKED = IDLE;
  /** Regions, from `#first` on. */
  readonly #waiting: number[] = [];
  #first: number = 0;
  /** Whose stream is being read; 0: no peer's, and messages are not delivered. */
  #stream: number = 0;

  /** @internal */
  constructor(core: IncomingCore, out: Outgoing, ledger: Ledger) {
    this.#core = core;
    this.out = out;
    this.#ledger = ledger;
  }

  /** @internal Whether the peer has told all its interests, or has ended. */
  get isSettled(): boolean {
    return this.#progress >= SYNCED;
  }

  /** @internal Whether it has ended, and no other is known to have begun. */
  get isParted(): boolean {
    return this.#progress === PARTED;
  }

  /** @internal */
  get isSynced(): boolean {
    return this.#progress === SYNCED;
  }

  /** @internal **Ownership** takes the region's reference. */
  take(bufferId: BufferId, offset: number, length: number): void {
    const end = offset + length;
    const isNext = this.#state === IDLE;
    const at = isNext ? offset : this.#hearNotices(offset, end, bufferId);
    if (at === end && length > 0) {
      this.#core.memory.release(bufferId);
      this.#count(length);
    } else {
      this.#waiting.push(bufferId, at, end, length, this.#ledger.teller);
      if (isNext) this.#goOn();
    }
    this.#report();
  }

  /** @internal Continues: own messages that were refused are offered again. */
  proceed(): void {
    if (this.#state !== BLOCKED) return;
    this.#goOn();
    this.#report();
  }

  #goOn(): void {
    this.#state = BUSY;
    const waiting = this.#waiting;
    try {
      while (this.#first < waiting.length && this.#readNext());
    } finally {
      if (this.#state === BUSY) this.#state = IDLE;
      if (this.#first >= waiting.length) {
        waiting.length = 0;
        this.#first = 0;
      }
    }
  }

  /** Own messages count for this many bytes more: see `postOwn`. */
  charge(cost: number): void {
    const ledger = this.#ledger;
    if (this.#stream === ledger.teller) ledger.bytes = (ledger.bytes + cost) | 0;
  }

  /** @internal The peer of this epoch has ended. */
  lose(epoch: number): void {
    if (epoch <= this.#lostEpoch) return;
    this.#lostEpoch = epoch;
    const { out } = this;
    if (out.listener !== 0 && out.listener <= epoch) out.close();
    const { teller } = this.#ledger;
    // A successor that has asked, and has not told yet, has not ended.
    const isAwaited = teller === 0 && out.listener > epoch;
    if (teller <= epoch && !isAwaited) {
      this.#part();
      // Its frame will not be followed.
      if (this.#state === IDLE) this.dropReference();
      // For a successor that would not ask us: an executor does not know whether its host joins.
      out.ask();
    }
    this.#core.heard();
  }

  /** @internal Gives back all that it holds. */
  close(): void {
    this.dropReference();
    const waiting = this.#waiting;
    for (let i = this.#first; i < waiting.length; i += REGION_WORDS) {
      this.#core.memory.release(waiting[i] as BufferId);
    }
    waiting.length = 0;
    this.#first = 0;
    if (this.#state === BLOCKED) this.#state = IDLE;
  }

  /** @internal Gives back a reference that no frame has taken. */
  dropReference(): void {
    const id = this.#reference;
    if (id === NO_BUFFER) return;
    this.#reference = NO_BUFFER;
    this.#core.memory.release(id);
  }

  /** Reads the first region that waits. False: not all of it now. */
  #readNext(): boolean {
    const waiting = this.#waiting;
    const i = this.#first;
    const bufferId = waiting[i] as BufferId;
    const end = waiting[i + 2];
    const length = waiting[i + 3];
    const teller = waiting[i + 4];
    if (teller !== this.#stream) this.#beginStream(teller);
    // Whatever is thrown, it is not read twice.
    this.#first = i + REGION_WORDS;
    let at = end;
    try {
      if (length > 0) at = this.#read(waiting[i + 1], end, bufferId);
    } finally {
      if (length > 0 && at >= end) this.#core.memory.release(bufferId);
    }
    if (at < end) {
      // Unless all that waits was given back meanwhile.
      if (waiting.length === 0) {
        this.#core.memory.release(bufferId);
        return false;
      }
      this.#first = i;
      waiting[i + 1] = at;
      this.#state = BLOCKED;
      return false;
    }
    this.dropReference();
    if (length === 0) this.#reference = bufferId;
    if (this.#stream === this.#ledger.teller) this.#count(length);
    return true;
  }

  #count(length: number): void {
    const ledger = this.#ledger;
    ledger.regions = (ledger.regions + 1) | 0;
    ledger.bytes = (ledger.bytes + length) | 0;
  }

  #report(): void {
    const ledger = this.#ledger;
    if (ledger.teller === 0) return;
    const regions = (ledger.regions - this.#toldRegions) | 0;
    const bytes = (ledger.bytes - this.#toldBytes) | 0;
    const interests = (ledger.interests - this.#toldInterests) | 0;
    if (
      regions < Math.max(DONE_REGIONS_MIN, this.#windowRegions / DONE_PART) &&
      bytes < this.#windowBytes / DONE_PART &&
      interests < this.#core.windowInterests / DONE_PART &&
      ledger.fence === this.#toldFence
    ) {
      return;
    }
    this.#toldRegions = ledger.regions;
    this.#toldBytes = ledger.bytes;
    this.#toldInterests = ledger.interests;
    this.#toldFence = ledger.fence;
    this.out.owe(DONE_DUE);
  }

  #beginStream(teller: number): void {
    this.#stream = teller;
    this.recipients = PLAIN;
    this.serves = '';
  }

  /** Hears the notices that a region begins with; returns where they end. */
  #hearNotices(begin: number, end: number, bufferId: BufferId): number {
    let at = begin;
    while (at < end && ((at | end) & 3) === 0 && this.#core.memory.bytes[at] < OWN_MIN) {
      const next = this.#follow(at, end, bufferId, true);
      if (next <= at || next > end) break;
      at = next;
    }
    return at;
  }

  /** Reads what is left of a region; returns where it stops: at its end, or at refused messages. */
  #read(begin: number, end: number, bufferId: BufferId): number {
    const core = this.#core;
    if (begin < end && core.memory.bytes[begin] >= OWN_MIN) {
      if (this.#stream === 0 || core.isClosed) return end;
      return core.arrivedOwn(this, bufferId, begin, end);
    }
    for (let at = begin; at < end; ) {
      const next = ((at | end) & 3) === 0 ? this.#follow(at, end, bufferId, false) : STRAY;
      if (next <= at || next > end) {
        core.stray();
        return end;
      }
      at = next;
    }
    return end;
  }

  /** Follows the frame at `at`; returns where it ends. `isAhead`: only if it is a notice. */
  #follow(at: number, end: number, bufferId: BufferId, isAhead: boolean): number {
    const { frame, memory, isClosed } = this.#core;
    const { words } = memory;
    const word = at >>> 2;
    if (isAhead) {
      const isOfStream = words[word] === FENCE || words[word] === SERVE || words[word] === BYE;
      if (isOfStream || words[word] === MESSAGE || words[word] === REFERENCE) return LATER;
    } else if (frame.read(words, at, end)) {
      if (this.#stream === 0) this.#core.missed();
      else if (!isClosed) this.#deliver(bufferId);
      return frame.end;
    }
    if (at + wordsOf(words[word]) * WORD_BYTES > end) return STRAY;
    const a = words[word + 1];
    const b = words[word + 2];
    // The notices of a successor were heard ahead: this is of the stream before.
    const isStale = !isAhead && this.#stream !== this.#ledger.teller;
    switch (words[word]) {
      case ASK:
        this.#hearAsk(a);
        if (!isAhead && this.#ledger.teller === 0) this.#stream = 0;
        return at + ASK_WORDS * WORD_BYTES;
      case TELL: {
        const begin = at + TELL_WORDS * WORD_BYTES;
        const length = words[word + 5];
        if (length < 0 || begin + length > end) return STRAY;
        const isNew = b > this.#lostEpoch && b >= this.#ledger.teller;
        if (a === this.#core.epoch && !isClosed && isNew) {
          this.#listenTo(b, word, length);
          if (!isAhead) this.#beginStream(b);
        }
        return begin + padded(length);
      }
      case INTEREST:
        return this.#hearInterest(at, end, isStale, a, b, words[word + 3]);
      case SYNC:
        if (this.#progress === TELLING && !isStale) {
          this.#progress = SYNCED;
          this.#core.heard();
        }
        return at + SYNC_WORDS * WORD_BYTES;
      case DONE:
        this.#hearDone(word);
        return at + DONE_WORDS * WORD_BYTES;
      case FENCE:
        if (!isStale) this.#ledger.fence = a;
        return at + FENCE_WORDS * WORD_BYTES;
      case SERVE: {
        const begin = at + SERVE_WORDS * WORD_BYTES;
        if (b < 0 || begin + b > end) return STRAY;
        this.recipients = a;
        this.serves = readText(memory.bytes, begin, begin + b);
        return begin + padded(b);
      }
      case GONE:
        // What was for a predecessor is old: that bus may have a successor by now.
        if (this.#ledger.teller !== 0) this.#core.gone(a, b);
        return at + GONE_WORDS * WORD_BYTES;
      case BYE:
        if (a === this.#core.epoch && !isStale) {
          this.#hearBye();
          this.#stream = 0;
        }
        return at + BYE_WORDS * WORD_BYTES;
      default:
        return STRAY;
    }
  }

  #deliver(bufferId: BufferId): void {
    const { frame, memory } = this.#core;
    if (!frame.isReference) {
      this.#core.arrived(this, bufferId);
      return;
    }
    const ledger = this.#ledger;
    ledger.bytes = (ledger.bytes + frame.payloadBytes) | 0;
    const reference = this.#reference;
    if (reference === NO_BUFFER) return;
    const begin = memory.offsetOf(reference);
    const { payloadAt, payloadBytes } = frame;
    if (payloadAt < begin || payloadAt + payloadBytes > begin + memory.bufferSize) return;
    this.#core.arrived(this, reference);
  }

  #hearInterest(
    at: number,
    end: number,
    isStale: boolean,
    weight: number,
    subjectBytes: number,
    queueBytes: number,
  ): number {
    const { bytes } = this.#core.memory;
    const begin = at + INTEREST_WORDS * WORD_BYTES;
    const subjectEnd = begin + subjectBytes;
    const textEnd = subjectEnd + queueBytes;
    if (subjectBytes < 0 || queueBytes < 0 || textEnd > end) return STRAY;
    if (isStale) return begin + padded(textEnd - begin);
    this.#ledger.interests = (this.#ledger.interests + 1) | 0;
    if (this.#ledger.teller !== 0 && !this.#core.isClosed) {
      const queue = readText(bytes, subjectEnd, textEnd);
      this.#core.setInterest(this.out, bytes.slice(begin, subjectEnd), queue, weight);
      this.#core.heard();
    }
    return begin + padded(textEnd - begin);
  }

  #hearAsk(epoch: number): void {
    const { out } = this;
    if (epoch <= this.#lostEpoch || epoch < out.listener) return;
    if (this.#core.isClosed) {
      out.sayBye(epoch);
      return;
    }
    if (out.listener === epoch) return;
    out.open(epoch);
    if (this.#ledger.teller === epoch) return;
    this.#core.forgetInterest(out);
    this.#ledger.teller = 0;
    if (this.#progress !== PARTED) this.#progress = ASKING;
    out.ask();
    this.#core.heard();
  }

  #listenTo(teller: number, word: number, length: number): void {
    const core = this.#core;
    const ledger = this.#ledger;
    core.forgetInterest(this.out);
    const { bytes, words } = core.memory;
    const begin = (word + TELL_WORDS) * WORD_BYTES;
    this.name = readText(bytes, begin, begin + length);
    this.#windowRegions = words[word + 3];
    this.#windowBytes = words[word + 4];
    this.#progress = TELLING;
    ledger.teller = teller;
    ledger.regions = 0;
    ledger.bytes = 0;
    ledger.fence = 0;
    ledger.interests = 0;
    this.#toldInterests = 0;
    this.#toldRegions = 0;
    this.#toldBytes = 0;
    this.#toldFence = 0;
    core.heard();
  }

  #hearDone(word: number): void {
    const { words } = this.#core.memory;
    const { out } = this;
    if (words[word + 1] !== this.#core.epoch || words[word + 2] !== out.listener) return;
    out.heardDone(words[word + 3], words[word + 4], words[word + 5], words[word + 6]);
    this.#core.heard();
  }

  #hearBye(): void {
    this.#part();
    this.out.close();
    this.#core.heard();
  }

  #part(): void {
    this.#core.forgetInterest(this.out);
    this.#ledger.teller = 0;
    this.#progress = PARTED;
  }
}
