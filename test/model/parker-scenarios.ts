// SPDX-License-Identifier: MIT
/**
 * Model checker: one thread's parker, with each way to wait for rings: blocking, between turns of
 * the event loop, both at once, and not at all for a while.
 */

import type { ModelOptions, Scenario, ThreadBody } from 'busbar/testing';
import type { Parker, unpark } from '../../src/base/parker.ts';
import type { Case, Part } from './coverage.ts';

/** The module, or a copy of it. */
export interface ParkerModule {
  readonly Parker: typeof Parker;
  readonly unpark: typeof unpark;
}

/** What ringers write before they ring, and the parker's own word. */
const PARKER = 0;
const FIRST = 1;
const SECOND = 2;
const HANDED_ON = 3;
const NAMES = ['PARKER', 'FIRST', 'SECOND', 'HANDED_ON'];

type Body = ThreadBody<Int32Array>;
type Threads = Scenario<Int32Array>['threads'];

/** While the clock stands still: a sleeping thread is woken, or sleeps for ever. */
const NO_TICKS: ModelOptions = { timeouts: 0, polls: 0 };
const FOR_EVER = Number.POSITIVE_INFINITY;

export function parkerParts(module: ParkerModule): Part<Int32Array>[] {
  const sync = blockingCases(module);
  return [
    { name: 'parker: blocking', operations: 'parkSync, unpark', cases: sync },
    { name: 'parker: event loop', operations: 'listen, unpark, close', cases: loopCases(module) },
    { name: 'parker: both', operations: 'listen, parkSync, unpark', cases: mixedCases(module) },
    { name: 'parker: deaths', operations: 'the same', cases: deathCases(module) },
  ];
}

/** Adds to each of the words in turn, and rings after each. */
function rings(module: ParkerModule, ...words: readonly number[]): Body {
  return (shared) => {
    for (const word of words) {
      Atomics.add(shared, word, 1);
      module.unpark(shared, PARKER);
    }
  };
}

/** Blocks until a word has come to a value. */
function blocks(module: ParkerModule, word: number, value: number, timeoutMs = FOR_EVER): Body {
  return (shared) => {
    const parker = new module.Parker(shared, PARKER, () => undefined);
    while (Atomics.load(shared, word) < value) parker.parkSync(timeoutMs);
  };
}

/** Looks when it is rung, until `isDone`; `first` runs behind the first `listen`. */
function listens(
  module: ParkerModule,
  isDone: (shared: Int32Array, parker: Parker) => boolean,
  first: (shared: Int32Array, parker: Parker) => void = () => undefined,
): Body {
  return (shared) =>
    new Promise<void>((resolve) => {
      const parker: Parker = new module.Parker(shared, PARKER, () => {
        if (!isDone(shared, parker)) return;
        parker.close();
        resolve();
      });
      parker.listen();
      first(shared, parker);
    });
}

function blockingCases(module: ParkerModule): Case<Int32Array>[] {
  const owner = blocks(module, FIRST, 2);
  const ringer = rings(module, FIRST);
  const impatient = blocks(module, FIRST, 1, 5);
  return [
    parked('parkSync, 2 rings', { owner, ringer: rings(module, FIRST, FIRST) }),
    parked('parkSync, 2 ringers', { owner, a: ringer, b: ringer }),
    parked('parkSync that times out', { owner: impatient, ringer }, { timeouts: 2 }),
  ];
}

function loopCases(module: ParkerModule): Case<Int32Array>[] {
  const isTwo = (shared: Int32Array): boolean => Atomics.load(shared, FIRST) === 2;
  const owner = listens(module, isTwo);
  const ringer = rings(module, FIRST);
  return [
    parked('listen, 2 rings', { owner, ringer: rings(module, FIRST, FIRST) }),
    parked('listen, 2 ringers', { owner, a: ringer, b: ringer }),
    parked('poll, then listen', {
      owner: pollsThenListens(module),
      ringer: rings(module, FIRST, FIRST),
    }),
    parked('close, and the word goes to another', { ...handingOn(module), ringer }),
  ];
}

