// SPDX-License-Identifier: MIT
/**
 * A ring buffer for many senders (mpsc, mpmc): each slot holds the state of its turn, so no thread
 * holds a lock and no thread's death stops the others.
 *
 * It follows Vyukov's bounded MPMC queue, with one difference: a position is claimed in the slot
 * itself, with the claimant's seat, not in one index that all threads contend for. So the claims of
 * a dead thread can be found; the indices are only hints.
 */

import { compareExchange, loadAcquire, type Words } from '../base/atomics.ts';
import { ensureStep } from '../base/stack.ts';
import {
  CAPACITY_MAX,
  FREE,
  FULL,
  HEAD,
  LAP,
  LAP_SHIFT,
  PHASE_MASK,
  READING,
  RECEIVERS_WAIT,
  SEAT_MASK,
  SENDERS_WAIT,
  TAIL,
  TURN_CLOSED,
  WRITING,
} from './channel-layout.ts';
import { NEVER, NOT_NOW, type RingConsumer, type RingProducer } from './ring.ts';
import type { Seats } from './seats.ts';

/**
 * A hint is written at every eighth position. All threads of a side write it, and each write takes
 * the cache line from the others. With two senders on two cores a message takes a third less time
 * than with a hint at every position (measured 2026-11). From a hint, at most seven steps remain.
 */
const HINT_MASK = 7;

/** More positions than any hint lags. */
const HINT_LAG_MAX = 4 * CAPACITY_MAX;

/** Where the slots of a channel lie, and the seats to ring. */
export interface SlotShape {
  readonly words: Words;
  readonly slots: number;
  readonly slotWords: number;
  readonly capacity: number;
  /** True if several threads may receive. */
  readonly isShared: boolean;
  readonly senders: Seats;
  readonly receivers: Seats;
}

/** The number of laps from `lap`, shifted as in TURN, to the lap of `turn`. */
function lapsFrom(lap: number, turn: number): number {
  return (turn - lap) >> LAP_SHIFT;
}

/**
 * True if the hint is ahead of a position. The claimant of each eighth position writes the hint
 * before it leaves the slot, so a hint lags the frontier by at most two laps and eight positions. A
 * position that seems much further ahead of the hint is half the number circle or more behind it.
 */
function isBehind(position: number, hint: number): boolean {
  const ahead = (hint - position) | 0;
  return ahead > 0 || ahead < -HINT_LAG_MAX;
}

/** The next position that may be free after one that is taken. */
function following(position: number, hint: number): number {
  const next = (position + 1) | 0;
  return isBehind(next, hint) ? hint : next;
}

/**
 * Changes phase (and lap) of a slot that this thread has claimed, whatever marks it has. Clears the
 * marks that the new phase fulfils, and rings the threads that set them.
 */
function transition(shape: SlotShape, at: number, next: number): void {
  ensureStep();
  const { words } = shape;
  const kept = (next & PHASE_MASK) === FREE ? TURN_CLOSED : TURN_CLOSED | SENDERS_WAIT;
  let turn = loadAcquire(words, at);
  for (;;) {
    // SYNC(turn): as in the callers; clears the fulfilled marks.
    const seen = compareExchange(words, at, turn, next | (turn & kept));
    if (seen === turn) break;
    turn = seen;
  }
  try {
    if ((turn & RECEIVERS_WAIT) !== 0) shape.receivers.ring();
    if ((turn & SENDERS_WAIT & ~kept) !== 0) shape.senders.ring();
  } catch {
    shape.receivers.soon.then(shape.receivers.ringLater);
    shape.senders.soon.then(shape.senders.ringLater);
  }
}

/** Base class of both ends: their position, and how they catch up with other threads. */
abstract class SlotEnd {
  protected readonly words: Words;
  protected readonly slots: number;
  protected readonly slotWords: number;
  protected readonly mask: number;
  protected readonly lapBits: number;
  protected readonly hintAt: number;
  protected readonly shape: SlotShape;
  /** Phase and seat: what this thread writes below the lap into the TURN of a slot it claims. */
  protected readonly mine: number;
  /** Every position before this one is taken. */
  protected position: number;
  /** Index of the TURN of the claimed slot. */
  protected at: number;
  /**
   * TURN of the claimed slot, without marks; 0: nothing is claimed. A claim outlives a call that
   * throws: the next call continues with it.
   */
  protected claimed: number;

  protected constructor(shape: SlotShape, hintAt: number, mine: number) {
    this.words = shape.words;
    this.slots = shape.slots;
    this.slotWords = shape.slotWords;
    this.mask = shape.capacity - 1;
    this.lapBits = Math.log2(shape.capacity);
    this.hintAt = hintAt;
    this.shape = shape;
    this.mine = mine;
    this.position = shape.words[hintAt];
    this.at = 0;
    this.claimed = 0;
  }

