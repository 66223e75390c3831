// SPDX-License-Identifier: MIT
/**
 * Model checker: which thread ran how far, in which order: all that is needed to see a schedule
 * again.
 *
 * Written as text, one piece per turn: `a:12` = a runs until its 12th access is next; `a:12!` = and
 * dies there; `a~:12` = the wait or timer that a hangs in ends by time, then a runs; `a:*` = a runs
 * as far as it goes.
 */

import { show } from '../base/check.ts';
import { G_PATH, G_PREEMPTIONS, G_STARTS, type StateLayout, T_LOG } from './machine-layout.ts';

export class SchedulePath {
  readonly #state: Int32Array;
  readonly #layout: StateLayout;
  /** Transitions, or −1 − thread for a death. */
  readonly #taken: number[] = [];
  /** How far the thread of each piece had come when the next piece began. */
  readonly #stops: number[] = [];
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
    const length = state[G_PATH];
    if (length > 0 && (transition & 1) === 0) {
      const last = this.#taken[length - 1];
      if (last >= 0 && last >> 1 === transition >> 1) return;
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

  format(names: readonly string[]): string {
    const length = this.#state[G_PATH];
    const pieces: string[] = [];
    for (let i = 0; i < length; i++) {
      const taken = this.#taken[i];
      if (taken < 0) {
        const thread = -1 - taken;
        const before = i > 0 ? this.#taken[i - 1] : -1;
        if (before >= 0 && before >> 1 === thread) pieces[pieces.length - 1] += '!';
        else pieces.push(`${names[thread]}:${this.#stopOf(i)}!`);
      } else {
        const stop = i === length - 1 ? '*' : this.#stopOf(i);
        pieces.push(`${names[taken >> 1]}${(taken & 1) === 1 ? '~' : ''}:${stop}`);
      }
    }
    return pieces.join(' ');
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
    const thread = taken < 0 ? -1 - taken : taken >> 1;
    return this.#state[this.#layout.thread(thread) + T_LOG];
  }
}

/** One piece of a schedule that was written as text. */
export interface Piece {
  readonly thread: number;
  readonly byTime: boolean;
  readonly stop: number;
  readonly dies: boolean;
}

/** Reads what {@link SchedulePath.format} wrote. */
export function parseSchedule(text: string, names: readonly string[]): Piece[] {
  if (typeof text !== 'string') throw new TypeError(`schedule must be a string, got ${show(text)}`);
  return text
    .split(' ')
    .filter((piece) => piece !== '')
    .map((piece) => {
      const match = /^(.+?)(~?):(\d+|\*)(!?)$/.exec(piece);
      const thread = match === null ? -1 : names.indexOf(match[1]);
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
      };
    });
}
