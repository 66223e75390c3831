// SPDX-License-Identifier: MIT
/** The small files in which Linux describes the machine and the process. */
import { readdirSync, readFileSync } from 'node:fs';

/** The files below a folder, '' being the machine's own root; tests have roots of their own. */
export class MachineFiles {
  private readonly root: string;

  constructor(root = '') {
    this.root = root;
  }

  /** The trimmed text of a file; undefined if it is not there or cannot be read. */
  read(path: string): string | undefined {
    try {
      return readFileSync(this.root + path, 'utf8').trim();
    } catch {
      return undefined;
    }
  }

  /** An integer that stands alone in a file. */
  readInteger(path: string): number | undefined {
    const text = this.read(path);
    return text !== undefined && /^-?\d+$/.test(text) ? Number(text) : undefined;
  }

  /** A list of cpus or nodes, as in '0-3,8'. */
  readList(path: string): number[] | undefined {
    const text = this.read(path);
    return text === undefined ? undefined : parseList(text);
  }

  /** The names in a folder; none if it is not there. */
  names(path: string): string[] {
    try {
      return readdirSync(this.root + path);
    } catch {
      return [];
    }
  }
}

/** No machine has more cpus; a longer range is not a list of the kernel's. */
const LIST_NUMBER_MAX = 1 << 20;

/** The numbers of a list such as '0-3,8', ascending; undefined if it is not one. '' is empty. */
export function parseList(text: string): number[] | undefined {
  if (text === '') return [];
  const found = new Set<number>();
  for (const part of text.split(',')) {
    const range = /^(\d+)(?:-(\d+))?$/.exec(part);
    if (range === null) return undefined;
    const first = Number(range[1]);
    const last = Number(range[2] ?? range[1]);
    if (last < first || last > LIST_NUMBER_MAX) return undefined;
    for (let number = first; number <= last; number++) found.add(number);
  }
  return [...found].sort((a, b) => a - b);
}
