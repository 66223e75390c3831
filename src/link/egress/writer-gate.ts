// SPDX-License-Identifier: MIT
/** Lets the regions of a link's writers into its outbox, and stops them when too much waits. */

import { assert } from '../../base/assert.ts';
import { checkInteger } from '../../base/check.ts';
import { throwLater } from '../../base/throw-later.ts';
import type { BufferId, BufferPool } from '../../pool/index.ts';
import type { WriteFlusher } from '../../writer/index.ts';
import {
  type Gate,
  HALTS,
  type Outlet,
  type PushOutcome,
  ROOM_AGAIN,
  SENDS_NOW,
  SENT,
  type SendBatch,
  type SendOutcome,
  Switchboard,
  TAKES_MORE,
} from './switchboard.ts';

/** What a gate asks of a link's outbox. */
export interface GateOutbox {
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

/** How much of a link's outbox may be filled, and the batch that its sends belong to. */
export interface GateOptions {
  /** Undefined: the one that links of the pool share. */
  readonly flusher: WriteFlusher | undefined;
  readonly highWaterBytes: number;
  readonly lowWaterBytes: number;
  readonly batch?: SendBatch | undefined;
}

/** Regions come. */
const FLOWING = 'flowing';
/** `highWaterBytes` wait in the outbox: no more come before it has sent. */
const HALTED = 'halted';
/** They wait still when it has: regions stay in the flusher until only `lowWaterBytes` wait. */
const STALLED = 'stalled';
type GateState = typeof FLOWING | typeof HALTED | typeof STALLED;

/**
 * Passes per drain. Bounded, so that busy writers on other threads cannot keep the event loop.
 */
const PASSES_MAX = 64;

/**
 * A link's side of the switchboard: one outlet for each of its writers, and one state for all.
 *
 *   FLOWING ──push: the outbox is full──▶ HALTED ──send: there is room, flow──▶ FLOWING
 *                                            │
 *                                            └──send: there is none──▶ STALLED
 *   STALLED ──resume: little waits──▶ FLOWING
 *
 * A halted gate flows again within the drain, if there is a pass left, or else in the event loop's
 * next turn. A writer that was not stopped yet may push while the gate is stalled; that changes
 * nothing.
 */
export class WriterGate implements Gate {
  isDue = false;
  readonly #board: Switchboard;
  readonly #outbox: GateOutbox;
  readonly #lowWaterBytes: number;
  #highWaterBytes: number;
  readonly #outlets = new Map<number, WriterOutlet>();
  #state: GateState = FLOWING;
  #stalls = 0;

  /** **Throws** ERR_BUSBAR_FLUSHER_ROLE if another thread drains the flusher. */
  constructor(pool: BufferPool, outbox: GateOutbox, options: GateOptions) {
    const { flusher, highWaterBytes, lowWaterBytes, batch } = options;
    this.#board = flusher === undefined ? Switchboard.forPool(pool) : Switchboard.of(pool, flusher);
    if (batch !== undefined) this.#board.sendIn(batch);
    this.#outbox = outbox;
    this.#highWaterBytes = highWaterBytes;
    this.#lowWaterBytes = lowWaterBytes;
    this.invariants();
  }

  get flusher(): WriteFlusher {
    return this.#board.flusher;
  }

  /** Whether regions are left in the flusher because too much waits. */
  get stalled(): boolean {
    return this.#state === STALLED;
  }

  /** Times that became so. */
  get stalls(): number {
    return this.#stalls;
  }

  // ── Writers ───────────────────────────────────────────────────────────────────────────────────

