// SPDX-License-Identifier: MIT
/** The stream to one peer: see peer-layout.ts. No input or output but its carrier's. */

import { textBytes, writeText } from '../../base/text.ts';
import { type BufferId, NO_BUFFER } from '../../pool/index.ts';
import type { Ledger } from './ledger.ts';
import { type Interest, weightOf } from './own-interest.ts';
import { ENDED, NOT_NOW, type PeerCarrier, SENT, type SendResult } from './peer-carrier.ts';
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
  PLAIN,
  padded,
  SERVE,
  SERVE_WORDS,
  SYNC,
  SYNC_WORDS,
  TELL,
  TELL_WORDS,
  WORD_BYTES,
} from './peer-layout.ts';
import type { StreamCore } from './stream-core.ts';
import { UnheardInterests } from './unheard-interests.ts';

// What is due to be said, each a bit, in this order.
const ASK_DUE = 1;
const TELL_DUE = 2;
const SYNC_DUE = 4;
export const DONE_DUE = 8;
const FENCE_DUE = 16;
const BYE_DUE = 32;

const FRAMES = 0;
const OWN = 1;
/** Words of a region that waits: buffer, offset, length. */
const REGION_WORDS = 3;

/** The stream to one peer. */
export class Outgoing {
  readonly index: number;
  /** Epoch of the peer that listens; 0: none, and nothing is sent but ASK. */
  listener: number = 0;
  /** @internal Its carrier has ended. */
  isEnded: boolean = false;
  readonly #core: StreamCore;
  readonly #carrier: PeerCarrier;
  readonly #ledger: Ledger;
  readonly #windowRegions: number;
  #due: number = 0;
  readonly #news: UnheardInterests;
  /** By index, the epoch of peers that have ended. */
  readonly #gone: Map<number, number> = new Map();
  /** Regions that wait, from `#first` on. */
  readonly #queue: number[] = [];
  #first: number = 0;
  /** Frames that follow begin a new region. */
  #isSealed: boolean = false;
  /** What the last region has; a region never has both. */
  #content: typeof FRAMES | typeof OWN = FRAMES;
  /** Where the buffer of the last own region ends. */
  #ownEnd: number = 0;
  // Modulo 2³²: queued or sent, and dealt with by the peer.
  #sentRegions: number = 0;
  #sentBytes: number = 0;
  #doneRegions: number = 0;
  #doneBytes: number = 0;
  #sentInterests: number = 0;
  #doneInterests: number = 0;
  /** Whom messages are for, as the peer was told last. */
  #recipients: number = PLAIN;
  #serves: string = '';
  #fenceAsked: number = 0;
  #fenceDone: number = 0;

  /** @internal */
  constructor(core: StreamCore, index: number, carrier: PeerCarrier, ledger: Ledger) {
    this.#core = core;
    this.index = index;
    this.#carrier = carrier;
    this.#ledger = ledger;
    this.#news = new UnheardInterests(core.own);
    // A region may be two: a reference, and its frame.
    this.#windowRegions = Math.max(2, Math.min(core.windowRegions, carrier.capacity >>> 1));
  }

