// SPDX-License-Identifier: MIT
/** Model checker: what a structure does when its operations come one at a time. */

import { textOf, thrownText, UntellableValue } from './value-text.ts';

/**
 * What a method of a sequential model returns when its operation could not end now: the thread that
 * calls it waits. Nothing may have changed then.
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
  /** Which options {@link choose} picked. */
  readonly picks: readonly number[];
}

export interface Effect {
  readonly blocked: boolean;
  /** The text of what it returned or threw. */
  readonly text: string;
  readonly picks: readonly number[];
}

/** The picks of the method that runs now. */
let script: { picks: readonly number[]; taken: number[]; counts: number[] } | undefined;

/**
 * In a method of a sequential model: any one of `options`. Whether the operations of a history can
 * be explained is tried with each of them: `const id = choose([...this.free])`.
 *
 * **Throws** if there is no option, or no model is asked.
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

/** Makes the model from a class or a function, whichever `sequential` is. */
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

/** The state of a model, or undefined if it cannot be told from outside. */
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

/** The series of choices after `taken`, as an odometer counts; undefined after the last. */
function nextPicks(taken: readonly number[], counts: readonly number[]): number[] | undefined {
  for (let at = taken.length - 1; at >= 0; at--) {
    if (taken[at] + 1 < counts[at]) return [...taken.slice(0, at), taken[at] + 1];
  }
  return undefined;
}