  slot(): number {
    return this.at + 1;
  }

  /** Moves on from a position that another thread has taken. */
  protected advance(): void {
    this.position = following(this.position, this.words[this.hintAt]);
  }

  /**
   * Called when a slot seems to be of an earlier lap. Either it is (false), or this thread has
   * slept for this many laps that their difference overflowed. True: the position was moved to the
   * hint, try again.
   */
  protected catchUp(): boolean {
    const hint = this.words[this.hintAt];
    if (!isBehind(this.position, hint)) return false;
    this.position = hint;
    return true;
  }
}

export class SlotProducer extends SlotEnd implements RingProducer {
  constructor(shape: SlotShape, seat: number) {
    super(shape, TAIL, WRITING | seat);
  }

  /** Returns 1 even if the ring is full: finding out costs as much as a claim. */
  room(_max: number): number {
    return 1;
  }

  /** Claims one slot, whatever `max` is. */
  claim(_max: number): number {
    if (this.claimed !== 0) return 1;
    const words = this.words;
    for (;;) {
      const position = this.position;
      const at = this.slots + (position & this.mask) * this.slotWords;
      const free = (position >>> this.lapBits) << LAP_SHIFT;
      // A plain load: it suffices to skip most positions that others have taken.
      const turn = words[at];
      const laps = lapsFrom(free, turn);
      if (laps < 0) {
        if (this.catchUp()) continue;
        return (turn & TURN_CLOSED) !== 0 ? NEVER : NOT_NOW;
      }
      if (laps > 0 || (turn & PHASE_MASK) !== FREE) {
        this.advance();
        continue;
      }
      if ((turn & TURN_CLOSED) !== 0) return NEVER;
      // SYNC(turn): sees the slot as its last reader left it; pairs with free().
      if (compareExchange(words, at, turn, turn | this.mine) !== turn) continue;
      // No call from here on, so that the claim is known to this object.
      this.at = at;
      this.claimed = free | this.mine;
      const next = (position + 1) | 0;
      this.position = next;
      if ((next & HINT_MASK) === 0) words[this.hintAt] = next;
      return 1;
    }
  }

  publish(_count: number): boolean {
    const claimed = this.claimed;
    const full = (claimed & -LAP) | FULL;
    // SYNC(turn): publishes the slot; pairs with peek().
    if (compareExchange(this.words, this.at, claimed, full) !== claimed) {
      transition(this.shape, this.at, full);
    }
    this.claimed = 0;
    return true;
  }

  abort(): void {
    if (this.claimed === 0) return;
    // Receivers skip a position whose slot is free for the next lap.
    transition(this.shape, this.at, nextLap(this.claimed));
    this.claimed = 0;
  }

  arm(): boolean {
    if (this.claimed !== 0) return false;
    const position = this.position;
    const at = this.slots + (position & this.mask) * this.slotWords;
    const turn = loadAcquire(this.words, at);
    if (lapsFrom((position >>> this.lapBits) << LAP_SHIFT, turn) >= 0) return false;
    if ((turn & TURN_CLOSED) !== 0) return false;
    // SYNC(turn): written even if the bit is set already, so that the thread that clears it sees
    // this thread's WAITING.
    return compareExchange(this.words, at, turn, turn | SENDERS_WAIT) === turn;
  }
}

export class SlotConsumer extends SlotEnd implements RingConsumer {
  private readonly isShared: boolean;

  constructor(shape: SlotShape, seat: number) {
    super(shape, HEAD, shape.isShared ? READING | seat : FULL);
    this.isShared = shape.isShared;
  }

  get pending(): number {
    return this.isShared && this.claimed !== 0 ? this.at + 1 : -1;
  }

  get hasNews(): boolean {
    if (this.claimed !== 0) return true;
    const { position } = this;
    const turn = this.words[this.slots + (position & this.mask) * this.slotWords];
    const laps = lapsFrom((position >>> this.lapBits) << LAP_SHIFT, turn);
    if (laps !== 0) return laps > 0 || isBehind(position, this.words[this.hintAt]);
    const phase = turn & PHASE_MASK;
    return phase === FULL || phase === READING || (turn & TURN_CLOSED) !== 0;
  }

