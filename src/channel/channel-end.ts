// SPDX-License-Identifier: MIT
/** The room between threads: what a sender and a receiver have in common, a seat and a doorbell. */

import type { Words } from '../base/atomics.ts';
import type { BufferPool } from '../pool/index.ts';
import type { ChannelCore } from './channel-core.ts';
import { PASSED, REFUSED } from './channel-layout.ts';
import type { Seats } from './seats.ts';
import { WaitLine } from './wait-line.ts';

/** One end of a channel in one thread. */
export abstract class ChannelEnd {
  /** @internal */
  readonly pool: BufferPool;
  protected readonly core: ChannelCore;
  protected readonly words: Words;
  protected readonly line: WaitLine;
  /**
   * Others wait for what this end claims, so that it looks at the stack before it does: a call that
   * throws in between keeps the claim until the next one.
   */
  protected readonly isClaiming: boolean;
  private readonly seats: Seats;
  private readonly seat: number;
  /** Index of the counter of messages; `PASSED_HIGH` follows it. */
  protected readonly passedAt: number;
  private readonly refusedAt: number;
  private readonly listener: () => void;
  private isWaiting: boolean;
  private isVacated: boolean;
  private hasLeft: boolean;

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
    this.isVacated = false;
    this.hasLeft = false;
    this.line = new WaitLine(this);
    this.listener = () => this.onRing();
    this.pool.doorbell.listen(this.listener);
  }

  /** True once this end was closed. */
  get closed(): boolean {
    return this.hasLeft;
  }

  /** @internal Asks the other side to ring this thread. False: look again first. */
  abstract armRing(): boolean;

  /** @internal Sees to dead threads; throws if the other side consists of them. */
  abstract checkPeers(): void;

  /** @internal */
  setWaiting(isWaiting: boolean): void {
    if (this.isWaiting === isWaiting || this.hasLeft || !this.isAttached) return;
    this.seats.changeWaiting(this.seat, isWaiting ? 1 : -1);
    this.isWaiting = isWaiting;
  }

  protected onRing(): void {
    if (!this.line.isEmpty) this.line.pump();
  }

  protected countRefused(): void {
    this.words[this.refusedAt]++;
  }

  /** False: the thread has left the pool, and so its seat counts as that of a dead one. */
  protected get isAttached(): boolean {
    return this.pool.isAttached;
  }

  /** From here on this end touches no shared word; the seat may be somebody else's already. */
  protected forsake(): void {
    this.hasLeft = true;
    this.pool.doorbell.ignore(this.listener);
  }

  /**
   * Gives the seat up, once, unless it was forsaken. True if nobody is left on this side: also when
   * it is called again, since what follows threw.
   */
  protected leave(): boolean {
    if (this.hasLeft) return false;
    this.setWaiting(false);
    if (!this.isVacated) this.seats.vacate(this.seat);
    this.isVacated = true;
    return this.seats.isEmpty;
  }
}
