// SPDX-License-Identifier: MIT
/**
 * Memory layout of a channel: where each shared word stands and which thread may write it.
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
 *   HEAD  (others)  position   receivers, having claimed (mpsc: receivers  plain: a hint, never
 *                              having freed), at every eighth              beyond the frontier
 *                              position
 *   seat:
 *     HOLDER        badge      join(): its badge; vacate():     everyone   atomic, SYNC(seat)
 *                              VACANT; recover():
 *                              recoveredBy, then DEAD
 *     WAITING       ends       its holder                       ringers    atomic, SYNC(waiting)
 *     MEMBERS       objects    its holder                       it         plain, one writer
 *     counters      events     its holder                       stats      plain, one writer
 *   slot (spsc)     payload    the sender before TAIL passes    receiver   plain, ordered by
 *                              it, the receiver before HEAD                SYNC(channel-tail),
 *                              (but for TAG)                               SYNC(channel-head)
 *   slot (others):
 *     TURN          see below  senders and receivers            both       atomic, SYNC(turn)
 *     payload       payload    the thread that TURN names       the same   plain, by SYNC(turn)
 *
 * A payload is one word, or the four words of a packet in transit (`pool.moveInto`) and its TAG, an
 * integer of the user's. If the fourth is not 0, the slot holds the packet's reference; if it is 0,
 * the reference was taken out. The sender writes TAG after the four and before it publishes, in
 * each slot anew; so no death or exception leaves another packet's TAG in a published slot. Only
 * senders write it: after the reference was taken out, TAG is as valid as OFFSET and LENGTH, for a
 * receiver that threw and for who looks for what a dead one had in hand (in-hand.ts). A seat
 * is a thread's entry on one side of the channel. A side that allows one thread (spsc; receivers of
 * mpsc) has one seat; otherwise the seat number is the pool's thread slot.
 *
 * **spsc.** TAIL = position · 4 + bits, HEAD = position · 4 + bit; positions run modulo 2³⁰.
 *
 *   HEAD ≤ TAIL ≤ HEAD + C          position p lies in slot p mod C
 *   TAIL bit 0   WAITED: the receiver waits; the sender that moves TAIL clears the bit and rings
 *   TAIL bit 1   CLOSED: TAIL no longer moves
 *   HEAD bit 0   WAITED: the sender waits; the receiver that moves HEAD clears the bit and rings,
 *                with 16 slots or more only once at most half of them are full
 *
 * A slot outside [HEAD, TAIL) that holds a reference was written by a sender that died before it
 * published; its successor releases the reference. A slot inside without a reference was emptied by
 * a receiver that died before it moved HEAD; its successor skips the slot.
 *
 * **mpsc, mpmc.** Positions are claimed in order, each through the TURN of its slot, so no single
 * word is changed by all threads. Position p lies in slot p mod C, in lap p div C.
 *
 *   TURN = { lap: 16 bits, group: 1, phase: 2, receivers wait: 1, senders wait: 1, closed: 1,
 *            seat: 10 }
 *
 *              sender claims             publishes             receiver claims (mpmc)
 *   FREE(lap) ───────────────▶ WRITING ────────────▶ FULL(lap) ─────────────────────▶ READING
 *      ▲                        (seat)                  │ receiver frees (mpsc)         (seat)
 *      └──────── lap + 1 ◀──────────────────────────────┴───────────────────────── frees ──┘
 *
 *   receivers wait   a receiver waits until this slot is FULL; the thread that clears the bit rings
 *                    every receiver that is WAITING
 *   senders wait     a sender waits until this slot is FREE; the thread that clears the bit rings
 *                    every sender that is WAITING
 *   closed           on FREE(lap): position (lap, slot) and all later ones will never be claimed;
 *                    on another phase: the same for the slot's next lap
 *
 * Why positions are claimed in order: a sender claims p only after it saw p − 1 claimed, in the
 * slot's TURN or by a TAIL that was written after the claim. So the frontier is one position, and
 * CLOSED on it stops every sender. A thread that sleeps through exactly 2¹⁶ laps between a load and
 * its compare-exchange may claim out of turn: its own order holds, and nothing is lost unless the
 * channel is closed at that moment. (A group: see *Stale looks* below.)
 *
 * **Groups** (8 slots or more). Position p begins a group if it is a multiple of 8; the slot of its
 * *first* position speaks for the other 7, its *followers*. A batch claims, publishes and frees a
 * group with one compare-exchange each, of the first TURN:
 *
 *   first      WRITING with `group`, READING with `group`: the claim is of all 8 positions, and a
 *              thread that passes goes on to the next group. In other phases `group` is 0.
 *   follower   of a claimed group belongs to its claimant, whatever its TURN says; a sole receiver
 *              (mpsc) owns those that are FULL. Plain stores with `group` set: FULL(lap) before the
 *              first is published, FREE(lap + 1) before the first is freed.
 *
 * *No mark is lost by a plain store.* Marks stand where an end waits. A receiver waits for the
 * oldest position that is not published: while a group is being written, not for its followers. A
 * sender waits for the oldest slot that is not free, or close() marks it: while the first is not
 * free, not a follower.
 * *No one claims a follower twice.* Hints are multiples of 8. So an end comes to a follower only by
 * the first slot of the group, and there by an ordered access: it saw that the first was not
 * claimed with its group; or that it was published or freed, and then sees what was stored before.
 * *Payloads are ordered.* A follower's `group` says that its payload is ordered by the first TURN,
 * which only read-modify-writes change; a follower without it by its own TURN.
 * A group that is claimed for less than 8 messages publishes the rest as FREE(lap + 1).
 * *Stale looks.* A claim of a group looks at the followers first and then compares the first TURN,
 * which repeats after 2¹⁶ laps, 524 288 messages or more. A thread that sleeps between the two
 * through exactly that many laps could claim a group whose followers are in use. It looks at them
 * again after the claim, and if they have changed it takes the claim back; threads that passed the
 * group meanwhile do not return to it, so its positions wait for this thread.
 *
 * Death. WRITING and READING name a seat whose HOLDER is a badge. Once that thread is proven gone,
 * finish() (slot-ring.ts) ends its claims: it releases each packet in them and frees the slots, in
 * a group the first one last; if it dies, too, its successor begins again. So a sender's death can
 * cost 8 messages that were not published, a receiver's (mpmc) 8 that it had claimed. The successor
 * of an mpsc receiver that died within free() finds the first one FULL and followers free: it
 * receives what was not taken out of the first again, and passes over the others.
 *
 * Survival. With HEADER_SURVIVES the channel ends by CLOSED alone, which only close() and destroy()
 * of the channel write. An end that leaves only vacates its seat, and no end gives up because the
 * other side has died: it recovers the dead at each tick, and waits for a successor. Any thread of
 * the pool may join; where a side has one seat, once its holder has left or is proven gone. What a
 * death leaves is as above: what was published stays, in order; what the dead had claimed (a
 * sender's unpublished packet, a receiver's packet taken out) is what is lost. A thread may also
 * die between a change and the ring for it, so who takes over a seat rings both sides.
 *
 * Exceptions. Any call may throw because the stack is full, in a thread that lives on. A call that
 * throws has sent or received nothing: the compare-exchange that publishes or frees comes last,
 * except for the ring. The stack is checked before the compare-exchange; if the ring still throws,
 * a microtask rings. A call that throws earlier can leave behind:
 *
 *   left behind                                      who continues
 *   WRITING, READING by a living thread              the next claim() or peek() of the same end
 *                                                    returns it again; close() ends it. Others wait
 *                                                    until then, so ends that claim check the stack
 *                                                    before they claim.
 *   a slot whose packet was taken out, not free      the next receiving call hands the packet out
 *   slots of a drain that were handed out, not free  the next receiving call frees them
 *   WAITING without a waiter                         the next wait of the same end; until then
 *                                                    rings have no effect
 */

