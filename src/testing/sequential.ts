// SPDX-License-Identifier: MIT
/** Model checker: runs sequential models of structures. */

import { textOf, thrownText, UntellableValue } from './value-text.ts';

/**
 * Returned by a method of a sequential model if its operation cannot end now: the calling thread
 * waits. The method must then have changed nothing.
 */
export const BLOCKED: unique symbol = Symbol('blocked');

/** A fresh sequential model. */
export type MakeModel = () => object;

/** One operation of a sequence. */
export interface Applied {
  readonly name: string;
  readonly args: readonly unknown[];
  /** Name of the thread, which a method gets as its last argument. */
  readonly thread: string;
  /** The options that {@link choose} picked. */
  readonly picks: readonly number[];
}

export interface Effect {
  readonly blocked: boolean;
  /** The text of its result or exception. */
  readonly text: string;
  readonly picks: readonly number[];
}

/** The picks of the running method. */
let script: { picks: readonly number[]; taken: number[]; counts: number[] } | undefined;

/**
 * In a method of a sequential model, returns any one of `options`; the checker tries each of them
 * to explain a history: `const id = choose([...this.free])`.
 *
 * **Throws** if there is no option, or outside of such a method.
 */
export function choose<Option>(options: readonly Option[]): Option {
  if (script === undefined) throw new Error('choose is for methods of a sequential model');
  if (options.length === 0) throw new RangeError('choose needs at least one option');
  const at = script.taken.length;
  const pick = script.picks[at] ?? 0;
  script.taken.push(pick);
  script.counts.push(options.length);
  return options[pick];
}

/** Returns a function that creates the model, from the class or function `sequential`. */
export function modelMaker(sequential: unknown): MakeModel {
  const source = Function.prototype.toString.call(sequential);
  if (/^class\b/.test(source)) return () => new (sequential as new () => object)();
  return sequential as MakeModel;
}

/** The model after a sequence of operations. */
export function modelAfter(make: MakeModel, sequence: readonly Applied[]): object {
  const model = make();
  for (const step of sequence) apply(model, step);
  return model;
}

/** Every way in which an operation can end after a sequence, one for each series of choices. */
export function* effectsAfter(
  make: MakeModel,
  sequence: readonly Applied[],
  operation: Omit<Applied, 'picks'>,
): Generator<Effect> {
  let picks: number[] | undefined = [];
  while (picks !== undefined) {
    const model = modelAfter(make, sequence);
    const { effect, counts } = apply(model, { ...operation, picks });
    yield effect;
    picks = nextPicks(effect.picks, counts);
  }
}

/** The state of a model as text; undefined if it has private state. */
export function stateOf(model: object): string | undefined {
  try {
    return textOf(model);
  } catch (error) {
    if (error instanceof UntellableValue) return undefined;
    throw error;
  }
}

function apply(model: object, step: Applied): { effect: Effect; counts: readonly number[] } {
  const method = (model as Record<string, (...args: unknown[]) => unknown>)[step.name];
  const before = script;
  const taken: number[] = [];
  const counts: number[] = [];
  script = { picks: step.picks, taken, counts };
  try {
    const result = method.call(model, ...step.args, step.thread);
    const blocked = result === BLOCKED;
    return { effect: { blocked, text: blocked ? '' : textOf(result), picks: taken }, counts };
  } catch (error) {
    if (error instanceof UntellableValue) throw error;
    return { effect: { blocked: false, text: thrownText(error), picks: taken }, counts };
  } finally {
    script = before;
  }
}

/** The next series of choices after `taken`, in odometer order; undefined after the last. */
function nextPicks(taken: readonly number[], counts: readonly number[]): number[] | undefined {
  for (let at = taken.length - 1; at >= 0; at--) {
    if (taken[at] + 1 < counts[at]) return [...taken.slice(0, at), taken[at] + 1];
  }
  return undefined;
}
