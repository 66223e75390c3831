// SPDX-License-Identifier: MIT
/** The loop that runs a thread's mailbox and polls between turns of the event loop. */

import { assert } from '../base/assert.ts';
import { checkFunction } from '../base/check.ts';
import { nowMs } from '../base/clock.ts';
import type { BufferPool } from '../pool/index.ts';
import { PARKED, RUNNING, PAUSED as THREAD_PAUSED } from './executor-layout.ts';
import type { Gauges } from './gauges.ts';
import { AGAIN, type Idle, IdleStrategy, NEXT_TURN, PARK } from './idle.ts';
import { BATCH_MAX, LaneMailbox, type Lanes } from './lane-mailbox.ts';

/** Work for every pass; returns how much it did. */
export type Poll = () => number;

/** The shortest slice: for an event loop that has little else to do. */
const SLICE_MS_MIN = 0.1;
/** A slice lasts one fourth of the time that the event loop took since the last slice. */
const SLICE_PART = 4;
/** The longest slice. */
const SLICE_MS_MAX = 8;

/** Idle passes or packets between two readings of the clock. */
const CLOCK_CREDIT = 32;

/** No slice is due: the loop is parked, or a slice runs now. */
const RESTING = 0;
/** A slice is due in this turn of the event loop or the next. */
const DUE = 1;
const PAUSED = 2;
const STOPPED = 3;

type LoopState = typeof RESTING | typeof DUE | typeof PAUSED | typeof STOPPED;

/**
 * Runs a thread's mailbox and polls, pass after pass, in slices between turns of the event loop.
 *
 *   RESTING ──wake──▶ DUE ──setImmediate──▶ RESTING, in a slice: pass, pass, … ──▶ parks: RESTING
 *                                                                              └─▶ more work: DUE
 *   RESTING, DUE ──pause──▶ PAUSED ──resume, drain──▶ RESTING, woken: DUE
 *   any ──stop──▶ STOPPED
 *
 * A pass takes a bounded number of packets out of every lane and calls every poll once. While a
 * pass finds work, another one follows. After one that finds none, the idle strategy decides.
 * Packets that arrive wake a parked loop, and so does `wake`: a poll that depends on a socket or a
 * timer calls it.
 *
 * **Fair share** a slice lasts a fifth of a turn of the event loop, from 0.1 to 8 ms: where sockets
 * and timers take 20 ms of a turn, packets get 5 ms. So a busy event loop does not starve the
 * packets. Neither does a busy machine, which stretches the slice and the rest of the turn alike.
 */
export class TurnLoop {
  readonly mailbox: LaneMailbox;
  private readonly gauges: Gauges;
  private readonly forgives: (error: unknown) => boolean;
  private readonly idle: IdleStrategy;
  /** Replaced, never changed: a poll may remove another one. */
  private polls: readonly Poll[] = [];
  /** Called after every pass while draining. */
  private afterPass: ((foundWork: boolean) => void) | undefined;
  /** Packets that {@link showHandled} has shown. */
  private shown = 0;
  private state: LoopState = RESTING;
  /** True if the last attempt to park failed: a lane held a packet that no reader had taken. */
  private leftUnread = false;
  /** When the last slice ended, if the next one was due at once; otherwise Infinity. */
  private endMs = Number.POSITIVE_INFINITY;
  /** STATE of the thread while the loop runs: RUNNING or DRAINING. */
  private awake: number = RUNNING;

  /** `forgives` returns true if the loop may go on although a pass threw this error. */
  constructor(
    pool: BufferPool,
    lanes: Lanes,
    gauges: Gauges,
    idle: Idle,
    forgives: (error: unknown) => boolean,
  ) {
    this.forgives = forgives;
    this.gauges = gauges;
    this.idle = new IdleStrategy(idle);
    this.mailbox = new LaneMailbox(pool, lanes, () => this.wake());
  }

  /** Adds a poll; the returned function removes it. */
  poll(work: Poll): () => void {
    checkFunction('work', work);
    const polls = [...this.polls, work];
    this.wake();
    // Last: if a call above throws because the stack is full, no poll is added.
    this.polls = polls;
    let added = true;
    return () => {
      if (added) this.polls = this.polls.toSpliced(this.polls.indexOf(work), 1);
      added = false;
    };
  }

  /** Asks for a slice, in this turn of the event loop or the next. */
  wake(): void {
    if (this.state !== RESTING) return;
    // In this order: if the call throws because the stack is full, no slice is due.
    setImmediate(this.slice);
    this.state = DUE;
  }

