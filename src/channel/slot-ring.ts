// SPDX-License-Identifier: MIT
/**
 * A ring buffer for many senders (mpsc, mpmc): each slot holds the state of its turn, so no thread
 * holds a lock and no thread's death stops the others.
 *
 * It follows Vyukov's bounded MPMC queue, with one difference: a position is claimed in the slot
 * itself, with the claimant's seat, not in one index that all threads contend for. So the claims of
 * a dead thread can be found; the indices are only hints. Batches claim groups of
 * slots by one word; the layout file says how.
 */

import { compareExchange, loadAcquire, type Words } from '../base/atomics.ts';
import { ensureStep } from '../base/stack.ts';
import {
  CAPACITY_MAX,
  FREE,
  FULL,
  GROUP,
  GROUPED,
  HEAD,
  LAP,
  LAP_SHIFT,
  MARKS,
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
 * A hint is written at the first position of a group. All threads of a side write it, and each
 * write takes the cache line from the others. With two senders on two cores a message takes a third
 * less time than with a hint at every position (measured 2026-11). From a hint, at most seven steps
 * remain.
 */
const GROUP_MASK: number = GROUP - 1;

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
 * True if the hint is ahead of a position. Who claims the end of a group writes the hint before it
 * leaves the slot, so a hint lags the frontier by at most two laps and a group. A
 * position that seems much further ahead of the hint is half the number circle or more behind it.
 */
function isBehind(position: number, hint: number): boolean {
  const ahead = (hint - position) | 0;
  return ahead > 0 || ahead < -HINT_LAG_MAX;
}

/** The next position that may be free after one that is taken, whose TURN is `turn`. */
function following(position: number, turn: number, hint: number): number {
  const isWhole = (turn & GROUPED) !== 0 && (position & GROUP_MASK) === 0;
  const next = (position + (isWhole ? GROUP : 1)) | 0;
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
  /** Index of the TURN of the claimed slot, or of the next one of a group. */
  protected at: number;
  /**
   * TURN of the claimed slot, or of the first of a group, without marks; 0: nothing is claimed. A
   * claim outlives a call that throws: the next call continues with it.
   */
  protected claimed: number;
  /** Slots claimed: one, or a group. */
  protected run: number;

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
    this.run = 1;
  }

  /** Moves on from a position that another thread has taken, with its slot `at`. */
  protected advance(at: number): void {
    const { position, words } = this;
    // SYNC(turn): the first slot of a group speaks for its followers, which come next.
    const turn = (position & GROUP_MASK) === 0 ? loadAcquire(words, at) : 0;
    this.position = following(position, turn, words[this.hintAt]);
  }

  /** True if a group begins at this end's position, and its followers all have this TURN. */
  protected isGroup(turn: number): boolean {
    const { position, mask, words, slotWords } = this;
    if ((position & GROUP_MASK) !== 0 || mask < GROUP_MASK) return false;
    let at = this.slots + (position & mask) * slotWords;
    for (let i = 1; i < GROUP; i++) {
      at += slotWords;
      const seen = words[at];
      if (seen === (turn | GROUPED)) continue;
      // SYNC(turn): it was published, or freed, by itself.
      if (seen !== turn || loadAcquire(words, at) !== turn) return false;
    }
    return true;
  }

  /** Undoes the claim of a group whose followers had changed since the look before the claim. */
  protected giveBack(before: number): void {
    transition(this.shape, this.at, before);
    this.claimed = 0;
  }

  /** Writes TURN of the followers `[begin, end)` of a slot, the last one first. */
  protected setFollowers(at: number, begin: number, end: number, turn: number): void {
    const { words, slotWords } = this;
    for (let i = end - 1; i >= begin; i--) words[at + i * slotWords] = turn | GROUPED;
  }

  /** Index of the payload of the slot `at`. */
  slot(): number {
    return this.at + 1;
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
  room(max: number): number {
    return max >= GROUP && this.isGroup((this.position >>> this.lapBits) << LAP_SHIFT) ? GROUP : 1;
  }

  /** Claims one slot, or a group. */
  claim(max: number): number {
    if (this.claimed !== 0) return this.run < max ? this.run : max;
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
        this.advance(at);
        continue;
      }
      if ((turn & TURN_CLOSED) !== 0) return NEVER;
      const run = max >= GROUP && this.isGroup(free) ? GROUP : 1;
      const mine = run > 1 ? this.mine | GROUPED : this.mine;
      // SYNC(turn): sees the slot as its last reader left it; pairs with free().
      if (compareExchange(words, at, turn, (turn & ~GROUPED) | mine) !== turn) continue;
      // At once, so that the claim is known to this object.
      this.at = at;
      this.claimed = free | mine;
      this.run = run;
      if (run > 1 && !this.isGroup(free)) {
        this.giveBack(free | FREE);
        continue;
      }
      const next = (position + run) | 0;
      this.position = next;
      if ((next & GROUP_MASK) === 0) words[this.hintAt] = next;
      return run;
    }
  }

  publish(count: number): boolean {
    const claimed = this.claimed;
    const full = (claimed & -LAP) | FULL;
    if (this.run > 1) {
      this.setFollowers(this.at, count, GROUP, nextLap(claimed));
      this.setFollowers(this.at, 1, count, full);
    }
    // SYNC(turn): publishes the slots; pairs with peek().
    if (compareExchange(this.words, this.at, claimed, full) !== claimed) {
      transition(this.shape, this.at, full);
    }
    this.claimed = 0;
    return true;
  }

  abort(): void {
    if (this.claimed === 0) return;
    // Receivers skip a position whose slot is free for the next lap.
    const freed = nextLap(this.claimed);
    this.setFollowers(this.at, 1, this.run, freed);
    transition(this.shape, this.at, freed);
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
  /** Messages of the claimed group from `at` on, where others receive as well. */
  private left: number;

  constructor(shape: SlotShape, seat: number) {
    super(shape, HEAD, shape.isShared ? READING | seat : FULL);
    this.isShared = shape.isShared;
    this.left = 0;
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

  /** Finds one message, or a group; claims it if other threads receive as well. */
  peek(max: number): number {
    if (this.claimed !== 0) {
      const left = this.isShared && this.run > 1 ? this.left : this.run;
      return left < max ? left : max;
    }
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
        this.advance(at);
      } else if (phase !== FULL) {
        return phase === FREE && (turn & TURN_CLOSED) !== 0 ? NEVER : NOT_NOW;
      } else {
        const run = max >= GROUP && this.isGroup(lap | FULL) ? GROUP : 1;
        if (this.take(at, turn, run)) return run;
      }
    }
  }

  free(count: number): void {
    const claimed = this.claimed;
    const freed = nextLap(claimed);
    const at = this.run > 1 ? this.freeFollowers(count, freed) : this.at;
    if (at < 0) return;
    // SYNC(turn): publishes that the slots are empty; pairs with claim().
    if (compareExchange(this.words, at, claimed, freed) !== claimed) {
      transition(this.shape, at, freed);
    }
    this.claimed = 0;
    // Last: a successor skips a slot that is free already, but never returns to one that is not.
    if (this.isShared) return;
    const next = (this.position + count) | 0;
    this.position = next;
    if ((next & GROUP_MASK) === 0) this.words[this.hintAt] = next;
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

  /** Returns the index of the first TURN of the group; −1 if messages of a claim are left. */
  private freeFollowers(count: number, freed: number): number {
    const { at, left, slotWords } = this;
    if (!this.isShared) {
      this.setFollowers(at, 1, count, freed);
      return at;
    }
    if (count < left) {
      this.at = at + count * slotWords;
      this.left = left - count;
      return -1;
    }
    const first = at - (GROUP - left) * slotWords;
    this.setFollowers(first, 1, GROUP, freed);
    return first;
  }

  /** Takes `run` messages for this thread. False if another thread was faster. */
  private take(at: number, turn: number, run: number): boolean {
    const { words } = this;
    // SYNC(turn): sees the slots as their sender left them; pairs with publish().
    if (this.isShared) {
      const mine = run > 1 ? this.mine | GROUPED : this.mine;
      const reading = (turn & ~(PHASE_MASK | GROUPED)) | mine;
      if (compareExchange(words, at, turn, reading) !== turn) return false;
      this.at = at;
      this.left = run;
      this.claimed = (turn & -LAP) | mine;
      this.run = run;
      if (run > 1 && !this.isGroup((turn & -LAP) | FULL)) {
        this.giveBack((turn & -LAP) | FULL);
        return false;
      }
      const next = (this.position + run) | 0;
      this.position = next;
      if ((next & GROUP_MASK) === 0) words[this.hintAt] = next;
      return true;
    }
    const seen = loadAcquire(words, at);
    // If not, the plain load was early: by this ordered load the message is not there yet.
    if ((seen & PHASE_MASK) !== FULL) return false;
    this.at = at;
    this.claimed = seen & ~MARKS;
    this.run = run;
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
      position = following(position, turn, words[TAIL]);
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
  for (let i = 0; i < capacity; ) {
    const turn = loadAcquire(words, slots + i * slotWords);
    if ((turn & PHASE_MASK) === FULL) count++;
    i = following(i, turn, i);
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
    const freed = nextLap(turn);
    for (let k = (turn & GROUPED) !== 0 ? GROUP - 1 : 0; k > 0; k--) {
      takeOut(at + k * slotWords + 1);
      words[at + k * slotWords] = freed | GROUPED;
    }
    takeOut(at + 1);
    transition(shape, at, freed);
  }
}
