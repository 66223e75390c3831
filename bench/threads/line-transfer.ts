// SPDX-License-Identifier: MIT
/**
 * What the machine takes to bring a cache line from one core to another: no queue, no pool, no
 * message. Cases of two threads can be no faster than the lines that they move.
 */

import { NOTHING } from './control.ts';
import type { Role } from './role.ts';

/** Words of two cache lines, since processors fetch lines in pairs. */
const APART = 32;
/** Words of one cache line. */
const LINE = 16;
export const BATCH = 64;
/** As many lines on their way as the channels of the other cases hold messages. */
const LINES = 1024;
const WRITTEN = 0;
const READ = APART;
const FIRST_LINE = 2 * APART;

export interface LineData {
  readonly words: Int32Array;
}

export function createLines(): LineData {
  const bytes = (FIRST_LINE + LINES * LINE) * Int32Array.BYTES_PER_ELEMENT;
  return { words: new Int32Array(new SharedArrayBuffer(bytes)) };
}

/** The measuring thread's part of `ops` round trips of a word that counts on from `begin`. */
export function bounceFirst({ words }: LineData, begin: number, ops: number): number {
  let next = begin;
  for (let i = 0; i < ops; i++) {
    next = (next + 1) | 0;
    Atomics.store(words, WRITTEN, next);
    while (Atomics.load(words, READ) !== next);
  }
  return next;
}

/** A thread that sends each word back. */
export function createLineEcho({ words }: LineData): Role {
  let next = 0;
  return {
    run(ops) {
      for (let i = 0; i < ops; i++) {
        next = (next + 1) | 0;
        while (Atomics.load(words, WRITTEN) !== next);
        Atomics.store(words, READ, next);
      }
      return NOTHING;
    },
    close() {},
  };
}

/** Writes a word into each of `ops` lines, `BATCH` of them at a time. */
export function createLineWriter({ words }: LineData): Role {
  let written = 0;
  return {
    run(ops) {
      for (let i = 0; i < ops; i += BATCH) {
        while (((written + BATCH - Atomics.load(words, READ)) | 0) > LINES);
        for (let k = 0; k < BATCH; k++) words[lineOf(written + k)] = written;
        written = (written + BATCH) | 0;
        Atomics.store(words, WRITTEN, written);
      }
      return NOTHING;
    },
    close() {},
  };
}

/** Reads `BATCH` lines from the `read`-th on, if they have been written; throws if one is wrong. */
export function tryReadLines({ words }: LineData, read: number): boolean {
  if (((Atomics.load(words, WRITTEN) - read) | 0) < BATCH) return false;
  for (let k = 0; k < BATCH; k++) {
    const word = words[lineOf(read + k)];
    if (word !== read) throw new Error(`${word} came instead of ${read}`);
  }
  Atomics.store(words, READ, (read + BATCH) | 0);
  return true;
}

function lineOf(i: number): number {
  return FIRST_LINE + (i & (LINES - 1)) * LINE;
}
