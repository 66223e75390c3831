// SPDX-License-Identifier: MIT
/** Model checker: positions of accesses in the program, with their source lines. */

import { readFileSync } from 'node:fs';

/** A line of the program. */
export interface Place {
  /** Folder and file. */
  readonly file: string;
  readonly line: number;
  /** The function, or empty. */
  readonly within: string;
  /** The source line, if the file can be read. */
  readonly source: string;
}

/** Most frames that are kept, the innermost first. */
const FRAMES_MAX = 4;
const STACK_MAX = 50;
const SOURCE_MAX = 90;

/**
 * The folder of the checker, whose frames lie between the program and this function: its real name,
 * and the name in source maps.
 */
const ENGINE = ['src', 'dist'].map(
  (folder) => new URL(`../../${folder}/testing/`, import.meta.url).pathname,
);
/** Tests beside the checker are not part of it. */
const TESTS = /\.test\.[jt]s$/;
/** busbar's own wrappers of accesses: their callers are shown. */
const ATOMICS = /\/base\/atomics\.[jt]s$/;
const FRAME =
  /^\s*at (?:(?:async )?(?:new )?(.*?) \()?(?:file:\/\/)?(\/[^():]+|\w:[^():]+):(\d+):\d+\)?$/;

/** The position of the current access, and its callers. */
export function placesNow(): Place[] {
  return placesOf(stackNow());
}

/** Captures the stack, which costs little until it is formatted. */
export function stackNow(): Error {
  const limit = Error.stackTraceLimit;
  Error.stackTraceLimit = STACK_MAX;
  const stack = new Error();
  Error.stackTraceLimit = limit;
  return stack;
}

/** The program's positions in a stack, the innermost function first. */
export function placesOf({ stack }: Error): Place[] {
  const places: Place[] = [];
  for (const line of (stack ?? '').split('\n').slice(1)) {
    const match = FRAME.exec(line);
    if (match === null || line.includes('node:')) continue;
    const [, name = '', path, number] = match;
    if (ATOMICS.test(path)) continue;
    if (!TESTS.test(path) && ENGINE.some((folder) => path.startsWith(folder))) {
      // Below the thread's body the checker's frames begin again.
      if (places.length > 0) break;
      continue;
    }
    places.push({
      file: path.split('/').slice(-2).join('/'),
      line: Number(number),
      within:
        name
          .split('.')
          .at(-1)
          ?.replace(/^<anonymous>$/, '') ?? '',
      source: sourceOf(path, Number(number)),
    });
    if (places.length === FRAMES_MAX) break;
  }
  return places;
}

const files = new Map<string, readonly string[]>();

/** A line of a file. Files are read once. */
function sourceOf(path: string, line: number): string {
  let lines = files.get(path);
  if (lines === undefined) {
    try {
      lines = readFileSync(path, 'utf8').split('\n');
    } catch {
      lines = [];
    }
    files.set(path, lines);
  }
  const text = (lines[line - 1] ?? '').trim();
  return text.length > SOURCE_MAX ? `${text.slice(0, SOURCE_MAX - 1)}…` : text;
}

export function placeText(place: Place | undefined): string {
  return place === undefined ? '' : `${place.file}:${place.line}`;
}
