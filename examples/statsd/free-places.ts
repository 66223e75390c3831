// SPDX-License-Identifier: MIT
/** Example statsd: checks that a TCP port or a Unix socket is free before an executor listens. */

import { once } from 'node:events';
import { rmSync, statSync } from 'node:fs';
import { type AddressInfo, connect, createServer } from 'node:net';
import { BusbarError } from 'busbar/errors';

/** Returns a free port: `port`, or any if that is 0. **Throws** ERR_BUSBAR_LINK_REFUSED. */
export async function freeTcpPort(
  host: string,
  port: number | undefined,
): Promise<number | undefined> {
  if (port === undefined) return undefined;
  const probe = createServer();
  try {
    probe.listen(port, host);
    await once(probe, 'listening');
  } catch (cause) {
    const what = `port ${port} of TCP, ${(cause as Error).message}`;
    throw new BusbarError('ERR_BUSBAR_LINK_REFUSED', what);
  }
  const free = (probe.address() as AddressInfo).port;
  probe.close();
  await once(probe, 'close');
  return free;
}

/**
 * Returns the path if no process listens there; removes a socket that a dead process left.
 *
 * **Throws** (rejects) ERR_BUSBAR_LINK_REFUSED if a process listens, or the path is not a socket.
 */
export async function freeUnixPath(path: string | undefined): Promise<string | undefined> {
  if (path === undefined) return undefined;
  const stats = statSync(path, { throwIfNoEntry: false });
  if (stats === undefined) return path;
  if (!stats.isSocket()) {
    throw new BusbarError('ERR_BUSBAR_LINK_REFUSED', `${path} exists and is not a socket`);
  }
  const socket = connect(path);
  try {
    await once(socket, 'connect');
  } catch {
    rmSync(path, { force: true });
    return path;
  }
  socket.destroy();
  throw new BusbarError('ERR_BUSBAR_LINK_REFUSED', `${path} is taken`);
}
