// SPDX-License-Identifier: MIT
/** From the flusher to the sockets: each region goes to the link that carries its writer. */

import { BusbarError } from '../base/errors.ts';
import { throwLater } from '../base/throw-later.ts';
import type { BufferId, BufferPool } from '../pool/index.ts';
import { WriteFlusher } from '../writer/index.ts';
import { DirectWrites } from './direct-writes.ts';

/** Where the regions of some writers go. */
export interface Outlet {
  /** The switchboard's mark: `send` will be called at the end of this turn. */
  isDue: boolean;
  /**
   * Takes a region and one reference on its buffer. Returns false if no more should come before
   * {@link send}. Called within a drain: nobody else may be called from here.
   */
  push(offset: number, length: number, bufferId: BufferId): boolean;
  /** Whether so much waits that it should be sent before this turn of the event loop ends. */
  isFull(): boolean;
  /** Starts a write with what was pushed, if there is anything. Should not throw. */
  send(): void;
  /**
   * Nothing comes from the writer any more: it has closed and all that it flushed was pushed, or it
   * was plugged elsewhere. May be called within a drain, and should not throw.
   */
  gone(): void;
}

/**
 * Writers in the flusher that links share when they are given none. 512 bytes of reserved memory
 * each.
 */
const SHARED_FLUSHER_WRITERS = 4096;
const SHARED_FLUSHER_REGIONS = 16;

/**
 * One flusher's receiver on this thread: links plug their writers in, and each drain is sorted to
 * them.
 *
 * What a drain brings is sent at the end of the event loop's turn (`setImmediate`), or at once
 * where much waits: a hundred small messages that came from a hundred sockets in one turn leave in
 * one write, and what is for a hundred sockets leaves in one call of the shim, where there is one.
 *
 * A lane whose outlet is full is paused: its regions stay in the flusher, and once the lane is full
 * its writers are told "not now". That is how a peer that reads slowly stops those who write to it,
 * and nobody else.
 */
export class Switchboard {
  readonly flusher: WriteFlusher;
  readonly #pool: BufferPool;
  readonly #outlets: (Outlet | undefined)[] = [];
  /** Outlets with something to send; `isDue` is set in each. */
  #due: Outlet[] = [];
  #dueSpare: Outlet[] = [];
  /** Outlets that have no room, or enough to be sent at once. */
  readonly #full: Outlet[] = [];
  readonly #directWrites: DirectWrites | undefined;

  private constructor(pool: BufferPool, flusher: WriteFlusher) {
    this.#pool = pool;
    this.flusher = flusher;
    this.#directWrites = DirectWrites.forPool(pool);
    // The next writer with this number is not for the same peer.
    flusher.setGoneCallback((writerId) => {
      const outlet = this.#outlets[writerId];
      this.#outlets[writerId] = undefined;
      outlet?.gone();
    });
    flusher.setReadyCallback(() => this.drain());
  }

  /**
   * The switchboard of a flusher: one on a thread, made when it is first asked for.
   *
   * **Throws** ERR_BUSBAR_FLUSHER_ROLE if another thread drains the flusher.
   */
  static of(pool: BufferPool, flusher: WriteFlusher): Switchboard {
    let board = boards.get(flusher);
    if (board === undefined) {
      if (!flusher.isReceiver) {
        throw new BusbarError('ERR_BUSBAR_FLUSHER_ROLE', 'links drain their flusher themselves');
      }
      board = new Switchboard(pool, flusher);
      boards.set(flusher, board);
    }
    return board;
  }

  /**
   * The switchboard of a flusher that all links of a pool share on this thread unless they are
   * given another.
   */
  static forPool(pool: BufferPool): Switchboard {
    let flusher = sharedFlushers.get(pool);
    if (flusher === undefined) {
      flusher = WriteFlusher.create(pool, {
        writerCount: SHARED_FLUSHER_WRITERS,
        regionCount: SHARED_FLUSHER_REGIONS,
      });
      sharedFlushers.set(pool, flusher);
    }
    return Switchboard.of(pool, flusher);
  }

  /** Regions of the writer go to the outlet from now on. */
  plug(writerId: number, outlet: Outlet): void {
    const before = this.#outlets[writerId];
    this.#outlets[writerId] = outlet;
    before?.gone();
  }

  /** Regions of the writer do not go to this outlet any more; those that wait are dropped. */
  unplug(writerId: number, outlet: Outlet): void {
    // The writer may be closed and its number another's by now.
    if (this.#outlets[writerId] !== outlet) return;
    this.#outlets[writerId] = undefined;
    this.flusher.resumeWriter(writerId);
    this.drain();
  }

  /** The outlet takes this writer's regions again. */
  resume(writerId: number, outlet: Outlet): void {
    if (this.#outlets[writerId] === outlet) this.flusher.resumeWriter(writerId);
  }

  /**
   * Sorts everything that was flushed, except what is paused, to the outlets; then those that are
   * full send. What that makes room for is not taken: see {@link Lanes.drain}.
   */
  drain(): void {
    this.flusher.drain(this.#sink);
    // From here on anybody may be called, and may call this again.
    for (let outlet = this.#full.pop(); outlet !== undefined; outlet = this.#full.pop()) {
      send(outlet);
    }
  }

  readonly #sink = (writerId: number, offset: number, length: number, bufferId: BufferId): void => {
    const outlet = this.#outlets[writerId];
    if (outlet === undefined) {
      this.#pool.release(bufferId);
      return;
    }
    const takesMore = outlet.push(offset, length, bufferId);
    if (!takesMore) this.flusher.pauseWriter(writerId);
    if (!takesMore || outlet.isFull()) {
      if (this.#full.at(-1) !== outlet) this.#full.push(outlet);
    } else {
      this.sendSoon(outlet);
    }
  };

  /** The outlet sends at the end of this turn. */
  sendSoon(outlet: Outlet): void {
    if (outlet.isDue) return;
    outlet.isDue = true;
    if (this.#due.push(outlet) === 1) setImmediate(this.#sendDue);
  }

  readonly #sendDue = (): void => {
    const due = this.#due;
    this.#due = this.#dueSpare;
    this.#dueSpare = due;
    this.#directWrites?.hold();
    for (let i = 0; i < due.length; i++) {
      due[i].isDue = false;
      send(due[i]);
    }
    due.length = 0;
    this.#directWrites?.release();
  };
}

/** What one throws is not the others' business. */
function send(outlet: Outlet): void {
  try {
    outlet.send();
  } catch (error) {
    throwLater(error);
  }
}

const boards = new WeakMap<WriteFlusher, Switchboard>();
const sharedFlushers = new WeakMap<BufferPool, WriteFlusher>();
