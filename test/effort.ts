// SPDX-License-Identifier: MIT
/**
 * How much the tests do that repeat, sample or explore: `npm test` has ten minutes, so
 * BUSBAR_TEST_FACTOR is a quarter there. `.ci/run` sets it to {@link WHOLE} on Node 26.
 */

/** At this factor and above, tests that go through places in order leave none out. */
const WHOLE = 4;

const factor = Number(process.env.BUSBAR_TEST_FACTOR ?? 1 / 4);

/** A count of what is random or repeated. */
export function scaled(count: number): number {
  return Math.max(1, Math.round(count * factor));
}

/** The distance from one place that is tried to the next: 1 at {@link WHOLE}. */
export function stride(): number {
  return Math.max(1, Math.round(WHOLE / factor));
}

/** Every fourth of `all`, or, from {@link WHOLE} on, all. */
export function sampled<Item>(all: readonly Item[]): readonly Item[] {
  return factor >= WHOLE ? all : all.filter((_, i) => i % 4 === 0);
}