  pause(): void {
    if (this.state >= PAUSED) return;
    this.state = PAUSED;
    this.endMs = Number.POSITIVE_INFINITY;
    this.mailbox.pause();
    this.gauges.become(THREAD_PAUSED);
  }

  resume(): void {
    if (this.state !== PAUSED) return;
    this.state = RESTING;
    this.mailbox.resume();
    this.gauges.become(this.awake);
    this.wake();
  }

  /** Begins to drain: `afterPass` is called after every pass, and the thread's STATE is `state`. */
  drain(state: number, afterPass: (foundWork: boolean) => void): void {
    assert(this.afterPass === undefined, 'a loop must begin to drain once');
    this.awake = state;
    this.afterPass = afterPass;
    if (this.state === PAUSED) {
      this.state = RESTING;
      this.mailbox.resume();
    }
    this.mailbox.onTake = () => this.wake();
    this.gauges.become(state);
    this.wake();
  }

  /** No pass begins after this one. */
  stop(): void {
    this.state = STOPPED;
  }

  /** Shows other threads how many packets were handled. */
  showHandled(): void {
    const { handled } = this.mailbox;
    this.gauges.addHandled(handled - this.shown);
    this.shown = handled;
  }

  private readonly slice = (): void => {
    // The loop was paused or stopped since, or resumed since: then this slice is one too many.
    if (this.state !== DUE) return;
    this.state = RESTING;
    const { gauges } = this;
    let next: number = NEXT_TURN;
    try {
      gauges.showTurn();
      if (gauges.state === PARKED) gauges.become(this.awake);
      next = this.passes();
    } catch (error) {
      if (!this.forgives(error)) throw error;
    } finally {
      this.showHandled();
      if (next === PARK) this.park();
      else this.wake();
    }
  };

  /** Runs passes until the time is up or there is nothing to do. */
  private passes(): number {
    const { idle, mailbox } = this;
    const beginMs = nowMs();
    const sliceMs = sliceAfter(beginMs - this.endMs);
    const isSlow = mailbox.batch < BATCH_MAX;
    const isEndless = idle.kind === 'spin';
    const passesMax = idle.kind === 'poll' ? 1 : Infinity;
    let turns = 0;
    let credit = CLOCK_CREDIT;
    try {
      while (this.state < PAUSED) {
        turns++;
        const work = this.pass();
        if (work > 0) {
          idle.busy();
          this.showHandled();
          this.leftUnread = false;
        } else if (!isEndless) {
          const next = idle.next();
          if (next !== AGAIN) return next;
        }
        credit -= 1 + work;
        if (turns >= passesMax) return NEXT_TURN;
        if (credit > 0 && !isSlow) continue;
        credit = CLOCK_CREDIT;
        if (nowMs() - beginMs >= sliceMs) break;
      }
      return NEXT_TURN;
    } finally {
      this.gauges.addTurns(turns);
      // Many slow packets in one pass delay the event loop: take fewer next time.
      this.endMs = nowMs();
      const tookMs = this.endMs - beginMs;
      if (tookMs > 2 * sliceMs) mailbox.batch = Math.max(1, mailbox.batch >> 1);
      else if (mailbox.batch < BATCH_MAX) mailbox.batch <<= 1;
    }
  }

  private pass(): number {
    const { polls } = this;
    let work = this.mailbox.pump();
    for (let i = 0; i < polls.length; i++) {
      const done = polls[i]();
      if (done > 0) work += done;
    }
    this.afterPass?.(work > 0);
    return work;
  }

  /** Parks, unless a packet has arrived meanwhile. */
  private park(): void {
    if (this.state !== RESTING) return;
    if (!this.mailbox.arm() && !this.leftUnread) {
      // One more pass for that packet. If it is still there afterwards, no reader wants it now.
      this.leftUnread = true;
      this.wake();
      return;
    }
    this.endMs = Number.POSITIVE_INFINITY;
    this.gauges.addPark();
    if (this.gauges.state === RUNNING) this.gauges.become(PARKED);
  }
}

/** How long a slice may last after the event loop did other things for `elsewhereMs`. */
export function sliceAfter(elsewhereMs: number): number {
  return Math.min(SLICE_MS_MAX, Math.max(SLICE_MS_MIN, elsewhereMs / SLICE_PART));
}
