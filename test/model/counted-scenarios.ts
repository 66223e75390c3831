// SPDX-License-Identifier: MIT
/** Model checker: countdowns, wait groups, barriers: who is last, who is let through, who dies. */

import type { ModelOptions, Outcome, Scenario } from 'busbar/testing';
import type { Barrier, Countdown, WaitGroup } from '../../src/sync/index.ts';
import type { Case, Part } from './coverage.ts';
import { insisting } from './exception-scenarios.ts';
import {
  ASKING,
  asksAgain,
  attachedTo,
  expectResult,
  type SyncModule,
  type SyncShared,
  syncCase,
  syncScenario,
} from './sync-words.ts';

export function countedParts(module: SyncModule): Part<SyncShared>[] {
  return [
    {
      name: 'countdown',
      operations: 'add, arrive, run, withdraw, finish, fail, tryWait, wait, enter',
      cases: countdownCases(module),
    },
    {
      name: 'wait group',
      operations: 'add, done, withdraw, wait, enter',
      cases: waitGroupCases(module),
    },
    {
      name: 'barrier',
      operations: 'spawn, enter, done, withdraw, cancel, wait',
      cases: barrierCases(module),
    },
  ];
}

type Threads = Scenario<SyncShared>['threads'];
type More = Partial<Scenario<SyncShared>>;

const ONE: ModelOptions = { preemptions: 1, states: 1000 };
const DEATH: ModelOptions = {
  kills: 1,
  deaths: 'calls',
  polls: 6,
  timeouts: 0,
  preemptions: 0,
  states: 1000,
};
const EXCEPTION: ModelOptions = { exceptions: 1, preemptions: 0, states: 1000 };

// Spare words, written plainly.
const RAN = 0;

function results(expected: Readonly<Record<string, unknown>>): More {
  return {
    check: (_, outcome) => {
      for (const [name, result] of Object.entries(expected)) expectResult(outcome, name, result);
    },
  };
}

/** What is run once: a function with a call in it, at which its thread may die. */
function ran(countdown: Countdown, words: Int32Array): void {
  if (words[RAN] !== 0) throw new Error('it has run already');
  words[RAN] = 1;
  if (countdown.count !== 0) throw new Error('some are still to come');
  words[RAN] = 2;
}

