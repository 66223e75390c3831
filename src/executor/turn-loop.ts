// SPDX-License-Identifier: MIT
/** The room where packets are worked on: the loop that gives each thing its turn. */

import { checkFunction } from '../base/check.ts';
import { nowMs } from '../base/clock.ts';
import type { BufferPool } from '../pool/index.ts';
import { PARKED, PAUSED, RUNNING } from './executor-layout.ts';
import type { Gauges } from './gauges.ts';
import { AGAIN, type Idle, IdleStrategy, NEXT_TURN, PARK } from './idle.ts';
import { BATCH_MAX, LaneMailbox, type Lanes } from './mailbox.ts';

/** Work that is done in every pass; says how much it did. */
export type Poll = () => number;

/** So long passes follow each other before the event loop has its turn. */
const SLICE_MS = 0.1;

/** Looks at the clock once in so many idle passes or packets. */
const CLOCK_CREDIT = 32;

/**
 * Runs a thread's mailbox and polls, pass after pass, in slices between turns of the event loop.
 *
 *   STOPPED ◀─stop── PARKED ──wake──▶ SCHEDULED ──setImmediate──▶ a slice: pass, pass, … ─┐
 *                      ▲                   ▲                                              │
 *                      └──nothing found────┴───────────────more to do─────────────────────┘
 *
 * A pass takes a bounded number of packets out of every lane and calls every poll once. While one
 * of them finds something there is another pass. When none does, the idle strategy decides. A
 * parked loop is woken by whatever arrives in the mailbox and by `wake`; events that a poll depends
 * on and that nobody else sees (a socket, a timer) must call `wake`.
 */
export class TurnLoop {
  readonly mailbox: LaneMailbox;
  private readonly gauges: Gauges;
  private readonly forgives: (error: unknown) => boolean;
  private readonly idle: IdleStrategy;
  private readonly onePass: boolean;
  private readonly endless: boolean;
  /** Replaced, never changed: a poll may end another one. */
  private polls: readonly Poll[] = [];
  /** Told of every pass, once the loop is to end. */
  private afterPass: ((foundWork: boolean) => void) | undefined;
  /** Packets that {@link showHandled} has shown. */
  private shown = 0;
  private scheduled = false;
  private paused = false;
  private stopped = false;
  /** True if the last park was refused, because a lane holds something that nobody took. */
  private leftLying = false;
  /** STATE while turning: RUNNING, or DRAINING. */
  private awake: number = RUNNING;

  /** `forgives` says whether the loop may go on although a pass threw this. */
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
    this.onePass = idle === 'poll';
    this.endless = idle === 'spin';
    this.mailbox = new LaneMailbox(pool, lanes, () => this.wake());
  }

  /** Adds a poll; the function that is returned ends it. */
  poll(work: Poll): () => void {
    checkFunction('work', work);
    this.polls = [...this.polls, work];
    this.wake();
    let added = true;
    return () => {
      if (added) this.polls = this.polls.toSpliced(this.polls.indexOf(work), 1);
      added = false;
    };
  }

  /** There is something to look at: a slice follows in this turn of the event loop or the next. */
  wake(): void {
    if (this.scheduled || this.paused || this.stopped) return;
    this.scheduled = true;
    setImmediate(this.slice);
  }

  pause(): void {
    if (this.paused || this.stopped) return;
    this.paused = true;
    this.mailbox.paused = true;
    this.gauges.become(PAUSED);
  }

  resume(): void {
    if (!this.paused || this.stopped) return;
    this.paused = false;
    this.mailbox.paused = false;
    this.gauges.become(this.awake);
    this.wake();
  }

  /** From now on `afterPass` sees every pass, and the thread is in `state` while it turns. */
  end(state: number, afterPass: (foundWork: boolean) => void): void {
    this.awake = state;
    this.afterPass = afterPass;
    this.paused = false;
    this.mailbox.paused = false;
    this.mailbox.onTake = () => this.wake();
    this.gauges.become(state);
    this.wake();
  }

  /** No more passes. */
  stop(): void {
    this.stopped = true;
  }

  /** Shows outside what was handled, by whomever. */
  showHandled(): void {
    const { handled } = this.mailbox;
    this.gauges.addHandled(handled - this.shown);
    this.shown = handled;
  }

  private readonly slice = (): void => {
    this.scheduled = false;
    if (this.paused || this.stopped) return;
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

  /** Passes until the time is up or there is nothing to do. */
  private passes(): number {
    const { idle, mailbox } = this;
    const beginMs = nowMs();
    const isSlow = mailbox.batch < BATCH_MAX;
    let turns = 0;
    let credit = CLOCK_CREDIT;
    try {
      while (!this.paused && !this.stopped) {
        turns++;
        const work = this.pass();
        if (work > 0) {
          idle.busy();
          this.showHandled();
          this.leftLying = false;
        } else if (!this.endless) {
          const next = idle.next();
          if (next !== AGAIN) return next;
        }
        credit -= 1 + work;
        if (this.onePass) return NEXT_TURN;
        if (credit > 0 && !isSlow) continue;
        credit = CLOCK_CREDIT;
        if (nowMs() - beginMs >= SLICE_MS) break;
      }
      return NEXT_TURN;
    } finally {
      this.gauges.addTurns(turns);
      // Many slow packets in one pass keep the event loop waiting: fewer next time.
      const tookMs = nowMs() - beginMs;
      if (tookMs > 2 * SLICE_MS) mailbox.batch = Math.max(1, mailbox.batch >> 1);
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

  /** Sleeps until something arrives; not yet, if something has arrived meanwhile. */
  private park(): void {
    if (this.scheduled || this.paused || this.stopped) return;
    if (!this.mailbox.arm() && !this.leftLying) {
      // One more pass for it. If that leaves it lying, too, nobody wants it now.
      this.leftLying = true;
      this.wake();
      return;
    }
    this.gauges.addPark();
    if (this.gauges.state === RUNNING) this.gauges.become(PARKED);
  }
}
