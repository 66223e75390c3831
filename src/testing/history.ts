// SPDX-License-Identifier: MIT
/**
 * Model checker: decides whether a history is linearizable, that is, whether some sequential order
 * of its operations explains all results.
 *
 * The search of Wing and Gong ("Testing and verifying concurrent objects", 1993) with the cache of
 * Lowe ("Testing for linearizability", 2017): it orders operations one after another, each only
 * after all that had ended before it began; a set of operations with a model state that led nowhere
 * is not tried again.
 */

import { type Applied, effectsAfter, type MakeModel, modelAfter, stateOf } from './sequential.ts';
import { textOf } from './value-text.ts';

/** One operation as recorded in a schedule. */
export interface HistoryOperation {
  /** Index of its thread. */
  readonly thread: number;
  readonly threadName: string;
  /** Number of earlier operations of the thread. */
  readonly index: number;
  readonly name: string;
  readonly args: readonly unknown[];
  /** For each thread, the number of its operations that had ended when this one began. */
  readonly seen: readonly number[];
  /**
   * 'done': with a result; 'open': its thread died in it, so that it may have happened or not;
   * 'waiting': its thread waits in it at the end.
   */
  readonly end: 'done' | 'open' | 'waiting';
  /** Text of the result or of the exception; empty unless done. */
  readonly text: string;
  /** Text of the result "not now", which is accepted if another operation overlaps. */
  readonly refusal?: string;
  /** The dead thread that it recovers: that thread's open operation happens before it or never. */
  readonly recovers?: number;
}

export interface History {
  readonly operations: readonly HistoryOperation[];
  /** Text of the visible state at the end, if any. */
  readonly final?: string;
}

/** Name of the model's method for the state at the end. */
export const FINAL = 'final';

/** Why no order explains a history; undefined if one does. */
export type Verdict = string | undefined;

export const NO_ORDER = 'no order of these operations, one at a time, gives these results';

/** Most operations of one history: a bit each. */
export const OPERATIONS_MAX = 30;

/** True if `first` had ended before `second` began. */
export function precedes(first: HistoryOperation, second: HistoryOperation): boolean {
  if (first.thread === second.thread) return first.index < second.index;
  return first.end === 'done' && second.seen[first.thread] > first.index;
}

/** Looks for an order that explains the history. */
export function judge(history: History, make: MakeModel): Verdict {
  return new Search(history, make).run();
}

class Search {
  readonly #history: History;
  readonly #operations: readonly HistoryOperation[];
  readonly #make: MakeModel;
  /** For each operation, a bit for each one that must come before it. */
  readonly #before: readonly number[];
  readonly #isAlone: readonly boolean[];
  readonly #known = new Set<string>();
  readonly #done: number;
  #waiter: HistoryOperation | undefined;
  #final: string | undefined;

  constructor(history: History, make: MakeModel) {
    const { operations } = history;
    if (operations.length > OPERATIONS_MAX) {
      throw new RangeError(`a history has at most ${OPERATIONS_MAX} operations`);
    }
    this.#history = history;
    this.#operations = operations;
    this.#make = make;
    const bits = (test: (operation: HistoryOperation) => boolean): number =>
      operations.reduce((all, operation, i) => (test(operation) ? all | (1 << i) : all), 0);
    this.#done = bits(({ end }) => end === 'done');
    this.#before = operations.map((second) =>
      bits((first) => first !== second && first.end === 'done' && precedes(first, second)),
    );
    this.#isAlone = operations.map((one) =>
      operations.every((other) => one === other || precedes(one, other) || precedes(other, one)),
    );
  }

  run(): Verdict {
    const open = this.#operations.reduce(
      (all, { end }, i) => (end === 'waiting' ? all : all | (1 << i)),
      0,
    );
    if (this.#explains(open, [])) return undefined;
    if (this.#waiter !== undefined) {
      const { threadName, name, args } = this.#waiter;
      return `${threadName} waits in ${callText(name, args)}, which could go on`;
    }
    if (this.#final !== undefined) {
      return `the end is ${this.#history.final}, which no order of these operations gives`;
    }
    return NO_ORDER;
  }

  /** `left` has a bit for each operation that is not in order yet. */
  #explains(left: number, sequence: readonly Applied[]): boolean {
    if ((left & this.#done) === 0 && this.#endsWell(sequence)) return true;
    const state = stateOf(modelAfter(this.#make, sequence));
    if (state !== undefined) {
      const key = `${left} ${state}`;
      if (this.#known.has(key)) return false;
      this.#known.add(key);
    }
    for (let rest = left; rest !== 0; rest &= rest - 1) {
      const i = 31 - Math.clz32(rest & -rest);
      if ((this.#before[i] & left) !== 0) continue;
      if (this.#continues(i, left & ~(1 << i), sequence)) return true;
    }
    return false;
  }

  /** Tries operation `i` as the next one. */
  #continues(i: number, left: number, sequence: readonly Applied[]): boolean {
    const operation = this.#operations[i];
    const { name, args, threadName: thread } = operation;
    if (operation.end === 'done' && operation.text === operation.refusal && !this.#isAlone[i]) {
      if (this.#explains(left, sequence)) return true;
    }
    const after = operation.recovers === undefined ? left : this.#without(operation, left);
    for (const effect of effectsAfter(this.#make, sequence, { name, args, thread })) {
      if (effect.blocked) continue;
      if (operation.end === 'done' && effect.text !== operation.text) continue;
      const next = { name, args, thread, picks: effect.picks };
      if (this.#explains(after, [...sequence, next])) return true;
    }
    return false;
  }

  /** Removes a dead thread's open operation, which cannot happen after the recovery. */
  #without(recovery: HistoryOperation, left: number): number {
    let rest = left;
    this.#operations.forEach((operation, i) => {
      if (operation.end === 'open' && operation.thread === recovery.recovers) rest &= ~(1 << i);
    });
    return rest;
  }

  /** Checks that waiting operations must wait, and that the state at the end is as recorded. */
  #endsWell(sequence: readonly Applied[]): boolean {
    for (const operation of this.#operations) {
      if (operation.end !== 'waiting') continue;
      const { name, args, threadName: thread } = operation;
      for (const { blocked } of effectsAfter(this.#make, sequence, { name, args, thread })) {
        if (blocked) continue;
        this.#waiter = operation;
        return false;
      }
    }
    const { final } = this.#history;
    if (final === undefined) return true;
    for (const { text } of effectsAfter(this.#make, sequence, {
      name: FINAL,
      args: [],
      thread: '',
    })) {
      if (text === final) return true;
    }
    this.#final = final;
    return false;
  }
}

/** Formats an operation as a call in a program. */
export function callText(name: string, args: readonly unknown[]): string {
  return `${name}(${args.map((arg) => textOf(arg)).join(', ')})`;
}
