// SPDX-License-Identifier: MIT
/** Model checker: records the steps of one schedule for its trace. */

import {
  OP_BYTES_LOAD,
  OP_BYTES_STORE,
  OP_COMPARE_EXCHANGE,
  OP_EVENT,
  OP_EXCEPTION,
  OP_LOAD,
  OP_PLAIN_LOAD,
  OP_PLAIN_STORE,
  OP_STORE,
  OP_TIMER,
  OP_TURN,
  OP_WAIT,
  OP_WAIT_ASYNC,
  OP_WAKE,
  RING_ENTRIES,
} from './machine-layout.ts';
import { CELL_SILENT, type ModelMemory } from './memory.ts';
import { type Place, placesOf, placeText, stackNow } from './places.ts';
import { type Access, describeAccess, describeSource, nameOf, type WordNames } from './report.ts';
import type { TraceStep } from './scenario.ts';

/** Names the operations of a thread, in scenarios of `linearizable`. */
export type OperationNames = (thread: string, index: number) => string;

/** By scenario: names of its operations, whose begins and ends are silent accesses. */
export const operationNames: WeakMap<object, OperationNames> = new WeakMap();

interface Noted extends Access {
  readonly stack: Error | undefined;
  readonly prepares: boolean;
  readonly note: string;
}

const NO_ACCESS = -1;
/** Accesses by which the event loop runs something. */
const FROM_OUTSIDE: ReadonlySet<number> = new Set([OP_EVENT, OP_TIMER, OP_TURN]);
const READS: ReadonlySet<number> = new Set([
  OP_LOAD,
  OP_PLAIN_LOAD,
  OP_BYTES_LOAD,
  OP_WAIT,
  OP_WAIT_ASYNC,
  OP_WAKE,
]);
const PLAIN: ReadonlySet<number> = new Set([
  OP_PLAIN_LOAD,
  OP_PLAIN_STORE,
  OP_BYTES_LOAD,
  OP_BYTES_STORE,
]);

export class TraceRecorder {
  readonly #steps: Noted[] = [];
  readonly #threads: readonly string[];
  readonly #memory: ModelMemory;
  readonly #names: WordNames;
  readonly #operations: OperationNames | undefined;
  readonly #ended: number[];
  readonly #begun: boolean[];

  constructor(
    threads: readonly string[],
    memory: ModelMemory,
    names: WordNames,
    operations: OperationNames | undefined,
  ) {
    this.#threads = threads;
    this.#memory = memory;
    this.#names = names;
    this.#operations = operations;
    this.#ended = threads.map(() => 0);
    this.#begun = threads.map(() => false);
  }

  /** Records an access. */
  access(access: Access, prepares: boolean): void {
    const { thread, cell, op } = access;
    if (cell >= 0 && (this.#memory.flags[cell] & CELL_SILENT) !== 0) {
      this.#operation(thread, op === OP_STORE, prepares);
      return;
    }
    // Most steps of a long trace are not shown: their places are computed only when needed.
    const stack = FROM_OUTSIDE.has(op) ? undefined : stackNow();
    this.#steps.push({ ...access, stack, prepares, note: '' });
  }

  /** Records an event of a thread that is not an access. */
  note(thread: number, note: string, prepares = false): void {
    const nothing = { op: NO_ACCESS, cell: -1, a: 0, b: 0, value: 0, stack: undefined };
    this.#steps.push({ ...nothing, thread, prepares, note });
  }

  #operation(thread: number, ends: boolean, prepares: boolean): void {
    if (ends === this.#begun[thread]) {
      const name = this.#operations?.(this.#threads[thread], this.#ended[thread]) ?? '';
      this.#begun[thread] = !ends;
      if (name !== '') this.note(thread, ends ? `└ ${name} ends` : `┌ ${name}`, prepares);
    }
    if (ends) this.#ended[thread]++;
  }

