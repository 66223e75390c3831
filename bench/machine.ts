// SPDX-License-Identifier: MIT
/** Where a benchmark runs: machine, Node, commit; and the core to pin a child process to. */

import { execFileSync, type StdioOptions, spawnSync } from 'node:child_process';
import { readFileSync } from 'node:fs';
import os from 'node:os';

/** Columns of a core's line in /proc/stat, which counts in ticks of 10 ms. */
const FIELD_IDLE = 4;
const FIELD_IOWAIT = 5;
const MS_PER_TICK = 10;

/** The processor, its cores, memory and operating system, in one line. */
export function describeMachine(): string {
  const cpus = os.cpus();
  const memoryGib = Math.round(os.totalmem() / 2 ** 30);
  const model = cpus[0]?.model.trim() ?? 'unknown processor';
  const system = `${os.type()} ${os.release()} ${os.arch()}`;
  return `${model}, ${cpus.length} cores, ${memoryGib} GiB, ${system}`;
}

/** The figures of a run that is being recorded, and what is made of them. */
const RECORDED = ['bench/results', 'docs/benchmarks.md', 'docs/plots', 'README.md'];

/** The commit that is checked out, marked when files differ from it; recorded figures may. */
export function describeCommit(): string {
  try {
    const commit = git('rev-parse', '--short=12', 'HEAD');
    return isUnchanged() ? commit : `${commit}+changes`;
  } catch {
    return 'unknown';
  }
}

function isUnchanged(): boolean {
  const others = RECORDED.map((path) => `:(top,exclude)${path}`);
  return git('status', '--porcelain', '--', ':(top)', ...others) === '';
}

/** Whether a child process can be tied to one core here. */
export function canPin(): boolean {
  if (os.cpus().length < 2) return false;
  return spawnSync('taskset', ['--version'], { stdio: 'ignore' }).status === 0;
}

/**
 * What every core has spent idle since the machine started, in milliseconds; empty where it cannot
 * be known.
 */
export function idleMsByCore(): readonly number[] {
  let text: string;
  try {
    text = readFileSync('/proc/stat', 'utf8');
  } catch {
    return [];
  }
  const cores = text.split('\n').filter((line) => /^cpu\d/.test(line));
  return cores.map((line) => {
    const fields = line.split(/\s+/).map(Number);
    return (fields[FIELD_IDLE] + fields[FIELD_IOWAIT]) * MS_PER_TICK;
  });
}

/**
 * The core that was idle most between two readings of {@link idleMsByCore}; the last one when
 * there is no telling.
 */
export function idlestCore(before: readonly number[], after: readonly number[]): number {
  if (after.length === 0) return os.cpus().length - 1;
  let idlest = after.length - 1;
  for (let core = idlest - 1; core >= 0; core--) {
    if (after[core] - before[core] > after[idlest] - before[idlest]) idlest = core;
  }
  return idlest;
}

/**
 * How many cores other programs kept busy while ours used `ownCpuMs` in `wallMs`; 0 where it
 * cannot be known.
 */
export function coresTakenByOthers(
  before: readonly number[],
  after: readonly number[],
  wallMs: number,
  ownCpuMs: number,
): number {
  let idleMs = 0;
  for (const [core, ms] of after.entries()) idleMs += ms - before[core];
  return after.length === 0 ? 0 : (after.length * wallMs - idleMs - ownCpuMs) / wallMs;
}

function git(...args: readonly string[]): string {
  const stdio: StdioOptions = ['ignore', 'pipe', 'ignore'];
  return execFileSync('git', args, { encoding: 'utf8', stdio }).trim();
}
