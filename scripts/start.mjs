// SPDX-License-Identifier: MIT
/**
 * `npm start`: builds what is out of date, then becomes broker/, arguments and all.
 * `npm run example:NAME`: the same with examples/NAME.
 */
import { existsSync } from 'node:fs';
import { pathToFileURL } from 'node:url';
import { build } from './build.mjs';
import { ROOT } from './files.mjs';

const [flag, example] = process.argv.slice(2);
const isNamed = flag === '--example' && example !== undefined;
if (isNamed) process.argv.splice(2, 2);
const folder = isNamed ? `examples/${example}` : 'broker';
const program = `${ROOT}build/${folder}/main.js`;

if (!(await build())) {
  console.error('The build failed, see above.');
  process.exitCode = 1;
} else if (!existsSync(program)) {
  console.error(`There is no program to start: ${folder}/main.ts is missing.`);
  process.exitCode = 1;
} else {
  process.argv[1] = program;
  await import(pathToFileURL(program).href);
}
