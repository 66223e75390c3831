// SPDX-License-Identifier: MIT
/**
 * A bounded queue between two threads (spsc): one sends, one receives, neither waits for a step of
 * the other.
 *
 * It is Lamport's ring buffer; each side caches the other's index (as FastForward and its
 * successors do), so a message costs the sender one read-modify-write, and the receiver one per
 * batch. The bits in TAIL and HEAD make "publish, then check for a waiter" one operation.
 */

import { assert } from '../base/assert.ts';
import { compareExchange, fetchOr, loadAcquire, loadSeqCst, type Words } from '../base/atomics.ts';
import { ensureStep } from '../base/stack.ts';
import { CLOSED, HEAD, STEP, TAIL, WAITED } from './channel-layout.ts';
import { NEVER, NOT_NOW, type RingConsumer, type RingProducer } from './ring.ts';
import type { Seats } from './seats.ts';

assert(STEP === 1 << 2, 'positions are shifted by two below');

/** The position in TAIL or HEAD, in steps. */
function positionOf(word: number): number {
  return word & ~(STEP - 1);
}

/** Where the slots of a channel lie, and the seats to ring. */
export interface SpscShape {
  readonly words: Words;
  readonly slots: number;
  readonly slotWords: number;
  readonly capacity: number;
  readonly senders: Seats;
  readonly receivers: Seats;
}

export class SpscProducer implements RingProducer {
  private readonly words: Words;
  private readonly slots: number;
  private readonly slotWords: number;
  private readonly mask: number;
  private readonly capacitySteps: number;
  private readonly tailAt: number = TAIL;
  private readonly receivers: Seats;
  /** This side's position in steps: TAIL without its bits. */
  private tail: number;
  /** The receiver's position as last read. */
  private head: number;

  constructor(shape: SpscShape) {
    this.words = shape.words;
    this.slots = shape.slots;
    this.slotWords = shape.slotWords;
    this.mask = shape.capacity - 1;
    this.capacitySteps = shape.capacity * STEP;
    this.receivers = shape.receivers;
    this.tail = positionOf(loadAcquire(shape.words, TAIL));
    this.head = positionOf(loadAcquire(shape.words, HEAD));
  }

  room(max: number): number {
    // A claim changes nothing before it is published.
    return this.claim(max);
  }

  claim(max: number): number {
    const words = this.words;
    let room = this.capacitySteps - ((this.tail - this.head) | 0);
    if (room < max * STEP) {
      // SYNC(channel-head): sees that the receiver has emptied the slots; pairs with free().
      this.head = positionOf(loadAcquire(words, HEAD));
      room = this.capacitySteps - ((this.tail - this.head) | 0);
    }
    // A hint: publish() decides whether the channel is closed.
    if ((words[this.tailAt] & CLOSED) !== 0) return NEVER;
    const toEnd = this.mask + 1 - ((this.tail >>> 2) & this.mask);
    const most = max < toEnd ? max : toEnd;
    return room >= most * STEP ? most : room >> 2;
  }

  slot(): number {
    return this.slots + ((this.tail >>> 2) & this.mask) * this.slotWords;
  }

  publish(count: number): boolean {
    const tail = this.tail;
    const next = (tail + count * STEP) | 0;
    // SYNC(channel-tail): publishes the slots; pairs with peek().
    if (compareExchange(this.words, this.tailAt, tail, next) === tail) {
      this.tail = next;
      return true;
    }
    // TAIL has bits: the receiver waits, or the channel is closed.
    ensureStep();
    const marked = tail | WAITED;
    // SYNC(channel-tail): as above. Apart from us only the receiver and close() change TAIL.
    if (compareExchange(this.words, this.tailAt, marked, next) !== marked) return false;
    this.tail = next;
    try {
      this.receivers.ring();
    } catch {
      this.receivers.soon.then(this.receivers.ringLater);
    }
    return true;
  }

  abort(): void {
    // Nothing to do: a claim writes no shared word.
  }

  arm(): boolean {
    const words = this.words;
    if ((loadSeqCst(words, TAIL) & CLOSED) !== 0) return false;
    // SYNC(channel-head): if the receiver has moved on, this thread looks again; else the receiver
    // finds the bit when it does.
    const head = loadAcquire(words, HEAD);
    this.head = positionOf(head);
    if (((this.tail - this.head) | 0) < this.capacitySteps) return false;
    return compareExchange(words, HEAD, head, head | WAITED) === head;
  }
}