export function countdownCases(module: SyncModule): Case<SyncShared>[] {
  const body = attachedTo<Countdown>(module, module.Countdown);
  const cases: Case<SyncShared>[] = [];
  const add = (name: string, count: number, threads: Threads, more: More, options = ONE) => {
    const create: Parameters<typeof syncScenario>[2] = (pool) =>
      module.Countdown.create(pool, count);
    const scenario = syncScenario(module, `countdown: ${name}`, create, threads, more);
    cases.push(syncCase(scenario, options));
  };
  const runs = body((countdown, words) => countdown.run(() => ran(countdown, words)));
  const waits = body((countdown, words) => `${countdown.waitSync()} ${words[RAN]}`);
  const awaits = body(async (countdown, words) => `${await countdown.wait()} ${words[RAN]}`);
  const once = (outcome: Outcome): void => {
    const last = Object.values(outcome.results).filter((result) => result === 'ran');
    if (last.length !== 1) throw new Error(`${last.length} were the last`);
  };
  add(
    '2 arrive, 1 waits',
    2,
    { a: runs, b: runs, c: waits },
    {
      check: (_, outcome) => {
        once(outcome);
        expectResult(outcome, 'c', 'done 2');
      },
    },
  );
  add(
    '1 arrives, 2 wait',
    1,
    { a: runs, b: waits, c: awaits },
    results({ b: 'done 2', c: 'done 2' }),
  );
  const throws = body((countdown) => {
    try {
      countdown.run(() => {
        throw new Error('on purpose');
      });
    } catch {
      return 'thrown';
    }
    return 'not the last';
  });
  const tells = body((countdown) => countdown.waitSync());
  add('it throws', 1, { a: throws, b: tells, c: tells }, results({ b: 'failed', c: 'failed' }));
  const more = body((countdown, words) => {
    const added = countdown.add();
    return added === 'added' ? countdown.run(() => ran(countdown, words)) : added;
  });
  add('one more comes', 1, { a: runs, b: more, c: tells }, results({ c: 'done' }));
  const killed = (dies: string): More => ({ killable: [dies] });
  const dies: More = {
    ...killed('a'),
    check: ({ words }, outcome) => {
      // It died before it came: then the supervisor comes for it.
      const isDone = words[RAN] === 2 && outcome.results.b === 'done';
      expectResult(outcome, 'b', isDone ? 'done' : 'failed');
    },
    prepares: ['a', 'b', 'supervisor'],
    supervisor: (shared, _dead, self) => {
      const pool = module.BufferPool.attach(shared.handle);
      const countdown = module.Countdown.attach(pool, shared.sync as never);
      self.begin();
      if (countdown.arrive() === 'last') countdown.fail();
    },
  };
  add('death: the last one', 1, { a: runs, b: tells }, dies, DEATH);
  const asks = body((countdown, words) => asksAgain(words, () => countdown.tryWait(), 'busy'));
  const asking = { ...DEATH, ...ASKING };
  add('death: tryWait again and again', 1, { a: runs, b: asks }, dies, asking);
  const entered = body(
    (countdown) => void countdown.arrive(),
    (countdown) => countdown.enter(),
  );
  const withdraws = body((countdown, words) => {
    if (countdown.withdraw() !== 'last') return;
    ran(countdown, words);
    countdown.finish();
  });
  add('one withdraws', 2, { a: runs, b: withdraws, c: waits }, results({ c: 'done 2' }));
  add(
    'death: one that was counted',
    2,
    { a: entered, b: runs, c: tells },
    {
      ...killed('a'),
      check: ({ words }, { killed, results: { b, c } }) => {
        if (killed.length === 0 && c !== (b === 'ran' ? 'done' : undefined)) {
          if (b === 'ran' || c !== 'failed') throw new Error(`${b}, ${c}, ${words[RAN]}`);
        }
      },
      mayWait: ['c'],
    },
    DEATH,
  );
  const deep = body((countdown, words, self) =>
    insisting(self, () => {
      if (countdown.run(() => ran(countdown, words)) === 'failed') throw new Error('failed');
    }),
  );
  add('exception: run', 1, { a: deep, b: tells }, results({ b: 'done' }), EXCEPTION);
  return cases;
}

export function waitGroupCases(module: SyncModule): Case<SyncShared>[] {
  const body = attachedTo<WaitGroup>(module, module.WaitGroup);
  const cases: Case<SyncShared>[] = [];
  const add = (name: string, count: number, threads: Threads, more: More, options = ONE) => {
    const create: Parameters<typeof syncScenario>[2] = (pool) => {
      const group = module.WaitGroup.create(pool);
      group.add(count);
      return group;
    };
    const scenario = syncScenario(module, `wait group: ${name}`, create, threads, more);
    cases.push(syncCase(scenario, options));
  };
  const does = body((group, words) => {
    Atomics.add(words, RAN, 1);
    return group.done();
  });
  const waits = body((group, words) => `${group.waitSync()} ${Atomics.load(words, RAN)}`);
  add('2 are done, 1 waits', 2, { a: does, b: does, c: waits }, results({ c: 'done 2' }));
  const awaits = body((group) => group.wait());
  const tells = body((group) => group.waitSync());
  add('1 is done, 2 wait', 1, { a: does, b: awaits, c: tells }, results({ b: 'done', c: 'done' }));
  // Both have begun to wait before the count comes to 0 and up again.
  const began = body(
    (_group, _words, _self, waiting) => waiting,
    (group) => group.wait(),
  );
  const again = body((group) => {
    group.done();
    group.add(1);
  });
  add('more right after', 1, { a: began, b: again, c: began }, results({ a: 'done', c: 'done' }));
  const impatient = body((group) => group.waitSync(5));
  const late = { a: impatient, b: tells, c: does };
  add('one gives up', 1, late, results({ b: 'done' }), { ...ONE, timeouts: 1 });
  const works = body(
    (group) => void group.done(),
    (group) => group.enter(),
  );
  const died: More = { killable: ['a'], ...results({ b: 'done', c: 'done' }) };
  add('death: who is counted', 1, { a: works, b: tells, c: awaits }, died, DEATH);
  // Another thread has died before it entered.
  const withdraws = body(
    (group) => void group.done(),
    (group) => {
      group.enter();
      group.withdraw();
    },
  );
  add('death: who withdraws', 2, { a: withdraws, b: tells, c: awaits }, died, DEATH);
  const deep = body((group, _, self) => insisting(self, () => void group.done()));
  add('exception: done', 1, { a: deep, b: tells }, results({ b: 'done' }), EXCEPTION);
  return cases;
}

