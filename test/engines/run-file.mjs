// SPDX-License-Identifier: MIT
/** Runs one test file (the last argument) on Bun or Deno, and prints a line for each test. */
import process from 'node:process';
import { Lacking, runTests } from 'vitest';

const file = (globalThis.Deno?.args ?? process.argv).at(-1);
const leftOut = JSON.parse(process.env.BUSBAR_LEFT_OUT);
const report = (outcome) => console.log(`@@ ${JSON.stringify(outcome)}`);
try {
  await import(file);
  await runTests(report, leftOut);
} catch (error) {
  if (!(error instanceof Lacking)) throw error;
  report({ test: 'the file', outcome: 'left out', text: error.message });
}
console.log('@@ end');
process.exit();
