// SPDX-License-Identifier: MIT
/** `WriterGate`: passes the regions of a link's writers to its outbox until the outbox is full. */

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

/** The part of a link's outbox that a gate uses. */
export interface GateOutbox {
  /** Waiting bytes, as `highWaterBytes` counts them. */
  readonly queuedBytes: number;
  /** The buffers in which they wait. */
  readonly held: { readonly count: number; readonly share: number };
  /** Whether to send now, not at the end of the event loop's turn: enough waits. */
  readonly isFull: boolean;
  /** Takes a region and one reference on its buffer; `row` stands for the writer's destination. */
  push(offset: number, length: number, bufferId: BufferId, row: number): void;
  /** Called once when the gate no longer uses a writer's row. */
  releaseRow?(row: number): void;
  /** Sends as much as possible now. */
  send(): void;
}

/** A gate's flusher, the limits of its outbox, and the batch in which it sends. */
export interface GateOptions {
  /** Undefined: the flusher that links of the pool share. */
  readonly flusher: WriteFlusher | undefined;
  readonly highWaterBytes: number;
  readonly lowWaterBytes: number;
  /** Undefined: a fair share. */
  readonly highWaterBuffers?: number | undefined;
  readonly batch?: SendBatch | undefined;
}

/** Regions pass from the writers to the outbox. */
const FLOWING = 'flowing';
/** The outbox is full: no regions pass until it has sent. */
const HALTED = 'halted';
/** The send made no room. Regions stay in the flusher until only half as much waits. */
const STALLED = 'stalled';
type GateState = typeof FLOWING | typeof HALTED | typeof STALLED;

/** Passes per drain. Bounded, so that busy writers on other threads cannot block the event loop. */
const PASSES_MAX = 64;

/**
 * A link's side of the switchboard: one outlet per writer, and one state for all of them.
 *
 *   FLOWING ──push fills the outbox──▶ HALTED ──send makes room, then flow──▶ FLOWING
 *                                         │
 *                                         └──send makes no room──▶ STALLED
 *   STALLED ──resumeIfLow: little waits──▶ FLOWING          any ──release──▶ FLOWING
 *
 * A halted gate flows again within the drain if a pass is left, otherwise in the event loop's next
 * turn. A writer that has not been stopped yet may push to a stalled gate, which stays stalled.
 */
export class WriterGate implements Gate {
  isDue = false;
  readonly #board: Switchboard;
  readonly #outbox: GateOutbox;
  readonly #lowWaterBytes: number;
  #highWaterBytes: number;
  /** Undefined: as many as `held.share` says. */
  #highWaterBuffers: number | undefined;
  readonly #outlets = new Map<number, WriterOutlet>();
  #state: GateState = FLOWING;
  #stalls = 0;

  /** **Throws** ERR_BUSBAR_FLUSHER_ROLE if another thread drains the flusher. */
  constructor(pool: BufferPool, outbox: GateOutbox, options: GateOptions) {
    const { flusher, highWaterBytes, lowWaterBytes, highWaterBuffers, batch } = options;
    this.#board = flusher === undefined ? Switchboard.forPool(pool) : Switchboard.of(pool, flusher);
    if (batch !== undefined) this.#board.sendIn(batch);
    this.#outbox = outbox;
    this.#highWaterBytes = highWaterBytes;
    this.#lowWaterBytes = lowWaterBytes;
    this.#highWaterBuffers = highWaterBuffers;
    this.invariants();
  }

  get flusher(): WriteFlusher {
    return this.#board.flusher;
  }

  /** Whether regions stay in the flusher because too much waits. */
  get stalled(): boolean {
    return this.#state === STALLED;
  }

  /** Whether regions pass: the flusher is open, and the outbox is not full. */
  get flows(): boolean {
    return this.#state === FLOWING && !this.flusher.closedHere;
  }

  /** Number of stalls so far. */
  get stalls(): number {
    return this.#stalls;
  }

  // ── Writers ───────────────────────────────────────────────────────────────────────────────────

