// SPDX-License-Identifier: MIT
/** Where processes of this user show what they do, and where `busbar top` looks for them. */

import { chmodSync, lstatSync, mkdirSync, readdirSync } from 'node:fs';
import { tmpdir, userInfo } from 'node:os';
import { join } from 'node:path';
import { threadId } from 'node:worker_threads';

const PIPES = '\\\\.\\pipe\\';

/**
 * The folder of this user's sockets. **Throws** Error if it belongs to another user, or may be
 * changed by others: it stands where everyone may make one.
 */
function folder(): string {
  const { uid } = userInfo();
  const path = join(process.env.XDG_RUNTIME_DIR ?? tmpdir(), `busbar-${uid}`);
  mkdirSync(path, { recursive: true, mode: 0o700 });
  const found = lstatSync(path);
  if (!found.isDirectory() || found.uid !== uid || (found.mode & 0o077) !== 0) {
    throw new Error(`${path} must be a folder of this user, with mode 700`);
  }
  return path;
}

/** The place of this thread. */
export function ownPlace(): string {
  const name = `${process.pid}${threadId === 0 ? '' : `-${threadId}`}`;
  if (process.platform === 'win32') return `${PIPES}busbar-${name}`;
  return join(folder(), `${name}.sock`);
}

/** The places of all processes, or of the one with that pid. Some may have ended. */
export function placesOf(pid = ''): string[] {
  const isWindows = process.platform === 'win32';
  const names = readdirSync(isWindows ? PIPES : folder());
  const pattern = isWindows ? /^busbar-(\d+)/ : /^(\d+)(-\d+)?\.sock$/;
  return names
    .filter((name) => {
      const found = pattern.exec(name);
      return found !== null && (pid === '' || found[1] === pid);
    })
    .map((name) => (isWindows ? PIPES + name : join(folder(), name)));
}

/** Makes a socket the user's own. */
export function restrict(path: string): void {
  if (process.platform !== 'win32') chmodSync(path, 0o600);
}
