// SPDX-License-Identifier: MIT
/** The wire between links of one process: what may go wrong on it, checked and completed. */

import {
  checkBoolean,
  checkInteger,
  checkOptions,
  checkTimeoutMs,
  show,
} from '../../base/check.ts';

/** What becomes of what is sent. All of it can be changed while links talk. */
export interface LoopbackFaults {
  /**
   * How long everything is under way, in milliseconds of the network's clock: always as long, or
   * from … to, drawn for each datagram and each piece of a stream. Order is kept. Default 0.
   */
  readonly delayMs?: number | readonly [number, number];
  /** The chance that a datagram is lost, 0 … 1. Default 0. */
  readonly loss?: number;
  /** The chance that a datagram arrives twice, 0 … 1. Default 0. */
  readonly duplication?: number;
  /**
   * The chance that a datagram is held back for 1 … 10 ms more, 0 … 1, so that later ones overtake
   * it. Default 0.
   */
  readonly reordering?: number;
}

/** How a network is made. */
export interface LoopbackOptions extends LoopbackFaults {
  /** What all chance comes from, 0 … 2³² − 1. Default 0. */
  readonly seed?: number;
  /**
   * Whether what is under way arrives by itself, in turns of the event loop. Default true; false:
   * at `step()` and `run()` only.
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

/** Checks faults; what is not said stays as it was. */
export function resolveFaults(faults: LoopbackFaults, present: ResolvedFaults): ResolvedFaults {
  checkOptions('faults', faults, FAULT_KEYS);
  return resolve(faults, present);
}

function resolve(faults: LoopbackFaults, present: ResolvedFaults): ResolvedFaults {
  const { delayMs = [present.delayMsMin, present.delayMsMax] } = faults;
  const [least, most] = typeof delayMs === 'number' ? [delayMs, delayMs] : delayMs;
  const delayMsMin = checkDelayMs(least);
  const delayMsMax = checkDelayMs(most);
  if (delayMsMin > delayMsMax) {
    throw new RangeError(`delayMs must not go from more to less, got ${least}, ${most}`);
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
