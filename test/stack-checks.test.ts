// SPDX-License-Identifier: MIT
/** The checks of the stack (src/base/stack.ts) in the built package, and in bundles of it. */
import { readFileSync } from 'node:fs';
import { build } from 'esbuild';
import { rolldown } from 'rolldown';
import { beforeAll, expect, test } from 'vitest';
import { ROOT } from '../scripts/files.mjs';
import { buildPrograms } from './program.ts';

/** A call that an interpreter needs 512 words of stack for. */
const CALL = /\(0(,\s*0){511},?\s*\)/;
const ENTRY = `${ROOT}dist/pool/index.js`;

beforeAll(() => buildPrograms());

test('the package has the call whose arguments need the stack', () => {
  expect(CALL.test(readFileSync(`${ROOT}dist/base/all.js`, 'utf8'))).toBe(true);
});

test('bundlers that make it short leave it in', async () => {
  const { outputFiles } = await build({
    entryPoints: [ENTRY],
    bundle: true,
    minify: true,
    write: false,
    format: 'esm',
    platform: 'node',
    logLevel: 'silent',
    tsconfigRaw: {},
  });
  expect(CALL.test(outputFiles[0]?.text ?? '')).toBe(true);
  const bundle = await rolldown({ input: ENTRY, platform: 'node', external: /^node:/ });
  const { output } = await bundle.generate({ format: 'esm', minify: true });
  await bundle.close();
  expect(CALL.test(output[0].code)).toBe(true);
});
