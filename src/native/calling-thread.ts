// SPDX-License-Identifier: MIT
/** The calling thread: the cpus on which it runs, its number, its name. */
import { endianness } from 'node:os';
import { checkInteger, copyArray, show } from '../base/check.ts';
import { failure, requireCall } from './shim.ts';

/** Far above every kernel's limit (x86-64 in 2026: 8192), so that a wild number is refused. */
const CPUS_MAX = 1 << 20;

/** The first size for the mask: 1024 cpus. A kernel built for more reports it. */
const MASK_BYTES = 128;

const NAME_BYTES_MAX = 15;

const EINVAL = 22;

/**
 * Lets the calling thread run on these cpus only. Changes nothing if one of them is refused.
 *
 * **Threads**: the one that calls, and threads it starts from then on. Pin a worker from within.
 * **Throws** ERR_BUSBAR_NATIVE_UNAVAILABLE; ERR_BUSBAR_NATIVE_FAILED if a cpu is not there, or if
 * the process may not run on it.
 */
export function setAffinity(cpus: readonly number[]): void {
  const wanted = maskOf(cpus);
  const call = requireCall('setAffinity');
  const before = readMask();
  apply(call(wanted));
  // The kernel accepts the call if one of them exists. We do not: the thread might run elsewhere.
  const now = cpusOf(readMask());
  const missing = cpus.filter((cpu) => !now.includes(cpu));
  if (missing.length === 0) return;
  apply(call(before));
  throw failure(`setAffinity: cpu ${missing.join(', ')} cannot be used`, -EINVAL);
}

/**
 * The cpus on which the calling thread may run, ascending.
 *
 * **Throws** ERR_BUSBAR_NATIVE_UNAVAILABLE, ERR_BUSBAR_NATIVE_FAILED.
 */
export function getAffinity(): number[] {
  return cpusOf(readMask());
}

/**
 * The kernel's number of the calling thread: its folder in `/proc/self/task`.
 *
 * **Throws** ERR_BUSBAR_NATIVE_UNAVAILABLE.
 */
export function threadId(): number {
  return requireCall('threadId')();
}

/**
 * Names the calling thread, for `top -H` and debuggers. Linux takes 15 bytes; the rest is cut, not
 * within a character. On the main thread this is the name of the process, too.
 *
 * **Throws** ERR_BUSBAR_NATIVE_UNAVAILABLE, ERR_BUSBAR_NATIVE_FAILED.
 */
export function setThreadName(name: string): void {
  if (typeof name !== 'string') throw new TypeError(`name must be a string, got ${show(name)}`);
  if (name.includes('\0')) {
    throw new RangeError(`name must not contain a zero character, got ${show(name)}`);
  }
  const answer = requireCall('setThreadName')(cutName(name));
  if (answer < 0) throw failure('setThreadName', answer);
}

function cutName(name: string): string {
  const target = new Uint8Array(NAME_BYTES_MAX);
  const { read } = new TextEncoder().encodeInto(name, target);
  return name.slice(0, read);
}

function apply(answer: number): void {
  if (answer < 0) throw failure('setAffinity', answer);
}

function readMask(): Uint8Array {
  const call = requireCall('getAffinity');
  for (let bytes = MASK_BYTES; ; bytes *= 2) {
    const mask = new Uint8Array(bytes);
    const answer = call(mask);
    if (answer >= 0) return mask.subarray(0, answer);
    if (answer !== -EINVAL || bytes * 8 >= CPUS_MAX) throw failure('getAffinity', answer);
  }
}

/** The kernel's mask of these cpus: 64-bit words, in as few bytes as hold them. */
export function maskOf(cpus: readonly number[], order: 'LE' | 'BE' = endianness()): Uint8Array {
  const copy = copyArray('cpus', cpus);
  if (copy.length === 0) throw new RangeError('cpus must name at least one cpu, got none');
  let last = 0;
  for (const cpu of copy) last = Math.max(last, checkInteger('cpus', cpu, 0, CPUS_MAX - 1));
  const mask = new Uint8Array(8 * Math.ceil((last + 1) / 64));
  for (const cpu of copy) {
    const index = byteOf(cpu, order);
    mask[index] = (mask[index] ?? 0) | (1 << (cpu & 7));
  }
  return mask;
}

/** The cpus in a mask of the kernel, ascending. */
export function cpusOf(mask: Uint8Array, order: 'LE' | 'BE' = endianness()): number[] {
  const cpus: number[] = [];
  for (let cpu = 0; cpu < mask.length * 8; cpu++) {
    if (((mask[byteOf(cpu, order)] ?? 0) >> (cpu & 7)) & 1) cpus.push(cpu);
  }
  return cpus;
}

/** Bits count from a word's low end: in its last byte, where the high end comes first. */
function byteOf(cpu: number, order: 'LE' | 'BE'): number {
  return order === 'LE' ? cpu >> 3 : (cpu >> 3) ^ 7;
}
