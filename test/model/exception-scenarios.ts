// SPDX-License-Identifier: MIT
/**
 * Model checker: calls that throw because the stack is full, in threads that catch it and continue.
 * Nothing is lost, nothing leaks, and the other threads continue as well.
 */

import type { ModelOptions, ModelThread, Scenario } from 'busbar/testing';
import type { BufferId } from '../../src/pool/index.ts';
import { ChannelBodies, channelScenario, type Run } from './channel-scenarios.ts';
import type { ChannelModule, ChannelShared } from './channel-words.ts';
import type { Case, Part } from './coverage.ts';
import { attachedTo, poolScenario, sendThrough } from './pool-scenarios.ts';
import type { PoolModule, PoolShape, PoolShared } from './pool-words.ts';

const ONCE: ModelOptions = { exceptions: 1, preemptions: 0, timeouts: 0, polls: 0 };

/** Runs a step deeply; if the stack was full, it returns undefined and all is as before. */
export function surviving<Result>(
  self: Pick<ModelThread, 'deeply'>,
  step: () => Result,
): Result | undefined {
  try {
    return self.deeply(step);
  } catch (error) {
    if (!isStackFull(error)) throw error;
    return undefined;
  }
}

export function isStackFull(error: unknown): boolean {
  return error instanceof RangeError && error.message === 'Maximum call stack size exceeded';
}

/** Does it until it is done: as a program does that gets another request. */
export function insisting(self: Pick<ModelThread, 'deeply'>, step: () => void): void {
  while (surviving(self, () => step() ?? true) === undefined);
}

/** Each call of the library is made deeply, until it has not thrown. */
export function deeply(self: ModelThread): Run {
  return (call) => {
    for (;;) {
      const done = surviving(self, () => ({ result: call() }));
      if (done !== undefined) return done.result;
    }
  };
}

export function poolExceptionParts(module: PoolModule): Part<PoolShared>[] {
  return [
    {
      name: 'pool: exceptions',
      operations: 'tryAcquire, release, retain, moveInto, moveFrom, reclaimDead',
      cases: poolExceptionCases(module),
    },
  ];
}

function poolExceptionCases(module: PoolModule): Case<PoolShared>[] {
  const attached = attachedTo(module);
  const pool: PoolShape = { bufferCount: 3, batchSize: 1, maxThreads: 4 };
  const add = (
    name: string,
    threads: Scenario<PoolShared>['threads'],
    more: ModelOptions = {},
  ): Case<PoolShared> => ({
    scenario: poolScenario(module, `exception: ${name}`, pool, threads),
    quick: { ...ONCE, ...more },
    long: { ...ONCE, ...more, preemptions: 1 },
  });
  const takesTwo = attached((own, _, __, self) => {
    const held = [1, 2].map(() => surviving(self, () => own.tryAcquire()));
    for (const id of held) {
      if (id !== undefined && id >= 0) insisting(self, () => own.release(id));
    }
  });
  const other = attached((own) => {
    const id = own.tryAcquire();
    if (id >= 0) own.release(id);
  });
  const sender = attached(
    (own, { words }, id: BufferId, self) => {
      own.retain(id);
      sendThrough(own, id, words, 0);
      insisting(self, () => own.release(id));
    },
    (own) => own.tryAcquire(),
  );
  const receiver = attached((own, { words }, _, self) => {
    Atomics.wait(words, 0, 0);
    const id = own.moveFrom(words, 1);
    insisting(self, () => own.release(id));
  });
  const receives = attached((own, { words }, _, self) => {
    Atomics.wait(words, 0, 0);
    let id: BufferId | undefined;
    while (id === undefined) id = surviving(self, () => own.moveFrom(words, 1));
    own.release(id);
  });
  const sends = attached(
    (own, { words }, id: BufferId, self) => {
      insisting(self, () => own.moveInto(id, own.offsetOf(id), 4, words, 1));
      Atomics.store(words, 0, 1);
      Atomics.notify(words, 0);
    },
    (own) => own.tryAcquire(),
  );
  const waits = attached((own, _, __, self) => {
    let id: BufferId | undefined;
    while (id === undefined) id = surviving(self, () => own.acquireSync());
    own.release(id);
  });
  const holder = attached(
    (own, _, id: BufferId) => own.release(id),
    (own) => own.tryAcquire(),
  );
  return [
    add('tryAcquire, release', { a: takesTwo, b: other }),
    add('acquireSync', { holder, holder2: holder, holder3: holder, waits }),
    add('release on either side', { sender, receiver }),
    add('moveInto, moveFrom', { sender: sends, receiver: receives }),
    add('twice: tryAcquire, release', { a: takesTwo }, { exceptions: 2 }),
  ];
}

export function channelExceptionParts(module: ChannelModule): Part<ChannelShared>[] {
  return [
    {
      name: 'channels: exceptions',
      operations: 'sendSync, receiveSync, close',
      cases: channelExceptionCases(module),
    },
  ];
}

function channelExceptionCases(module: ChannelModule): Case<ChannelShared>[] {
  const bodies = new ChannelBodies(module);
  const cases: Case<ChannelShared>[] = [];
  // What threw has changed nothing: it is done again, and each message arrives once.
  const a = (runOf?: (self: ModelThread) => Run) =>
    bodies.gives((giver, sent) => {
      for (const message of [16, 17]) {
        giver.sendSync(message);
        sent.push(message);
      }
      giver.close();
    }, runOf);
  const r = (runOf?: (self: ModelThread) => Run) =>
    bodies.takes((taker, received) => {
      for (let next = taker.receiveSync(); next !== undefined; next = taker.receiveSync()) {
        received.push(next);
      }
    }, runOf);
  for (const kind of ['spsc', 'mpsc', 'mpmc'] as const) {
    for (const carries of ['words', 'packets'] as const) {
      for (const [name, throwing] of [
        ['sender', 'a'],
        ['receiver', 'r'],
      ] as const) {
        const scenario = channelScenario(
          module,
          `exception: ${name}, ${carries}`,
          { kind, capacity: 1, carries },
          {
            a: a(throwing === 'a' ? deeply : undefined),
            r: r(throwing === 'r' ? deeply : undefined),
          },
        );
        cases.push({ scenario, quick: ONCE, long: { ...ONCE, preemptions: 1 } });
      }
    }
  }
  return cases;
}