  /** With the peer, or waiting. */
  get regionsOut(): number {
    return (this.#sentRegions - this.#doneRegions) | 0;
  }

  get bytesOut(): number {
    return (this.#sentBytes - this.#doneBytes) | 0;
  }

  /** Changes of interest that the peer has not heard of yet. */
  get unheardInterests(): number {
    return this.listener === 0 ? 0 : this.#news.size + this.#interestsOut;
  }

  /** @internal */
  ask(): void {
    this.owe(ASK_DUE);
  }

  /** @internal */
  owe(due: number): void {
    this.#due |= due;
    this.#core.dirty();
  }

  /** @internal Begins for a new listener. */
  open(listener: number): void {
    this.close();
    this.listener = listener;
    this.#doneRegions = 0;
    this.#doneBytes = 0;
    this.#sentInterests = 0;
    this.#doneInterests = 0;
    this.#recipients = PLAIN;
    this.#serves = '';
    this.#fenceAsked = 0;
    this.#fenceDone = 0;
    this.#news.addAll();
    this.owe(TELL_DUE | SYNC_DUE);
  }

  /** @internal Ends the stream to its listener, and drops what waits. */
  close(): void {
    const { memory } = this.#core;
    const queue = this.#queue;
    // The question may be among it; to ask twice does no harm.
    const isAsking = this.#first < queue.length && this.#ledger.teller === 0;
    this.listener = 0;
    for (let at = this.#first; at < queue.length; at += REGION_WORDS) {
      memory.release(queue[at] as BufferId);
    }
    queue.length = 0;
    this.#first = 0;
    this.#news.clear();
    this.#gone.clear();
    this.#due &= ASK_DUE;
    if (isAsking) this.ask();
  }

  /** @internal Its weight has changed. */
  announce(interest: Interest): void {
    if (this.listener === 0) return;
    this.#news.changed(interest);
    this.#core.dirty();
  }

  /** @internal */
  sayGone(index: number, epoch: number): void {
    if (this.listener === 0) return;
    this.#gone.set(index, epoch);
    this.#core.dirty();
  }

  /** @internal Says that nothing follows. `listener`: who asked, although nothing will be told. */
  sayBye(listener: number = this.listener): void {
    if (listener === 0) return;
    this.listener = listener;
    this.#news.clear();
    this.#due &= ~SYNC_DUE;
    this.owe(BYE_DUE);
  }

  /** Whether it can take a message now. What must come before it is written. */
  get hasRoom(): boolean {
    if (this.listener === 0) return true;
    if (this.#due !== 0 || this.#news.size > 0) {
      if (!this.#write()) return false;
    }
    return this.#hasWindow;
  }

  /** Says whom the next messages are for: see SERVE. False: no buffer is free now. */
  trySetRecipients(recipients: number, names: string): boolean {
    if (this.listener === 0 || this.isFor(recipients, names)) return true;
    const length = textBytes(names);
    const at = this.#reserve(SERVE_WORDS, length);
    if (at < 0) return false;
    const { bytes, words } = this.#core.memory;
    words[at >>> 2] = SERVE;
    words[(at >>> 2) + 1] = recipients;
    words[(at >>> 2) + 2] = length;
    writeText(bytes, at + SERVE_WORDS * WORD_BYTES, names, length);
    this.#append(at, SERVE_WORDS, length);
    this.#recipients = recipients;
    this.#serves = names;
    return true;
  }

  /**
   * @internal Sends the message `[begin, end)` of a buffer, whose payload may lie in `reference`.
   * There was room. **Ownership** takes references of its own.
   */
  post(
    begin: number,
    end: number,
    bufferId: BufferId,
    payloadBytes: number,
    reference: BufferId,
  ): void {
    if (this.listener === 0) return;
    this.#beginContent(FRAMES);
    if (reference === NO_BUFFER) {
      this.#enqueue(bufferId, begin, end - begin);
    } else {
      this.#isSealed = true;
      this.#enqueue(reference, this.#core.memory.offsetOf(reference), 0);
      this.#isSealed = true;
      this.#enqueue(bufferId, begin, end - begin);
      this.#sentBytes = (this.#sentBytes + payloadBytes) | 0;
    }
    this.#pushSoon();
  }

  /**
   * Sends messages of one's own, `[begin, end)` of a buffer, that count for `cost` bytes more than
   * they have; the peer's `charge` must say the same. **Ownership** as for `post`.
   */
  postOwn(begin: number, end: number, bufferId: BufferId, cost: number): void {
    if (this.listener === 0) return;
    this.#beginContent(OWN);
    this.#ownEnd = this.#core.memory.offsetOf(bufferId) + this.#core.memory.bufferSize;
    this.#enqueue(bufferId, begin, end - begin);
    this.#sentBytes = (this.#sentBytes + cost) | 0;
    this.#pushSoon();
  }

  /** The same for what follows at once in the region that waits: that needs no room. */
  tryExtendOwn(begin: number, end: number, cost: number): boolean {
    const queue = this.#queue;
    const last = queue.length - REGION_WORDS;
    if (last < this.#first || this.#content !== OWN || this.#isSealed) return false;
    if (queue[last + 1] + queue[last + 2] !== begin || begin >= this.#ownEnd) return false;
    if (this.#due !== 0 || this.#news.size > 0) return false;
    queue[last + 2] += end - begin;
    this.#sentBytes = (this.#sentBytes + end - begin + cost) | 0;
    return true;
  }

  /** Whether the messages that follow are for these. */
  isFor(recipients: number, names: string): boolean {
    return recipients === this.#recipients && names === this.#serves;
  }

  /** @internal Sends what waits, as far as there is room; returns how many regions. */
  flush(): number {
    this.#write();
    return this.#push();
  }

  /** @internal The peer is done with so much: not with more than was sent, whatever it says. */
  heardDone(regions: number, bytes: number, fence: number, interests: number): void {
    this.#doneRegions = atMost(regions, this.#sentRegions);
    this.#doneBytes = atMost(bytes, this.#sentBytes);
    this.#doneInterests = atMost(interests, this.#sentInterests);
    this.#fenceDone = atMost(fence, this.#fenceAsked);
  }

  /** @internal Asks to be told when all so far is handled. Returns the number of the fence. */
  fence(): number {
    if (this.listener === 0) return 0;
    this.#fenceAsked = (this.#fenceAsked + 1) | 0;
    this.owe(FENCE_DUE);
    return this.#fenceAsked;
  }

  /** @internal Whether the listener has come so far. */
  hasPassed(fence: number): boolean {
    return ((this.#fenceDone - fence) | 0) >= 0;
  }

  get #interestsOut(): number {
    return (this.#sentInterests - this.#doneInterests) | 0;
  }

  get #hasWindow(): boolean {
    return this.regionsOut < this.#windowRegions && this.bytesOut < this.#core.windowBytes;
  }

  /** Writes what is due. False: not all of it now. */
  #write(): boolean {
    const { epoch } = this.#core;
    if ((this.#due & ASK_DUE) !== 0 && !this.#say(ASK_DUE, ASK, ASK_WORDS, epoch)) return false;
    if (this.listener === 0) return true;
    if ((this.#due & TELL_DUE) !== 0) {
      // The peer counts from here on.
      this.#isSealed = true;
      this.#sentRegions = 0;
      this.#sentBytes = 0;
      if (!this.#tell()) return false;
    }
    if (this.#news.size > 0 && !this.#announceNews()) return false;
    if ((this.#due & SYNC_DUE) !== 0 && !this.#say(SYNC_DUE, SYNC, SYNC_WORDS)) return false;
    if (this.#gone.size > 0) {
      for (const [index, epoch] of this.#gone) {
        if (!this.#say(0, GONE, GONE_WORDS, index, epoch)) return false;
        this.#gone.delete(index);
      }
    }
    return this.#writeSigns();
  }

  /** DONE, FENCE and BYE. */
  #writeSigns(): boolean {
    if ((this.#due & DONE_DUE) !== 0 && !this.#sayDone()) return false;
    if ((this.#due & FENCE_DUE) !== 0) {
      if (!this.#say(FENCE_DUE, FENCE, FENCE_WORDS, this.#fenceAsked)) return false;
    }
    return (this.#due & BYE_DUE) === 0 || this.#say(BYE_DUE, BYE, BYE_WORDS, this.listener);
  }

  #tell(): boolean {
    const { epoch, memory, name, windowBytes } = this.#core;
    const length = textBytes(name);
    const at = this.#reserve(TELL_WORDS, length);
    if (at < 0) return false;
    const { bytes, words } = memory;
    const word = at >>> 2;
    words[word] = TELL;
    words[word + 1] = this.listener;
    words[word + 2] = epoch;
    words[word + 3] = this.#windowRegions;
    words[word + 4] = windowBytes;
    words[word + 5] = length;
    writeText(bytes, at + TELL_WORDS * WORD_BYTES, name, length);
    this.#append(at, TELL_WORDS, length);
    this.#due &= ~TELL_DUE;
    return true;
  }

  #sayDone(): boolean {
    const { teller, regions, bytes, fence, interests } = this.#ledger;
    if (teller === 0) {
      this.#due &= ~DONE_DUE;
      return true;
    }
    const at = this.#reserve(DONE_WORDS, 0);
    if (at < 0) return false;
    const { words } = this.#core.memory;
    const word = at >>> 2;
    words[word] = DONE;
    words[word + 1] = teller;
    words[word + 2] = this.#core.epoch;
    words[word + 3] = regions;
    words[word + 4] = bytes;
    words[word + 5] = fence;
    words[word + 6] = interests;
    this.#append(at, DONE_WORDS, 0);
    this.#due &= ~DONE_DUE;
    return true;
  }

  /** Announces changes while there is room: a new listener hears of all. */
  #announceNews(): boolean {
    const { bytes, words } = this.#core.memory;
    for (const interest of this.#news) {
      if (!this.#hasWindow || this.#interestsOut >= this.#core.windowInterests) {
        // DONE must not wait, since the peer may wait for that. A FENCE waits for interests.
        if ((this.#due & DONE_DUE) !== 0) this.#sayDone();
        return false;
      }
      const { subject, queue } = interest;
      const queueBytes = textBytes(queue);
      const length = subject.length + queueBytes;
      const at = this.#reserve(INTEREST_WORDS, length);
      if (at < 0) return false;
      words[at >>> 2] = INTEREST;
      words[(at >>> 2) + 1] = weightOf(interest);
      words[(at >>> 2) + 2] = subject.length;
      words[(at >>> 2) + 3] = queueBytes;
      const text = at + INTEREST_WORDS * WORD_BYTES;
      bytes.set(subject, text);
      writeText(bytes, text + subject.length, queue, queueBytes);
      this.#append(at, INTEREST_WORDS, length);
      this.#news.delete(interest);
      this.#sentInterests = (this.#sentInterests + 1) | 0;
    }
    return true;
  }

  /** Writes a frame of words. False: no buffer is free now. */
  #say(due: number, kind: number, wordCount: number, a: number = 0, b: number = 0): boolean {
    const at = this.#reserve(wordCount, 0);
    if (at < 0) return false;
    const { words } = this.#core.memory;
    const word = at >>> 2;
    words[word] = kind;
    if (wordCount > 1) words[word + 1] = a;
    if (wordCount > 2) words[word + 2] = b;
    this.#append(at, wordCount, 0);
    this.#due &= ~due;
    return true;
  }

  #reserve(wordCount: number, textLength: number): number {
    const at = this.#core.memory.tryReserve(wordCount * WORD_BYTES + padded(textLength));
    if (at < 0) this.#core.lacksBuffer();
    return at;
  }

  #append(at: number, wordCount: number, textLength: number): void {
    const length = wordCount * WORD_BYTES + padded(textLength);
    this.#beginContent(FRAMES);
    this.#enqueue(this.#core.memory.bufferId, at, length);
    this.#core.dirty();
  }

  #beginContent(content: typeof FRAMES | typeof OWN): void {
    if (content === this.#content) return;
    this.#content = content;
    this.#isSealed = true;
  }

  /** Frames that follow each other in a buffer travel as one region. */
  #enqueue(bufferId: BufferId, offset: number, length: number): void {
    const queue = this.#queue;
    const last = queue.length - REGION_WORDS;
    const isNext =
      last >= this.#first &&
      !this.#isSealed &&
      queue[last] === bufferId &&
      queue[last + 1] + queue[last + 2] === offset;
    if (isNext) {
      queue[last + 2] += length;
    } else {
      this.#core.memory.retain(bufferId);
      queue.push(bufferId, offset, length);
      this.#sentRegions = (this.#sentRegions + 1) | 0;
      this.#isSealed = false;
    }
    this.#sentBytes = (this.#sentBytes + length) | 0;
  }

  #pushSoon(): void {
    const queue = this.#queue;
    const isMuch = queue.length - this.#first > REGION_WORDS;
    if (isMuch || queue[queue.length - 1] >= this.#core.promptBytes) this.#push();
    if (queue.length > this.#first) this.#core.dirty();
  }

  #push(): number {
    const queue = this.#queue;
    let sent = 0;
    while (this.#first < queue.length) {
      const at = this.#first;
      const bufferId = queue[at] as BufferId;
      // Meanwhile it is the carrier's: the end of a stream may give back what waits.
      this.#first = at + REGION_WORDS;
      let result: SendResult = NOT_NOW;
      try {
        result = this.#carrier.trySend(bufferId, queue[at + 1], queue[at + 2]);
      } finally {
        if (result !== SENT) this.#takeBack(at, bufferId);
      }
      if (result === SENT) {
        sent++;
        continue;
      }
      if (result === ENDED) this.#endForGood();
      break;
    }
    if (this.#first === queue.length) {
      queue.length = 0;
      this.#first = 0;
    }
    return sent;
  }

  /** The carrier did not take the region at `at`. */
  #takeBack(at: number, bufferId: BufferId): void {
    if (at < this.#queue.length) this.#first = at;
    else this.#core.memory.release(bufferId);
  }

  #endForGood(): void {
    this.close();
    this.#due = 0;
    this.isEnded = true;
    this.#core.ended(this.index);
  }
}

/** `count`, or `max` if that is less; both modulo 2³². */
function atMost(count: number, max: number): number {
  return ((max - count) | 0) < 0 ? max : count;
}
