// SPDX-License-Identifier: MIT
/** Command lines of the benchmark programs: counts, selections, and error messages. */

import { minimatch } from 'minimatch';

/** The user's mistake on the command line: its message is all there is to say. */
export class UsageError extends Error {}

/** Runs a program. A mistake on the command line ends it with its message and code 2. */
export async function runProgram(program: () => Promise<void>): Promise<void> {
  try {
    await program();
  } catch (error) {
    if (!isUsageError(error)) throw error;
    process.stderr.write(`${(error as Error).message}\nTry --help.\n`);
    process.exitCode = 2;
  }
}

/** A whole number from 1 on. */
export function readCount(name: string, text: string): number {
  const count = Number(text);
  if (Number.isInteger(count) && count >= 1) return count;
  throw new UsageError(`${name} must be a whole number from 1 on, got ${text}`);
}

/**
 * Those whose id matches one of the globs; all if there is no glob. **Throws** for a glob that
 * matches none.
 */
export function selectByGlob<T extends { readonly id: string }>(
  all: readonly T[],
  globs: readonly string[],
): T[] {
  for (const glob of globs) {
    if (all.some(({ id }) => minimatch(id, glob))) continue;
    throw new UsageError(`--only ${glob} matches nothing; --list prints all ids`);
  }
  return all.filter(({ id }) => globs.length === 0 || globs.some((glob) => minimatch(id, glob)));
}

function isUsageError(error: unknown): boolean {
  const code = (error as { code?: unknown }).code;
  return (
    error instanceof UsageError || (typeof code === 'string' && code.startsWith('ERR_PARSE_ARGS'))
  );
}
