// SPDX-License-Identifier: MIT
/**
 * Hostile soak: how long the same piece of work takes, on a thread that competes with the broker's
 * for the same processors. Posts microseconds.
 */

import { parentPort } from 'node:worker_threads';

/** Some 10 ms of a processor that no other thread uses. */
const STEPS = 5_000_000;
/** Rare enough to take little from the others. */
const EVERY_MS = 200;
const US_PER_MS = 1000;

let result = 1;
const timer = setInterval(() => {
  const beginMs = performance.now();
  result = work(result);
  parentPort?.postMessage((performance.now() - beginMs) * US_PER_MS);
}, EVERY_MS);

parentPort?.on('message', () => {
  clearInterval(timer);
  parentPort?.close();
});

/** Xorshift. */
function work(from: number): number {
  let value = from;
  for (let i = 0; i < STEPS; i++) {
    value ^= value << 13;
    value ^= value >>> 17;
    value ^= value << 5;
  }
  return value;
}
