// SPDX-License-Identifier: MIT
/** One thread's view of a channel, whatever it carries: its words, its seats, closing, recovery. */

import { loadAcquire, storeRelease, type Words } from '../base/atomics.ts';
import type { BusbarError } from '../base/errors.ts';
import { ensureStack } from '../base/stack.ts';
import { readName } from '../pool/holders.ts';
import type { BufferPool } from '../pool/index.ts';
import { type Asker, BY_QUESTION, BY_TICK } from '../pool/liveness.ts';
import { TRANSIT_MARK } from '../pool/transit-layout.ts';
import type { TransitSource } from '../pool/transits.ts';
import { TICK_MS } from '../pool/wait-line.ts';
import {
  CHANNEL_KINDS,
  CHANNEL_LOADS,
  CHANNEL_VERSION,
  type ChannelKind,
  type ChannelLoad,
  HEADER_CAPACITY,
  HEADER_CARRIES,
  HEADER_CLOSED,
  HEADER_KIND,
  HEADER_NAME,
  HEADER_SURVIVES,
  type PayloadTag,
  READING,
  WRITING,
} from './channel-layout.ts';
import { type ChannelHandle, layoutOf } from './channel-options.ts';
import { NEVER, type RingConsumer, type RingProducer } from './ring.ts';
import { Seats } from './seats.ts';
import { closeSlots, countSlots, finish, SlotConsumer, SlotProducer } from './slot-ring.ts';
import { closeSpsc, countSpsc, eachUnpublished, SpscConsumer, SpscProducer } from './spsc-ring.ts';

/** Ticks that `destroy` waits for senders that have claimed a slot and not yet published it. */
const DESTROY_PARKS_MAX = 20;

/** Counters of a channel over all threads. Each was true at some moment, not all at the same. */
export interface ChannelStats {
  /** Messages taken from senders. */
  readonly sent: number;
  /** Messages handed to receivers. */
  readonly received: number;
  /** Messages in the channel. */
  readonly queued: number;
  /** Threads that send; a dead one counts until its seat is recovered or taken over. */
  readonly senders: number;
  /** Threads that receive; a dead one counts until its seat is recovered or taken over. */
  readonly receivers: number;
  /** Sends that found the channel full. */
  readonly full: number;
  /** Receives that found the channel empty; polling is not an error. */
  readonly empty: number;
  /** Waits that senders began. */
  readonly senderWaits: number;
  /** Waits that receivers began. */
  readonly receiverWaits: number;
}

/** The words of a channel, and what all its ends in this thread share. */
export class ChannelCore implements TransitSource {
  readonly pool: BufferPool;
  readonly words: Words;
  readonly kind: ChannelKind;
  readonly carries: ChannelLoad;
  readonly capacity: number;
  readonly senders: Seats;
  readonly receivers: Seats;
  readonly slots: number;
  readonly slotWords: number;
  /** Slots: true if several threads may receive. */
  readonly isShared: boolean;

  /** `words` must be a channel's, already checked. */
  constructor(pool: BufferPool, words: Words) {
    const layout = layoutOf(words);
    this.pool = pool;
    this.words = words;
    this.kind = CHANNEL_KINDS[words[HEADER_KIND]];
    this.carries = CHANNEL_LOADS[words[HEADER_CARRIES]];
    this.capacity = words[HEADER_CAPACITY];
    this.slots = layout.slots;
    this.slotWords = layout.slotWords;
    this.isShared = this.kind === 'mpmc';
    const one = this.kind === 'spsc';
    this.senders = new Seats(pool, words, layout.senderSeats, one, (seat) =>
      layout.senderSeat(seat),
    );
    this.receivers = new Seats(pool, words, layout.receiverSeats, !this.isShared, (seat) =>
      layout.receiverSeat(seat),
    );
    // `who()` finds lanes in the pool's own block by itself.
    const isOwn = words.buffer !== pool.handle.control;
    if (isOwn && this.carries === 'packets') pool.transits.add(this);
  }

  /** It ends by {@link close} alone, not when an end leaves or dies. */
  get survives(): boolean {
    return this.words[HEADER_SURVIVES] !== 0;
  }

  get name(): string {
    return readName(this.words, HEADER_NAME);
  }

  readonly transitKind = 'channel';

  get transitName(): string {
    return this.name;
  }

  get transitBlock(): object {
    return this.words.buffer;
  }

  eachInTransit(visit: (id: number) => void): void {
    const { words, slots, slotWords, capacity } = this;
    const payload = slots + (this.kind === 'spsc' ? 0 : 1);
    for (let i = 0; i < capacity; i++) {
      const at = payload + i * slotWords;
      if (words[at + TRANSIT_MARK] !== 0) visit(words[at]);
    }
  }

  /** Calls back with the tag of each packet in the channel. */
  eachTag(visit: (tag: number) => void): void {
    const { words, slots, slotWords, capacity } = this;
    const payload = slots + (this.kind === 'spsc' ? 0 : 1);
    for (let i = 0; i < capacity; i++) {
      const at = payload + i * slotWords;
      if (words[at + TRANSIT_MARK] !== 0) visit(words[at + (4 satisfies PayloadTag)]);
    }
  }

