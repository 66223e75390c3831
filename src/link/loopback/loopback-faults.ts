// SPDX-License-Identifier: MIT
/** Options and faults of a `LoopbackNetwork`: checks them and applies the defaults. */

import {
  checkBoolean,
  checkInteger,
  checkOptions,
  checkTimeoutMs,
  show,
} from '../../base/check.ts';

/** Simulated faults of the network. They can be changed at any time. */
export interface LoopbackFaults {
  /**
   * Latency in milliseconds of the network's clock: fixed, or [min, max], drawn for each datagram
   * and each piece of a stream. Order is kept. Default 0.
   */
  readonly delayMs?: number | readonly [number, number];
  /** Probability that a datagram is lost, 0 … 1. Default 0. */
  readonly loss?: number;
  /** Probability that a datagram arrives twice, 0 … 1. Default 0. */
  readonly duplication?: number;
  /**
   * Probability, 0 … 1, that a datagram is delayed by another 1 … 10 ms, so that later datagrams
   * overtake it. Default 0.
   */
  readonly reordering?: number;
}

/** Options of a network. */
export interface LoopbackOptions extends LoopbackFaults {
  /** Seed of all randomness, 0 … 2³² − 1. Default 0. */
  readonly seed?: number;
  /**
   * Whether data arrives by itself, in turns of the event loop. Default true; false: only in
   * `step()` and `run()`.
   */
  readonly automatic?: boolean;
}

/** Faults with every default applied. */
export interface ResolvedFaults {
  readonly delayMsMin: number;
  readonly delayMsMax: number;
  readonly loss: number;
  readonly duplication: number;
  readonly reordering: number;
}

/** Options with every default applied. */
export interface ResolvedLoopbackOptions {
  readonly faults: ResolvedFaults;
  readonly seed: number;
  readonly automatic: boolean;
}

const FAULT_KEYS = ['delayMs', 'loss', 'duplication', 'reordering'];
const SEED_MAX = 2 ** 32 - 1;
const NONE: ResolvedFaults = {
  delayMsMin: 0,
  delayMsMax: 0,
  loss: 0,
  duplication: 0,
  reordering: 0,
};

/** Checks options and applies the defaults. */
export function resolveLoopbackOptions(options: LoopbackOptions): ResolvedLoopbackOptions {
  checkOptions('options', options, ['seed', 'automatic', ...FAULT_KEYS]);
  return {
    faults: resolve(options, NONE),
    seed: checkInteger('seed', options.seed ?? 0, 0, SEED_MAX),
    automatic: checkBoolean('automatic', options.automatic ?? true),
  };
}

/** Checks faults; those not named stay as they are. */
export function resolveFaults(faults: LoopbackFaults, present: ResolvedFaults): ResolvedFaults {
  checkOptions('faults', faults, FAULT_KEYS);
  return resolve(faults, present);
}

function resolve(faults: LoopbackFaults, present: ResolvedFaults): ResolvedFaults {
  const { delayMs = [present.delayMsMin, present.delayMsMax] } = faults;
  const [least, most] = Array.isArray(delayMs) ? delayMs : [delayMs, delayMs];
  const delayMsMin = checkDelayMs(least);
  const delayMsMax = checkDelayMs(most);
  if (delayMsMin > delayMsMax) {
    throw new RangeError(`delayMs must be [min, max] with min <= max, got ${least}, ${most}`);
  }
  const chance = (name: 'loss' | 'duplication' | 'reordering'): number =>
    checkChance(name, faults[name] ?? present[name]);
  return {
    delayMsMin,
    delayMsMax,
    loss: chance('loss'),
    duplication: chance('duplication'),
    reordering: chance('reordering'),
  };
}

function checkDelayMs(value: unknown): number {
  const delayMs = checkTimeoutMs('delayMs', value);
  if (delayMs === Infinity) throw new RangeError('delayMs must be finite, got Infinity');
  return delayMs;
}

function checkChance(name: string, value: unknown): number {
  if (typeof value !== 'number') {
    throw new TypeError(`${name} must be a number from 0 to 1, got ${show(value)}`);
  }
  if (!(value >= 0 && value <= 1)) {
    throw new RangeError(`${name} must be a number from 0 to 1, got ${show(value)}`);
  }
  return value;
}