import { assert } from '../base/assert.ts';
import { LINE_WORDS } from '../base/lines.ts';
import { NAME_WORDS } from '../pool/holder-layout.ts';
import { POOL_IDENTITY_WORDS } from '../pool/pool-identity.ts';
import { TRANSIT_WORDS } from '../pool/transit-layout.ts';

export const CHANNEL_MAGIC = 0x6368616e;
export const CHANNEL_VERSION = 5;

let word = 0;
export const HEADER_MAGIC: number = word++;
export const HEADER_VERSION: number = word++;
export const HEADER_KIND: number = word++;
export const HEADER_CARRIES: number = word++;
export const HEADER_CAPACITY: number = word++;
/** Identity of the pool: its packets, its threads. */
export const HEADER_POOL: number = word;
word += POOL_IDENTITY_WORDS;
export const HEADER_THREADS: number = word++;
/** Not zero: closed. Written after the mark in the ring that stops the senders. */
export const HEADER_CLOSED: number = word++;
export const HEADER_NAME: number = word;
word += NAME_WORDS;
/** Not zero: the option `survives`. */
export const HEADER_SURVIVES: number = word++;
assert(word <= LINE_WORDS, 'header fields must fit in one line');

export const TAIL: number = LINE_WORDS;
export const HEAD: number = 2 * LINE_WORDS;
const SEATS: number = 3 * LINE_WORDS;

