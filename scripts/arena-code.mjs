// SPDX-License-Identifier: MIT
/**
 * Assembles src/base/arena.wat and writes the module, in base64, to src/base/arena-code.ts; a test
 * of arena.ts compares them.
 */
import { readFileSync, writeFileSync } from 'node:fs';
import { pathToFileURL } from 'node:url';
import openWabt from 'wabt';
import { ROOT } from './files.mjs';

const TEXT = 'src/base/arena.wat';
export const CODE = 'src/base/arena-code.ts';
const LINE_LENGTH = 92;

/** The source file with the module in it. */
export async function assembleArena() {
  const wabt = await openWabt();
  const features = { threads: true, simd: true, bulk_memory: true };
  const module = wabt.parseWat(TEXT, readFileSync(ROOT + TEXT, 'utf8'), features);
  module.validate(features);
  const { buffer } = module.toBinary({});
  module.destroy();
  const base64 = Buffer.from(buffer).toString('base64');
  const lines = base64.match(new RegExp(`.{1,${LINE_LENGTH}}`, 'g')) ?? [];
  return `// SPDX-License-Identifier: MIT
/** The WebAssembly module of arena.ts, in base64: made from arena.wat by scripts/arena-code.mjs. */

export const ARENA_CODE: string =
${lines.map((line) => `  '${line}'`).join(' +\n')};
`;
}

if (import.meta.url === pathToFileURL(process.argv[1] ?? '').href) {
  writeFileSync(ROOT + CODE, await assembleArena());
}
