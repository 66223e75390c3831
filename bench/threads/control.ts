// SPDX-License-Identifier: MIT
/**
 * The words by which the measuring thread directs the other threads of a case, its crew.
 *
 *   word    TURN     counts up when a turn begins         written by the measuring thread
 *           OPS      what to do in it; negative: end      written by it before TURN
 *           TURNED   which turn the member has finished   each member its own, last of all
 *           COUNT    what the member counted in it        each member its own, before TURNED
 *           SUM      and added up, modulo 2³²             each member its own, before TURNED
 *           FAILED   not zero: the member has thrown      each member its own
 */

/** Words between two that different threads write. */
const APART = 64;
const WORD_TURN = 0;
const WORD_OPS = 1;
const TURNED = 0;
const COUNT = 1;
const SUM = 2;
const FAILED = 3;

/**
 * How often a thread looks before it sleeps: some tenths of a millisecond, so that the next turn
 * finds its threads awake; hardly ever where it would take the core from another one of the case.
 */
const LOOKS = 50_000;
const LOOKS_WHEN_CROWDED = 100;

export type ControlWords = Int32Array<SharedArrayBuffer>;

export function createControl(members: number): ControlWords {
  const words = (members + 1) * APART;
  return new Int32Array(new SharedArrayBuffer(words * Int32Array.BYTES_PER_ELEMENT));
}

/** How often each of this many threads may look before it sleeps. */
export function looksAmong(threads: number, cores: number): number {
  return threads > cores ? LOOKS_WHEN_CROWDED : LOOKS;
}

/** Begins a turn in all threads. */
export function beginTurn(control: ControlWords, ops: number): number {
  Atomics.store(control, WORD_OPS, ops);
  const turn = Atomics.add(control, WORD_TURN, 1) + 1;
  Atomics.notify(control, WORD_TURN);
  return turn;
}

/** Waits, blocking, for the turn after `turn`; returns its operations. */
export function awaitTurn(control: ControlWords, turn: number, looksMax: number): number {
  for (let looks = 0; Atomics.load(control, WORD_TURN) === turn; looks++) {
    if (looks >= looksMax) Atomics.wait(control, WORD_TURN, turn);
  }
  return Atomics.load(control, WORD_OPS);
}

export function finishTurn(
  control: ControlWords,
  member: number,
  turn: number,
  outcome: Outcome,
): void {
  const base = baseOf(member);
  control[base + COUNT] = outcome.count;
  control[base + SUM] = outcome.sum;
  Atomics.store(control, base + TURNED, turn);
  Atomics.notify(control, base + TURNED);
}

export function reportFailure(control: ControlWords, member: number): void {
  const base = baseOf(member);
  Atomics.store(control, base + FAILED, 1);
  Atomics.notify(control, base + TURNED);
}

/** What a member did in a turn. */
export interface Outcome {
  readonly count: number;
  readonly sum: number;
}

export const NOTHING: Outcome = { count: 0, sum: 0 };

export function hasFailed(control: ControlWords, member: number): boolean {
  return Atomics.load(control, baseOf(member) + FAILED) !== 0;
}

export function hasFinished(control: ControlWords, member: number, turn: number): boolean {
  return Atomics.load(control, baseOf(member) + TURNED) === turn;
}

/** Waits, blocking, until the member has finished the turn or failed. */
export function awaitFinish(
  control: ControlWords,
  member: number,
  turn: number,
  looksMax: number,
): void {
  const word = baseOf(member) + TURNED;
  for (let looks = 0; !hasFailed(control, member); looks++) {
    const turned = Atomics.load(control, word);
    if (turned === turn) return;
    if (looks >= looksMax) Atomics.wait(control, word, turned, 1000);
  }
}

export function outcomeOf(control: ControlWords, member: number): Outcome {
  const base = baseOf(member);
  return { count: control[base + COUNT], sum: control[base + SUM] };
}

function baseOf(member: number): number {
  return (member + 1) * APART;
}
