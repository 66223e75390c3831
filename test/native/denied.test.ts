// SPDX-License-Identifier: MIT
import { spawnSync } from 'node:child_process';
import { copyFileSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname } from 'node:path';
import { fileURLToPath, pathToFileURL } from 'node:url';
import type { NativeFeatures, Topology } from 'busbar/native';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { ROOT } from '../../scripts/files.mjs';
import { load } from '../../src/native/shim.ts';
import { BINARY, isShimBuilt } from './built-shim.ts';

const PROGRAM = fileURLToPath(new URL('../../build/test/native/features.main.js', import.meta.url));

/** Its name before Node 23.5. */
const PERMISSION = process.allowedNodeEnvironmentFlags.has('--permission')
  ? '--permission'
  : '--experimental-permission';

interface Findings extends Topology {
  readonly features: NativeFeatures;
  readonly attempt: string;
}

/** Imports busbar/native in a process of its own, and says what it finds there. */
function lookUp(flags: readonly string[], env: NodeJS.ProcessEnv = {}): Findings {
  const { status, stdout, stderr } = spawnSync(process.execPath, [...flags, PROGRAM], {
    encoding: 'utf8',
    env: { ...process.env, ...env },
  });
  expect({ status, stderr: stderr.replace(/^\(node.*\n/gm, '') }).toMatchObject({ status: 0 });
  return JSON.parse(stdout);
}

let folder: string;

beforeEach(() => {
  folder = mkdtempSync(`${tmpdir()}/busbar-`);
});

afterEach(() => rmSync(folder, { recursive: true }));

function loadFrom(files: Record<string, string>): ReturnType<typeof load> {
  for (const [path, source] of Object.entries(files)) {
    mkdirSync(dirname(`${folder}/${path}`), { recursive: true });
    copyFileSync(source, `${folder}/${path}`);
  }
  return load(pathToFileURL(`${folder}/`), undefined);
}

test('the environment switches the shim off, and topology stays', () => {
  const { features, attempt, allowed } = lookUp([], { BUSBAR_NATIVE: 'off' });
  const off = { available: false, reason: 'switched off by BUSBAR_NATIVE=off' };
  expect(features).toMatchObject({
    affinity: off,
    threadName: off,
    reusePort: off,
    socketWrites: off,
  });
  expect(features.topology.available).toBe(process.platform === 'linux');
  expect(allowed.length).toBeGreaterThan(0);
  expect(attempt).toMatch(/^ERR_BUSBAR_NATIVE_UNAVAILABLE: .*: setAffinity: switched off by/);
});

test('under the permission model the shim is denied politely', () => {
  const { features, attempt } = lookUp([PERMISSION, '--allow-fs-read=*'], { BUSBAR_NATIVE: '' });
  expect(features.affinity.available).toBe(false);
  if (isShimBuilt()) expect(features.affinity.reason).toMatch(/denies native addons/);
  expect(features.topology.available).toBe(process.platform === 'linux');
  expect(attempt).toMatch(/^ERR_BUSBAR_NATIVE_UNAVAILABLE/);
});

test('--no-addons, and a binary for another C library, are told apart', () => {
  const reasonOf = (flags: string[], env: NodeJS.ProcessEnv): string =>
    lookUp(flags, { BUSBAR_NATIVE: '', ...env }).features.affinity.reason;
  const other = reasonOf([], { PREBUILDS_ONLY: '1', LIBC: 'musl' });
  const where = `${process.platform}-${process.arch}`;
  if (process.platform === 'linux') expect(other).toContain(`no binary for ${where} with musl in`);
  if (isShimBuilt()) expect(reasonOf(['--no-addons'], {})).toBe('switched off by --no-addons');
});

test('where not even the machine may be read, the topology is a guess', () => {
  const parts = ['build/test', 'dist', 'package.json', 'node_modules'].map((path) => ROOT + path);
  const flags = [PERMISSION, ...parts.map((path) => `--allow-fs-read=${path}`)];
  const { features, allowed, usableCount } = lookUp(flags, { BUSBAR_NATIVE: '' });
  expect(features.affinity.reason).toMatch(/--allow-(addons|fs-read)/);
  expect(features.topology).toEqual({
    available: false,
    reason: expect.stringMatching(/not known on|cannot be read/),
  });
  expect(usableCount).toBe(allowed.length);
});

test('where there is no binary, the reason says how to make one', () => {
  const { shim, reason } = loadFrom({});
  expect(shim).toBeUndefined();
  expect(reason).toContain(`there is no binary for ${process.platform}-${process.arch}`);
  expect(reason).toContain(` in ${folder}/; npm run build:native there makes one`);
});

test('a file that is no binary is a reason, too', () => {
  writeFileSync(`${folder}/garbage`, 'not a library');
  const { shim, reason } = loadFrom({ 'build/Release/busbar.node': `${folder}/garbage` });
  expect(shim).toBeUndefined();
  expect(reason).toMatch(/^the binary for .* does not load: /);
});

if (isShimBuilt()) {
  test('a binary of the tarball is found by platform, architecture and C library', () => {
    const place = `prebuilds/${process.platform}-${process.arch}`;
    const { shim, reason } = loadFrom({
      [`${place}/busbar.napi.musl.node`]: PROGRAM,
      [`${place}/busbar.napi.glibc.node`]: BINARY,
      'prebuilds/sunos-sparc/busbar.napi.node': PROGRAM,
    });
    expect(reason).toBe('');
    expect(shim?.threadId?.()).toBe(process.pid);
  });

  test('what only a mistake of ours could pass to the shim is refused there', () => {
    const { shim } = loadFrom({ 'build/Release/busbar.node': BINARY });
    const calls = shim as unknown as Record<string, (...args: unknown[]) => unknown>;
    const odd = [undefined, null, 1, 'x', {}, [], new Uint16Array(2), new Int32Array(1), () => 0];
    const long = 'x'.repeat(10_000);
    for (const name of ['setAffinity', 'getAffinity', 'setThreadName', 'listenReusePort']) {
      expect(() => calls[name]?.()).toThrow(/wrong number of arguments/);
    }
    for (const value of odd) {
      for (const name of ['setAffinity', 'getAffinity']) {
        expect(() => calls[name]?.(value)).toThrow(TypeError);
      }
      if (typeof value !== 'string') expect(() => calls.setThreadName?.(value)).toThrow(TypeError);
      expect(() => calls.listenReusePort?.('127.0.0.1', 0, 1, value)).toThrow(TypeError);
    }
    expect(() => calls.setThreadName?.(long)).toThrow(/too long/);
    const result = new Int32Array(2);
    expect(() => calls.listenReusePort?.(long, 0, 1, result)).toThrow(/too long/);
    expect(() => calls.listenReusePort?.('::1', 65_536, 1, result)).toThrow(TypeError);
    expect(() => calls.listenReusePort?.('::1', 0, '1', result)).toThrow(TypeError);
    expect(calls.setAffinity?.(new Uint8Array(0))).toBeLessThan(0);
    expect(calls.getAffinity?.(new Uint8Array(0))).toBeLessThan(0);
    expect(calls.getAffinity?.(new Uint8Array(3))).toBeLessThan(0);
    expect([...result]).toEqual([0, 0]);
  });
}
