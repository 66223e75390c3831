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
import { pack } from './bundle-cases.mjs';
import { compilerOf, install, leastPermissions, mustRun, toolOf, write } from './project.mjs';

/** The first block of the document that has `mark`, and what it prints. */
const PROGRAMS = [
  { name: 'server', document: 'guides/first-server.md', mark: 'TcpServer', prints: /^HELLO$/m },
  { name: 'pipeline', document: 'guides/threads.md', mark: 'Worker', prints: /^one\ntwo\nthree$/m },
  {
    name: 'batcher',
    document: 'guides/udp.md',
    mark: "mode: 'packed'",
    // Datagrams and calls, as many as the guide says; the last number, and how many are missing.
    prints: /^100 (50|100) 10000 0$/m,
  },
];

export const STRANGER_CASES = {
  'stranger: CommonJS': {
    run(setting) {
      const place = install(setting);
      for (const { name, text } of programs()) write(place, `${name}.cjs`, asCommon(text));
      expectPrograms(place, (name) => `${name}.cjs`);
    },
  },
  'stranger: node_modules read-only, the permission model': {
    run(setting) {
      const place = install(setting);
      mustRun('chmod', ['-R', 'a-w', 'node_modules'], place);
      expectStranger(place, leastPermissions(place));
    },
  },
  'stranger: TypeScript 6, nodenext and bundler; esbuild': {
    async run(setting) {
      const place = compiled(setting);
      await esbuild({
        absWorkingDir: place,
        entryPoints: PROGRAMS.map(({ name }) => `${name}.ts`),
        outdir: `${place}/bundle`,
        bundle: true,
        packages: 'external',
        platform: 'node',
        format: 'esm',
        logLevel: 'silent',
      });
      expectPrograms(place, (name) => `bundle/${name}.js`);
    },
  },
  'stranger: TypeScript 5.7, nodenext and bundler': ofTools((setting) => {
    compiled(setting, 'typescript-5.7');
  }),
  'stranger: TypeScript 5.9, nodenext and bundler': ofTools((setting) => {
    compiled(setting, 'typescript-5.9');
  }),
  'stranger: TypeScript 7, nodenext and bundler': ofTools((setting) => {
    compiled(setting, 'typescript-7');
  }),
  'stranger: Vite': ofTools(async (setting) => {
    const place = project(setting);
    const { build } = await toolOf(setting, 'vite');
    for (const { name } of PROGRAMS) {
      const options = { ssr: `${name}.js`, outDir: 'out', target: 'node20', emptyOutDir: false };
      await build({ root: place, logLevel: 'error', build: options });
    }
    expectPrograms(place, (name) => `out/${name}.js`);
  }),
  'stranger: webpack': ofTools((setting) => packed(setting, 'webpack')),
  'stranger: Rspack': ofTools((setting) => packed(setting, '@rspack/core')),
};

function ofTools(run) {
  return { tools: true, run };
}

async function packed(setting, tool) {
  const place = project(setting);
  const entry = Object.fromEntries(PROGRAMS.map(({ name }) => [name, `./${name}.js`]));
  await pack(setting, tool, { place, entry, isOutside: true });
  expectPrograms(place, (name) => `out/${name}.js`);
}

/** A project with the programs as JavaScript. */
function project(setting) {
  const place = install(setting);
  for (const { name, text } of programs()) write(place, `${name}.js`, text);
  return place;
}

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

/**
 * The programs as TypeScript: checked as a bundler's user has them checked, compiled for Node, and
 * run.
 */
function compiled(setting, compiler) {
  const place = install(setting);
  const tsc = compilerOf(setting, compiler);
  for (const { name, text } of programs()) write(place, `${name}.ts`, text);
  const files = PROGRAMS.map(({ name }) => `${name}.ts`);
  for (const options of [
    { module: 'esnext', moduleResolution: 'bundler', noEmit: true },
    { module: 'nodenext', outDir: 'out' },
  ]) {
    const compilerOptions = { target: 'es2022', strict: true, types: ['node'], ...options };
    write(place, 'tsconfig.json', JSON.stringify({ compilerOptions, files }));
    mustRun(process.execPath, [tsc, '-p', '.'], place);
  }
  expectPrograms(place, (name) => `out/${name}.js`);
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
