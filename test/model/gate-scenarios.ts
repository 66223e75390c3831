// SPDX-License-Identifier: MIT
/** Model checker: gates: how many enter, who decides, and that no thread waits at an open gate. */

import type { ModelOptions, Outcome, Scenario } from 'busbar/testing';
import type { Gate } from '../../src/sync/index.ts';
import { DONE, ENTRIES_MAX, OPEN, PHASE } from '../../src/sync/phase-layout.ts';
import { STATE } from '../../src/sync/sync-layout.ts';
import type { Case, Part } from './coverage.ts';
import { insisting } from './exception-scenarios.ts';
import {
  ASKING,
  asksAgain,
  attachedTo,
  type SyncModule,
  type SyncShared,
  syncCase,
  syncScenario,
} from './sync-words.ts';

export function gateParts(module: SyncModule): Part<SyncShared>[] {
  return [
    { name: 'gate', operations: 'open, close, tryEnter, enter, decide', cases: gateCases(module) },
  ];
}

const ONE: ModelOptions = { preemptions: 1, states: 1000 };

/** A spare word, written plainly by who decides. */
const INSIDE = 0;

/** What has become of a gate, and how many threads have entered in all. */
interface Seen {
  readonly phase: number;
  readonly entries: number;
  readonly entered: number;
}

export function gateCases(module: SyncModule): Case<SyncShared>[] {
  const body = attachedTo<Gate>(module, module.Gate);
  const cases: Case<SyncShared>[] = [];
  const add = (
    name: string,
    batch: number,
    isOpen: boolean,
    threads: Scenario<SyncShared>['threads'],
    check: (gate: Seen, outcome: Outcome) => void,
    options: ModelOptions = ONE,
    more: Partial<Scenario<SyncShared>> = {},
  ) => {
    const create: Parameters<typeof syncScenario>[2] = (pool) => {
      const gate = module.Gate.create(pool, { batch });
      if (isOpen) gate.open();
      return gate;
    };
    const scenario = syncScenario(module, `gate: ${name}`, create, threads, {
      check: ({ sync }, outcome) => {
        const state = new Int32Array(sync.control)[STATE];
        const phase = state & PHASE;
        const all = Object.values(outcome.results);
        const entered = all.filter((result) => result === 'entered').length;
        if (phase === OPEN && outcome.waiting.length > 0) throw new Error('it waits though open');
        check({ phase, entered, entries: state & ENTRIES_MAX }, outcome);
      },
      mayWait: Object.keys(threads),
      ...more,
    });
    cases.push(syncCase(scenario, options));
  };
  const count = (expected: number, phase: number) => (gate: Seen) => {
    if (gate.entered === expected && gate.phase === phase) return;
    throw new Error(`${gate.entered} have entered, and its phase is ${gate.phase}`);
  };
  const enters = body((gate) => gate.enterSync());
  const later = body((gate) => gate.enter());
  const opens = body((gate) => gate.open());
  add('2 of 3', 2, true, { a: enters, b: enters, c: later }, count(2, DONE));
  add('2 wait, it opens', 9, false, { a: enters, b: later, c: opens }, count(2, OPEN));
  const decideFor = (most: number) => (gate: Gate, words: Int32Array) =>
    gate.decideSync((entries) => {
      if (words[INSIDE] !== 0) throw new Error('another thread is inside');
      words[INSIDE] = 1;
      // A call, at which the thread may die.
      if (gate.entries > entries) throw new Error('more have entered');
      words[INSIDE] = 0;
      return entries < most;
    });
  const decides = body(decideFor(2));
  add('2 of 3 decide', 9, true, { a: decides, b: decides, c: decides }, count(2, DONE));
  add('rsm: 2 open', 1, false, { a: opens, b: opens, c: enters }, ({ entered }, { results }) => {
    const opened = [results.a, results.b].filter((result) => result === 'opened').length;
    if (entered !== 1 || opened < 1) throw new Error(`${entered} entered, opened ${opened} times`);
  });
  const closes = body((gate) => gate.close());
  const stays = body((gate, words) => decideFor(9)(gate, words));
  add('closed as one decides', 9, true, { a: stays, b: closes }, ({ phase }, { results }) => {
    if (phase !== DONE || results.b !== 'closed') throw new Error(`${phase}, ${results.b}`);
  });
  const reopens = body((gate) => [gate.close(), gate.open()].join());
  add('opened anew as one decides', 1, true, { a: stays, b: reopens }, (gate, { results }) => {
    if (results.b === 'closed,opened' && gate.phase !== OPEN && gate.entries === 0) {
      throw new Error('it was opened, none has entered, and it is closed');
    }
  });
  const aborts = body(async (gate) => {
    const controller = new AbortController();
    const entering = gate.enter({ signal: controller.signal });
    setImmediate(() => controller.abort());
    return await entering;
  });
  add('one aborts', 1, false, { a: aborts, b: enters, c: opens }, count(1, DONE));
  const death: ModelOptions = { kills: 1, deaths: 'calls', polls: 6, timeouts: 0 };
  const few = { ...death, preemptions: 0, states: 1000 };
  const takes = body((gate, words) =>
    gate.decideSync((entries) => {
      words[INSIDE] = 0;
      return entries < 9;
    }),
  );
  add(
    'death: who decides',
    9,
    true,
    { a: stays, b: takes, c: later },
    ({ entered }, { killed }) => {
      if (entered + killed.length < 3) throw new Error(`${entered} have entered`);
    },
    few,
    { killable: ['a'], mayWait: [] },
  );
  add(
    'death: two that decide',
    9,
    true,
    { a: stays, b: takes, c: later },
    ({ entered }, { killed }) => {
      if (entered + killed.length < 3) throw new Error(`${entered} have entered`);
    },
    { ...few, kills: 2 },
    { killable: ['a', 'b'], mayWait: [] },
  );
  const asks = body((gate, words) => asksAgain(words, () => gate.tryEnter(), 'busy'));
  add(
    'death: tryEnter again and again',
    9,
    true,
    { a: stays, b: asks },
    ({ entered }, { killed }) => {
      if (entered + killed.length < 2) throw new Error(`${entered} have entered`);
    },
    { ...few, ...ASKING },
    { killable: ['a'], mayWait: [] },
  );
  const deep = body((gate, words, self) => {
    let result = '';
    insisting(self, () => {
      words[INSIDE] = 0;
      result = decideFor(1)(gate, words);
    });
    return result;
  });
  const exceptions = { exceptions: 1, preemptions: 0, states: 1000 };
  add(
    'exception: decideSync',
    9,
    true,
    { a: deep, b: enters },
    (gate) => {
      if (gate.phase !== DONE) throw new Error('it is open');
    },
    exceptions,
  );
  return cases;
}