  /**
   * Takes this writer's regions from now on. If another link took them before, it stops.
   *
   * **Ownership** of `row` passes to the gate, which calls `releaseRow` once; if this throws, `row`
   * stays the caller's. **Throws** RangeError, TypeError; see {@link checkWriterId}.
   */
  add(writerId: number, row: number = 0): void {
    this.checkWriterId(writerId);
    this.#forget(writerId);
    const outlet = new WriterOutlet(this, writerId, row);
    assert(!this.#outlets.has(writerId), "the writer's previous outlet must be forgotten");
    this.#outlets.set(writerId, outlet);
    this.#board.plug(writerId, outlet);
    // The writer's previous link may have paused it.
    this.#board.resume(writerId, outlet);
  }

  /** Stops taking this writer's regions; those still in the flusher are dropped. */
  remove(writerId: number): void {
    this.checkWriterId(writerId);
    const outlet = this.#forget(writerId);
    if (outlet !== undefined) this.#board.unplug(writerId, outlet);
  }

  /** Called when no more regions of the outlet's writer will come. */
  gone(outlet: WriterOutlet): void {
    if (this.#outlets.get(outlet.writerId) === outlet) this.#forget(outlet.writerId);
  }

  /** **Throws** RangeError, TypeError. */
  checkWriterId(writerId: number): void {
    checkInteger('writerId', writerId, 0, this.flusher.layout.writerCount - 1);
  }

  // ── Regions ───────────────────────────────────────────────────────────────────────────────────

  /** Passes a writer's region to the outbox. */
  push(offset: number, length: number, bufferId: BufferId, row: number): PushOutcome {
    const outbox = this.#outbox;
    outbox.push(offset, length, bufferId, row);
    if (!this.#hasRoom) {
      if (this.#state === FLOWING) this.#becomeHalted();
      return HALTS;
    }
    return outbox.isFull ? SENDS_NOW : TAKES_MORE;
  }

  /** Sends what waits. Rethrows exceptions from a microtask: the caller serves other links, too. */
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

  /** Lets the writers of a halted gate continue. */
  flow(): void {
    if (this.#state === HALTED) this.#becomeFlowing();
  }

  /**
   * Makes room for a region sent without a writer: sends if necessary, and stalls if there is still
   * no room. Returns whether there is room.
   */
  tryMakeRoom(): boolean {
    if (this.#hasRoom) return true;
    this.#outbox.send();
    if (this.#hasRoom) return true;
    if (this.#state !== STALLED) this.#becomeStalled();
    this.invariants();
    return false;
  }

  /** Called after a push without a writer: sends at the end of this turn, or now if much waits. */
  pushed(): void {
    if (!this.tryMakeRoom()) return;
    if (this.#outbox.isFull) this.#board.send(this);
    else this.#board.sendSoon(this);
  }

  /**
   * Takes flushed regions, sending as necessary to make room. Returns whether the writers' lanes
   * are empty (or the gate is stalled); if not, another drain follows soon.
   */
  drain(): boolean {
    if (this.flusher.closed) return true;
    if (this.#state === HALTED && this.#hasRoom) this.#becomeFlowing();
    this.#board.drain(PASSES_MAX);
    return this.#state !== HALTED;
  }

  /**
   * Ends a stall if at most `lowWaterBytes` bytes wait, in half of the buffers, and takes the
   * regions in the lanes, which may begin the next stall. Returns whether the writers have room.
   */
  resumeIfLow(): boolean {
    if (this.#state !== STALLED || this.#outbox.queuedBytes > this.#lowWaterBytes) return false;
    if (this.#outbox.held.count > this.#buffersMax >>> 1) return false;
    this.#becomeFlowing();
    this.drain();
    return !this.stalled;
  }

  /**
   * Removes the limit: from now on the outbox drops and counts all regions, also those that writers
   * of other threads flush long after the link has closed.
   */
  release(): void {
    this.#highWaterBytes = Infinity;
    this.#highWaterBuffers = Infinity;
    this.#becomeFlowing();
    this.drain();
    this.invariants();
  }

  /** Asserts that state and limits agree, as they do between any two calls. */
  invariants(): void {
    assert(this.#lowWaterBytes <= this.#highWaterBytes, 'low water is not above high water');
    const isBounded = this.#highWaterBytes < Infinity;
    assert(isBounded || this.#state === FLOWING, 'a gate without a limit is never halted');
    assert(this.#stalls > 0 || this.#state !== STALLED, 'each stall is counted');
  }

  get #hasRoom(): boolean {
    const { queuedBytes, held } = this.#outbox;
    return queuedBytes < this.#highWaterBytes && held.count < this.#buffersMax;
  }

  get #buffersMax(): number {
    return this.#highWaterBuffers ?? this.#outbox.held.share;
  }

  #becomeHalted(): void {
    assert(this.#state === FLOWING, 'only a flowing gate is halted');
    assert(!this.#hasRoom, 'a gate is not halted while there is room');
    this.#state = HALTED;
  }

  #becomeStalled(): void {
    assert(this.#state !== STALLED, 'a stalled gate does not stall again');
    assert(!this.#hasRoom, 'a gate does not stall while there is room');
    this.#state = STALLED;
    this.#stalls++;
  }

  /** The next drain takes the regions that are left in the lanes. */
  #becomeFlowing(): void {
    this.#state = FLOWING;
    for (const [writerId, outlet] of this.#outlets) this.#board.resume(writerId, outlet);
  }

  #forget(writerId: number): WriterOutlet | undefined {
    const outlet = this.#outlets.get(writerId);
    if (outlet === undefined) return undefined;
    this.#outlets.delete(writerId);
    this.#outbox.releaseRow?.(outlet.row);
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
