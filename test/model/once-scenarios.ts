// SPDX-License-Identifier: MIT
/** Model checker: onces: made at most once, by whom, after failures and deaths. */

import type { ModelOptions, Outcome, Scenario } from 'busbar/testing';
import type { BufferPool } from '../../src/pool/index.ts';
import type { Once, OnceError } from '../../src/sync/index.ts';
import type { Case, Part } from './coverage.ts';
import { insisting } from './exception-scenarios.ts';
import {
  ASKING,
  asksAgain,
  attachedTo,
  expectResult,
  makeSync,
  type SyncModule,
  type SyncShared,
  syncCase,
  syncScenario,
} from './sync-words.ts';

export function onceParts(module: SyncModule): Part<SyncShared>[] {
  return [
    {
      name: 'once',
      operations: 'tryRun, runSync, run, tryBegin, finish, fail, tryPacket',
      cases: onceCases(module),
    },
  ];
}

type Threads = Scenario<SyncShared>['threads'];

const ONE: ModelOptions = { preemptions: 1, states: 1000 };

// Spare words, written plainly.
const MADE = 0;
const TRIED = 1;

/** Makes it; a call in the middle, at which the thread may die. */
function make(once: Once, words: Int32Array): number {
  if (words[MADE] !== 0 && !once.ownerDied) throw new Error('it was made, or begun, before');
  words[MADE] = 1;
  if (once.state !== 'running') throw new Error(once.state);
  words[MADE] = 2;
  return 7;
}

export function onceCases(module: SyncModule): Case<SyncShared>[] {
  const body = attachedTo<Once>(module, module.Once);
  const cases: Case<SyncShared>[] = [];
  const add = (
    name: string,
    onError: OnceError,
    threads: Threads,
    expected: Readonly<Record<string, unknown>>,
    options: ModelOptions = ONE,
    more: Partial<Scenario<SyncShared>> = {},
  ) => {
    const create: Parameters<typeof syncScenario>[2] = (pool) =>
      module.Once.create(pool, { onError });
    const scenario = syncScenario(module, `once: ${name}`, create, threads, {
      check: (_: SyncShared, outcome: Outcome) => {
        for (const [thread, result] of Object.entries(expected)) {
          expectResult(outcome, thread, result);
        }
      },
      ...more,
    });
    cases.push(syncCase(scenario, options));
  };
  /** What the thread finds: the value, and what was written before. */
  const seen = (once: Once, words: Int32Array, result: string): string =>
    result === 'done' ? `${once.value} ${words[MADE]}` : result;
  const runs = body((once, words) =>
    seen(
      once,
      words,
      once.runSync(() => make(once, words)),
    ),
  );
  const later = body(async (once, words) =>
    seen(once, words, await once.run(() => make(once, words))),
  );
  add('2 block', 'retry', { a: runs, b: runs }, { a: '7 2', b: '7 2' }, { preemptions: 2 });
  add(
    '2 block, 1 waits',
    'retry',
    { a: runs, b: runs, c: later },
    { a: '7 2', b: '7 2', c: '7 2' },
  );
  const tries = body((once, words) =>
    seen(
      once,
      words,
      once.tryRun(() => make(once, words)),
    ),
  );
  add('1 tries', 'retry', { a: runs, b: tries, c: later }, { a: '7 2', c: '7 2' });
  const fails = body((once, words) => {
    try {
      const result = once.runSync(() => {
        words[TRIED] = 1;
        throw new Error('on purpose');
      });
      return seen(once, words, result);
    } catch {
      return 'thrown';
    }
  });
  add(
    'it throws, the next tries',
    'retry',
    { a: fails, b: runs, c: later },
    { b: '7 2', c: '7 2' },
  );
  const either = body((once, words) => {
    const result = once.runSync(() => make(once, words));
    if (words[TRIED] === 0 && result === 'poisoned') throw new Error('it has not thrown');
    return 'well';
  });
  add('it throws, and is poisoned', 'poison', { a: fails, b: either, c: either }, { b: 'well' });
  const impatient = body((once, words) =>
    seen(
      once,
      words,
      once.runSync(() => make(once, words), 5),
    ),
  );
  const late = { a: fails, b: impatient, c: runs };
  add('one gives up', 'retry', late, { c: '7 2' }, { ...ONE, timeouts: 1 });
  const aborts = body(async (once, words) => {
    const controller = new AbortController();
    const running = once.run(() => make(once, words), { signal: controller.signal });
    setImmediate(() => controller.abort());
    return await running;
  });
  // 'b' is first in the queue.
  const began = body(
    async (_once, _words, _self, aborting) => {
      (aborting as AbortController).abort();
      await Promise.resolve();
    },
    (once) => {
      const controller = new AbortController();
      void once.begin({ signal: controller.signal });
      return controller;
    },
  );
  const ends = body(
    (once) => once.fail(),
    (once) => once.tryBegin(),
  );
  add('one aborts', 'retry', { a: fails, b: aborts, c: runs }, { c: '7 2' });
  add('the first aborts', 'retry', { a: ends, b: began, c: runs }, { c: '7 2' });
  const death: ModelOptions = { kills: 1, deaths: 'calls', polls: 6, timeouts: 0 };
  const few = { ...death, preemptions: 0, states: 1000 };
  const killable = { killable: ['a'] };
  const found = { b: '7 2', c: '7 2' };
  add('death: who makes it', 'retry', { a: runs, b: runs, c: later }, found, few, killable);
  const both = { killable: ['a', 'b'] };
  const three = { a: runs, b: runs, c: later };
  add('death: two that make it', 'retry', three, { c: '7 2' }, { ...few, kills: 2 }, both);
  const asks = body((once, words) =>
    seen(
      once,
      words,
      asksAgain(words, () => once.tryRun(() => make(once, words)), 'busy'),
    ),
  );
  const again = { a: runs, b: asks };
  const asking = { ...few, ...ASKING };
  add('death: tryRun again and again', 'retry', again, { b: '7 2' }, asking, killable);
  // What a dead thread had moved in comes back, and one packet is left in the once.
  const bytes = body((once) => {
    const { pool } = once as unknown as { readonly pool: BufferPool };
    const result = once.runSync(() => module.Packet.tryFrom(pool, 'made'));
    if (result !== 'done') return result;
    const packet = once.tryPacket();
    const text = String(packet);
    packet?.release();
    return text;
  });
  const two: Partial<Scenario<SyncShared>> = {
    setup: () => makeSync(module, (pool) => module.Once.create(pool), { bufferCount: 2 }),
    check: ({ handle }, outcome) => {
      for (const name of ['a', 'b']) expectResult(outcome, name, 'made');
      const pool = module.BufferPool.attach(handle);
      pool.reclaimDead();
      const { held, inTransit } = pool.who();
      pool.detach();
      if (held === 1) return;
      throw new Error(`${held} buffers held, ${inTransit} in transit, expected 1 in the once`);
    },
  };
  add('of a packet', 'retry', { a: bytes, b: bytes }, {}, { preemptions: 1, states: 1000 }, two);
  add('death: of a packet', 'retry', { a: bytes, b: bytes }, {}, few, { ...killable, ...two });
  const deep = body((once, words, self) => {
    let result = '';
    insisting(self, () => {
      if (once.state === 'done') return;
      // What `make` left when it threw is made again.
      words[MADE] = 0;
      result = once.runSync(() => make(once, words));
    });
    return seen(once, words, result === '' ? 'done' : result);
  });
  const exceptions = { exceptions: 1, preemptions: 0, states: 1000 };
  add('exception: runSync', 'retry', { a: deep }, { a: '7 2' }, exceptions);
  return cases;
}
