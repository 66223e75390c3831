// SPDX-License-Identifier: MIT
/** From the flusher to the outbox: the writers that feed one link, and when they are stopped. */

import { checkInteger } from '../base/check.ts';
import type { BufferId, BufferPool } from '../pool/index.ts';
import type { WriteFlusher } from '../writer/index.ts';
import { type Outlet, Switchboard } from './switchboard.ts';

/** What lanes ask of a link's outbox. */
export interface LaneOutbox {
  /** What waits, as `highWaterBytes` counts it. */
  readonly queuedBytes: number;
  /** Whether so much waits that it should be sent before this turn of the event loop ends. */
  readonly isFull: boolean;
  /** True if a send may make room before it returns. */
  readonly isSynchronous?: boolean;
  /** Takes a region and one reference on its buffer; `row` says where its writer's regions go. */
  push(offset: number, length: number, bufferId: BufferId, row: number): void;
  /** A writer that had this row is not the link's any more. */
  letGo?(row: number): void;
  /** Sends what waits, as far as it goes now. */
  send(): void;
}

/**
 * A link's side of the switchboard: one outlet for each of its writers.
 *
 * When `highWaterBytes` wait in the outbox the link is *stalled*: what its writers flush stays in
 * their lanes of the flusher, until only `lowWaterBytes` wait.
 */
export class Lanes {
  readonly #board: Switchboard;
  readonly #outbox: LaneOutbox;
  #highWaterBytes: number;
  readonly #lowWaterBytes: number;
  readonly #lanes = new Map<number, Lane>();
  #stalled = false;
  #stalls = 0;

  /** `flusher` undefined: the one that links of the pool share. */
  constructor(
    pool: BufferPool,
    flusher: WriteFlusher | undefined,
    outbox: LaneOutbox,
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

  /** Whether regions are left in the flusher because too much waits. */
  get stalled(): boolean {
    return this.#stalled;
  }

  /** Times that became so. */
  get stalls(): number {
    return this.#stalls;
  }

  /**
   * Regions of this writer come here from now on, and no more where they went before.
   *
   * **Ownership** The outbox is told once that the writer has `row` no more. **Throws** RangeError,
   * TypeError, and takes no row then; see {@link checkWriterId}.
   */
  add(writerId: number, row: number = 0): void {
    this.checkWriterId(writerId);
    this.#forget(writerId);
    const lane = new Lane(this, this.#outbox, writerId, row);
    this.#lanes.set(writerId, lane);
    this.#board.plug(writerId, lane);
    // It may have been paused for the link that it fed before.
    this.#board.resume(writerId, lane);
  }

  /** Regions of this writer do not come any more; those that wait are dropped. */
  remove(writerId: number): void {
    this.checkWriterId(writerId);
    const lane = this.#forget(writerId);
    if (lane !== undefined) this.#board.unplug(writerId, lane);
  }

  /** Nothing comes from the lane's writer any more. */
  gone(lane: Lane): void {
    if (this.#lanes.get(lane.writerId) === lane) this.#forget(lane.writerId);
  }

  /** Removes every writer. */
  clear(): void {
    for (const writerId of [...this.#lanes.keys()]) this.remove(writerId);
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
    for (const [writerId, lane] of this.#lanes) this.#board.resume(writerId, lane);
    this.drain();
    return !this.#stalled;
  }

  /** Takes all that there is, and whatever comes: for an outbox that drops and counts it. */
  giveUp(): void {
    this.#highWaterBytes = Infinity;
    this.resume();
    this.drain();
  }

  /** After a write: like {@link resume}, if little enough waits. */
  resumeIfLow(): boolean {
    return this.#stalled && this.#outbox.queuedBytes <= this.#lowWaterBytes && this.resume();
  }

  /** Whether more may come, if need be after a try to send what waits; if not, it is a stall. */
  hasRoom(): boolean {
    if (this.#outbox.queuedBytes < this.#highWaterBytes) return true;
    if (this.#outbox.isSynchronous === true) {
      this.#outbox.send();
      if (this.#outbox.queuedBytes < this.#highWaterBytes) return true;
    }
    if (!this.#stalled) this.#stalls++;
    this.#stalled = true;
    return false;
  }

  /** **Throws** RangeError, TypeError. */
  checkWriterId(writerId: number): void {
    checkInteger('writerId', writerId, 0, this.flusher.layout.writerCount - 1);
  }

  #forget(writerId: number): Lane | undefined {
    const lane = this.#lanes.get(writerId);
    if (lane === undefined) return undefined;
    this.#lanes.delete(writerId);
    this.#outbox.letGo?.(lane.row);
    return lane;
  }
}

/** One writer's outlet. */
class Lane implements Outlet {
  isDue = false;
  readonly writerId: number;
  readonly row: number;
  readonly #lanes: Lanes;
  readonly #outbox: LaneOutbox;

  constructor(lanes: Lanes, outbox: LaneOutbox, writerId: number, row: number) {
    this.writerId = writerId;
    this.row = row;
    this.#lanes = lanes;
    this.#outbox = outbox;
  }

  push(offset: number, length: number, bufferId: BufferId): boolean {
    this.#outbox.push(offset, length, bufferId, this.row);
    return this.#lanes.hasRoom();
  }

  isFull(): boolean {
    return this.#outbox.isFull;
  }

  send(): void {
    this.#outbox.send();
  }

  gone(): void {
    this.#lanes.gone(this);
  }
}
