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
  /** Takes a region and one reference on its buffer; `row` says where its writer's regions go. */
  push(offset: number, length: number, bufferId: BufferId, row: number): void;
  /** A writer that had this row is not the link's any more. */
  letGo?(row: number): void;
  /** Sends what waits, as far as it goes now. */
  send(): void;
}

/**
 * How often a drain takes what a send has made room for. What other threads add meanwhile must not
 * keep the event loop.
 */
const PASSES_MAX = 64;

/**
 * A link's side of the switchboard: one outlet for each of its writers.
 *
 *   FLOWING  regions come.
 *   HALTED   `highWaterBytes` wait in the outbox: no more come before it has sent.
 *   STALLED  they wait still when it has: what the writers flush stays in their lanes of the
 *            flusher, until only `lowWaterBytes` wait.
 *
 *   FLOWING ──the outbox is full──▶ HALTED ──it sends──▶ FLOWING, if somebody drains to the end,
 *                                      │                 otherwise in the event loop's next turn
 *                                      └──it sends, and has no room──▶ STALLED
 */
export class Lanes {
  readonly #board: Switchboard;
  readonly #outbox: LaneOutbox;
  #highWaterBytes: number;
  readonly #lowWaterBytes: number;
  readonly #lanes = new Map<number, Lane>();
  /** Of what comes by no lane. */
  readonly #single: Outlet;
  #halted = false;
  #stalled = false;
  #stalls = 0;
  /** Within {@link drain}, which goes on by itself where there is room. */
  #goesOn = false;
  /** Lanes may hold what there is room for now. */
  #wentOn = false;
  #flowIsDue = false;

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
    this.#single = new Lane(this, outbox, NO_WRITER, 0);
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

  /**
   * Takes what was flushed, sending where need be to make room. Returns whether the lanes are
   * empty, unless stalled; if not, another drain follows soon.
   */
  drain(): boolean {
    if (this.#board.flusher.closed) return true;
    if (this.#halted && this.#hasRoom) this.#flow();
    const didGoOn = this.#goesOn;
    for (let pass = 1, again = true; again; pass++) {
      this.#goesOn = pass < PASSES_MAX;
      this.#wentOn = false;
      this.#board.drain();
      again = this.#wentOn;
    }
    this.#goesOn = didGoOn;
    return !this.#halted;
  }

  /**
   * Ends a stall, and takes what the lanes have kept, which may be the beginning of the next one.
   * Returns whether the writers have room again.
   */
  resume(): boolean {
    if (!this.#stalled) return false;
    this.#flow();
    this.drain();
    return !this.#stalled;
  }

  /**
   * Takes all that there is, and whatever comes from now on: for an outbox that drops and counts
   * it, also what writers of other threads flush when the link has long closed.
   */
  giveUp(): void {
    this.#highWaterBytes = Infinity;
    this.#flow();
    this.drain();
  }

  /** After a write: like {@link resume}, if little enough waits. */
  resumeIfLow(): boolean {
    return this.#stalled && this.#outbox.queuedBytes <= this.#lowWaterBytes && this.resume();
  }

  /** Whether there is room for what comes by no lane, if need be after a try to send what waits. */
  makeRoom(): boolean {
    if (this.#hasRoom) return true;
    this.#outbox.send();
    if (this.#hasRoom) return true;
    this.#stall();
    return false;
  }

  /** After a push by no lane: sends what waits at the end of this turn, or now if it is much. */
  pushed(): void {
    if (this.#outbox.isFull) this.send();
    else this.#board.sendSoon(this.#single);
  }

  /** After a push: whether more may come before what waits is sent. */
  takesMore(): boolean {
    if (this.#hasRoom) return true;
    this.#halted = true;
    return false;
  }

  /** Sends what waits. */
  send(): void {
    this.#outbox.send();
    if (!this.#halted) return;
    if (!this.#hasRoom) {
      this.#stall();
    } else if (this.#goesOn) {
      this.#wentOn = true;
      this.#flow();
    } else if (!this.#flowIsDue) {
      this.#flowIsDue = true;
      setImmediate(() => this.#flowNow());
    }
  }

  #flowNow(): void {
    this.#flowIsDue = false;
    const { flusher } = this.#board;
    if (this.#halted && flusher.pool.isAttached && !flusher.closed) this.#flow();
  }

  get #hasRoom(): boolean {
    return this.#outbox.queuedBytes < this.#highWaterBytes;
  }

  #stall(): void {
    this.#halted = false;
    if (!this.#stalled) this.#stalls++;
    this.#stalled = true;
  }

  /** What the lanes have kept comes with the next drain. */
  #flow(): void {
    this.#halted = false;
    this.#stalled = false;
    for (const [writerId, lane] of this.#lanes) this.#board.resume(writerId, lane);
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

const NO_WRITER = -1;

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
    return this.#lanes.takesMore();
  }

  isFull(): boolean {
    return this.#outbox.isFull;
  }

  send(): void {
    this.#lanes.send();
  }

  gone(): void {
    this.#lanes.gone(this);
  }
}
