// SPDX-License-Identifier: MIT
/** The clients of a server that ends are closed one after the other. */

import { expect, test } from 'vitest';
import { Random } from '../base/random.ts';
import { closeGradually } from './close-gradually.ts';

const SEED = Number(process.env.BUSBAR_SEED ?? 4);
const LIMITS = { graceMs: 10_000, durationMs: 120_000 };

class Client {
  closedAtMs: number | undefined = undefined;
  readonly #clock: () => number;

  constructor(clock: () => number) {
    this.#clock = clock;
  }

  close(): void {
    this.closedAtMs = this.#clock();
  }
}

/** Closes `count` clients while a clock that is wound by hand runs. */
async function run(
  count: number,
  onWait: (nowMs: number, abort: () => void) => void = () => {},
): Promise<{ times: (number | undefined)[]; endMs: number }> {
  const random = new Random(SEED);
  const aborting = new AbortController();
  let nowMs = 0;
  const clients = new Set(Array.from({ length: count }, () => new Client(() => nowMs)));
  const wait = async (ms: number): Promise<void> => {
    expect(ms).toBeGreaterThanOrEqual(1);
    nowMs += ms;
    onWait(nowMs, () => aborting.abort());
  };
  const chance = (): number => random.next() / 2 ** 32;
  await closeGradually(clients, { ...LIMITS, signal: aborting.signal }, wait, chance);
  return { times: [...clients].map(({ closedAtMs }) => closedAtMs), endMs: nowMs };
}

test('without clients there is nothing to wait for', async () => {
  expect(await run(0)).toEqual({ times: [], endMs: 0 });
});

test('a few are closed after the grace period, at most a second apart', async () => {
  const { times, endMs } = await run(5);
  expect(times[0]).toBe(10_000);
  for (let i = 1; i < times.length; i++) {
    const pauseMs = Number(times[i]) - Number(times[i - 1]);
    expect(pauseMs, `seed ${SEED}`).toBeGreaterThanOrEqual(500);
    expect(pauseMs, `seed ${SEED}`).toBeLessThanOrEqual(1000);
  }
  expect(endMs).toBe(times.at(-1));
});

test('many are closed by the end of the duration, also several in a millisecond', async () => {
  for (const count of [1000, 300_000]) {
    const { times, endMs } = await run(count);
    expect(times.includes(undefined)).toBe(false);
    expect(times[0]).toBe(10_000);
    expect(endMs, `seed ${SEED}`).toBeGreaterThan(60_000);
    expect(endMs, `seed ${SEED}`).toBeLessThanOrEqual(120_000);
  }
});

test('one that must stop now closes no more', async () => {
  const inGrace = await run(3, (_nowMs, abort) => abort());
  expect(inGrace).toEqual({ times: [undefined, undefined, undefined], endMs: 10_000 });
  const later = await run(3, (nowMs, abort) => {
    if (nowMs > 10_000) abort();
  });
  expect(later.times).toEqual([10_000, undefined, undefined]);
});

test('what is no set of clients is refused by name', async () => {
  for (const clients of [null, undefined, 5, {}]) {
    await expect(closeGradually(clients as never)).rejects.toThrow(/^clients must be a set/);
  }
});
