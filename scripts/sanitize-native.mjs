// SPDX-License-Identifier: MIT
/**
 * `npm run native:sanitize`: the native tests once, on a shim with AddressSanitizer and
 * UndefinedBehaviorSanitizer. For Linux with gcc. Leaks are not looked for: Node has its own.
 */
import { spawnSync } from 'node:child_process';
import { mkdirSync, rmSync } from 'node:fs';
import { dirname } from 'node:path';
import { build } from './build.mjs';
import { ROOT } from './files.mjs';

/** Looks like a package's folder, for the loader to find the binary in. */
const FOLDER = `${ROOT}build/sanitized`;

const SANITIZE = ['-fsanitize=address,undefined', '-fno-sanitize-recover=all'];

const SOURCES = [
  'bus_module.c',
  'bus_linux.c',
  'bus_tcp_linux.c',
  'bus_udp_linux.c',
  'bus_udp_module.c',
];

const CC = process.env.CC || 'gcc';

process.exitCode = (await build()) && compile() && runTests() ? 0 : 1;

function compile() {
  rmSync(FOLDER, { recursive: true, force: true });
  mkdirSync(`${FOLDER}/build/Release`, { recursive: true });
  const nodePrefix = process.env.npm_config_nodedir || dirname(dirname(process.execPath));
  return succeeds(CC, [
    ...['-shared', '-fPIC', '-g', '-O1', '-fno-omit-frame-pointer', '-std=c11', ...SANITIZE],
    ...['-Wall', '-Wextra', '-Werror', `-I${nodePrefix}/include/node`],
    ...SOURCES.map((name) => `${ROOT}native/${name}`),
    ...['-o', `${FOLDER}/build/Release/busbar.node`],
  ]);
}

function runTests() {
  const { stdout } = spawnSync(CC, ['-print-file-name=libasan.so'], { encoding: 'utf8' });
  const vitest = `${ROOT}node_modules/vitest/vitest.mjs`;
  return succeeds(
    process.execPath,
    [vitest, 'run', 'src/native', 'src/link/udp', 'src/link/direct-writes', 'test/native'],
    {
      LD_PRELOAD: stdout.trim(),
      // Segmentation faults are the engine's business: it provokes some on purpose.
      ASAN_OPTIONS: 'detect_leaks=0:handle_segv=0:allow_user_segv_handler=1',
      UBSAN_OPTIONS: 'print_stacktrace=1',
      // Where node-gyp-build looks for the binary of a package called busbar.
      BUSBAR_PREBUILD: FOLDER,
    },
  );
}

function succeeds(command, args, env = {}) {
  const { status, error } = spawnSync(command, args, {
    cwd: ROOT,
    env: { ...process.env, ...env },
    stdio: ['ignore', 'inherit', 'inherit'],
  });
  if (error !== undefined) console.error(error.message);
  return status === 0;
}
