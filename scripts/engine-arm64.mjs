// SPDX-License-Identifier: MIT
/**
 * Node for Linux on Arm, emulated by qemu-user: the engine `arm64` of `npm run test:engines`, with
 * the shim cross-compiled for it.
 *
 * What it shows is that the code and its machine code for Arm work, not that no order of memory
 * accesses is missing: on x86-64 the emulated processor reorders no more than the real one.
 */
import { spawnSync } from 'node:child_process';
import { chmodSync, mkdirSync, rmSync, writeFileSync } from 'node:fs';
import { dirname } from 'node:path';
import { installPackages, PLACE } from './install-engines.mjs';
import { shimSources } from './shim-sources.mjs';

const QEMU = 'qemu-aarch64';
const CC = 'aarch64-linux-gnu-gcc';
/** The C library that Debian's cross compilers come with. */
const LIBRARIES = '/usr/aarch64-linux-gnu';
const TOOLS = `${PLACE}arm64/`;
const NODE = `${TOOLS}node_modules/node24/bin/node`;

/** A program that runs Node by the emulator: what tests start by `process.execPath`. */
export const ARM64_NODE = `${TOOLS}node`;

/** Looks like a package's folder, for the loader to find the shim in. */
const FOLDER = `${TOOLS}shim`;
const BINARY = `${FOLDER}/build/Release/busbar.node`;

/** Besides those of Node itself. */
export const ARM64_ENV = { BUSBAR_PREBUILD: FOLDER, BUSBAR_NODE: ARM64_NODE };

/** Why it cannot be had; undefined: it is there now. */
export function prepareArm64() {
  for (const program of [QEMU, CC]) {
    if (spawnSync(program, ['--version']).status !== 0) {
      return `${program} is not there: apt-get install qemu-user g++-aarch64-linux-gnu`;
    }
  }
  if (!installPackages('test/engines/arm64/', TOOLS, ['--cpu=arm64', '--os=linux'])) {
    return 'Node for it cannot be installed';
  }
  writeFileSync(ARM64_NODE, `#!/bin/sh\nexec ${QEMU} -L ${LIBRARIES} ${NODE} "$@"\n`);
  chmodSync(ARM64_NODE, 0o755);
  return undefined;
}

/** Compiles the shim with all warnings as errors; what is wrong is printed. */
export function compileShim() {
  rmSync(FOLDER, { recursive: true, force: true });
  mkdirSync(dirname(BINARY), { recursive: true });
  const { status, stderr } = spawnSync(
    CC,
    [
      ...['-shared', '-fPIC', '-O2', '-std=c11', '-Wall', '-Wextra', '-Werror'],
      ...['-fvisibility=hidden', '-s', `-I${dirname(dirname(NODE))}/include/node`],
      ...shimSources(),
      ...['-o', BINARY],
    ],
    { encoding: 'utf8' },
  );
  if (status !== 0) console.error(stderr);
  return status === 0;
}