export class SpscConsumer implements RingConsumer {
  readonly pending: number = -1;
  private readonly words: Words;
  private readonly slots: number;
  private readonly slotWords: number;
  private readonly mask: number;
  private readonly tailAt: number = TAIL;
  private readonly headAt: number = HEAD;
  private readonly senders: Seats;
  /** This side's position in steps: HEAD without its bit. */
  private head: number;
  /** The sender's position as last read. */
  private tail: number;
  /** A sender that waits is woken when this many messages are left, or fewer. */
  private readonly wakeMax: number;

  constructor(shape: SpscShape) {
    this.words = shape.words;
    this.slots = shape.slots;
    this.slotWords = shape.slotWords;
    this.mask = shape.capacity - 1;
    this.wakeMax = shape.capacity < 16 ? shape.capacity : shape.capacity >> 1;
    this.senders = shape.senders;
    this.head = positionOf(loadAcquire(shape.words, HEAD));
    this.tail = this.head;
  }

  get hasNews(): boolean {
    return this.head !== this.tail || this.words[this.tailAt] !== this.tail;
  }

  peek(max: number): number {
    let count = (this.tail - this.head) >> 2;
    if (count === 0) {
      // A hint: a published word becomes visible eventually, and arm() loads with order.
      if (this.words[this.tailAt] === this.tail) return NOT_NOW;
      // SYNC(channel-tail): sees the slots as the sender published them; pairs with publish().
      const tail = loadAcquire(this.words, this.tailAt);
      this.tail = positionOf(tail);
      count = (this.tail - this.head) >> 2;
      if (count === 0) return (tail & CLOSED) !== 0 ? NEVER : NOT_NOW;
    }
    const toEnd = this.mask + 1 - ((this.head >>> 2) & this.mask);
    const most = max < toEnd ? max : toEnd;
    return count < most ? count : most;
  }

  slot(): number {
    return this.slots + ((this.head >>> 2) & this.mask) * this.slotWords;
  }

  free(count: number): void {
    const head = this.head;
    const next = (head + count * STEP) | 0;
    // SYNC(channel-head): publishes that the slots are empty; pairs with claim().
    if (compareExchange(this.words, this.headAt, head, next) === head) {
      this.head = next;
      return;
    }
    ensureStep();
    // The sender is asleep, and no other thread changes HEAD. It is woken for many slots at once:
    // not while more than half are full, as this thread will come to them. If it does not, the
    // sender looks again by its own clock (TICK_MS, wait-line.ts).
    const left = (this.tail - next) >> 2;
    if (left > this.wakeMax) {
      compareExchange(this.words, this.headAt, head | WAITED, next | WAITED);
      this.head = next;
      return;
    }
    compareExchange(this.words, this.headAt, head | WAITED, next);
    this.head = next;
    try {
      this.senders.ring();
    } catch {
      this.senders.soon.then(this.senders.ringLater);
    }
  }

  arm(): boolean {
    // SYNC(channel-tail): if the sender has published, this thread tries again; if not, the sender
    // will find the bit.
    const tail = loadAcquire(this.words, TAIL);
    if (positionOf(tail) !== this.head || (tail & CLOSED) !== 0) return false;
    return compareExchange(this.words, TAIL, tail, tail | WAITED) === tail;
  }
}

/** Stops the sender for good; published messages stay. */
export function closeSpsc(words: Words): void {
  fetchOr(words, TAIL, CLOSED);
}

/** Number of messages in the ring. */
export function countSpsc(words: Words): number {
  const head = positionOf(loadAcquire(words, HEAD));
  return (positionOf(loadAcquire(words, TAIL)) - head) >> 2;
}

/** Calls back with the payload index of each slot outside [HEAD, TAIL). */
export function eachUnpublished(shape: SpscShape, callback: (at: number) => void): void {
  const { words, slots, slotWords, capacity } = shape;
  const tail = loadAcquire(words, TAIL) >>> 2;
  const room = capacity - countSpsc(words);
  for (let i = 0; i < room; i++) callback(slots + ((tail + i) & (capacity - 1)) * slotWords);
}

/**
 * Calls back with the payload index of each slot whose message may have been taken out, the newest
 * first. In slots before HEAD the sender may be writing meanwhile: callers check what they read.
 */
export function eachTaken(shape: SpscShape, callback: (at: number) => void): void {
  const { words, slots, slotWords, capacity } = shape;
  const tail = loadAcquire(words, TAIL) >>> 2;
  for (let i = 1; i <= capacity; i++) {
    callback(slots + ((tail - i) & (capacity - 1)) * slotWords);
  }
}
