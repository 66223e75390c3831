// SPDX-License-Identifier: MIT
/** Model checker: signals of two words that threads set, and others take, and die in between. */

import type { ModelOptions, Outcome, Scenario } from 'busbar/testing';
import type { SignalTree, SignalTreeHandle } from '../../src/sync/index.ts';
import type { Case, Part } from './coverage.ts';
import { attachedTo, type SyncModule, type SyncShared, syncScenario } from './sync-words.ts';

/** Two words of signals, and one above. */
const SIGNALS = 64;

export function signalParts(module: SyncModule): Part<SyncShared>[] {
  return [
    { name: 'signals', operations: 'set, tryTake, takeSync, take', cases: signalCases(module) },
  ];
}

export function signalCases(module: SyncModule): Case<SyncShared>[] {
  const body = attachedTo<SignalTree>(module, module.SignalTree);
  const sets = (...indexes: number[]) =>
    body((tree) => indexes.filter((index) => tree.set(index) === 'set').length);
  const takes = (count: number) =>
    body((tree) => {
      for (let i = 0; i < count; i++) {
        if (tree.takeSync() === module.NO_SIGNAL) throw new Error('woken without a signal');
      }
      return -count;
    });
  /** Takes one if there is one, and waits for another, which may not come: it must sleep then. */
  const takesAndWaits = body(async (tree) => {
    const first = tree.tryTake() !== module.NO_SIGNAL;
    const next = await tree.take({ timeoutMs: 1 }).catch(() => module.NO_SIGNAL);
    return -Number(first) - Number(next !== module.NO_SIGNAL);
  });
  const tries = (count: number) =>
    body((tree) => {
      let taken = 0;
      for (let i = 0; i < count; i++) if (tree.tryTake() !== module.NO_SIGNAL) taken++;
      return -taken;
    });
  const add = (
    name: string,
    threads: Scenario<SyncShared>['threads'],
    more: ModelOptions = {},
    killable: readonly string[] = [],
  ): Case<SyncShared> => {
    const create: Parameters<typeof syncScenario>[2] = (pool) =>
      module.SignalTree.create(pool, { signals: SIGNALS });
    const scenario = syncScenario(module, `signals: ${name}`, create, threads, {
      killable,
      // Each that was set is taken once, or still set, and then found.
      check: ({ sync }, outcome: Outcome) => {
        if (killable.length > 0) return;
        const bits = new Int32Array((sync as SignalTreeHandle).bits);
        const isLeft = bits[0] !== 0 || bits[1] !== 0;
        const left = Object.values(outcome.results).reduce<number>((sum, n) => sum + Number(n), 0);
        if (left < 0 || left > 0 !== isLeft)
          throw new Error(`${left} are left, the words say ${isLeft}`);
        for (const word of [0, 1]) {
          const isAbove = (bits[32] & (1 << word)) !== 0;
          if (bits[word] !== 0 && !isAbove) throw new Error(`no bit above word ${word}`);
        }
      },
    });
    const options: ModelOptions = { polls: 0, timeouts: 0, preemptions: 1, ...more };
    return { scenario, quick: { states: 5000, ...options }, long: { ...options, preemptions: 3 } };
  };
  return [
    add('2 set, 1 takes', { a: sets(0), b: sets(32), c: takes(2) }, { states: 2000 }),
    add('set again', { a: sets(0, 1), b: tries(3) }, { preemptions: 3 }),
    add('waits for nothing', { a: sets(0), b: takesAndWaits }, { timeouts: 1, preemptions: 2 }),
    add('2 take', { a: sets(0, 32), b: takes(1), c: takes(1) }, { states: 2000 }),
    add('2 try one', { a: sets(0), b: tries(2), c: tries(2) }, { preemptions: 2 }),
    add(
      'death: who takes',
      {
        a: sets(33),
        b: body(
          (tree) => tree.tryTake(),
          (tree) => tree.set(32),
        ),
        c: takes(1),
      },
      { kills: 1, deaths: 'calls', polls: 4, preemptions: 1, states: 3000 },
      ['b'],
    ),
    add(
      'death: who sets',
      { a: sets(0), b: sets(0, 1), c: takes(1) },
      { kills: 1, deaths: 'calls', polls: 4, preemptions: 0 },
      ['a'],
    ),
  ];
}