  /** The steps to show; `marked` is the cell of the failure. */
  steps(marked: number | undefined): TraceStep[] {
    const told: TraceStep[] = [];
    const all = this.#steps;
    let same = 0;
    all.forEach((step, i) => {
      if (step.races || (step.prepares && (step.cell !== marked || marked === undefined))) return;
      if (tellsNothingNew(all, i)) {
        same++;
        return;
      }
      let places: readonly Place[] | undefined;
      const isAccess = step.op !== NO_ACCESS;
      const word = isAccess ? nameOf(step, this.#memory, this.#names) : '';
      told.push({
        number: i + 1,
        thread: this.#threads[step.thread],
        isAccess: isAccess && !FROM_OUTSIDE.has(step.op),
        action: isAccess
          ? describeAccess(step, word) + describeSource(step, this.#threads)
          : step.note,
        word,
        marked: isAccess && step.cell === marked,
        skipped: same,
        get places() {
          places ??= placesIn(step);
          return places;
        },
      });
      if (step.op !== OP_EXCEPTION && this.#isInterrupted(i)) {
        told.push({
          number: i + 1,
          thread: this.#threads[step.thread],
          isAccess: false,
          action: '~ interrupted ~',
          word: '',
          marked: false,
          skipped: 0,
          places: [],
        });
      }
      same = 0;
    });
    return told;
  }

  /** Describes a race: the last step, and the step of another thread before it. */
  race(marked: number | undefined): string | undefined {
    const met = this.#steps.findIndex(({ races }) => races);
    const steps = met < 0 ? this.#steps : this.#steps.slice(0, met + 1);
    const last = steps.at(-1);
    if (last === undefined || marked === undefined || last.cell !== marked) return undefined;
    const first = steps.findLast(
      (step) =>
        step.thread !== last.thread &&
        touchesSame(step, last, this.#memory) &&
        (PLAIN.has(step.op) || PLAIN.has(last.op)) &&
        !(READS.has(step.op) && READS.has(last.op)),
    );
    if (first === undefined) return undefined;
    const word = nameOf(last, this.#memory, this.#names);
    const tell = (step: Noted): string => {
      const place = placeText(placesIn(step)[0]);
      const kind = READS.has(step.op) ? 'read' : 'write';
      const how = PLAIN.has(step.op) ? `a ${kind}` : `an atomic ${kind}`;
      return `(${how}${place === '' ? '' : ` at ${place}`})`;
    };
    const [one, other] = [first, last].map(({ thread }) => this.#threads[thread]);
    return (
      `nothing orders what ${one} did to ${word} ${tell(first)} ` +
      `and what ${other} does to it ${tell(last)}`
    );
  }

  /** True if the thread could have continued, and another one ran first. */
  #isInterrupted(i: number): boolean {
    const all = this.#steps;
    const { thread } = all[i];
    const next = all[i + 1];
    if (next === undefined || next.thread === thread || next.prepares) return false;
    const later = all.slice(i + 1).find((step) => step.thread === thread);
    if (later === undefined || FROM_OUTSIDE.has(later.op)) return false;
    return later.op !== OP_WAKE && later.op !== NO_ACCESS;
  }
}

function placesIn({ stack }: Noted): readonly Place[] {
  return stack === undefined ? [] : placesOf(stack);
}

/** True if both steps touch the byte that a race marks, possibly within a word. */
function touchesSame(step: Noted, last: Noted, memory: ModelMemory): boolean {
  if (step.op === NO_ACCESS) return false;
  if (step.cell === last.cell) return true;
  const [first, second] = [step, last].map((access) => bytesOf(access, memory));
  if (first === undefined || second === undefined || first.block !== second.block) return false;
  return first.begin < second.end && second.begin < first.end;
}

function bytesOf(access: Access, memory: ModelMemory) {
  const place = memory.locate(access.cell);
  if (place === undefined) return undefined;
  const block = place.region.ordinal;
  if (access.op === OP_BYTES_LOAD || access.op === OP_BYTES_STORE) {
    return { block, begin: access.a, end: access.a + Math.max(1, access.b) };
  }
  return { block, begin: 4 * place.word, end: 4 * place.word + 4 };
}

/**
 * True for a read that repeats an earlier one of the thread, with the same value and only such
 * reads in between.
 */
function tellsNothingNew(steps: readonly Noted[], i: number): boolean {
  const step = steps[i];
  const rereads = step.op === OP_COMPARE_EXCHANGE && step.value !== step.a;
  if (step.op !== OP_LOAD && step.op !== OP_PLAIN_LOAD && !rereads) return false;
  for (let j = i - 1; j >= Math.max(0, i - RING_ENTRIES); j--) {
    const before = steps[j];
    if (before.thread !== step.thread || before.op !== step.op) return false;
    if (before.cell === step.cell) return before.value === step.value && before.a === step.a;
  }
  return false;
}
