// SPDX-License-Identifier: MIT
/**
 * The receiving end of the `postMessage` baseline: told how many messages come, it answers when
 * the last one is there.
 */

import { parentPort } from 'node:worker_threads';

let awaited = 0;
let sum = 0;

parentPort?.on('message', (message: number | Uint8Array) => {
  if (typeof message === 'number') {
    awaited = message;
    sum = 0;
    return;
  }
  sum += message[0];
  if (--awaited === 0) parentPort?.postMessage(sum);
});
