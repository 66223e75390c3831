// SPDX-License-Identifier: MIT
/**
 * Hostile soak: whether messages and connections stayed within bounds, from what was seen in each
 * third of the run. Times are judged in yardsticks, the time that a fixed piece of work took
 * meanwhile: how much of the processors others take does not count.
 */

/** What was seen in a third of a run. */
export interface Third {
  /** 99 of 100 messages took no more microseconds. */
  readonly messageUs: number;
  /** 99 of 100 yardsticks took no more microseconds. */
  readonly yardstickUs: number;
  /** The most connections, each time that they were counted. */
  readonly connections: number;
}

export interface Bounds {
  /** For the 99th percentile of messages, in yardsticks. */
  readonly yardsticks: number;
  /** Clients, hostile and innocent. */
  readonly clients: number;
  /** Of a short run chance says more than its thirds do. */
  readonly seconds: number;
}

const GROWTH_SECONDS_MIN = 45;
/** The last third has up to so many times what the first has: less is chance. */
const GROWTH_MAX = 2;
/** Clients that have left may be known for some seconds more, and come again meanwhile. */
const CONNECTIONS_PER_CLIENT_MAX = 2;

/** How many yardsticks 99 of 100 messages took at most. */
export function yardsticksOf({ messageUs, yardstickUs }: Third): number {
  return yardstickUs === 0 ? 0 : messageUs / yardstickUs;
}

/** Returns what was not within bounds. */
export function outOfBounds(thirds: readonly Third[], bounds: Bounds): string[] {
  const { yardsticks, clients, seconds } = bounds;
  const complaints: string[] = [];
  for (const [i, third] of thirds.entries()) {
    const taken = yardsticksOf(third);
    if (taken <= yardsticks) continue;
    complaints.push(
      `third ${i + 1}: p99 is ${taken.toFixed(1)} yardsticks, more than ${yardsticks}`,
    );
  }
  const most = Math.max(...thirds.map(({ connections }) => connections));
  const connectionsMax = CONNECTIONS_PER_CLIENT_MAX * clients;
  if (most > connectionsMax) {
    complaints.push(`${most} connections of ${clients} clients, more than ${connectionsMax}`);
  }
  if (seconds < GROWTH_SECONDS_MIN) return complaints;
  const [first, last] = [thirds[0], thirds[thirds.length - 1]];
  const [before, after] = [yardsticksOf(first), yardsticksOf(last)];
  // Nothing grows from less than a yardstick.
  if (after > GROWTH_MAX * Math.max(1, before)) {
    complaints.push(`p99 grew from ${before.toFixed(1)} to ${after.toFixed(1)} yardsticks`);
  }
  return complaints;
}
