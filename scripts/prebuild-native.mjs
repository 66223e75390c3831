// SPDX-License-Identifier: MIT
/**
 * `npm run prebuild`: puts the shim of this machine where the tarball takes it along.
 *
 * `npm pack` does so by `prepack`, and npm runs a script of this name ahead of `npm run build`. So
 * it does no more than a copy when the shim is up to date, and where there is no compiler it says
 * so and is content; `--required` fails then.
 */
import { BINARY, buildNative, place } from './build-native.mjs';
import { ROOT } from './files.mjs';

const outcome = buildNative();
if (outcome === 'built') {
  const folder = `prebuilds/${process.platform}-${process.arch}`;
  const name = ['busbar', 'napi', ...libc(), 'node'].join('.');
  place(ROOT + BINARY, `${ROOT}${folder}/${name}`);
  console.log(`${folder}/${name}`);
}
const isContent = outcome === 'skipped' && !process.argv.includes('--required');
process.exitCode = outcome === 'built' || isContent ? 0 : 1;

/** The C library that the binary asks for; the loader goes by this part of the name. */
function libc() {
  if (process.platform !== 'linux') return [];
  const { glibcVersionRuntime } = process.report.getReport().header;
  return [glibcVersionRuntime === undefined ? 'musl' : 'glibc'];
}
