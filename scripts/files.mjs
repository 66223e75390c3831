// SPDX-License-Identifier: MIT
/** The files of the repository, for scripts and tidy test: one walk, one idea of what is ours. */
import { readdirSync, statSync } from 'node:fs';
import { fileURLToPath } from 'node:url';

/** Absolute path of the repository, with a slash at its end. */
export const ROOT = fileURLToPath(new URL('../', import.meta.url));

const NOT_OURS = new Set(['.git', 'node_modules', 'dist', 'build', 'prebuilds', 'docs/api']);

/**
 * Every file below `folder` ('' is the whole repository), sorted; all paths are relative to the
 * repository. A folder that does not exist has no files.
 */
export function listFiles(folder = '') {
  const found = [];
  const pending = [folder];
  for (let next = pending.pop(); next !== undefined; next = pending.pop()) {
    for (const entry of readFolder(next)) {
      const path = next === '' ? entry.name : `${next}/${entry.name}`;
      if (NOT_OURS.has(path)) continue;
      if (entry.isDirectory()) pending.push(path);
      else if (entry.isFile()) found.push(path);
    }
  }
  return found.sort();
}

/** One line per file that changes when the file's content may have changed. */
export function fingerprint(paths) {
  const lines = [process.version];
  for (const path of paths) {
    const { mtimeMs, size } = statSync(ROOT + path);
    lines.push(`${path} ${mtimeMs} ${size}`);
  }
  return lines.join('\n');
}

function readFolder(folder) {
  try {
    return readdirSync(ROOT + folder, { withFileTypes: true });
  } catch (error) {
    if (error.code === 'ENOENT') return [];
    throw error;
  }
}
