// SPDX-License-Identifier: MIT
/** The room between threads: one channel as one thread sees it, whatever it carries. */

import { loadAcquire, storeRelease, type Words } from '../base/atomics.ts';
import type { BusbarError } from '../base/errors.ts';
import { ensureStack } from '../base/stack.ts';
import type { BufferPool } from '../pool/index.ts';
import { type Asker, BY_QUESTION, BY_TICK } from '../pool/liveness.ts';
import { TRANSIT_MARK } from '../pool/transit-layout.ts';
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
  READING,
  WRITING,
} from './channel-layout.ts';
import { type ChannelHandle, layoutOf } from './channel-options.ts';
import { NEVER, type RingConsumer, type RingProducer } from './ring.ts';
import { Seats } from './seats.ts';
import { closeSlots, countSlots, finish, SlotConsumer, SlotProducer } from './slot-ring.ts';
import { closeSpsc, countSpsc, eachUnpublished, SpscConsumer, SpscProducer } from './spsc-ring.ts';
import { TICK_MS } from './wait-line.ts';

/** How many ticks `discard` gives senders to publish what they are about to publish. */
const DISCARD_PARKS_MAX = 20;

/** What a channel has counted, in all threads; numbers that change meanwhile are each true once. */
export interface ChannelStats {
  /** Messages taken from senders. */
  readonly sent: number;
  /** Messages handed to receivers. */
  readonly received: number;
  /** Messages that are in the channel. */
  readonly queued: number;
  /** Threads that send; dead ones count until somebody recovers or takes their seat. */
  readonly senders: number;
  /** Threads that receive; likewise. */
  readonly receivers: number;
  /** How often a sender was told "full". */
  readonly full: number;
  /** How often a receiver was told "empty"; looking for messages is not an error. */
  readonly empty: number;
  /** How often senders began to wait. */
  readonly senderWaits: number;
  /** How often receivers began to wait. */
  readonly receiverWaits: number;
}

/** The words of a channel, and what every end of it in this thread shares. */
export class ChannelCore {
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

  /** `words` are a channel's, which somebody has checked. */
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

  /** Refuses senders from here on, in all threads; idempotent. */
  close(): void {
    ensureStack();
    if (this.kind === 'spsc') closeSpsc(this.words);
    else closeSlots(this);
    storeRelease(this.words, HEADER_CLOSED, 1);
    this.senders.ring();
    this.receivers.ring();
  }

  /** Joins the sending side. */
  joinSenders(): number {
    ensureStack();
    this.pool.checkAttached();
    return this.senders.join('sender', this.inheritSender);
  }

  /** Joins the receiving side. */
  joinReceivers(): number {
    ensureStack();
    this.pool.checkAttached();
    return this.receivers.join('receiver', this.inheritReceiver);
  }

  /** Joins the receiving side; −1 if somebody was faster, who will receive what there is. */
  private tryJoinReceivers(): number {
    try {
      return this.joinReceivers();
    } catch (error) {
      if ((error as BusbarError).code !== 'ERR_BUSBAR_CHANNEL_ROLE') throw error;
      return -1;
    }
  }

  /** Sees to what dead threads have left; returns how many seats that freed. */
  recover(asker: Asker): number {
    ensureStack();
    const freed =
      this.senders.recover(this.inheritSender, asker) +
      this.receivers.recover(this.inheritReceiver, asker);
    // They may have died between a change and the ring that it owed.
    if (freed > 0) {
      this.senders.ring();
      this.receivers.ring();
    }
    return freed;
  }

  /**
   * Closes the channel and, if nobody receives, takes out what is queued and what senders are about
   * to publish. Returns how many messages that were. A sender whose death cannot be proven yet does
   * not hold this thread up for ever: what it left is there for the next time.
   */
  discard(): number {
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
        if (parks++ === DISCARD_PARKS_MAX) break;
        doorbell.parkSync(TICK_MS);
        this.recover(BY_TICK);
      }
    }
    this.receivers.vacate(seat);
    // What rang may have been meant for somebody else on this thread.
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

  /**
   * Releases the packet in a payload that nobody will receive. False: there is none, a receiver
   * that died had taken it out.
   */
  readonly takeOut = (at: number): boolean => {
    if (this.carries !== 'packets') return true;
    if (this.words[at + TRANSIT_MARK] === 0) return false;
    this.pool.release(this.pool.receiveFrom(this.words, at));
    return true;
  };

  private readonly inheritSender = (seat: number): void => {
    if (this.kind === 'spsc') eachUnpublished(this, this.takeOut);
    else finish(this, WRITING, seat, this.takeOut);
  };

  private readonly inheritReceiver = (seat: number): void => {
    // One that received alone has left no claim: what it took out, its heir finds empty.
    if (this.isShared) finish(this, READING, seat, this.takeOut);
  };
}
