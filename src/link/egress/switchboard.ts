// SPDX-License-Identifier: MIT
/** The receiver of a flusher: each region goes to the link that carries its writer. */

import { assert } from '../../base/assert.ts';
import { BusbarError } from '../../base/errors.ts';
import type { BufferId, BufferPool } from '../../pool/index.ts';
import { WriteFlusher } from '../../writer/index.ts';

/** More may come, and what has come is sent at the end of this turn of the event loop. */
export const TAKES_MORE = 0;
/** More may come, but so much waits that it is sent as soon as the drain is over. */
export const SENDS_NOW = 1;
/** The same, and no more may come from this writer before that. */
export const HALTS = 2;
export type PushOutcome = typeof TAKES_MORE | typeof SENDS_NOW | typeof HALTS;

/** What waited has been sent, or waits for the socket. */
export const SENT = 0;
/** The gate was halted, and has room again: it wants {@link Gate.flow}. */
export const ROOM_AGAIN = 1;
export type SendOutcome = typeof SENT | typeof ROOM_AGAIN;

/** Where the regions of one writer go. */
export interface Outlet {
  readonly gate: Gate;
  /**
   * Takes a region and one reference on its buffer. Called within a drain: nobody else may be
   * called from here.
   */
  push(offset: number, length: number, bufferId: BufferId): PushOutcome;
  /**
   * Nothing comes from the writer any more: it has closed and all that it flushed was pushed, or it
   * was plugged elsewhere. May be called within a drain, and should not throw.
   */
  gone(): void;
}

/** What sends, for some outlets. */
export interface Gate {
  /** The switchboard's mark: `send` will be called at the end of this turn. */
  isDue: boolean;
  /** Starts a write with what was pushed, if there is anything. Does not throw. */
  send(): SendOutcome;
  /** Lets its writers go on, if it is halted. */
  flow(): void;
}

/** Collects sends of many links between the two calls, to do them together. */
export interface SendBatch {
  hold(): void;
  release(): void;
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
 * A lane whose gate is full is paused: its regions stay in the flusher, and once the lane is full
 * its writer is told "not now". That is how a peer that reads slowly stops those who write to it,
 * and nobody else.
 */
export class Switchboard {
  readonly flusher: WriteFlusher;
  readonly #pool: BufferPool;
  readonly #outlets: (Outlet | undefined)[] = [];
  /** Gates with something to send; `isDue` is set in each. */
  #due: Gate[] = [];
  #dueSpare: Gate[] = [];
  /** Gates that have no room, or enough to be sent at once. */
  readonly #full: Gate[] = [];
  /** Gates that are halted and have room, for the event loop's next turn. */
  #flowing: Gate[] = [];
  #batch: SendBatch | undefined;

  private constructor(pool: BufferPool, flusher: WriteFlusher) {
    this.#pool = pool;
    this.flusher = flusher;
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

  /** What is sent at the end of a turn is sent in this batch: one for all links of a pool. */
  sendIn(batch: SendBatch): void {
    this.#batch = batch;
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
   * Sorts everything that was flushed, except what is paused, to the outlets; then the gates that
   * are full send. What that makes room for comes in another pass, `passesMax` in all, and after
   * these in the event loop's next turn.
   */
  drain(passesMax: number = 1): void {
    assert(passesMax > 0, 'a drain has a pass');
    for (let pass = 1, again = true; again; pass++) {
      assert(pass <= passesMax, 'passes are bounded');
      let goesOn = false;
      try {
        this.flusher.drain(this.#sink);
        goesOn = pass < passesMax;
      } finally {
        // Also if an outlet has thrown: the others have stopped their writers until they have sent.
        again = this.#sendFull(goesOn);
      }
    }
  }

  readonly #sink = (writerId: number, offset: number, length: number, bufferId: BufferId): void => {
    const outlet = this.#outlets[writerId];
    if (outlet === undefined) {
      this.#pool.release(bufferId);
      return;
    }
    let outcome: PushOutcome = SENDS_NOW;
    try {
      outcome = outlet.push(offset, length, bufferId);
    } finally {
      // Also if it has thrown: what it has taken is sent.
      if (outcome === TAKES_MORE) this.sendSoon(outlet.gate);
      else this.#filled(writerId, outlet.gate, outcome);
    }
  };

  #filled(writerId: number, gate: Gate, outcome: PushOutcome): void {
    assert(outcome === SENDS_NOW || outcome === HALTS, 'an outlet returns one of three outcomes');
    if (outcome === HALTS) this.flusher.pauseWriter(writerId);
    if (this.#full.at(-1) !== gate) this.#full.push(gate);
  }

  /**
   * Sends from the gates that are full. Returns whether writers go on that were halted; unless
   * `goesOn`, they do so in the next turn.
   *
   * Re-entrancy: a send runs the program's code, which may drain again.
   */
  #sendFull(goesOn: boolean): boolean {
    let again = false;
    for (let gate = this.#full.pop(); gate !== undefined; gate = this.#full.pop()) {
      if (!goesOn) {
        this.send(gate);
      } else if (gate.send() === ROOM_AGAIN) {
        gate.flow();
        again = true;
      }
    }
    return again;
  }

  /** The gate sends now. If it is halted and has room then, it flows in the next turn. */
  send(gate: Gate): void {
    if (gate.send() !== ROOM_AGAIN) return;
    if (this.#flowing.push(gate) === 1) setImmediate(this.#flow);
  }

  readonly #flow = (): void => {
    const flowing = this.#flowing;
    this.#flowing = [];
    if (!this.#pool.isAttached || this.flusher.closed) return;
    for (const gate of flowing) gate.flow();
  };

  /** The gate sends at the end of this turn. */
  sendSoon(gate: Gate): void {
    if (gate.isDue) return;
    gate.isDue = true;
    if (this.#due.push(gate) === 1) setImmediate(this.#sendDue);
  }

  readonly #sendDue = (): void => {
    const due = this.#due;
    assert(due.length > 0, 'who is due was marked');
    assert(this.#dueSpare.length === 0, 'those of the turn before have all sent');
    this.#due = this.#dueSpare;
    this.#dueSpare = due;
    const batch = this.#batch;
    batch?.hold();
    try {
      for (let i = 0; i < due.length; i++) {
        assert(due[i].isDue, 'a gate is due once');
        due[i].isDue = false;
        this.send(due[i]);
      }
    } finally {
      due.length = 0;
      batch?.release();
    }
  };
}

const boards = new WeakMap<WriteFlusher, Switchboard>();
const sharedFlushers = new WeakMap<BufferPool, WriteFlusher>();
