// SPDX-License-Identifier: MIT
/**
 * Commands for the executors of the scaling measurement, and the words in which they show progress.
 */

/**
 * - 'independent': each sends to itself; they share nothing but the pool they got buffers from.
 * - 'mesh': each sends to every other in turn.
 */
export type Traffic = 'independent' | 'mesh';

export const TRAFFICS: readonly Traffic[] = ['independent', 'mesh'];

export interface ScalingData {
  readonly traffic: Traffic;
  readonly progress: Int32Array<SharedArrayBuffer>;
}

/** Words between those of two executors. */
const APART = 64;

export function createProgress(executors: number): Int32Array<SharedArrayBuffer> {
  return new Int32Array(new SharedArrayBuffer(executors * APART * Int32Array.BYTES_PER_ELEMENT));
}

/** Says that an executor has handled `handled` messages so far, modulo 2³². */
export function report(progress: Int32Array, index: number, handled: number): void {
  Atomics.store(progress, index * APART, handled);
}

/** What every executor has said. */
export function readProgress(progress: Int32Array): Int32Array {
  const handled = new Int32Array(progress.length / APART);
  for (let i = 0; i < handled.length; i++) handled[i] = Atomics.load(progress, i * APART);
  return handled;
}

/** Messages handled between two readings. */
export function handledBetween(before: Int32Array, after: Int32Array): number {
  let handled = 0;
  for (let i = 0; i < before.length; i++) handled += (after[i] - before[i]) >>> 0;
  return handled;
}
