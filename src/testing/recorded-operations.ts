// SPDX-License-Identifier: MIT
/**
 * Model checker: scenarios of operations, which record when each operation began and ended.
 *
 * Each thread has a word that counts its ended operations; an operation begins by reading the words
 * of all others. So the operations that ended before it are part of what the thread has read, and
 * histories that differ in them are never taken for the same state. These words order nothing else:
 * no thread learns through them what another did ({@link CELL_SILENT}).
 */

import { fetchAdd, loadSeqCst, storeSeqCst } from '../base/atomics.ts';
import { activeMachine } from './active.ts';
import { callText, type History, type HistoryOperation } from './history.ts';
import { DEAD, T_FINISHED, T_PUBLISHED, T_STATUS } from './machine-layout.ts';
import { CELL_SILENT } from './memory.ts';
import { operationOf } from './operation-plan.ts';
import type { DeadThread, ModelThread, Scenario, ThreadBody } from './scenario.ts';
import type { Call, PlannedThread, Structure } from './structure.ts';
import { PAUSE } from './thrown.ts';
import { operationNames } from './trace-recorder.ts';
import { textOf, thrownText } from './value-text.ts';

/** Shared memory of a recorded scenario. */
export interface Recorded<Shared> {
  readonly shared: Shared;
  /** A count for each thread. */
  readonly ended: Int32Array;
  /** One word, through which each thread learns all preparations. */
  readonly prepared: Int32Array;
}

/** Called with the history of each finished schedule; throws unless it is linearizable. */
export type Judge = (history: History) => void;

class Began {
  readonly name: string;
  readonly args: readonly unknown[];
  readonly seen: readonly number[];
  readonly recovers: string | undefined;

  constructor(name: string, args: readonly unknown[], seen: readonly number[], recovers?: string) {
    this.name = name;
    this.args = args;
    this.seen = seen;
    this.recovers = recovers;
  }
}

class Ended {
  readonly text: string;

  constructor(text: string) {
    this.text = text;
  }
}

/** Names of the threads of a plan. */
export function threadNames(plan: readonly PlannedThread[]): string[] {
  return plan.map((_, i) => String.fromCharCode(97 + i));
}

/** A structure's scenario for one plan. `recovery` says whether recover is an operation. */
export function recordedScenario<Shared, Subject>(
  structure: Structure<Shared, Subject>,
  plan: readonly PlannedThread[],
  recovery: boolean,
  judge: Judge,
): Scenario<Recorded<Shared>> {
  const names = threadNames(plan);
  const { recover, check, racy, nameWord } = structure;
  const words = recovery ? 2 * names.length : names.length;
  const waits = (call: Call): boolean =>
    operationOf(structure.operations as never, call[0]).waits === true;
  const scenario: Scenario<Recorded<Shared>> = {
    name: structure.name,
    setup: () => {
      const shared = structure.setup();
      const ended = new Int32Array(new SharedArrayBuffer(4 * words));
      silence(ended);
      return { shared, ended, prepared: new Int32Array(new SharedArrayBuffer(4)) };
    },
    threads: Object.fromEntries(
      names.map((name, i) => [name, new Recorder(structure, plan, i).body]),
    ),
    prepares: names,
    mayWait: names.filter((_, i) => plan[i].operations.some(waits)),
    check: (recorded, outcome) => {
      check?.call(structure, recorded.shared, outcome);
      // Reading them makes them part of the state.
      Object.values(outcome.results);
      const operations = operationsOf(structure);
      const final = structure.final?.(recorded.shared);
      judge({ operations, ...(structure.final === undefined ? {} : { final: textOf(final) }) });
    },
    ...(recover === undefined
      ? {}
      : {
          supervisor: (recorded: Recorded<Shared>, dead: DeadThread, self: ModelThread) => {
            const told = dead.published.filter(
              (value) => !(value instanceof Began || value instanceof Ended),
            );
            const run = () =>
              recover.call(structure, recorded.shared, { ...dead, published: told }, self);
            if (!recovery) return run();
            const marks = new Marks(recorded.ended, self, names.length + names.indexOf(dead.name));
            marks.begin('recover', [dead.name], dead.name);
            const result = run();
            const ends = () => {
              marks.end('undefined');
              return marks.told;
            };
            return isPromise(result) ? result.then(ends) : ends();
          },
        }),
    ...(racy === undefined ? {} : { racy: ({ shared }) => racy.call(structure, shared) }),
    ...(nameWord === undefined
      ? {}
      : { nameWord: ({ shared }) => nameWord.call(structure, shared) }),
  };
  operationNames.set(scenario, (thread, index) => {
    const { before = [], operations } = plan[names.indexOf(thread)] ?? { operations: [] };
    const call = [...before, ...operations][index];
    return call === undefined ? '' : callText(call[0], call.slice(1));
  });
  return scenario;
}

/** Makes the words silent: from now on threads learn nothing through them. */
function silence(words: Int32Array): void {
  const memory = activeMachine()?.memory;
  const region = memory?.regionOf(words.buffer);
  if (memory === undefined || region === undefined) return;
  for (let word = 0; word < words.length; word++) {
    memory.flags[region.firstCell + word * memory.cellWords] |= CELL_SILENT;
  }
}

/** Records when operations of one thread begin and end. */
class Marks {
  readonly #words: Int32Array;
  readonly #self: ModelThread;
  readonly #thread: number;
  #count = 0;
  /** The records, as values. The thread returns them, so that they are part of the state. */
  readonly told: unknown[] = [];
  #prepared: Int32Array | undefined;

