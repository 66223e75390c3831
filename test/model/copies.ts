// SPDX-License-Identifier: MIT
/** Model checker: loads copies of production modules, transformed line by line. */

import { mkdirSync, readdirSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { dirname, join, posix } from 'node:path';
import { pathToFileURL } from 'node:url';

const ROOT: string = join(import.meta.dirname, '../..');

/**
 * The text of a copy, given the module's path under `src/`, its text and where the copy will stand.
 */
export type Change = (entry: string, text: string, target: string) => string;

/**
 * Loads the copy of a module under `src/`, say 'pool/index.ts', and with it copies of what it
 * imports.
 *
 * Copies with the same `variant` must be changed in the same way: they are made once and loaded
 * once.
 */
export async function loadCopy<Exports>(
  variant: string,
  module: string,
  change: Change,
): Promise<Exports> {
  const folder = join(ROOT, 'build/copies', variant);
  for (const entry of closureOf(module)) {
    const target = join(folder, entry);
    write(target, change(entry, sources().get(entry) as string, target));
  }
  const url = pathToFileURL(join(folder, module)).href;
  return (await import(/* @vite-ignore */ url)) as Exports;
}

let read: ReadonlyMap<string, string> | undefined;

/**
 * All modules under `src/`, by path: read once, so that all copies of one run are of the same
 * state.
 */
export function sources(): ReadonlyMap<string, string> {
  if (read !== undefined) return read;
  const texts = new Map<string, string>();
  for (const entry of readdirSync(join(ROOT, 'src'), { recursive: true, encoding: 'utf8' })) {
    if (!entry.endsWith('.ts') || entry.endsWith('.test.ts')) continue;
    if (entry.startsWith('testing/') || entry === 'index.ts') continue;
    texts.set(entry, readFileSync(join(ROOT, 'src', entry), 'utf8'));
  }
  read = texts;
  return texts;
}

/** A module and all that it imports, directly or not. */
function closureOf(module: string): ReadonlySet<string> {
  const reached = new Set([module]);
  for (const entry of reached) {
    const text = sources().get(entry);
    if (text === undefined) throw new Error(`no module src/${entry}`);
    for (const [, path] of text.matchAll(/\bfrom '(\.[^']+)'/g)) {
      reached.add(posix.join(posix.dirname(entry), path));
    }
  }
  return reached;
}

/** Removes the files of a variant that is not needed any more. */
export function removeCopy(variant: string): void {
  rmSync(join(ROOT, 'build/copies', variant), { recursive: true, force: true });
}

function write(target: string, text: string): void {
  if (readOrEmpty(target) === text) return;
  mkdirSync(dirname(target), { recursive: true });
  // Test files run in parallel: none may see half of a copy.
  const temporary = `${target}.${process.pid}`;
  writeFileSync(temporary, text);
  renameSync(temporary, target);
}

function readOrEmpty(path: string): string {
  try {
    return readFileSync(path, 'utf8');
  } catch {
    return '';
  }
}
