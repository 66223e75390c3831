// SPDX-License-Identifier: MIT
/** Example udp-relay: counting losses, against one that remembers everything. */

import { expect, test } from 'vitest';
import { arbitrarySeed, Random } from '../../src/base/random.ts';
import { LossCounter, type LossCounts, WINDOW } from './loss-counter.ts';
import { SOURCES_MAX, Sources } from './sources.ts';

const SEED = Number(process.env.BUSBAR_SEED ?? arbitrarySeed());
const REPLAY = `replay: BUSBAR_SEED=${SEED} npx vitest run examples/udp-relay/loss-counter.test.ts`;

function countsOf({ received, lost, duplicates, reordered, late }: LossCounts): LossCounts {
  return { received, lost, duplicates, reordered, late };
}

/** Remembers every number; `first`: where the source began. */
class Memory implements LossCounts {
  received = 0;
  duplicates = 0;
  reordered = 0;
  late = 0;
  next: number;
  readonly first: number;
  readonly distinct: Set<number> = new Set();

  constructor(first: number) {
    this.first = first;
    this.next = first;
  }

  get lost(): number {
    return this.next - this.first - this.distinct.size;
  }

  accept(number: number): void {
    this.received++;
    if (number < this.next - WINDOW) {
      this.late++;
      return;
    }
    if (this.distinct.has(number)) this.duplicates++;
    else if (number < this.next) this.reordered++;
    this.distinct.add(number);
    this.next = Math.max(this.next, number + 1);
  }
}

test('gaps, duplicates and what comes late are counted as by one that remembers all', () => {
  const random = new Random(SEED);
  for (let run = 0; run < 60; run++) {
    // From 0, from the midst of a source's life, and across the end of the numbers.
    const origin = [0, 5_000_000, 2 ** 32 - 700][run % 3];
    const counter = new LossCounter();
    const memory = new Memory(0);
    const jump = [3, 40, 3 * WINDOW][random.below(3)];
    counter.accept(origin);
    memory.accept(0);
    for (let step = 0; step < 500; step++) {
      const number = random.chance(0.7)
        ? memory.next + random.below(random.chance(0.1) ? jump : 2)
        : Math.max(0, memory.next - 1 - random.below(random.chance(0.1) ? 2 * WINDOW : 20));
      memory.accept(number);
      counter.accept((origin + number) >>> 0);
      expect(countsOf(counter), `run ${run}, step ${step}, ${REPLAY}`).toEqual(countsOf(memory));
    }
    const count = memory.next + random.below(2000);
    memory.next = count;
    counter.announce((origin + count) >>> 0);
    counter.announce(origin >>> 0);
    expect(countsOf(counter), REPLAY).toEqual(countsOf(memory));
  }
});

test('what is missing at the beginning counts, unless the source is older than we are', () => {
  const young = new LossCounter();
  young.accept(3);
  expect(countsOf(young)).toMatchObject({ received: 1, lost: 3 });
  const old = new LossCounter();
  old.accept(WINDOW);
  old.accept(WINDOW + 2);
  expect(countsOf(old)).toMatchObject({ received: 2, lost: 1 });
  const silent = new LossCounter();
  silent.announce(7);
  expect(countsOf(silent)).toMatchObject({ received: 0, lost: 7 });
});

test('sources that fall silent are forgotten, what they lost is not; there is a bound', () => {
  const sources = new Sources();
  sources.accept(1, 0, false, 100);
  sources.accept(1, 2, false, 100);
  sources.accept(2, 0, false, 200);
  sources.sweep(150);
  expect(sources.count).toBe(1);
  expect(sources.totals()).toMatchObject({ received: 3, lost: 1 });
  for (let i = 0; i < SOURCES_MAX + 10; i++) sources.accept(1000 + i, 0, false, 300);
  expect(sources.count).toBe(SOURCES_MAX);
  expect(sources.uncounted).toBe(11);
});