  constructor(words: Int32Array, self: ModelThread, thread: number) {
    this.#words = words;
    this.#self = self;
    this.#thread = thread;
  }

  begin(name: string, args: readonly unknown[], recovers?: string): void {
    const seen: number[] = [];
    for (let other = 0; other < this.#words.length; other++) {
      seen.push(other === this.#thread ? this.#count : loadSeqCst(this.#words, other));
    }
    // After reading words that others write: by now, all of them have prepared.
    if (this.#prepared !== undefined) loadSeqCst(this.#prepared, 0);
    this.#prepared = undefined;
    this.told.push(seen);
    this.#self.publish(new Began(name, args, seen, recovers));
  }

  /** Orders the thread's next operation after all preparations. */
  meet(prepared: Int32Array): void {
    this.#prepared = prepared;
  }

  end(text: string): void {
    this.told.push(text);
    this.#self.publish(new Ended(text));
    storeSeqCst(this.#words, this.#thread, ++this.#count);
  }
}

/** Runs and records the operations of one thread. */
class Recorder<Shared, Subject> {
  readonly #structure: Structure<Shared, Subject>;
  readonly #plan: PlannedThread;
  readonly #thread: number;
  /** True if some thread has operations to prepare. */
  readonly #prepares: boolean;

  constructor(
    structure: Structure<Shared, Subject>,
    plan: readonly PlannedThread[],
    thread: number,
  ) {
    this.#structure = structure;
    this.#plan = plan[thread];
    this.#thread = thread;
    this.#prepares = plan.some(({ before = [] }) => before.length > 0);
  }

  readonly body: ThreadBody<Recorded<Shared>> = ({ shared, ended, prepared }, self) => {
    const structure = this.#structure;
    const { role = '', before = [], operations } = this.#plan;
    // A thread that prepares later learns of earlier preparations.
    if (this.#prepares) fetchAdd(prepared, 0, 1);
    const subject = (structure.attach?.(shared, self, role) ?? shared) as Subject;
    this.#checkMethods(subject);
    const marks = new Marks(ended, self, this.#thread);
    return this.#each(subject, marks, before, 0, () => {
      if (this.#prepares) fetchAdd(prepared, 0, 1);
      self.begin();
      if (this.#prepares) marks.meet(prepared);
      return this.#each(subject, marks, operations, 0, () => marks.told);
    });
  };

  /** Runs the calls from the `at`-th on, and then the continuation. */
  #each(
    subject: Subject,
    marks: Marks,
    calls: readonly Call[],
    at: number,
    after: () => unknown,
  ): unknown {
    for (let i = at; i < calls.length; i++) {
      const [name, ...args] = calls[i];
      marks.begin(name, args);
      let result: unknown;
      try {
        result = this.#call(subject, name, args);
      } catch (error) {
        if (error === PAUSE) throw error;
        marks.end(thrownText(error));
        continue;
      }
      if (!isPromise(result)) {
        marks.end(textOf(result));
        continue;
      }
      return result
        .then(textOf, (error) => {
          if (error === PAUSE) throw error;
          return thrownText(error);
        })
        .then((text) => {
          marks.end(text);
          return this.#each(subject, marks, calls, i + 1, after);
        });
    }
    return after();
  }

  #checkMethods(subject: Subject): void {
    const { before = [], operations } = this.#plan;
    for (const [name] of [...before, ...operations]) {
      if (operationOf(this.#structure.operations as never, name).run !== undefined) continue;
      if (typeof (subject as Record<string, unknown> | null)?.[name] === 'function') continue;
      throw new TypeError(`structure.operations.${name} has no run, nor has the subject ${name}()`);
    }
  }

  #call(subject: Subject, name: string, args: readonly unknown[]): unknown {
    const { run } = operationOf(this.#structure.operations as never, name);
    if (run !== undefined) return run(subject, ...(args as never[]));
    return (subject as Record<string, (...all: unknown[]) => unknown>)[name](...args);
  }
}

function isPromise(value: unknown): value is Promise<unknown> {
  return typeof (value as { then?: unknown } | undefined)?.then === 'function';
}

/** The operations that the threads of the current schedule have recorded. */
function operationsOf<Shared, Subject>(structure: Structure<Shared, Subject>): HistoryOperation[] {
  const machine = activeMachine();
  if (machine === undefined) return [];
  const operations: HistoryOperation[] = [];
  const names = machine.threads.map(({ name }) => name);
  names.forEach((threadName, thread) => {
    const base = machine.layout.thread(thread);
    const count = machine.state[base + T_PUBLISHED];
    const told = machine.published[thread].slice(0, count);
    const isDead = machine.state[base + T_STATUS] === DEAD;
    if (!isDead && machine.state[base + T_FINISHED] === 0 && count === 0) return;
    let index = 0;
    told.forEach((mark, i) => {
      if (!(mark instanceof Began)) return;
      const next = told
        .slice(i + 1)
        .find((later) => later instanceof Ended || later instanceof Began);
      const end = next instanceof Ended ? next : undefined;
      const mayRefuse =
        mark.recovers === undefined
          ? operationOf(structure.operations as never, mark.name).mayRefuse
          : undefined;
      operations.push({
        thread,
        threadName,
        index: index++,
        name: mark.name,
        args: mark.args,
        seen: names.map((_, other) => mark.seen[other] ?? 0),
        end: end !== undefined ? 'done' : isDead ? 'open' : 'waiting',
        text: end?.text ?? '',
        ...(mayRefuse === undefined ? {} : { refusal: textOf(mayRefuse.result) }),
        ...(mark.recovers === undefined ? {} : { recovers: names.indexOf(mark.recovers) }),
      });
    });
  });
  return operations;
}