  get handle(): ChannelHandle {
    const control = this.words.buffer as SharedArrayBuffer;
    const handle: ChannelHandle = { kind: 'busbar/channel', version: CHANNEL_VERSION, control };
    const begin = this.words.byteOffset / Int32Array.BYTES_PER_ELEMENT;
    return begin === 0 ? handle : { ...handle, begin };
  }

  producer(seat: number): RingProducer {
    return this.kind === 'spsc' ? new SpscProducer(this) : new SlotProducer(this, seat);
  }

  consumer(seat: number): RingConsumer {
    return this.kind === 'spsc' ? new SpscConsumer(this) : new SlotConsumer(this, seat);
  }

  get isClosed(): boolean {
    return loadAcquire(this.words, HEADER_CLOSED) !== 0;
  }

  /** Stops senders in all threads. Idempotent. */
  close(): void {
    ensureStack();
    if (this.kind === 'spsc') closeSpsc(this.words);
    else closeSlots(this);
    storeRelease(this.words, HEADER_CLOSED, 1);
    this.senders.ring();
    this.receivers.ring();
  }

  /** Joins the sending side. The caller has looked at the stack. */
  joinSenders(): number {
    this.pool.checkAttached();
    return this.senders.join('sender', this.inheritSender);
  }

  /** Joins the receiving side. The caller has looked at the stack. */
  joinReceivers(): number {
    this.pool.checkAttached();
    return this.receivers.join('receiver', this.inheritReceiver);
  }

  /** Joins the receiving side; −1 if another thread has joined it, which will receive the rest. */
  private tryJoinReceivers(): number {
    try {
      return this.joinReceivers();
    } catch (error) {
      if ((error as BusbarError).code !== 'ERR_BUSBAR_CHANNEL_ROLE') throw error;
      return -1;
    }
  }

  /** Cleans up after dead threads; returns the number of seats freed. */
  recover(asker: Asker): number {
    ensureStack();
    const freed =
      this.senders.recover(this.inheritSender, asker) +
      this.receivers.recover(this.inheritReceiver, asker);
    // Who waits learns of the deaths.
    if (freed > 0) this.ringAll();
    return freed;
  }

  /**
   * Closes the channel and, if no thread receives, takes out what is queued and what senders are
   * about to publish. Returns the number of messages. The wait for a sender whose death cannot be
   * proven yet is bounded: a later call finds what that sender left.
   */
  destroy(): number {
    ensureStack();
    this.close();
    // A dead sender may have left packets that it never published.
    this.recover(BY_QUESTION);
    if (!this.receivers.isEmpty && !this.receivers.isDead) return 0;
    const seat = this.tryJoinReceivers();
    if (seat < 0) return 0;
    const ring = this.consumer(seat);
    const { doorbell, threadSlot } = this.pool;
    this.receivers.changeWaiting(seat, 1);
    let count = 0;
    let parks = 0;
    for (let there = ring.peek(1); there !== NEVER; there = ring.peek(1)) {
      if (there > 0) {
        if (this.takeOut(ring.slot())) count++;
        ring.free(1);
      } else if (ring.arm()) {
        // A sender has claimed a slot and is about to publish it, unless it died.
        if (parks++ === DESTROY_PARKS_MAX) break;
        doorbell.parkSync(TICK_MS);
        this.recover(BY_TICK);
      }
    }
    this.receivers.vacate(seat);
    // A ring may have been meant for another waiter of this thread.
    if (parks > 0) doorbell.ring(threadSlot);
    return count;
  }

  stats(): ChannelStats {
    const sent = this.senders.counts();
    const received = this.receivers.counts();
    return {
      sent: sent.messages,
      received: received.messages,
      queued: this.kind === 'spsc' ? countSpsc(this.words) : countSlots(this),
      senders: sent.threads,
      receivers: received.threads,
      full: sent.refused,
      empty: received.refused,
      senderWaits: sent.waits,
      receiverWaits: received.waits,
    };
  }

  /** Releases the packet in a payload. False if a receiver that died had already taken it out. */
  readonly takeOut = (at: number): boolean => {
    if (this.carries !== 'packets') return true;
    if (this.words[at + TRANSIT_MARK] === 0) return false;
    this.pool.release(this.pool.moveFromWords(this.words, at));
    return true;
  };

  private readonly inheritSender = (seat: number): void => {
    if (this.kind === 'spsc') eachUnpublished(this, this.takeOut);
    else finish(this, WRITING, seat, this.takeOut);
    this.ringAll();
  };

  private readonly inheritReceiver = (seat: number): void => {
    // A sole receiver leaves no claims; its successor skips the slots that it emptied.
    if (this.isShared) finish(this, READING, seat, this.takeOut);
    this.ringAll();
  };

  /** A thread may have died between a change and the ring that announces it. */
  private ringAll(): void {
    this.senders.ring();
    this.receivers.ring();
  }
}
