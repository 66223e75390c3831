// SPDX-License-Identifier: MIT
/** Base class of senders and receivers: a seat, a doorbell and a line of waiting callers. */

import { assert } from '../base/assert.ts';
import type { Words } from '../base/atomics.ts';
import type { BufferPool } from '../pool/index.ts';
import { WaitLine } from '../pool/wait-line.ts';
import type { ChannelCore } from './channel-core.ts';
import { labelOf } from './channel-error.ts';
import { PASSED, REFUSED } from './channel-layout.ts';
import type { Seats } from './seats.ts';

/** This end has its seat. */
const SEATED = 0;
/** The seat was given up; what follows from that may not be done yet. */
const VACATED = 1;
/** This end touches no shared word: another thread may hold the seat already. */
const LEFT = 2;
type EndState = typeof SEATED | typeof VACATED | typeof LEFT;

// SEATED ──leave──▶ VACATED ──detach──▶ LEFT.
/** One end of a channel in one thread. */
export abstract class ChannelEnd {
  /** @internal */
  readonly pool: BufferPool;
  protected readonly core: ChannelCore;
  protected readonly words: Words;
  protected readonly line: WaitLine;
  /**
   * True if other threads wait for what this end claims. It then checks the stack before it claims:
   * a call that throws after its claim keeps the claim until the next call.
   */
  protected readonly isClaiming: boolean;
  private readonly seats: Seats;
  private readonly seat: number;
  /** Index of the counter of messages; `PASSED_HIGH` follows it. */
  protected readonly passedAt: number;
  private readonly refusedAt: number;
  private readonly listener: () => void;
  private isWaiting: boolean;
  private state: EndState;

  protected constructor(core: ChannelCore, seats: Seats, seat: number, isClaiming: boolean) {
    this.pool = core.pool;
    this.core = core;
    this.words = core.words;
    this.isClaiming = isClaiming;
    this.seats = seats;
    this.seat = seat;
    this.passedAt = seats.at(seat) + PASSED;
    this.refusedAt = seats.at(seat) + REFUSED;
    this.isWaiting = false;
    this.state = SEATED;
    this.line = new WaitLine(this);
    this.listener = () => this.onRing();
    this.pool.doorbell.listen(this.listener);
  }

  /** @internal Messages and waiting callers stay in order. */
  get mayOvertake(): boolean {
    return false;
  }

  /** @internal */
  get nameInErrors(): string {
    return labelOf(this.words);
  }

  /** True once this end was closed. */
  get closed(): boolean {
    return this.state === LEFT;
  }

  /** @internal Asserts what holds between any two calls of this thread, in each state. */
  invariants(): void {
    assert(this.state !== LEFT || this.line.isEmpty, 'no caller waits at an end that has left');
    assert(this.state === SEATED || !this.isWaiting || !this.isAttached, 'no seat, no waiter');
  }

  /** @internal Asks the other side to ring this thread. False: it has moved, try again first. */
  abstract armRing(): boolean;

  /** @internal Cleans up after dead threads; throws if every thread of the other side is dead. */
  abstract checkPeers(): void;

  /** @internal */
  setWaiting(isWaiting: boolean): void {
    if (this.isWaiting === isWaiting || this.state === LEFT || !this.isAttached) return;
    this.seats.changeWaiting(this.seat, isWaiting ? 1 : -1);
    this.isWaiting = isWaiting;
  }

  protected onRing(): void {
    if (!this.line.isEmpty) this.line.pump();
  }

  protected countRefused(): void {
    this.words[this.refusedAt]++;
  }

  /** False once the thread has left the pool: its seat then counts as that of a dead thread. */
  protected get isAttached(): boolean {
    return this.pool.isAttached;
  }

  /** From here on this end touches no shared word; another thread may hold the seat already. */
  protected detach(): void {
    this.state = LEFT;
    this.pool.doorbell.ignore(this.listener);
  }

  /**
   * Gives up the seat, once, unless {@link detach} was called. True if no thread is left on this
   * side. A caller whose next step threw may call it again.
   */
  protected releaseSeat(): boolean {
    if (this.state === LEFT) return false;
    assert(this.line.isEmpty, 'who waited was refused before the seat is given up');
    this.setWaiting(false);
    assert(!this.isWaiting, 'a seat that is given up counts no waiter');
    if (this.state === SEATED) {
      this.seats.vacate(this.seat);
      this.state = VACATED;
    }
    return this.seats.isEmpty;
  }
}
