// SPDX-License-Identifier: MIT
/** From the flusher to the outbox: the writers that feed one link, and when they are stopped. */

import { checkInteger } from '../base/check.ts';
import type { BufferId, BufferPool } from '../pool/index.ts';
import type { WriteFlusher } from '../writer/index.ts';
import type { Outbox } from './outbox.ts';
import { type Outlet, Switchboard } from './switchboard.ts';

/**
 * A link's side of the switchboard.
 *
 * When `highWaterBytes` wait for the peer the link is *stalled*: what its writers flush stays in
 * their lanes of the flusher, until only `lowWaterBytes` wait.
 */
export class Lanes implements Outlet {
  isDue = false;
  readonly #board: Switchboard;
  readonly #outbox: Outbox;
  readonly #highWaterBytes: number;
  readonly #lowWaterBytes: number;
  readonly #writerIds: number[] = [];
  #stalled = false;
  #stalls = 0;

  /** `flusher` undefined: the one that links of the pool share. */
  constructor(
    pool: BufferPool,
    flusher: WriteFlusher | undefined,
    outbox: Outbox,
    highWaterBytes: number,
    lowWaterBytes: number,
  ) {
    this.#board = flusher === undefined ? Switchboard.forPool(pool) : Switchboard.of(pool, flusher);
    this.#outbox = outbox;
    this.#highWaterBytes = highWaterBytes;
    this.#lowWaterBytes = lowWaterBytes;
  }

  get flusher(): WriteFlusher {
    return this.#board.flusher;
  }

  /** Whether regions are left in the flusher because the peer reads too slowly. */
  get stalled(): boolean {
    return this.#stalled;
  }

  /** Times that became so. */
  get stalls(): number {
    return this.#stalls;
  }

  /** Regions of this writer come here from now on. **Throws** RangeError, TypeError. */
  add(writerId: number): void {
    this.#checkWriterId(writerId);
    this.#writerIds.push(writerId);
    this.#board.plug(writerId, this);
  }

  /** Regions of this writer do not come any more; those that wait are dropped. */
  remove(writerId: number): void {
    this.#checkWriterId(writerId);
    const at = this.#writerIds.indexOf(writerId);
    if (at < 0) return;
    this.#writerIds.splice(at, 1);
    this.#board.unplug(writerId, this);
  }

  /** Removes every writer. */
  clear(): void {
    for (const writerId of this.#writerIds.splice(0)) this.#board.unplug(writerId, this);
  }

  /** Takes what was flushed. Unless stalled afterwards, the lanes are empty then. */
  drain(): void {
    if (!this.#board.flusher.closed) this.#board.drain();
  }

  /**
   * Ends a stall, and takes what the lanes have kept, which may be the beginning of the next one.
   * Returns whether the writers have room again.
   */
  resume(): boolean {
    if (!this.#stalled) return false;
    this.#stalled = false;
    for (const writerId of this.#writerIds) this.#board.resume(writerId, this);
    this.drain();
    return !this.#stalled;
  }

  /** After a write: like {@link resume}, if little enough waits. */
  resumeIfLow(): boolean {
    return this.#stalled && this.#outbox.queuedBytes <= this.#lowWaterBytes && this.resume();
  }

  // ── For the switchboard ───────────────────────────────────────────────────────────────

  push(offset: number, length: number, bufferId: BufferId): boolean {
    const outbox = this.#outbox;
    outbox.push(offset, length, bufferId);
    if (outbox.queuedBytes < this.#highWaterBytes) return true;
    if (!this.#stalled) this.#stalls++;
    this.#stalled = true;
    return false;
  }

  isFull(): boolean {
    return this.#outbox.isFull;
  }

  send(): void {
    this.#outbox.send();
  }

  #checkWriterId(writerId: number): void {
    checkInteger('writerId', writerId, 0, this.flusher.layout.writerCount - 1);
  }
}
