// SPDX-License-Identifier: MIT
/** Runs one test file (the last argument) on Bun or Deno, and prints a line for each test. */
import { runTests } from 'vitest';

const file = (globalThis.Deno?.args ?? process.argv).at(-1);
await import(file);
await runTests((outcome) => console.log(`@@ ${JSON.stringify(outcome)}`));
console.log('@@ end');
process.exit();
