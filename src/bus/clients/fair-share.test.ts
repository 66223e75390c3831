// SPDX-License-Identifier: MIT
/** A client that has much to do does it in parts, and others come in between. */

import { expect, test } from 'vitest';
import { FairShare, QUANTUM_UNITS, type Waiter } from './fair-share.ts';

/** Turns that run when the test says so. */
class Turns {
  readonly due: (() => void)[] = [];
  readonly share: FairShare = new FairShare((run) => this.due.push(run));

  /** Runs one turn; false: there is none. */
  run(): boolean {
    const run = this.due.shift();
    run?.();
    return run !== undefined;
  }
}

test('those who queue share a turn, first come, first served, and nobody is left out', () => {
  const turns = new Turns();
  const served: string[] = [];
  const worker = (name: string, quanta: number) => {
    let left = quanta;
    const waiter = {
      proceed: () => {
        served.push(name);
        turns.share.units -= QUANTUM_UNITS;
        if (--left > 0) turns.share.queue(waiter);
      },
    };
    return waiter;
  };
  for (const name of ['greedy', 'busy']) turns.share.queue(worker(name, 10));
  expect(turns.run()).toBe(true);
  expect(served).toEqual(['greedy', 'busy']);
  // Two quanta in a turn: who comes now waits for one turn, not for twenty.
  turns.share.queue(worker('innocent', 1));
  turns.run();
  turns.run();
  expect(served).toContain('innocent');
  expect(served.length).toBe(6);
  const cancelled = worker('gone', 1);
  turns.share.queue(cancelled);
  turns.share.cancel(cancelled);
  while (turns.run());
  expect(served.filter((name) => name === 'greedy').length).toBe(10);
  expect(served).not.toContain('gone');
});

test('a turn is bounded, however many have much to do, and who has little is served in it', () => {
  const turns = new Turns();
  const { share } = turns;
  let worked = 0;
  for (let i = 0; i < 100; i++) {
    share.begin();
    worked += share.units;
    share.units = 0;
    expect(share.isSpent).toBe(true);
    share.queue({ proceed: () => {} });
  }
  expect(worked).toBeLessThan(5 * QUANTUM_UNITS);
  // The one that comes last has room for hundreds of small messages.
  share.begin();
  expect(share.units).toBeGreaterThan(100);
  expect(share.isLight).toBe(true);
  share.units -= 100;
  expect(share.isLight).toBe(false);
  // In the next turn everybody may do more again.
  turns.run();
  share.begin();
  expect(share.units).toBe(QUANTUM_UNITS);
});

test('a lane has a quantum in each turn, whoever queues before it', () => {
  const turns = new Turns();
  const served: string[] = [];
  const worker = (name: string, carriesMany: boolean) => {
    const waiter = {
      carriesMany,
      proceed: () => {
        served.push(name);
        turns.share.units -= QUANTUM_UNITS;
        turns.share.queue(waiter);
      },
    };
    return waiter;
  };
  for (let i = 0; i < 10; i++) turns.share.queue(worker(`client ${i}`, false));
  turns.share.queue(worker('lane', true));
  for (let turn = 0; turn < 3; turn++) turns.run();
  expect(served.filter((name) => name === 'lane').length).toBe(3);
  expect(served.length).toBe(9);
});

test('who has queued works with an equal part, also if its reading begins a share', () => {
  const turns = new Turns();
  const parts: number[] = [];
  const queued = 8;
  for (let i = 0; i < queued; i++) {
    const waiter = {
      proceed: () => {
        turns.share.begin();
        parts.push(turns.share.units);
        turns.share.units = 0;
      },
    } as unknown as Waiter;
    turns.share.queue(waiter);
  }
  while (parts.length < queued && turns.run());
  expect(parts).toEqual(Array(queued).fill((2 * QUANTUM_UNITS) / queued));
});
