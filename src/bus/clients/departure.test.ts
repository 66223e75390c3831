// SPDX-License-Identifier: MIT
/** A client that leaves many subscriptions does not hold up the others. */

import { expect, test } from 'vitest';
import { Departure } from './departure.ts';
import { CHANGE_UNITS, FairShare, type Waiter } from './fair-share.ts';

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

test('what a client leaves is removed over several turns', () => {
  const turns = new Turns();
  const left = Array.from({ length: 5000 }, (_, i) => i);
  const removed: number[] = [];
  let inTurn = 0;
  let count = 0;
  const from = {
    mayChange: true,
    remove: () => {
      inTurn++;
      if (++count === 500) from.mayChange = false;
      turns.share.units -= CHANGE_UNITS;
    },
    flush: () => {
      removed.push(inTurn);
      inTurn = 0;
    },
  };
  const blocked: Waiter[] = [];
  const block = (waiter: Waiter): void => {
    if (turns.share.isSpent) turns.share.queue(waiter);
    else blocked.push(waiter);
  };
  new Departure(left.values(), from, turns.share, { block }).proceed();
  while (turns.run());
  expect(removed.reduce((sum, count) => sum + count, 0)).toBeLessThan(1000);
  // Peers have heard of these.
  from.mayChange = true;
  expect(blocked.length).toBe(1);
  turns.share.queue(blocked[0]);
  while (turns.run());
  expect(removed.reduce((sum, count) => sum + count, 0)).toBe(5000);
  expect(Math.max(...removed)).toBeLessThan(1000);
});
