// SPDX-License-Identifier: MIT
/**
 * For Node without vitest (`--import`): imports of `vitest` and of busbar by name lead where
 * build/engines/imports.json says; programs that a test starts run by BUSBAR_NODE.
 */
import { readFileSync } from 'node:fs';
import { registerHooks } from 'node:module';
import process from 'node:process';

const file = new URL('../../build/engines/imports.json', import.meta.url);
const { imports } = JSON.parse(readFileSync(file, 'utf8'));
registerHooks({
  resolve(name, context, next) {
    return next(Object.hasOwn(imports, name) ? imports[name] : name, context);
  },
});
// Else it would be the emulated program, which the machine itself cannot start.
process.execPath = process.env.BUSBAR_NODE ?? process.execPath;
