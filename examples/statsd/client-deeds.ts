// SPDX-License-Identifier: MIT
/** Example statsd, tests: random calls of clients, and the totals they should have, by seed. */

import { Random } from '../../src/base/random.ts';

/** One call of a client. Each gauge is used by one client: calls of several have no order. */
export interface Deed {
  readonly call:
    | 'increment'
    | 'decrement'
    | 'gauge'
    | 'gaugeDelta'
    | 'timing'
    | 'histogram'
    | 'set';
  readonly name: string;
  readonly value: number;
  readonly rate: number;
  readonly tags: readonly string[];
}

/** The calls of client number `client`. */
export function* deedsOf(seed: number, client: number, count: number): Generator<Deed> {
  const random = new Random(seed + client);
  for (let i = 0; i < count; i++) {
    const rate = random.chance(0.2) ? 0.5 : 1;
    const tags = [[], ['env:test'], ['zone:b', 'env:test']][random.below(3)];
    const name = `deeds.${random.below(20)}`;
    const own = `deeds.of.${client}`;
    const kind = random.below(7);
    if (kind === 0) yield { call: 'increment', name, value: random.below(100), rate, tags };
    else if (kind === 1) yield { call: 'decrement', name, value: random.below(9), rate, tags };
    else if (kind === 2)
      yield { call: 'gauge', name: own, value: random.below(1e6), rate: 1, tags };
    else if (kind === 3) {
      const value = random.between(-8, 8);
      yield { call: 'gaugeDelta', name: own, value, rate: 1, tags };
    } else if (kind === 4) yield { call: 'timing', name, value: random.below(9000), rate, tags };
    else if (kind === 5) {
      const value = random.between(-4000, 4000) / 16;
      yield { call: 'histogram', name, value, rate, tags };
    } else yield { call: 'set', name, value: random.below(200), rate: 1, tags };
  }
}

/** The totals of all clients' calls, by kind and by name and tags. */
export class Sums {
  readonly counters: Record<string, number> = {};
  readonly gauges: Record<string, number> = {};
  readonly timers: Record<string, { count: number; sum: number; min: number; max: number }> = {};
  readonly sets: Record<string, number> = {};
  readonly #members: Set<string> = new Set();

  constructor(seed: number, clients: number, count: number) {
    for (let client = 0; client < clients; client++) {
      for (const deed of deedsOf(seed, client, count)) this.#add(deed);
    }
  }

  #add({ call, name, value, rate, tags }: Deed): void {
    const key = [name, ...tags.toSorted()].join(' ');
    const { counters, gauges, timers, sets } = this;
    if (call === 'increment') counters[key] = (counters[key] ?? 0) + value / rate;
    else if (call === 'decrement') counters[key] = (counters[key] ?? 0) - value / rate;
    else if (call === 'gauge') gauges[key] = value;
    else if (call === 'gaugeDelta') gauges[key] = (gauges[key] ?? 0) + value;
    else if (call === 'set') {
      const member = `${key} ${value}`;
      if (!this.#members.has(member)) sets[key] = (sets[key] ?? 0) + 1;
      this.#members.add(member);
    } else {
      const { count, sum, min, max } = timers[key] ?? {
        ...{ count: 0, sum: 0, min: Infinity, max: -Infinity },
      };
      timers[key] = {
        count: count + 1 / rate,
        sum: sum + value / rate,
        min: Math.min(min, value),
        max: Math.max(max, value),
      };
    }
  }
}
