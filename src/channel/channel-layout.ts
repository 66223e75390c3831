// SPDX-License-Identifier: MIT
/**
 * The room between threads, as a plan: where each shared word of a channel stands and who may write
 * it.
 *
 *   one block, in lines of 32 words (128 bytes)
 *   ┌────────┬────────┬────────┬───────────────────┬─────────────────────┬─────────────┐
 *   │ header │ tail   │ head   │ sender seats      │ receiver seats      │ ring        │
 *   │ 1 line │ 1 line │ 1 line │ 1 line each       │ 1 line each         │ C slots     │
 *   └────────┴────────┴────────┴───────────────────┴─────────────────────┴─────────────┘
 *
 *   word            unit       written by                       read by    access
 *   header          various    the creator, at first            anyone     plain, immutable
 *   its CLOSED      flag       close()                          anyone     atomic
 *   TAIL  (spsc)    see below  the sender; a waiting receiver;  both       atomic,
 *                              close()                                     SYNC(channel-tail)
 *   TAIL  (others)  position   senders, having claimed, at      senders    plain: a hint, never
 *                              every eighth position                       beyond the frontier
 *   HEAD  (spsc)    see below  the receiver; a waiting sender   both       atomic,
 *                                                                          SYNC(channel-head)
 *   HEAD  (others)  position   receivers, having claimed (if    receivers  plain: a hint, likewise
 *                              one, having freed), likewise
 *   seat:
 *     HOLDER        badge      who joins: its badge; it,        everyone   atomic, SYNC(seat)
 *                              leaving: NOBODY; recover():
 *                              recoveredBy, then DEAD
 *     WAITING       ends       its holder                       ringers    atomic, SYNC(waiting)
 *     MEMBERS       objects    its holder                       it         plain, one writer
 *     counters      events     its holder                       stats      plain, one writer
 *   slot (spsc)     payload    the sender before TAIL passes    receiver   plain, ordered by
 *                              it, the receiver before HEAD                SYNC(channel-tail),
 *                                                                          SYNC(channel-head)
 *   slot (others):
 *     TURN          see below  senders and receivers            both       atomic, SYNC(turn)
 *     payload       payload    whom TURN names                  the same   plain, by SYNC(turn)
 *
 * A payload is one word, or the four words of a packet in transit (`pool.sendInto`). The fourth
 * says who holds the packet's reference: not 0, the slot does; 0, nobody any more. A seat is one
 * for the whole side where only one thread may be on it (spsc; receivers of mpsc), else the seat
 * number is the pool's thread slot.
 *
 * **spsc.** TAIL = position · 4 + bits, HEAD = position · 4 + bit; positions run modulo 2³⁰.
 *
 *   HEAD ≤ TAIL ≤ HEAD + C          position p lies in slot p mod C
 *   TAIL bit 0   WAITED: the receiver waits; whoever moves TAIL takes the bit off and rings
 *   TAIL bit 1   CLOSED: TAIL does not move any more
 *   HEAD bit 0   WAITED: the sender waits; whoever moves HEAD takes the bit off and rings
 *
 * Slots outside of [HEAD, TAIL) that hold a reference were written by a sender that died before it
 * published them: its heir releases them. Slots inside without one had been emptied by a receiver
 * that died before it said so: its heir passes over them.
 *
 * **mpsc, mpmc.** Positions are claimed in order, each through the TURN of its slot, so there is no
 * word that all have to change. Position p lies in slot p mod C, in lap p div C.
 *
 *   TURN = { lap: 17 bits, phase: 2, receivers wait: 1, senders wait: 1, closed: 1, seat: 10 }
 *
 *              sender claims             publishes             receiver claims (mpmc)
 *   FREE(lap) ───────────────▶ WRITING ────────────▶ FULL(lap) ─────────────────────▶ READING
 *      ▲                        (seat)                  │ receiver frees (mpsc)         (seat)
 *      └──────── lap + 1 ◀──────────────────────────────┴───────────────────────── frees ──┘
 *
 *   receivers wait   some receiver wants to know when this slot is FULL next; who takes the bit
 *                    off rings all receivers that are WAITING
 *   senders wait     some sender wants to know when this slot is FREE next; likewise
 *   closed           on FREE(lap): position (lap, slot) and those behind it will never be claimed;
 *                    on another phase: that is so for the slot's next lap
 *
 * Why positions are claimed in order: a sender claims p only after it saw p − 1 claimed, in the
 * slot's TURN or by a TAIL that was written after the claim. So the frontier is one position, and
 * CLOSED on it stops every sender. A thread that sleeps through exactly 2¹⁷ laps between a look and
 * its compare-exchange may claim out of turn: its own order holds, and nothing is lost unless the
 * channel is closed in that very moment.
 *
 * Death. WRITING and READING name a seat whose HOLDER is a badge. Once that thread is proven gone,
 * finish() (slot-ring.ts) publishes what was completely written, frees what was not, and gives back
 * what had been claimed for reading and not taken.
 *
 * Exceptions. Any call may throw because the stack is full, in a thread that lives on. A call that
 * throws has sent or received nothing: the compare-exchange that publishes or frees is the last
 * call that may. What is told to others after it, a ring, is looked at the stack for before it, and
 * if it throws all the same, a microtask rings. What a call leaves that throws before:
 *
 *   left behind                                      who goes on with it
 *   WRITING, READING by a living thread              the next claim() or peek() of the same end
 *                                                    returns it again; close() ends it. Others wait
 *                                                    meanwhile, so ends that claim look at the
 *                                                    stack before.
 *   a slot whose packet was taken out, not free      the next call that receives hands it out
 *   slots of a drain that were handed out, not free  the next call that receives frees them
 *   WAITING without anybody who waits                the next wait of the same end; until then
 *                                                    whoever rings does so in vain
 */

