// SPDX-License-Identifier: MIT
/** Model checker: loads copies of production modules, transformed line by line. */

import { mkdirSync, readdirSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { dirname, join, posix, relative } from 'node:path';
import { pathToFileURL } from 'node:url';

const ROOT: string = join(import.meta.dirname, '../..');
const COPIES: string = join(ROOT, 'build/copies');

/**
 * The text of a copy, given the module's path under `src/`, its text and where the copy will stand.
 */
export type Change = (entry: string, text: string, target: string) => string;

/** Copies of modules in a folder of this name, each changed in the same way. */
export interface Variant {
  readonly name: string;
  readonly change: Change;
}

/** A variant with a bug: the text of one module, `entry`, is replaced before it is changed. */
export interface PlantedBug {
  readonly variant: string;
  readonly entry: string;
  readonly plant: (text: string) => string;
}

/**
 * Loads the copy of a module under `src/`, say 'pool/index.ts', and with it copies of what it
 * imports. Copies of one variant are made once and loaded once.
 */
export function loadCopy<Exports>({ name, change }: Variant, module: string): Promise<Exports> {
  for (const entry of closureOf(module)) writeCopy(name, entry, change);
  return load(name, module);
}

/**
 * Loads the copy of a module with a bug. Only the module that has it and those that import that,
 * directly or not, are copied for it. The others are the copies of `base`, which all bugs share: to
 * load a hundred modules anew takes longer than to find most bugs.
 */
export function loadPlanted<Exports>(
  base: Variant,
  { variant, entry, plant }: PlantedBug,
  module: string,
): Promise<Exports> {
  const all = closureOf(module);
  const own = importersOf(entry, all);
  for (const each of all) {
    if (!own.has(each)) writeCopy(base.name, each, base.change);
    else {
      writeCopy(variant, each, (_, text, target) => {
        const changed = base.change(each, each === entry ? plant(text) : text, target);
        return redirect(changed, each, target, (path) => !own.has(path) && all.has(path), base);
      });
    }
  }
  return load(own.has(module) ? variant : base.name, module);
}

/** The text with imports of the modules that are chosen led to their copies in `base`. */
function redirect(
  text: string,
  entry: string,
  target: string,
  isChosen: (path: string) => boolean,
  base: Variant,
): string {
  return text.replace(IMPORT, (whole, path: string) => {
    const to = posix.join(posix.dirname(entry), path);
    if (!isChosen(to)) return whole;
    return `from '${relative(dirname(target), join(COPIES, base.name, to))}'`;
  });
}

function writeCopy(variant: string, entry: string, change: Change): void {
  const target = join(COPIES, variant, entry);
  write(target, change(entry, sources().get(entry) as string, target));
}

async function load<Exports>(variant: string, module: string): Promise<Exports> {
  const url = pathToFileURL(join(COPIES, variant, module)).href;
  return (await import(/* @vite-ignore */ url)) as Exports;
}

const IMPORT = /\bfrom '(\.[^']+)'/g;
/** It is gone when the code runs. */
const TYPE_IMPORT = /\b(?:import|export) type\b[^;'"]*? from '\.[^']+'/g;

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
    for (const path of importsIn(entry, text)) reached.add(path);
  }
  return reached;
}

/** A module and those among `all` that import it, directly or not; for more than its types. */
function importersOf(module: string, all: ReadonlySet<string>): ReadonlySet<string> {
  const found = new Set([module]);
  for (let before = 0; before !== found.size; ) {
    before = found.size;
    for (const entry of all) {
      const text = (sources().get(entry) as string).replace(TYPE_IMPORT, '');
      if (importsIn(entry, text).some((path) => found.has(path))) found.add(entry);
    }
  }
  return found;
}

function importsIn(entry: string, text: string): string[] {
  return [...text.matchAll(IMPORT)].map(([, path]) => posix.join(posix.dirname(entry), path));
}

/** Removes the files of a variant that is not needed any more. */
export function removeCopy(variant: string): void {
  rmSync(join(COPIES, variant), { recursive: true, force: true });
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
