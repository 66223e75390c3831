// SPDX-License-Identifier: MIT
/**
 * Model checker: which thread ran how far, in which order: all that is needed to see a schedule
 * again.
 *
 * Written as text, one piece per turn: `a:12` = a runs until its 12th access is next; `a:12!` = and
 * dies there; `a:12^3` = the third call that it makes then throws; `a:12@2` = that access reads not
 * the last write, but the second of the others that it may read; `a:12@+7` = it reads 7, which is
 * written later; `a~:12` = the wait or timer that
 * a hangs in ends by time, then a runs; `a:*` = a runs as far as it goes.
 */

import { show } from '../base/check.ts';
import {
  G_DECISIONS,
  G_PATH,
  G_PREEMPTIONS,
  G_STARTS,
  type StateLayout,
  T_LOG,
  T_SINCE,
} from './machine-layout.ts';

/** More threads than there can be, and more transitions. */
const THREADS = 32;
const EXCEPTIONS: number = 2 * THREADS;

export class SchedulePath {
  readonly #state: Int32Array;
  readonly #layout: StateLayout;
  /**
   * Transitions; −1 − thread for a death; the same − THREADS · n for a read with the n-th mark; or
   * from EXCEPTIONS on: a call that throws.
   */
  readonly #taken: number[] = [];
  /** How far the thread of each piece had come when the next piece began. */
  readonly #stops: number[] = [];
  readonly #marks: string[] = [];
  /** Transitions and deaths carried out in all, also those that were taken back. */
  total = 0;

  constructor(state: Int32Array, layout: StateLayout) {
    this.#state = state;
    this.#layout = layout;
  }

  /** Notes that a transition is carried out now. */
  take(transition: number, preempts: boolean): void {
    const state = this.#state;
    this.total++;
    if (preempts) state[G_PREEMPTIONS]++;
    state[G_STARTS] = 0;
    state[this.#layout.thread(transition >> 1) + T_SINCE] = state[G_DECISIONS];
    const length = state[G_PATH];
    if (length > 0 && (transition & 1) === 0) {
      const last = this.#taken[length - 1];
      if (last >= 0 && last < EXCEPTIONS && last >> 1 === transition >> 1) return;
    }
    this.#push(transition);
  }

  /** Notes that a thread is brought to its first access. */
  start(transition: number): void {
    this.take(transition, false);
    this.#state[G_STARTS] = 1;
  }

  kill(thread: number): void {
    this.total++;
    this.#push(-1 - thread);
  }

  /** The thread's `calls`-th call since its last access throws. */
  throwAt(thread: number, calls: number): void {
    this.total++;
    this.#push(EXCEPTIONS + thread + THREADS * calls);
  }

  /** The access that the thread makes now reads something else than the last write. */
  reads(thread: number, mark: string): void {
    this.total++;
    let index = this.#marks.indexOf(mark);
    if (index < 0) index = this.#marks.push(mark) - 1;
    this.#push(-1 - thread - THREADS * (index + 1));
    const starts = this.#state[G_STARTS];
    this.take(2 * thread, false);
    this.#state[G_STARTS] = starts;
  }

  format(names: readonly string[]): string {
    const length = this.#state[G_PATH];
    const pieces: string[] = [];
    for (let i = 0; i < length; i++) {
      const taken = this.#taken[i];
      if (taken < 0 || taken >= EXCEPTIONS) {
        const thread = threadOf(taken);
        const mark = this.#markOf(taken);
        const before = i > 0 ? this.#taken[i - 1] : -1;
        const follows = before >= 0 && before < EXCEPTIONS && before >> 1 === thread;
        if (follows) pieces[pieces.length - 1] += mark;
        else pieces.push(`${names[thread]}:${this.#stopOf(i)}${mark}`);
      } else {
        const stop = i === length - 1 ? '*' : this.#stopOf(i);
        pieces.push(`${names[taken >> 1]}${(taken & 1) === 1 ? '~' : ''}:${stop}`);
      }
    }
    return pieces.join(' ');
  }

  #markOf(taken: number): string {
    if (taken >= 0) return `^${Math.floor((taken - EXCEPTIONS) / THREADS)}`;
    const index = Math.floor((-1 - taken) / THREADS);
    return index === 0 ? '!' : this.#marks[index - 1];
  }

  #push(taken: number): void {
    const state = this.#state;
    const length = state[G_PATH];
    if (length > 0) this.#stops[length - 1] = this.#logOf(this.#taken[length - 1]);
    this.#taken[length] = taken;
    this.#stops[length] = this.#logOf(taken);
    state[G_PATH] = length + 1;
  }

  #stopOf(i: number): number {
    return this.#stops[i];
  }

  #logOf(taken: number): number {
    return this.#state[this.#layout.thread(threadOf(taken)) + T_LOG];
  }
}

function threadOf(taken: number): number {
  if (taken < 0) return (-1 - taken) % THREADS;
  return taken < EXCEPTIONS ? taken >> 1 : (taken - EXCEPTIONS) % THREADS;
}

/** One piece of a schedule that was written as text. */
export interface Piece {
  readonly thread: number;
  readonly byTime: boolean;
  readonly stop: number;
  readonly dies: boolean;
  /** Which call throws at its end, from 1; 0 for none. */
  readonly throwsAt: number;
  /** Which value the access there reads, 0 for the last write; −1: `promised`. */
  readonly reads: number;
  readonly promised: number;
}

/** What a schedule may need: zero for what its options do not allow. */
interface Allowed {
  readonly kills: number;
  readonly exceptions: number;
}

/**
 * Reads what {@link SchedulePath.format} wrote.
 *
 * **Throws** TypeError for text that is none, and for a schedule that needs other options.
 */
export function parseSchedule(text: string, names: readonly string[], allowed: Allowed): Piece[] {
  if (typeof text !== 'string') throw new TypeError(`schedule must be a string, got ${show(text)}`);
  return text
    .split(' ')
    .filter((piece) => piece !== '')
    .map((piece) => {
      const match = /^(.+?)(~?):(\d+|\*)(?:(!)|\^(\d+)|@(\d+)|@\+(-?\d+))?$/.exec(piece);
      const thread = match === null ? -1 : names.indexOf(match[1]);
      const needs =
        allowed.kills === 0 && /!$|'s-supervisor~?:/.test(piece) ? 'kills' : 'exceptions';
      if (needs === 'kills' || (allowed.exceptions === 0 && /\^\d+$/.test(piece))) {
        throw new TypeError(
          `schedule: ${show(piece)} can be followed only with the option ${needs}, ` +
            'as when the schedule was found',
        );
      }
      if (match === null || thread < 0) {
        throw new TypeError(
          `schedule: ${show(piece)} is no piece of one; threads are ${names.join(', ')}`,
        );
      }
      return {
        thread,
        byTime: match[2] === '~',
        stop: match[3] === '*' ? Number.POSITIVE_INFINITY : Number(match[3]),
        dies: match[4] === '!',
        throwsAt: Number(match[5] ?? 0),
        reads: match[7] === undefined ? Number(match[6] ?? 0) : -1,
        promised: Number(match[7] ?? 0),
      };
    });
}