import { assert } from '../base/assert.ts';
import { LINE_WORDS } from '../base/lines.ts';
import { POOL_IDENTITY_WORDS } from '../pool/pool-identity.ts';
import { TRANSIT_WORDS } from '../pool/transit-layout.ts';

export const CHANNEL_MAGIC = 0x6368616e;
export const CHANNEL_VERSION = 2;

let word = 0;
export const HEADER_MAGIC: number = word++;
export const HEADER_VERSION: number = word++;
export const HEADER_KIND: number = word++;
export const HEADER_CARRIES: number = word++;
export const HEADER_CAPACITY: number = word++;
/** Which pool its packets lie in, and whose threads use it. */
export const HEADER_POOL: number = word;
word += POOL_IDENTITY_WORDS;
export const HEADER_THREADS: number = word++;
/** Not zero: closed. Written after the mark in the ring that stops the senders. */
export const HEADER_CLOSED: number = word++;
assert(word <= LINE_WORDS, 'header fields must fit in one line');

export const TAIL: number = LINE_WORDS;
export const HEAD: number = 2 * LINE_WORDS;
const SEATS: number = 3 * LINE_WORDS;

// Seat record: one line.
word = 0;
export const HOLDER: number = word++;
export const WAITING: number = word++;
export const MEMBERS: number = word++;
/** Messages that passed this seat, modulo 2³², and how often that ran over. */
export const PASSED: number = word++;
export const PASSED_HIGH: number = word++;
/** How often the answer was "not now". */
export const REFUSED: number = word++;
/** How often somebody here began to wait. */
export const WAITS: number = word++;
assert(word <= LINE_WORDS, 'seat fields must fit in one line');

/** HOLDER: the seat is free. */
export const NOBODY = 0;
/** HOLDER: the seat is free; its last holder died, and what it had begun was seen to. */
export const DEAD = -1;
/**
 * HOLDER below DEAD: the thread with the badge DEAD − HOLDER sees to what a dead holder had begun.
 */
export function recoveredBy(badge: number): number {
  return DEAD - badge;
}

/** HEADER_KIND: the place in this list. */
export const CHANNEL_KINDS = ['spsc', 'mpsc', 'mpmc'] as const;
/** HEADER_CARRIES: the place in this list. */
export const CHANNEL_LOADS = ['packets', 'words'] as const;

/** How many threads may send and receive: one, or many, each. */
export type ChannelKind = (typeof CHANNEL_KINDS)[number];
/** What travels: references on regions of buffers, or bare integers. */
export type ChannelLoad = (typeof CHANNEL_LOADS)[number];

/** spsc: TAIL and HEAD count in steps of this, above their bits. */
export const STEP = 4;
/** spsc: bit of TAIL and HEAD. */
export const WAITED = 1;
/** spsc: bit of TAIL. */
export const CLOSED = 2;

// Fields of TURN.
export const LAP_SHIFT = 15;
export const LAP: number = 1 << LAP_SHIFT;
export const PHASE_MASK: number = 3 << 13;
export const FREE: number = 0 << 13;
export const WRITING: number = 1 << 13;
export const FULL: number = 2 << 13;
export const READING: number = 3 << 13;
export const RECEIVERS_WAIT: number = 1 << 12;
export const SENDERS_WAIT: number = 1 << 11;
export const TURN_CLOSED: number = 1 << 10;
export const SEAT_MASK: number = (1 << 10) - 1;
assert((PHASE_MASK | (3 << 11) | TURN_CLOSED | SEAT_MASK) === LAP - 1, 'fields fill the word');

/**
 * At most this many slots: then laps wrap where 32-bit positions do, whatever the capacity.
 */
export const CAPACITY_MAX: number = 1 << LAP_SHIFT;

/** Where everything stands in the block of a channel of a given shape. */
export class ChannelLayout {
  readonly senderSeats: number;
  readonly receiverSeats: number;
  /** First word of slot 0; in slots that have one, TURN. */
  readonly slots: number;
  /** Words from one slot to the next. */
  readonly slotWords: number;
  readonly wordCount: number;

  constructor(kind: ChannelKind, carries: ChannelLoad, capacity: number, maxThreads: number) {
    const payloadWords = carries === 'packets' ? TRANSIT_WORDS : 1;
    this.senderSeats = kind === 'spsc' ? 1 : maxThreads;
    this.receiverSeats = kind === 'mpmc' ? maxThreads : 1;
    // A power of two, so that no slot lies across two lines.
    this.slotWords = kind === 'spsc' ? payloadWords : 2 * payloadWords;
    this.slots = SEATS + (this.senderSeats + this.receiverSeats) * LINE_WORDS;
    // One line more: the block as a whole is not aligned to lines, only its parts are a line apart.
    this.wordCount = this.slots + capacity * this.slotWords + LINE_WORDS;
  }

  senderSeat(seat: number): number {
    return SEATS + seat * LINE_WORDS;
  }

  receiverSeat(seat: number): number {
    return SEATS + (this.senderSeats + seat) * LINE_WORDS;
  }
}
