// SPDX-License-Identifier: MIT
/**
 * A stranger's hour: a framed server, a pipeline of two threads and a UDP batcher, taken from the
 * documents as they stand, in the projects that users have; and `npx busbar` of the installed
 * package.
 */
import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { readFileSync } from 'node:fs';
import { build as esbuild } from 'esbuild';
import { ROOT } from '../../scripts/files.mjs';
import { install, mustRun, toolOf, write } from './project.mjs';

/** The first block of the document that has `mark`, and what it prints. */
const PROGRAMS = [
  { name: 'server', document: 'guides/first-server.md', mark: 'TcpServer', prints: /^HELLO$/m },
  { name: 'pipeline', document: 'guides/threads.md', mark: 'Worker', prints: /^one\ntwo\nthree$/m },
  { name: 'batcher', document: 'tour.md', mark: "mode: 'packed'", prints: /^hello from 127\./m },
];

export const STRANGER_CASES = {
  'stranger: CommonJS': {
    run(setting) {
      const place = install(setting);
      for (const { name, text } of programs()) write(place, `${name}.cjs`, asCommon(text));
      expectPrograms(place, (name) => `${name}.cjs`);
    },
  },
  'stranger: TypeScript, nodenext': {
    tools: true,
    run(setting) {
      const place = compiled(setting, { module: 'nodenext', outDir: 'out' });
      expectPrograms(place, (name) => `out/${name}.js`);
    },
  },
  'stranger: TypeScript, bundler; esbuild': {
    tools: true,
    async run(setting) {
      const options = { module: 'esnext', moduleResolution: 'bundler', noEmit: true };
      const place = compiled(setting, options);
      await esbuild({
        absWorkingDir: place,
        entryPoints: PROGRAMS.map(({ name }) => `${name}.ts`),
        outdir: `${place}/out`,
        bundle: true,
        packages: 'external',
        platform: 'node',
        format: 'esm',
        logLevel: 'silent',
      });
      expectPrograms(place, (name) => `out/${name}.js`);
    },
  },
  'stranger: Vite': {
    tools: true,
    async run(setting) {
      const place = install(setting);
      const { build } = await toolOf(setting, 'vite');
      for (const { name, text } of programs()) {
        write(place, `${name}.js`, text);
        const options = { ssr: `${name}.js`, outDir: 'out', target: 'node20', emptyOutDir: false };
        await build({ root: place, logLevel: 'error', build: options });
      }
      expectPrograms(place, (name) => `out/${name}.js`);
    },
  },
};

/** Writes the programs as JavaScript into a project that has busbar, and runs them. */
export function expectStranger(place, flags = []) {
  for (const { name, text } of programs()) write(place, `${name}.js`, text);
  expectPrograms(place, (name) => `${name}.js`, flags);
}

/** `npx busbar dump` and `top` see a process that exports. */
export async function expectCommands(place) {
  const text = blockOf('metrics.md', 'Exporter.listen(monitor)');
  write(place, 'exporting.mjs', `${withoutUsing(text)}\nsetInterval(() => {}, 1000);\n`);
  const program = spawn(process.execPath, ['exporting.mjs'], { cwd: place });
  try {
    await once(program.stdout, 'data');
    const npx = (...args) =>
      mustRun('npx', ['--no-install', 'busbar', ...args, `${program.pid}`], place).stdout;
    assert.match(npx('dump'), /"orders"[\s\S]*"messages"/);
    assert.match(npx('top', '--count', '1'), /orders/);
  } finally {
    program.kill();
  }
}

function compiled(setting, options) {
  const place = install(setting);
  const tsc = `${ROOT}node_modules/typescript/bin/tsc`;
  for (const { name, text } of programs()) write(place, `${name}.ts`, text);
  const compilerOptions = { target: 'es2022', strict: true, types: ['node'], ...options };
  const files = PROGRAMS.map(({ name }) => `${name}.ts`);
  write(place, 'tsconfig.json', JSON.stringify({ compilerOptions, files }));
  mustRun(process.execPath, [tsc, '-p', '.'], place);
  return place;
}

function programs() {
  return PROGRAMS.map(({ name, document, mark }) => ({ name, text: blockOf(document, mark) }));
}

function blockOf(document, mark) {
  const text = readFileSync(`${ROOT}docs/${document}`, 'utf8');
  const blocks = [...text.matchAll(/^```ts\n(.*?)^```$/gms)].map(([, block]) => block);
  const block = blocks.find((each) => each.includes(mark));
  assert.ok(block, `docs/${document} has no block with ${mark}`);
  return block;
}

/** As who has no modules writes it: `require`, and an async function around the rest. */
function asCommon(text) {
  const imports = /^import (\{[^}]*\}) from ('[^']*');$/gm;
  const required = text.replace(imports, 'const $1 = require($2);');
  const located = required.replaceAll('new URL(import.meta.url)', '__filename');
  return `(async () => {\n${located}\n})();\n`;
}

function withoutUsing(text) {
  return text.replace(/await using (\w+) =/g, 'const $1 =');
}

function expectPrograms(place, fileOf, flags = []) {
  for (const { name, prints } of PROGRAMS) {
    const { stdout, stderr } = mustRun(process.execPath, [...flags, fileOf(name)], place);
    assert.match(stdout, prints, `${name}: ${stdout}${stderr}`);
  }
}
