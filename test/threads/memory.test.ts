// SPDX-License-Identifier: MIT
/** What a pool lies in, with WebAssembly and without; handles that go to other threads. */
import { spawnSync } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import { expect, test } from 'vitest';
import { buildPrograms } from '../program.ts';

const PROGRAM = fileURLToPath(new URL('../../build/test/threads/memory.main.js', import.meta.url));

function run(args: readonly string[], environment: NodeJS.ProcessEnv = {}): unknown {
  buildPrograms();
  const { stdout, stderr } = spawnSync(process.execPath, [...args, PROGRAM], {
    encoding: 'utf8',
    env: { ...process.env, BUSBAR_MEMORY: '', ...environment },
  });
  expect(stderr.replace(/^Warning: disabling flag.*\n/gm, '')).toBe('');
  return JSON.parse(stdout);
}

function everywhere(memory: 'wasm' | 'plain'): unknown {
  return { hasMemory: memory === 'wasm', reports: Array(3).fill({ memory, line: 11 }) };
}

test('a pool lies in a memory of WebAssembly, in every thread that gets its handle', () => {
  expect(run([])).toEqual(everywhere('wasm'));
});

test('without WebAssembly, or when it is told so, a pool is plain and does the same', () => {
  expect(run(['--jitless'])).toEqual(everywhere('plain'));
  expect(run([], { BUSBAR_MEMORY: 'plain' })).toEqual(everywhere('plain'));
});

test('where a memory cannot be had, or the processor has no SIMD, a pool is plain', () => {
  expect(run(['--wasm-max-mem-pages=1'])).toEqual(everywhere('plain'));
  if (process.arch === 'x64') expect(run(['--no-enable-sse4-1'])).toEqual(everywhere('plain'));
});
