// SPDX-License-Identifier: MIT
/**
 * How much the tests do that repeat, sample or explore: `npm test` has ten minutes for everything,
 * so BUSBAR_TEST_FACTOR is 1 there. `.ci/run` sets it to {@link WHOLE} on Node 26.
 */

/** At this factor and above, tests that go through places in order leave none out. */
const WHOLE = 4;

const factor = Number(process.env.BUSBAR_TEST_FACTOR ?? 1);

/** A count of what is random or repeated. */
export function scaled(count: number): number {
  return Math.max(1, Math.round(count * factor));
}

/** The distance from one place that is tried to the next, at factor 1 every `WHOLE`-th. */
export function stride(): number {
  return Math.max(1, Math.round(WHOLE / factor));
}
