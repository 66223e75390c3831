// SPDX-License-Identifier: MIT
/** Programs in one file, as bundlers make them of a program and the built library. */

import { spawnSync } from 'node:child_process';
import { mkdirSync, rmSync, writeFileSync } from 'node:fs';
import { type BuildOptions, build } from 'esbuild';
import { beforeAll, expect, test } from 'vitest';
import { ROOT } from '../scripts/files.mjs';
import { buildPrograms } from './program.ts';

/** Within the package, so that `busbar` is this one. */
const FOLDER = `${ROOT}build/bundles`;

const START = `
  const pool = BufferPool.create({ bufferSize: 1024, bufferCount: 64, maxThreads: 4 });
  const { features } = native;
  try {
    const group = await ExecutorGroup.start({ pool, module: new URL(MODULE, HERE), count: 2 });
    const packet = Packet.tryFrom(pool, Buffer.from('hello'));
    group.trySendTo(1, packet);
    console.log(JSON.stringify(await group.stop()), features.udp.reason);
  } catch (error) {
    console.log(error.code, error.message, features.udp.reason);
  }
`;
const IMPORTS = `
  import { isMainThread } from 'node:worker_threads';
  import { ExecutorGroup } from 'busbar/executor';
  import { native } from 'busbar/native';
  import { Packet } from 'busbar/packet';
  import { BufferPool } from 'busbar/pool';
`;
const RUN = `
  export function run({ pool, mailbox }) {
    if (!(pool instanceof BufferPool)) throw new Error('the pool is of another copy of busbar');
    mailbox.handle((packet) => packet.release());
  }
`;
const FILES: Readonly<Record<string, string>> = {
  'alone.mjs': `${IMPORTS}${RUN}
    const [HERE, MODULE] = [import.meta.url, import.meta.url];
    if (isMainThread) {${START}}`,
  'host.mjs': `${IMPORTS}
    const [HERE, MODULE] = [import.meta.url, './part.js'];
    ${START}`,
  'part.mjs': `import { BufferPool } from 'busbar/pool';${RUN}`,
  'classic.mjs': `${IMPORTS}
    const [HERE, MODULE] = ['file:///', './part.js'];
    (async () => {${START}})();`,
};

beforeAll(() => {
  buildPrograms();
  rmSync(FOLDER, { recursive: true, force: true });
  mkdirSync(FOLDER, { recursive: true });
  for (const [name, text] of Object.entries(FILES)) writeFileSync(`${FOLDER}/${name}`, text);
});

/** What the program prints that is made of these entries, the first of which is run. */
async function printed(entries: readonly string[], options: BuildOptions = {}): Promise<string> {
  const outdir = `${FOLDER}/${entries.length}-${entries[0]?.replace('.mjs', '')}`;
  await build({
    absWorkingDir: FOLDER,
    entryPoints: [...entries],
    outdir,
    bundle: true,
    platform: 'node',
    format: 'esm',
    logLevel: 'silent',
    // Not the repository's: its `paths` lead to the sources.
    tsconfigRaw: {},
    ...options,
  });
  if (options.format === 'cjs') writeFileSync(`${outdir}/package.json`, '{ "type": "commonjs" }');
  const program = `${outdir}/${entries[0]?.replace('.mjs', '.js')}`;
  const { stdout, stderr } = spawnSync(process.execPath, [program], { encoding: 'utf8' });
  return `${stdout}${stderr}`.trim();
}

const REPORT = '{"handled":1,"dropped":0,"leaked":0,"terminated":[]}';
const NO_SHIM =
  'the shim is no part of the bundle that busbar is in; leave the package outside of it';
const NO_PROGRAM =
  'ERR_BUSBAR_EXECUTOR_START an executor could not be started: ' +
  'the bundle lacks executor-thread.js, see "Bundles" in the README of busbar';

test('a bundle that is the module of its executors is their program, too', async () => {
  expect(await printed(['alone.mjs'])).toBe(`${REPORT} ${NO_SHIM}`);
});

test('bundles that share their code find the program beside them', async () => {
  const options = { splitting: true, entryNames: '[name]', chunkNames: '[name]-[hash]' };
  const output = await printed(['host.mjs', 'part.mjs', 'busbar/executor-thread'], options);
  expect(output).toBe(`${REPORT} ${NO_SHIM}`);
});

test('a bundle without the program says what it lacks', async () => {
  expect(await printed(['host.mjs'])).toBe(`${NO_PROGRAM} ${NO_SHIM}`);
  expect(await printed(['classic.mjs'], { format: 'cjs' })).toBe(`${NO_PROGRAM} ${NO_SHIM}`);
});

test('a bundle that leaves the package outside is as good as none', async () => {
  const output = await printed(['host.mjs', 'part.mjs'], { packages: 'external' });
  expect(output.startsWith(REPORT)).toBe(true);
  expect(output).not.toContain(NO_SHIM);
});