// Seat record: one line.
word = 0;
export const HOLDER: number = word++;
export const WAITING: number = word++;
export const MEMBERS: number = word++;
/** Messages that passed this seat: low 32 bits, then high. */
export const PASSED: number = word++;
export const PASSED_HIGH: number = word++;
/** Calls that returned "not now". */
export const REFUSED: number = word++;
/** Waits begun. */
export const WAITS: number = word++;
assert(word <= LINE_WORDS, 'seat fields must fit in one line');

/** HOLDER: the seat is free. */
export const VACANT = 0;
/** HOLDER: the seat is free; its last holder died and was recovered. */
export const DEAD = -1;
/** HOLDER below DEAD: the thread with the badge DEAD − HOLDER is recovering a dead holder. */
export function recoveredBy(badge: number): number {
  return DEAD - badge;
}

// HEADER_KIND: an index of this list.
export const CHANNEL_KINDS = ['spsc', 'mpsc', 'mpmc'] as const;
/** HEADER_CARRIES: an index of this list. */
export const CHANNEL_LOADS = ['packets', 'words'] as const;

/** How many threads may send and receive: one, or many, each. */
export type ChannelKind = (typeof CHANNEL_KINDS)[number];
/** What a channel carries: references to regions of buffers, or bare integers. */
export type ChannelLoad = (typeof CHANNEL_LOADS)[number];

/**
 * Payload of a packet: TAG, after the words of transit-layout.ts. Hot paths write `at + (4
 * satisfies PayloadTag)`, for the reason given there.
 */
export type PayloadTag = 4;
const PAYLOAD_TAG: PayloadTag = TRANSIT_WORDS;

/** spsc: TAIL and HEAD count in steps of this, above their bits. */
export const STEP = 4;
/** spsc: bit of TAIL and HEAD. */
export const WAITED = 1;
/** spsc: bit of TAIL. */
export const CLOSED = 2;

// Fields of TURN.
export const LAP_SHIFT = 16;
export const LAP: number = 1 << LAP_SHIFT;
/** The claim of a group; in a follower: written together with its group. */
export const GROUPED: number = 1 << 15;
export const PHASE_MASK: number = 3 << 13;
export const FREE: number = 0 << 13;
export const WRITING: number = 1 << 13;
export const FULL: number = 2 << 13;
export const READING: number = 3 << 13;
export const RECEIVERS_WAIT: number = 1 << 12;
export const SENDERS_WAIT: number = 1 << 11;
export const TURN_CLOSED: number = 1 << 10;
export const SEAT_MASK: number = (1 << 10) - 1;
export const MARKS: number = RECEIVERS_WAIT | SENDERS_WAIT | TURN_CLOSED;
assert((GROUPED | PHASE_MASK | MARKS | SEAT_MASK) === LAP - 1, 'fields fill the word');

/** Slots of a group. A power of two. */
export const GROUP = 8;

/** Most slots of a channel. */
export const CAPACITY_MAX: number = 1 << 15;

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
    const payloadWords = carries === 'packets' ? PAYLOAD_TAG + 1 : 1;
    this.senderSeats = kind === 'spsc' ? 1 : maxThreads;
    this.receiverSeats = kind === 'mpmc' ? maxThreads : 1;
    // spsc: dense, for slots are written and read in runs. Others: a power of two, so that no slot
    // lies across two lines.
    this.slotWords = kind === 'spsc' ? payloadWords : carries === 'packets' ? 8 : 2;
    this.slots = SEATS + (this.senderSeats + this.receiverSeats) * LINE_WORDS;
    // One more line: the block is not aligned to lines; its parts are a line apart.
    this.wordCount = this.slots + capacity * this.slotWords + LINE_WORDS;
  }

  senderSeat(seat: number): number {
    return SEATS + seat * LINE_WORDS;
  }

  receiverSeat(seat: number): number {
    return SEATS + (this.senderSeats + seat) * LINE_WORDS;
  }
}