/** As an executor does that is not tired yet: it looks by itself for a while, and then sleeps. */
function pollsThenListens(module: ParkerModule): Body {
  return (shared) =>
    new Promise<void>((resolve) => {
      const isDone = (): boolean => Atomics.load(shared, FIRST) === 2;
      const look = (): void => {
        if (isDone()) resolve();
      };
      const parker = new module.Parker(shared, PARKER, look);
      const poll = (left: number): void => {
        if (isDone()) resolve();
        else if (left === 0) parker.listen();
        else setImmediate(() => poll(left - 1));
      };
      poll(2);
    });
}

/** One thread leaves, and the next one gets its word: a ring for the old thread does it no harm. */
function handingOn(module: ParkerModule): Threads {
  return {
    leaver: (shared) => {
      let hasLeft = false;
      const parker = new module.Parker(shared, PARKER, () => {
        if (hasLeft) throw new Error('rung after it has left');
      });
      parker.listen();
      parker.close();
      hasLeft = true;
      Atomics.store(shared, HANDED_ON, 1);
      Atomics.notify(shared, HANDED_ON);
      // Events that were under way arrive now.
      return new Promise((resolve) => setImmediate(resolve));
    },
    heir: (shared, self) => {
      Atomics.wait(shared, HANDED_ON, 0);
      return blocks(module, FIRST, 1)(shared, self);
    },
  };
}

function mixedCases(module: ParkerModule): Case<Int32Array>[] {
  const isSecond = (shared: Int32Array): boolean => Atomics.load(shared, SECOND) === 1;
  const blockUntilFirst = (shared: Int32Array, parker: Parker): void => {
    while (Atomics.load(shared, FIRST) === 0) parker.parkSync(FOR_EVER);
  };
  const both = listens(module, isSecond, blockUntilFirst);
  /** It looks, and then blocks for something else: what was rung meanwhile was for the look. */
  const within = listens(
    module,
    (shared, parker) => {
      const seen = isSecond(shared);
      blockUntilFirst(shared, parker);
      return seen;
    },
    (shared) => module.unpark(shared, PARKER),
  );
  const isFirst = (shared: Int32Array): boolean => Atomics.load(shared, FIRST) === 1;
  const forOne = listens(module, isFirst, blockUntilFirst);
  const givesUp = listens(module, isSecond, (_, parker) => parker.parkSync(5));
  const a = rings(module, FIRST);
  const b = rings(module, SECOND);
  return [
    parked('parkSync while listening, 1 ring for both', { owner: forOne, ringer: a }),
    parked('parkSync while listening, timed out', { owner: givesUp, ringer: b }, { timeouts: 1 }),
    parked('parkSync while listening', { owner: both, ringer: rings(module, FIRST, SECOND) }),
    parked('parkSync while listening, the other way', {
      owner: both,
      ringer: rings(module, SECOND, FIRST),
    }),
    parked('parkSync while listening, 2 ringers', { owner: both, a, b }),
    parked('parkSync when rung', { owner: within, ringer: rings(module, FIRST, SECOND) }),
    parked('parkSync when rung, 2 ringers', { owner: within, a, b }),
  ];
}

/** A ringer may die between its two accesses: the thread that finds it dead rings again. */
function deathCases(module: ParkerModule): Case<Int32Array>[] {
  const isDone = (shared: Int32Array): boolean => Atomics.load(shared, FIRST) > 0;
  const options: ModelOptions = { kills: 1, deaths: 'calls' };
  const rest: Partial<Scenario<Int32Array>> = {
    killable: ['ringer'],
    supervisor: (shared, _dead, self) => rings(module, FIRST)(shared, self),
  };
  const ringer = rings(module, FIRST);
  const owner = blocks(module, FIRST, 1);
  return [
    parked('death: ringer, parkSync', { owner, ringer }, options, rest),
    parked('death: ringer, listen', { owner: listens(module, isDone), ringer }, options, rest),
  ];
}

function parked(
  name: string,
  threads: Threads,
  options: ModelOptions = {},
  rest: Partial<Scenario<Int32Array>> = {},
): Case<Int32Array> {
  const scenario: Scenario<Int32Array> = {
    name,
    setup: () => new Int32Array(new SharedArrayBuffer(16)),
    threads,
    nameWord: () => (_, word) => NAMES[word],
    ...rest,
  };
  const quick = { ...NO_TICKS, ...options };
  const { preemptions: _, ...long } = quick;
  return { scenario, quick, long };
}
