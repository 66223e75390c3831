// SPDX-License-Identifier: MIT
/**
 * Model checker: a schedule, that is, which thread ran how far, and in which order.
 *
 * As text it has one piece per turn. `a:12`: a runs until its 12th access is next; `a:12!`: and
 * dies there; `a:12^3`: the third call that it then makes throws; `a:12@2`: that access reads the
 * second of the writes other than the last that it may read; `a:12@+7`: it reads 7, which is
 * written later; `a~:12`: a's wait or timer ends by time, then a runs; `a:*`: a runs as far as it
 * can.
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

/** Everything that a checkpoint keeps of a path. */
export interface PathCopy {
  readonly total: number;
  readonly taken: readonly number[];
  readonly stops: readonly number[];
  readonly marks: readonly string[];
}

export class SchedulePath {
  readonly #state: Int32Array;
  readonly #layout: StateLayout;
  /**
   * Transitions; −1 − thread: a death; that − THREADS · n: a read with the n-th mark; from
   * EXCEPTIONS on: a call that throws.
   */
  readonly #taken: number[] = [];
  /** For each piece, the position of its thread when the next piece began. */
  readonly #stops: number[] = [];
  readonly #marks: string[] = [];
  /** Transitions and deaths carried out, including those that were undone. */
  total = 0;

  constructor(state: Int32Array, layout: StateLayout) {
    this.#state = state;
    this.#layout = layout;
  }

  copy(): PathCopy {
    const { total } = this;
    return { total, taken: [...this.#taken], stops: [...this.#stops], marks: [...this.#marks] };
  }

  load({ total, taken, stops, marks }: PathCopy): void {
    this.total = total;
    this.#taken.splice(0, this.#taken.length, ...taken);
    this.#stops.splice(0, this.#stops.length, ...stops);
    this.#marks.splice(0, this.#marks.length, ...marks);
  }

  /** Records a transition that is carried out now. */
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

  /** Records that a thread runs to its first access. */
  start(transition: number): void {
    this.take(transition, false);
    this.#state[G_STARTS] = 1;
  }

  kill(thread: number): void {
    this.total++;
    this.#push(-1 - thread);
  }

  /** Records that the thread's `calls`-th call since its last access throws. */
  throwAt(thread: number, calls: number): void {
    this.total++;
    this.#push(EXCEPTIONS + thread + THREADS * calls);
  }

  /** Records that the thread's current access reads another write than the last. */
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

/** One piece of a schedule, parsed. */
export interface Piece {
  readonly thread: number;
  readonly byTime: boolean;
  readonly stop: number;
  readonly dies: boolean;
  /** The call that throws at its end, from 1; 0: none. */
  readonly throwsAt: number;
  /** The value that the access there reads; 0: the last write; −1: `promised`. */
  readonly reads: number;
  readonly promised: number;
}

/** The options that a schedule may need; zero if not set. */
interface Allowed {
  readonly kills: number;
  readonly exceptions: number;
}

/**
 * Parses the result of {@link SchedulePath.format}.
 *
 * **Throws** TypeError for anything but a schedule, and for one that needs other options.
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
          `schedule: ${show(piece)} is not a piece of a schedule; threads are ${names.join(', ')}`,
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
