// SPDX-License-Identifier: MIT
/**
 * Hostile soak: whether messages and connections stayed within bounds, from what was seen in each
 * third of the run. Times are judged in yardsticks, the time that a fixed piece of work took
 * meanwhile: how much of the processors others take does not count.
 */

/** What was seen in a third of a run. */
export interface Third extends Crowd {
  /** 99 of 100 messages took no more microseconds. */
  readonly messageUs: number;
  /** 99 of 100 yardsticks took no more microseconds. */
  readonly yardstickUs: number;
}

/** Connections, counted once. */
export interface Count {
  readonly atMs: number;
  /** How many the broker had. */
  readonly connections: number;
  /** How many the hostile clients had left before the broker was asked. */
  readonly left: number;
  /** How many they had opened, all in all, when it had told. */
  readonly opened: number;
}

/** What several counts say about connections that their clients had left. */
export interface Crowd {
  /** The most connections, of every count. */
  readonly connections: number;
  /** The fewest that the broker still had: in a late turn it has accepted what is gone already. */
  readonly lingering: number;
  /** The most that it had and that had been left for GRACE_MS, at least. */
  readonly overdue: number;
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
/** The last third has up to this many times what the first has: less is chance. */
const GROWTH_MAX = 2;
/** A client that is not read from is seen to have left by the second PING, sent every 2 s. */
const GRACE_MS = 10_000;
/** This many may linger all the time: clients that leave and come again do so every few seconds. */
const LINGERING_PER_CLIENT_MAX = 1;

/**
 * Sums up the counts from `begin` on; those before say who had left by then. `innocents` stay
 * connected all the time.
 */
export function crowdOf(counts: readonly Count[], begin: number, innocents: number): Crowd {
  let most = 0;
  let lingering = begin < counts.length ? Infinity : 0;
  let overdue = 0;
  for (const { atMs, connections, left, opened } of counts.slice(begin)) {
    const before = counts.findLast((count) => count.atMs <= atMs - GRACE_MS);
    const hostile = connections - innocents;
    most = Math.max(most, connections);
    lingering = Math.min(lingering, Math.max(0, hostile - (opened - left)));
    overdue = Math.max(overdue, hostile - (opened - (before?.left ?? 0)));
  }
  return { connections: most, lingering, overdue };
}

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
  for (const [i, { overdue }] of thirds.entries()) {
    if (overdue <= 0) continue;
    const since = `${GRACE_MS / 1000} s after their clients had left`;
    complaints.push(`third ${i + 1}: ${overdue} connections ${since}`);
  }
  if (seconds < GROWTH_SECONDS_MIN) return complaints;
  const lingeringMax = LINGERING_PER_CLIENT_MAX * clients;
  for (const [i, { lingering }] of thirds.entries()) {
    if (lingering <= lingeringMax) continue;
    const many = `${lingering} connections more than were open`;
    complaints.push(`third ${i + 1}: always at least ${many}, ${lingeringMax} may linger`);
  }
  const [first, last] = [thirds[0], thirds[thirds.length - 1]];
  const [before, after] = [yardsticksOf(first), yardsticksOf(last)];
  // Nothing grows from less than a yardstick.
  if (after > GROWTH_MAX * Math.max(1, before)) {
    complaints.push(`p99 grew from ${before.toFixed(1)} to ${after.toFixed(1)} yardsticks`);
  }
  return complaints;
}