export function barrierCases(module: SyncModule): Case<SyncShared>[] {
  const body = attachedTo<Barrier>(module, module.Barrier);
  const cases: Case<SyncShared>[] = [];
  const add = (name: string, parties: number, threads: Threads, more: More, options = ONE) => {
    const create: Parameters<typeof syncScenario>[2] = (pool) => {
      const barrier = module.Barrier.create(pool);
      barrier.spawn(parties);
      barrier.done();
      return barrier;
    };
    const scenario = syncScenario(module, `barrier: ${name}`, create, threads, more);
    cases.push(syncCase(scenario, options));
  };
  const works = body(
    (barrier) => barrier.done(),
    (barrier) => barrier.enter(),
  );
  const tells = body((barrier) => barrier.waitSync());
  const oneLeads: More = {
    check: (_, outcome) => {
      const all = Object.values(outcome.results);
      if (all.filter((result) => result === 'leader').length !== 1) throw new Error('who leads?');
      expectResult(outcome, 'c', 'done');
    },
  };
  add('2 parties, 1 waits', 2, { a: works, b: works, c: tells }, oneLeads);
  const spawns = body(
    (barrier) => {
      const spawned = barrier.spawn();
      if (spawned === 'added') barrier.done();
      return barrier.done();
    },
    (barrier) => barrier.enter(),
  );
  add('one spawns', 2, { a: spawns, b: works, c: tells }, oneLeads);
  const cancels = body((barrier) => barrier.cancel());
  const same: More = {
    check: (_, { results: { b, c } }) => {
      if (b !== c) throw new Error(`${b} to who waits, ${c} to who cancels`);
    },
  };
  add('cancel', 1, { a: works, b: tells, c: cancels }, same);
  const waits = body((barrier) => `${barrier.waitSync()} ${barrier.partyDied}`);
  const learns: More = {
    killable: ['a'],
    check: (_, { killed, results: { a, b, c } }) => {
      const all = [b, c].filter((result) => result !== undefined).join();
      if (killed.length === 0 && a === 'leader' && all !== 'done false,done false') {
        throw new Error(all);
      }
      if (b !== c || !String(b).startsWith('done')) throw new Error(all);
    },
  };
  add('death: a party', 1, { a: works, b: waits, c: waits }, learns, DEATH);
  const withdraws = body(
    (barrier) => {
      const spawned = barrier.spawn();
      if (spawned === 'added') barrier.withdraw();
      return barrier.done();
    },
    (barrier) => barrier.enter(),
  );
  add('one withdraws', 2, { a: withdraws, b: works, c: tells }, oneLeads);
  const withdrew = body(
    (barrier) => barrier.done(),
    (barrier) => {
      barrier.enter();
      barrier.spawn();
      barrier.withdraw();
    },
  );
  add('death: one that withdrew', 1, { a: withdrew, b: waits, c: waits }, learns, DEATH);
  const deep = body(
    (barrier, _, self) => insisting(self, () => void barrier.done()),
    (barrier) => barrier.enter(),
  );
  add('exception: done', 1, { a: deep, b: tells }, results({ b: 'done' }), EXCEPTION);
  return cases;
}
