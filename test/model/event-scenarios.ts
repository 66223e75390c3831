// SPDX-License-Identifier: MIT
/** Model checker: events: who is let through, how often, and that no thread sleeps on. */

import type { ModelOptions, Outcome, Scenario } from 'busbar/testing';
import type { BufferPool } from '../../src/pool/index.ts';
import type { Event, EventReset } from '../../src/sync/index.ts';
import { IS_SET, STATE } from '../../src/sync/sync-layout.ts';
import type { Case, Part } from './coverage.ts';
import { insisting } from './exception-scenarios.ts';
import {
  attachedTo,
  expectResult,
  type SyncModule,
  type SyncShared,
  syncCase,
  syncScenario,
} from './sync-words.ts';

const OPERATIONS = 'set, reset, tryWait, waitSync, wait';

export function eventParts(module: SyncModule): Part<SyncShared>[] {
  return [
    { name: 'event', operations: OPERATIONS, cases: eventCases(module) },
    { name: 'event: deaths, exceptions', operations: OPERATIONS, cases: troubledCases(module) },
  ];
}

type Threads = Scenario<SyncShared>['threads'];

/** What is written plainly before the event is set. */
const MESSAGE = 0;

export function eventCases(module: SyncModule): Case<SyncShared>[] {
  const body = attachedTo<Event>(module, module.Event);
  const cases: Case<SyncShared>[] = [];
  const add = (
    reset: EventReset,
    name: string,
    threads: Threads,
    more: Partial<Scenario<SyncShared>>,
    options: ModelOptions = { preemptions: 1 },
  ) => {
    const create = creates(module, reset);
    const scenario = syncScenario(module, `event ${reset}: ${name}`, create, threads, more);
    cases.push(syncCase(scenario, options));
  };
  const all = (result: string, ...names: string[]) => ({
    check: (_: SyncShared, outcome: Outcome) => {
      for (const name of names) expectResult(outcome, name, result);
    },
  });
  const blocks = body((event) => event.waitSync());
  const awaits = body((event) => event.wait());
  const sets = body((event, words) => {
    words[MESSAGE] = 7;
    event.set();
  });
  const reads = body((event, words) => `${event.waitSync()} ${words[MESSAGE]}`);
  add('manual', 'a message', { a: reads, b: sets }, all('set 7', 'a'), { preemptions: 3 });
  add('auto', 'a message', { a: reads, b: sets }, all('set 7', 'a'), { preemptions: 3 });
  const wakes = body((event) => event.set());
  add('manual', '2 wait', { a: blocks, b: awaits, c: wakes }, all('set', 'a', 'b'));
  // Both have begun to wait, or have looked, before it is set.
  const began = body(
    (_event, _words, _self, waits) => waits,
    (event) => event.wait(),
  );
  const pulses = body((event) => {
    event.set();
    event.reset();
  });
  add('manual', 'set and reset', { a: began, b: pulses, c: began }, all('set', 'a', 'c'));
  const mayMiss = body((event) => event.waitSync());
  const missed = { ...all('set', 'a'), mayWait: ['c'] };
  add('manual', 'set and reset, one late', { a: began, b: pulses, c: mayMiss }, missed);

  // Each set that changed something lets one through; no thread waits while it is set.
  const twice = body((event) => Number(event.set() === 'set') + Number(event.set() === 'set'));
  const books = {
    mayWait: ['a', 'b'],
    check: ({ sync }: SyncShared, outcome: Outcome) => {
      const isSet = new Int32Array(sync.control)[STATE] & IS_SET;
      let through = 0;
      let sum = 0;
      for (const result of Object.values(outcome.results)) {
        if (result === 'set') through++;
        else if (typeof result === 'number') sum += result;
      }
      if (through + isSet !== sum) throw new Error(`${through} of ${sum} were let through`);
      if (isSet !== 0 && outcome.waiting.length > 0) throw new Error('a thread sleeps on');
    },
  };
  add('auto', '2 wait, 2 sets', { a: blocks, b: awaits, c: twice }, books);
  const once = body((event) => Number(event.set() === 'set'));
  add('auto', 'set by 2, 1 waits', { a: blocks, b: once, c: once }, books);
  const impatient = body((event) => event.waitSync(5));
  const late = { a: impatient, b: blocks, c: once };
  add('auto', 'one gives up', late, books, { preemptions: 1, timeouts: 1 });
  const tries = body((event) => event.tryWait());
  add('auto', 'one only looks', { a: blocks, b: tries, c: twice }, books);
  return cases;
}

function troubledCases(module: SyncModule): Case<SyncShared>[] {
  const body = attachedTo<Event>(module, module.Event);
  const blocks = body((event) => event.waitSync());
  const awaits = body((event) => event.wait());
  const sets = body((event) => void event.set());
  const check = (_: SyncShared, outcome: Outcome) => {
    for (const name of ['a', 'b']) expectResult(outcome, name, 'set');
  };
  const deaths: ModelOptions = { kills: 1, deaths: 'calls', polls: 6, timeouts: 0, preemptions: 0 };
  // It dies after it has set the event, or another does it instead.
  const death = syncScenario(
    module,
    'event manual: death: who sets it',
    creates(module, 'manual'),
    { a: blocks, b: awaits, c: sets },
    {
      killable: ['c'],
      prepares: ['a', 'b', 'c', 'supervisor'],
      supervisor: (shared, _dead, self) => {
        const pool = module.BufferPool.attach(shared.handle);
        const event = module.Event.attach(pool, shared.sync as never);
        self.begin();
        event.set();
      },
      check,
    },
  );
  const auto = syncScenario(
    module,
    'event auto: death: who waits',
    creates(module, 'auto'),
    { a: blocks, b: blocks, c: body((event) => void [event.set(), event.set()]) },
    { killable: ['a'], mayWait: ['a', 'b'] },
  );
  const exceptions: ModelOptions = { exceptions: 1, preemptions: 0, timeouts: 0, polls: 0 };
  const deep = body((event, _, self) => insisting(self, () => event.set()));
  const exception = syncScenario(
    module,
    'event manual: exception: set',
    creates(module, 'manual'),
    { a: blocks, b: awaits, c: deep },
    { check },
  );
  return [
    { scenario: death, quick: { ...deaths, states: 10_000 }, long: deaths },
    { scenario: auto, quick: { ...deaths, states: 10_000 }, long: deaths },
    { scenario: exception, quick: exceptions, long: exceptions },
  ];
}

function creates(module: SyncModule, reset: EventReset) {
  return (pool: BufferPool): Event => module.Event.create(pool, { reset });
}