  /**
   * Regions of this writer come here from now on, and no more where they went before.
   *
   * **Ownership** The outbox is told once that the writer has `row` no more. **Throws** RangeError,
   * TypeError, and takes no row then; see {@link checkWriterId}.
   */
  add(writerId: number, row: number = 0): void {
    this.checkWriterId(writerId);
    this.#forget(writerId);
    const outlet = new WriterOutlet(this, writerId, row);
    assert(!this.#outlets.has(writerId), 'the outlet before was told that it has no writer');
    this.#outlets.set(writerId, outlet);
    this.#board.plug(writerId, outlet);
    // It may have been paused for the link that it fed before.
    this.#board.resume(writerId, outlet);
  }

  /** Regions of this writer do not come any more; those that wait are dropped. */
  remove(writerId: number): void {
    this.checkWriterId(writerId);
    const outlet = this.#forget(writerId);
    if (outlet !== undefined) this.#board.unplug(writerId, outlet);
  }

  /** Nothing comes from the outlet's writer any more. */
  gone(outlet: WriterOutlet): void {
    if (this.#outlets.get(outlet.writerId) === outlet) this.#forget(outlet.writerId);
  }

  /** **Throws** RangeError, TypeError. */
  checkWriterId(writerId: number): void {
    checkInteger('writerId', writerId, 0, this.flusher.layout.writerCount - 1);
  }

  // ── Regions ───────────────────────────────────────────────────────────────────────────────────

  /** A writer's region. */
  push(offset: number, length: number, bufferId: BufferId, row: number): PushOutcome {
    const outbox = this.#outbox;
    outbox.push(offset, length, bufferId, row);
    if (outbox.queuedBytes >= this.#highWaterBytes) {
      if (this.#state === FLOWING) this.#becomeHalted();
      return HALTS;
    }
    return outbox.isFull ? SENDS_NOW : TAKES_MORE;
  }

  /** Sends what waits. What that throws is thrown on later: a sender has other links to serve. */
  send(): SendOutcome {
    try {
      this.#outbox.send();
    } catch (error) {
      throwLater(error);
    }
    if (this.#state !== HALTED) return SENT;
    if (this.#hasRoom) return ROOM_AGAIN;
    this.#becomeStalled();
    this.invariants();
    return SENT;
  }

  /** A halted gate's writers go on. */
  flow(): void {
    if (this.#state === HALTED) this.#becomeFlowing();
  }

  /**
   * Makes room for a region that comes from no writer, if need be by sending, and stalls if that
   * is no use. Returns whether there is room.
   */
  tryMakeRoom(): boolean {
    if (this.#hasRoom) return true;
    this.#outbox.send();
    if (this.#hasRoom) return true;
    if (this.#state !== STALLED) this.#becomeStalled();
    this.invariants();
    return false;
  }

  /** Such a region was pushed: what waits is sent at the end of this turn, or now if it is much. */
  pushed(): void {
    if (this.#outbox.isFull) this.#board.send(this);
    else this.#board.sendSoon(this);
  }

  /**
   * Takes what was flushed, sending where need be to make room. Returns whether the writers' lanes
   * are empty, unless stalled; if not, another drain follows soon.
   */
  drain(): boolean {
    if (this.flusher.closed) return true;
    if (this.#state === HALTED && this.#hasRoom) this.#becomeFlowing();
    this.#board.drain(PASSES_MAX);
    return this.#state !== HALTED;
  }

  /**
   * Ends a stall if little enough waits, and takes what the lanes have kept, which may be the
   * beginning of the next one. Returns whether the writers have room again.
   */
  resumeIfLow(): boolean {
    if (this.#state !== STALLED || this.#outbox.queuedBytes > this.#lowWaterBytes) return false;
    this.#becomeFlowing();
    this.drain();
    return !this.stalled;
  }

  /**
   * Takes all that there is, and whatever comes from now on: for an outbox that drops and counts
   * it, also what writers of other threads flush when the link has long closed.
   */
  giveUp(): void {
    this.#highWaterBytes = Infinity;
    this.#becomeFlowing();
    this.drain();
    this.invariants();
  }

  /** Checks how the state and the marks go together. Holds between any two calls. */
  invariants(): void {
    assert(this.#lowWaterBytes <= this.#highWaterBytes, 'a stall ends below where it begins');
    const isBounded = this.#highWaterBytes < Infinity;
    assert(isBounded || this.#state === FLOWING, 'what has no bound is never halted');
    assert(this.#stalls > 0 || this.#state !== STALLED, 'each stall is counted');
  }

  get #hasRoom(): boolean {
    return this.#outbox.queuedBytes < this.#highWaterBytes;
  }

  #becomeHalted(): void {
    assert(this.#state === FLOWING, 'only what flows is halted');
    assert(!this.#hasRoom, 'nothing is halted while there is room');
    this.#state = HALTED;
  }

  #becomeStalled(): void {
    assert(this.#state !== STALLED, 'a stall has one beginning');
    assert(!this.#hasRoom, 'nothing stalls while there is room');
    this.#state = STALLED;
    this.#stalls++;
  }

  /** What the lanes have kept comes with the next drain. */
  #becomeFlowing(): void {
    this.#state = FLOWING;
    for (const [writerId, outlet] of this.#outlets) this.#board.resume(writerId, outlet);
  }

  #forget(writerId: number): WriterOutlet | undefined {
    const outlet = this.#outlets.get(writerId);
    if (outlet === undefined) return undefined;
    this.#outlets.delete(writerId);
    this.#outbox.letGo?.(outlet.row);
    return outlet;
  }
}

/** One writer's outlet. */
class WriterOutlet implements Outlet {
  readonly gate: WriterGate;
  readonly writerId: number;
  readonly row: number;

  constructor(gate: WriterGate, writerId: number, row: number) {
    this.gate = gate;
    this.writerId = writerId;
    this.row = row;
  }

  push(offset: number, length: number, bufferId: BufferId): PushOutcome {
    return this.gate.push(offset, length, bufferId, this.row);
  }

  gone(): void {
    this.gate.gone(this);
  }
}
