// SPDX-License-Identifier: MIT
/** How many threads a group starts, and the cpus to which they are pinned. */

import { checkInteger, copyArray, show } from '../base/check.ts';
import { type CpuInfo, type Topology, topology } from '../native/index.ts';

/** 'cores': one cpu each, physical cores first; an array: these cpus in turn; or 'none'. */
export type Pin = 'cores' | 'none' | readonly number[];

/** A mesh has (count + 1)² lanes, which bounds the number of threads. */
const COUNT_MAX = 256;

/** The number of executors: as the option says, or one for each usable core. */
export function resolveCount(count: unknown): number {
  if (count === 'per-core') return Math.min(COUNT_MAX, topology().usableCount);
  if (typeof count === 'string') {
    throw new RangeError(`count must be 'per-core' or a number, got ${show(count)}`);
  }
  return checkInteger('count', count, 1, COUNT_MAX);
}

/** The cpu of each of `count` executors; cpus are used again if there are fewer. */
export function resolvePin(
  pin: unknown,
  count: number,
  machine: () => Topology = topology,
): (number | undefined)[] {
  if (pin === 'none') return new Array<undefined>(count).fill(undefined);
  if (pin !== 'cores' && !Array.isArray(pin)) {
    throw new TypeError(`pin must be 'cores', 'none' or an array of cpus, got ${show(pin)}`);
  }
  const { allowed } = machine();
  const cpus = pin === 'cores' ? coreOrder(allowed) : checkCpus(pin, allowed);
  return Array.from({ length: count }, (_, i) => cpus[i % cpus.length]);
}

/**
 * Cpus in the order in which executors take them: first one of each physical core, then the second
 * of each, and so on. Two threads share a core only when every core has one.
 */
export function coreOrder(allowed: readonly CpuInfo[]): number[] {
  const taken = new Map<number, number>();
  const ranked = allowed.map(({ cpu, core }) => {
    const rank = taken.get(core) ?? 0;
    taken.set(core, rank + 1);
    return { cpu, rank };
  });
  return ranked.sort((a, b) => a.rank - b.rank || a.cpu - b.cpu).map(({ cpu }) => cpu);
}

function checkCpus(cpus: readonly unknown[], allowed: readonly CpuInfo[]): number[] {
  const copy = copyArray('pin', cpus);
  if (copy.length === 0) throw new RangeError('pin must name at least one cpu, got none');
  const known = allowed.map(({ cpu }) => cpu);
  return copy.map((cpu) => {
    checkInteger('pin', cpu, 0, Number.MAX_SAFE_INTEGER);
    if (!known.includes(cpu as number)) {
      throw new RangeError(`pin must name cpus of ${known.join(', ')}, got ${show(cpu)}`);
    }
    return cpu as number;
  });
}
