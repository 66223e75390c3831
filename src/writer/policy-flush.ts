// SPDX-License-Identifier: MIT
/** Flushes a writer by its policy: at the end of a turn, or when a budget is spent. */

import { assert } from '../base/assert.ts';
import { startTimer, stopTimer, type Timer } from '../base/clock.ts';
import { BusbarError } from '../base/errors.ts';
import type { BufferPool } from '../pool/index.ts';
import type { Lane } from './lane.ts';
import type { TurnEnd } from './turn-ends.ts';
import type { WriteFlusher } from './write-flusher.ts';
import { BUDGET_ENDLESS, type ResolvedWriterOptions } from './writer-options.ts';

/** Time until the next attempt when no ring will announce space. */
const RETRY_MS = 1;

const IDLE = 'idle';
/** A flush was incomplete: the doorbell, or a timer, tells when to try again. */
const RETRYING = 'retrying';
const CLOSED = 'closed';
type PolicyState = typeof IDLE | typeof RETRYING | typeof CLOSED;

/**
 * The slow path of a writer's flush policy: the writer counts down its budget and calls
 * {@link spend} when it is spent.
 */
export class PolicyFlush implements TurnEnd {
  readonly #flusher: WriteFlusher;
  readonly #pool: BufferPool;
  readonly #lane: Lane;
  readonly #options: ResolvedWriterOptions;
  /** Flushes. False: incomplete. Must not be called once closed. */
  readonly #flush: () => boolean;
  #inTurn = false;
  #state: PolicyState = IDLE;
  #timer: Timer | undefined;

  constructor(
    flusher: WriteFlusher,
    lane: Lane,
    options: ResolvedWriterOptions,
    flush: () => boolean,
  ) {
    this.#flusher = flusher;
    this.#pool = flusher.pool;
    this.#lane = lane;
    this.#options = options;
    this.#flush = flush;
  }

  /** Called when the budget is spent. Returns the next budget. */
  spend(): number {
    if (this.#options.policy === 'turn') {
      if (!this.#inTurn) this.#flusher.atTurnEnd(this);
      this.#inTurn = true;
      return BUDGET_ENDLESS;
    }
    if (this.#options.policy !== 'manual') this.#run();
    return this.#options.budget;
  }

  onTurnEnd(): void {
    this.#inTurn = false;
    this.#run();
  }

  /** Flushes, and tries again until everything has fitted. */
  flushLater(): void {
    this.#run();
  }

  close(): void {
    this.#state = CLOSED;
    stopTimer(this.#timer);
    this.#pool.doorbell.ignore(this.#run);
  }

  /** Flushes now; the rest follows once the receiver has made room. */
  readonly #run = (): void => {
    if (this.#isDone()) {
      if (this.#state === RETRYING) this.#becomeIdle();
      return;
    }
    // The flush may have called the program, which may have closed the writer.
    if (this.#state === CLOSED) return;
    if (this.#state === IDLE) this.#becomeRetrying();
    this.#lane.wantSpace();
    // No ring comes for room made before the wish was visible, nor if what is missing is a buffer.
    if (this.#lane.hasSpace) {
      stopTimer(this.#timer);
      this.#timer = startTimer(RETRY_MS, this.#run);
    }
  };

  #becomeRetrying(): void {
    assert(this.#state === IDLE, 'only an idle policy begins to retry');
    this.#pool.doorbell.listen(this.#run);
    this.#state = RETRYING;
  }

  #becomeIdle(): void {
    assert(this.#state === RETRYING, 'only a retrying policy becomes idle');
    this.#pool.doorbell.ignore(this.#run);
    this.#state = IDLE;
  }

  /** Flushes. True if there is no point in trying again. */
  #isDone(): boolean {
    if (this.#state === CLOSED || this.#flusher.closed) return true;
    try {
      return this.#flush();
    } catch (error) {
      // The flusher or the pool is closed. There is no caller to report it to; the writer's next
      // call throws.
      if (error instanceof BusbarError) return true;
      throw error;
    }
  }
}