  /** Finds one message, whatever `max` is; claims it if other threads receive as well. */
  peek(_max: number): number {
    if (this.claimed !== 0) return 1;
    const words = this.words;
    for (;;) {
      const position = this.position;
      const at = this.slots + (position & this.mask) * this.slotWords;
      const lap = (position >>> this.lapBits) << LAP_SHIFT;
      // A plain load: a published word becomes visible eventually, and arm() loads with order.
      const turn = words[at];
      const laps = lapsFrom(lap, turn);
      if (laps < 0) {
        if (this.catchUp()) continue;
        return NOT_NOW;
      }
      const phase = turn & PHASE_MASK;
      if (laps > 0 || phase === READING) {
        this.advance();
      } else if (phase !== FULL) {
        return phase === FREE && (turn & TURN_CLOSED) !== 0 ? NEVER : NOT_NOW;
      } else if (this.take(at, lap, turn)) {
        return 1;
      }
    }
  }

  free(_count: number): void {
    const claimed = this.claimed;
    const freed = nextLap(claimed);
    // SYNC(turn): publishes that the slot is empty; pairs with claim().
    if (compareExchange(this.words, this.at, claimed, freed) !== claimed) {
      transition(this.shape, this.at, freed);
    }
    this.claimed = 0;
    if (this.isShared) return;
    // Last: a successor skips a slot that is free already, but never returns to one that is not.
    const next = (this.position + 1) | 0;
    this.position = next;
    if ((next & HINT_MASK) === 0) this.words[this.hintAt] = next;
  }

  arm(): boolean {
    if (this.claimed !== 0) return false;
    const position = this.position;
    const at = this.slots + (position & this.mask) * this.slotWords;
    const turn = loadAcquire(this.words, at);
    const laps = lapsFrom((position >>> this.lapBits) << LAP_SHIFT, turn);
    const phase = turn & PHASE_MASK;
    if (laps > 0) return false;
    if (laps === 0 && (phase === FULL || phase === READING)) return false;
    if (laps === 0 && phase === FREE && (turn & TURN_CLOSED) !== 0) return false;
    // SYNC(turn): as in SlotProducer.arm().
    return compareExchange(this.words, at, turn, turn | RECEIVERS_WAIT) === turn;
  }

  /** Claims a message for this thread. False if another thread was faster. */
  private take(at: number, lap: number, turn: number): boolean {
    const { words } = this;
    // SYNC(turn): sees the slot as its sender left it; pairs with publish().
    if (this.isShared) {
      const reading = (turn & ~PHASE_MASK) | this.mine;
      if (compareExchange(words, at, turn, reading) !== turn) return false;
      this.at = at;
      this.claimed = lap | this.mine;
      const next = (this.position + 1) | 0;
      this.position = next;
      if ((next & HINT_MASK) === 0) words[this.hintAt] = next;
      return true;
    }
    if ((loadAcquire(words, at) & PHASE_MASK) !== FULL) {
      // The plain load was early: by this ordered load the message is not there yet.
      return false;
    }
    this.at = at;
    this.claimed = lap | this.mine;
    return true;
  }
}

/** TURN of a slot that is free for the next lap, from one of the current lap. */
function nextLap(turn: number): number {
  return ((turn & -LAP) + LAP) | FREE;
}

/** Stops all senders for good; messages that are published or being written stay. */
export function closeSlots(shape: SlotShape): void {
  const { words, slots, slotWords, capacity } = shape;
  let position = words[TAIL];
  for (;;) {
    const at = slots + (position & (capacity - 1)) * slotWords;
    const turn = loadAcquire(words, at);
    const laps = lapsFrom((position >>> Math.log2(capacity)) << LAP_SHIFT, turn);
    if (laps > 0 || (laps === 0 && (turn & PHASE_MASK) !== FREE)) {
      position = following(position, words[TAIL]);
      continue;
    }
    // SYNC(turn): from here on no sender finds this position, or a later one, free.
    if (compareExchange(words, at, turn, turn | TURN_CLOSED) === turn) return;
  }
}

/** Number of messages in the slots. */
export function countSlots(shape: SlotShape): number {
  const { words, slots, slotWords, capacity } = shape;
  let count = 0;
  for (let i = 0; i < capacity; i++) {
    if ((loadAcquire(words, slots + i * slotWords) & PHASE_MASK) === FULL) count++;
  }
  return count;
}

/**
 * Ends the claims of a dead thread; receivers then skip their positions. Calls `takeOut` with the
 * index of each payload, which may hold a packet.
 *
 * A message that was not published counts as not sent; one claimed for reading, as received.
 */
export function finish(
  shape: SlotShape,
  phase: typeof WRITING | typeof READING,
  seat: number,
  takeOut: (at: number) => void,
): void {
  const { words, slots, slotWords, capacity } = shape;
  for (let i = 0; i < capacity; i++) {
    const at = slots + i * slotWords;
    // SYNC(turn): sees the slot as the dead thread left it.
    const turn = loadAcquire(words, at);
    if ((turn & PHASE_MASK) !== phase || (turn & SEAT_MASK) !== seat) continue;
    takeOut(at + 1);
    transition(shape, at, nextLap(turn));
  }
}
