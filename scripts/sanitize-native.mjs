// SPDX-License-Identifier: MIT
/**
 * `npm run native:sanitize`, a gate of `npm run test:more`: the tests of the shim once more, on one
 * with AddressSanitizer and UndefinedBehaviorSanitizer. For Linux with a compiler that has both.
 * Leaks are not looked for: Node has its own. Node itself is not instrumented.
 */
import { spawnSync } from 'node:child_process';
import { mkdirSync, rmSync } from 'node:fs';
import { dirname, isAbsolute } from 'node:path';
import { pathToFileURL } from 'node:url';
import { build } from './build.mjs';
import { ROOT } from './files.mjs';
import { shimSources } from './shim-sources.mjs';

/** Looks like a package's folder, for the loader to find the binary in. */
const FOLDER = `${ROOT}build/sanitized`;
const BINARY = `${FOLDER}/build/Release/busbar.node`;

const SANITIZE = ['-fsanitize=address,undefined', '-fno-sanitize-recover=all'];

const CC = process.env.CC || 'gcc';

/** What calls the shim; topology is read from files, and `node:dgram` has its own tests. */
const TESTS = [
  'test/native',
  'src/native/calling-thread',
  'src/link/udp/udp-link',
  'src/link/udp/unix',
  'src/link/tcp/direct-writes',
];
const NOT_ON_DGRAM = '^((?!\\(dgram\\)).)*$';

/** Loads the shim as programs do; ends well if it is the sanitized one. */
const PROBE = `
  import { native } from 'busbar/native';
  import { readFileSync } from 'node:fs';
  const { available } = native.features.affinity;
  const isOurs = readFileSync('/proc/self/maps', 'utf8').includes(${JSON.stringify(BINARY)});
  process.exitCode = available && isOurs ? 0 : 1;
`;

/** Why it cannot be done here; undefined: it can. */
export function whyNotSanitized() {
  if (process.platform !== 'linux') return `this is ${process.platform}, not Linux`;
  const input = 'int main(void) { return 0; }';
  const args = ['-x', 'c', '-', ...SANITIZE, '-o', '/dev/null'];
  if (spawnSync(CC, args, { input }).status !== 0) return `${CC} has no sanitizers`;
  return isAbsolute(runtime()) ? undefined : `${CC} has no libasan.so to load before Node`;
}

/** Compiles and runs; what is wrong is printed. */
export function sanitize() {
  return compile() && probe() && runTests();
}

function runtime() {
  return spawnSync(CC, ['-print-file-name=libasan.so'], { encoding: 'utf8' }).stdout.trim();
}

function compile() {
  rmSync(FOLDER, { recursive: true, force: true });
  mkdirSync(dirname(BINARY), { recursive: true });
  const nodePrefix = process.env.npm_config_nodedir || dirname(dirname(process.execPath));
  return succeeds(CC, [
    ...['-shared', '-fPIC', '-g', '-O1', '-fno-omit-frame-pointer', '-std=c11', ...SANITIZE],
    ...['-Wall', '-Wextra', '-Werror', `-I${nodePrefix}/include/node`],
    ...shimSources(),
    ...['-o', BINARY],
  ]);
}

function probe() {
  if (succeeds(process.execPath, ['--input-type=module', '-e', PROBE], environment())) return true;
  console.error('the sanitized shim is not the one that is loaded');
  return false;
}

function runTests() {
  const vitest = `${ROOT}node_modules/vitest/vitest.mjs`;
  const args = [vitest, 'run', ...TESTS, '-t', NOT_ON_DGRAM];
  return succeeds(process.execPath, args, environment());
}

function environment() {
  return {
    LD_PRELOAD: runtime(),
    // Segmentation faults are the engine's business: it provokes some on purpose.
    ASAN_OPTIONS: 'detect_leaks=0:handle_segv=0:allow_user_segv_handler=1',
    UBSAN_OPTIONS: 'print_stacktrace=1',
    // Where node-gyp-build looks for the binary of a package called busbar.
    BUSBAR_PREBUILD: FOLDER,
  };
}

function succeeds(command, args, env = {}) {
  const { status, error, stdout, stderr } = spawnSync(command, args, {
    cwd: ROOT,
    env: { ...process.env, ...env },
    encoding: 'utf8',
    stdio: ['ignore', 'pipe', 'pipe'],
    maxBuffer: 1 << 28,
  });
  if (error !== undefined) console.error(error.message);
  if (status !== 0) console.error(`${stdout ?? ''}${stderr ?? ''}`.trimEnd());
  return status === 0;
}

if (import.meta.url === pathToFileURL(process.argv[1] ?? '').href) {
  const reason = whyNotSanitized();
  if (reason !== undefined) console.error(`The shim cannot be sanitized: ${reason}.`);
  process.exitCode = reason === undefined && (await build()) && sanitize() ? 0 : 1;
}
