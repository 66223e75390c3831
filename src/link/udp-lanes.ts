// SPDX-License-Identifier: MIT
/** From the flusher to the outbox: the writers that feed one UDP link, and where each sends to. */

import { checkInteger } from '../base/check.ts';
import type { BufferId, BufferPool } from '../pool/index.ts';
import type { WriteFlusher } from '../writer/index.ts';
import { type Outlet, Switchboard } from './switchboard.ts';
import type { Cut, UdpOutbox } from './udp-outbox.ts';

/**
 * A UDP link's side of the switchboard: one outlet for each writer, which knows its destination.
 *
 * When `highWaterBytes` wait the link is *stalled*: what writers flush stays in their lanes of the
 * flusher, until only `lowWaterBytes` wait.
 */
export class UdpLanes {
  readonly #board: Switchboard;
  readonly #outbox: UdpOutbox;
  readonly #cut: Cut;
  readonly #highWaterBytes: number;
  readonly #lowWaterBytes: number;
  readonly #lanes = new Map<number, Lane>();
  #stalled = false;
  #stalls = 0;

  constructor(
    pool: BufferPool,
    flusher: WriteFlusher | undefined,
    outbox: UdpOutbox,
    cut: Cut,
    highWaterBytes: number,
    lowWaterBytes: number,
  ) {
    this.#board = flusher === undefined ? Switchboard.forPool(pool) : Switchboard.of(pool, flusher);
    this.#outbox = outbox;
    this.#cut = cut;
    this.#highWaterBytes = highWaterBytes;
    this.#lowWaterBytes = lowWaterBytes;
  }

  get flusher(): WriteFlusher {
    return this.#board.flusher;
  }

  /** Whether so much waits that nothing more is taken. */
  get stalled(): boolean {
    return this.#stalled;
  }

  get stalls(): number {
    return this.#stalls;
  }

  /** Regions of this writer go to that address from now on. **Throws** RangeError, TypeError. */
  add(writerId: number, address: number): void {
    checkInteger('writerId', writerId, 0, this.flusher.layout.writerCount - 1);
    const lane = new Lane(this, this.#outbox, this.#cut, address);
    this.#lanes.set(writerId, lane);
    this.#board.plug(writerId, lane);
  }

  /** Regions of this writer do not come any more; those that wait are dropped. */
  remove(writerId: number): void {
    checkInteger('writerId', writerId, 0, this.flusher.layout.writerCount - 1);
    const lane = this.#lanes.get(writerId);
    if (lane === undefined) return;
    this.#lanes.delete(writerId);
    this.#board.unplug(writerId, lane);
  }

  clear(): void {
    for (const writerId of [...this.#lanes.keys()]) this.remove(writerId);
  }

  /** Takes what was flushed. Unless stalled afterwards, the lanes are empty then. */
  drain(): void {
    if (!this.#board.flusher.closed) this.#board.drain();
  }

  /** Ends a stall and takes what the lanes have kept. Returns whether writers have room again. */
  resume(): boolean {
    if (!this.#stalled) return false;
    this.#stalled = false;
    for (const [writerId, lane] of this.#lanes) this.#board.resume(writerId, lane);
    this.drain();
    return !this.#stalled;
  }

  /** After a send: like {@link resume}, if little enough waits. */
  resumeIfLow(): boolean {
    return this.#stalled && this.#outbox.queuedBytes <= this.#lowWaterBytes && this.resume();
  }

  /** Takes note of what waits now, after a try to send it. Returns whether more may come. */
  hasRoom(): boolean {
    if (this.#outbox.queuedBytes < this.#highWaterBytes) return true;
    this.#outbox.send();
    if (this.#outbox.queuedBytes < this.#highWaterBytes) return true;
    if (!this.#stalled) this.#stalls++;
    this.#stalled = true;
    return false;
  }
}

/** One writer's outlet. */
class Lane implements Outlet {
  isDue = false;
  readonly #lanes: UdpLanes;
  readonly #outbox: UdpOutbox;
  readonly #cut: Cut;
  readonly #address: number;

  constructor(lanes: UdpLanes, outbox: UdpOutbox, cut: Cut, address: number) {
    this.#lanes = lanes;
    this.#outbox = outbox;
    this.#cut = cut;
    this.#address = address;
  }

  push(offset: number, length: number, bufferId: BufferId): boolean {
    this.#outbox.push(offset, length, bufferId, this.#cut, this.#address);
    return this.#lanes.hasRoom();
  }

  isFull(): boolean {
    return this.#outbox.isFull;
  }

  send(): void {
    this.#outbox.send();
  }
}
