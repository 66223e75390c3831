// SPDX-License-Identifier: MIT
/** Runs one test file (the last argument) on Bun or Deno, and prints a line for each test. */
import process from 'node:process';
import { runTests } from 'vitest';

const file = (globalThis.Deno?.args ?? process.argv).at(-1);
await import(file);
const leftOut = JSON.parse(process.env.BUSBAR_LEFT_OUT);
await runTests((outcome) => console.log(`@@ ${JSON.stringify(outcome)}`), leftOut);
console.log('@@ end');
process.exit();
