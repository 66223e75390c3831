// SPDX-License-Identifier: MIT
/** The shim's sources for Linux, for compilers that node-gyp does not call. */
import { readFileSync } from 'node:fs';
import { ROOT } from './files.mjs';

/** Their paths, as native/binding.gyp names them. */
export function shimSources() {
  const gyp = JSON.parse(readFileSync(`${ROOT}native/binding.gyp`, 'utf8'));
  const [{ sources: always, conditions }] = gyp.targets;
  const here = conditions.filter(([condition]) => condition === "OS=='linux'");
  const names = [...always, ...here.flatMap(([, then]) => then.sources ?? [])];
  return names.map((name) => `${ROOT}native/${name}`);
}
