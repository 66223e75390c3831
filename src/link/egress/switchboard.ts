// SPDX-License-Identifier: MIT
/** `Switchboard`: drains a flusher and passes each region to the link of its writer. */

import { assert } from '../../base/assert.ts';
import { BusbarError } from '../../base/errors.ts';
import type { BufferId, BufferPool } from '../../pool/index.ts';
import { WriteFlusher } from '../../writer/index.ts';

/** The outlet takes more; it sends at the end of this turn of the event loop. */
export const TAKES_MORE = 0;
/** The outlet takes more; enough waits to send right after this drain. */
export const SENDS_NOW = 1;
/** As SENDS_NOW, and the outlet takes no more from this writer until the gate has sent. */
export const HALTS = 2;
export type PushOutcome = typeof TAKES_MORE | typeof SENDS_NOW | typeof HALTS;

/** The waiting regions were sent, or wait for the socket. */
export const SENT = 0;
/** The gate was halted and has room again: call {@link Gate.flow}. */
export const ROOM_AGAIN = 1;
export type SendOutcome = typeof SENT | typeof ROOM_AGAIN;

/** The destination of one writer's regions. */
export interface Outlet {
  readonly gate: Gate;
  /** Takes a region and a reference on its buffer. Called in a drain; must not call user code. */
  push(offset: number, length: number, bufferId: BufferId): PushOutcome;
  /**
   * Called when no more regions of the writer will come: it has closed and all its regions were
   * pushed, or it was plugged elsewhere. May be called within a drain, and should not throw.
   */
  gone(): void;
}

/** Sends for one or several outlets. */
export interface Gate {
  /** Set by the switchboard: `send` will be called at the end of this turn. */
  isDue: boolean;
  /** Starts a write of what was pushed, if anything. Does not throw. */
  send(): SendOutcome;
  /** Lets its writers continue, if it is halted. */
  flow(): void;
}

/** Collects the sends of many links between `hold` and `release`, and makes them together. */
export interface SendBatch {
  hold(): void;
  release(): void;
}

/** The flusher that links share by default: 512 bytes of memory for each writer, 2 MiB in all. */
const SHARED_FLUSHER_WRITERS = 4096;
const SHARED_FLUSHER_REGIONS = 16;

/**
 * The receiver of one flusher on this thread. Links plug in their writers; each drain passes the
 * regions to them.
 *
 * Drained regions are sent at the end of the event loop's turn (`setImmediate`), or at once if many
 * bytes wait. So a hundred small messages to one socket leave in one write, whichever code wrote
 * them in this turn; with the shim, messages to a hundred sockets leave in one call.
 *
 * A lane whose gate is full is paused: its regions stay in the flusher, and once the lane is full
 * its writer returns "not now". So a slow peer stops the writers to that peer, and no others.
 */
export class Switchboard {
  readonly flusher: WriteFlusher;
  readonly #pool: BufferPool;
  readonly #outlets: (Outlet | undefined)[] = [];
  /** Gates with something to send; `isDue` is set in each. */
  #due: Gate[] = [];
  #dueSpare: Gate[] = [];
  /** Gates without room, or with enough to send at once. */
  readonly #full: Gate[] = [];
  /** Halted gates with room, to continue in the event loop's next turn. */
  #flowing: Gate[] = [];
  #batch: SendBatch | undefined;

  private constructor(pool: BufferPool, flusher: WriteFlusher) {
    this.#pool = pool;
    this.flusher = flusher;
    // The next writer with this id may be another link's.
    flusher.setGoneCallback((writerId) => {
      const outlet = this.#outlets[writerId];
      this.#outlets[writerId] = undefined;
      outlet?.gone();
    });
    flusher.setReadyCallback(() => this.drain());
  }

  /**
   * The switchboard of a flusher: one per thread, created on first use.
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
   * The switchboard of the flusher that all links of a pool share on this thread by default.
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

  /** Sets the batch for sends at the end of a turn: one for all links of a pool. */
  sendIn(batch: SendBatch): void {
    this.#batch = batch;
  }

  /** Passes the writer's regions to the outlet from now on. */
  plug(writerId: number, outlet: Outlet): void {
    const before = this.#outlets[writerId];
    this.#outlets[writerId] = outlet;
    before?.gone();
  }

  /** Stops passing the writer's regions to this outlet; those that wait are dropped. */
  unplug(writerId: number, outlet: Outlet): void {
    // The writer may have closed, and another writer may have its id now.
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
   * Passes all flushed regions, except those of paused writers, to the outlets; then the full gates
   * send. If that makes room, another pass follows, up to `passesMax`, and then one in the event
   * loop's next turn.
   */
  drain(passesMax: number = 1): void {
    assert(passesMax > 0, 'a drain makes at least one pass');
    for (let pass = 1, again = true; again; pass++) {
      assert(pass <= passesMax, 'a drain makes at most passesMax passes');
      let mayRepeat = false;
      try {
        this.flusher.drain(this.#sink);
        mayRepeat = pass < passesMax;
      } finally {
        // Also if an outlet threw: halted gates have stopped their writers, and must send.
        again = this.#sendFull(mayRepeat);
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
      // Also if the outlet threw: the regions that it took are still to be sent.
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
   * Sends from the full gates. Returns whether halted writers continue now; unless `mayRepeat`,
   * they continue in the next turn.
   *
   * Re-entrancy: `send` runs user code, which may drain again.
   */
  #sendFull(mayRepeat: boolean): boolean {
    let again = false;
    for (let gate = this.#full.pop(); gate !== undefined; gate = this.#full.pop()) {
      if (!mayRepeat) {
        this.send(gate);
      } else if (gate.send() === ROOM_AGAIN) {
        gate.flow();
        again = true;
      }
    }
    return again;
  }

  /** Makes the gate send now. If it is halted and then has room, it flows in the next turn. */
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

  /** Makes the gate send at the end of this turn. */
  sendSoon(gate: Gate): void {
    if (gate.isDue) return;
    gate.isDue = true;
    if (this.#due.push(gate) === 1) setImmediate(this.#sendDue);
  }

  readonly #sendDue = (): void => {
    const due = this.#due;
    assert(due.length > 0, 'a due gate must be listed');
    assert(this.#dueSpare.length === 0, 'the gates of the last turn must have sent');
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
