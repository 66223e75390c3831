// SPDX-License-Identifier: MIT
/** The room between threads: what a sender and a receiver have in common, a seat and a doorbell. */

import type { Words } from '../base/atomics.ts';
import type { BufferPool } from '../pool/index.ts';
import type { ChannelCore } from './channel-core.ts';
import { PASSED, PASSED_HIGH, REFUSED } from './channel-layout.ts';
import type { Seats } from './seats.ts';
import { WaitLine } from './wait-line.ts';

/** One end of a channel in one thread. */
export abstract class ChannelEnd {
  /** @internal */
  readonly pool: BufferPool;
  protected readonly core: ChannelCore;
  protected readonly words: Words;
  protected readonly line: WaitLine;
  private readonly seats: Seats;
  private readonly seat: number;
  private readonly passedAt: number;
  private readonly refusedAt: number;
  private readonly listener: () => void;
  private isWaiting: boolean;
  private hasLeft: boolean;

  protected constructor(core: ChannelCore, seats: Seats, seat: number) {
    this.pool = core.pool;
    this.core = core;
    this.words = core.words;
    this.seats = seats;
    this.seat = seat;
    this.passedAt = seats.at(seat) + PASSED;
    this.refusedAt = seats.at(seat) + REFUSED;
    this.isWaiting = false;
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
    this.isWaiting = isWaiting;
    this.seats.changeWaiting(this.seat, isWaiting ? 1 : -1);
  }

  protected onRing(): void {
    if (!this.line.isEmpty) this.line.pump();
  }

  protected countPassed(count: number): void {
    const words = this.words;
    const before = words[this.passedAt];
    const after = (before + count) | 0;
    words[this.passedAt] = after;
    if (before < 0 && after >= 0) words[this.passedAt + PASSED_HIGH - PASSED]++;
  }

  protected countRefused(): void {
    this.words[this.refusedAt]++;
  }

  /** False: the thread has left the pool, and so its seat counts as that of a dead one. */
  protected get isAttached(): boolean {
    try {
      this.pool.checkAttached();
      return true;
    } catch {
      return false;
    }
  }

  /** From here on this end touches no shared word; the seat may be somebody else's already. */
  protected forsake(): void {
    this.hasLeft = true;
  }

  /** Gives the seat up, unless it was forsaken. True if nobody is left on this side. */
  protected leave(): boolean {
    if (this.hasLeft) return false;
    this.setWaiting(false);
    this.hasLeft = true;
    this.pool.doorbell.ignore(this.listener);
    return this.seats.leave(this.seat);
  }
}
