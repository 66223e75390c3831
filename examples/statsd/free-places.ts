// SPDX-License-Identifier: MIT
/** Example statsd: the places where streams may come in, before an executor listens there. */

import { once } from 'node:events';
import { rmSync, statSync } from 'node:fs';
import { type AddressInfo, connect, createServer } from 'node:net';
import { BusbarError } from 'busbar/pool';

/** The port, which nobody else has. **Throws** (rejects) ERR_BUSBAR_LINK_REFUSED. */
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
 * The path, where nobody listens; a socket that somebody left there is removed.
 *
 * **Throws** (rejects) ERR_BUSBAR_LINK_REFUSED: somebody listens, or it is no socket.
 */
export async function freeUnixPath(path: string | undefined): Promise<string | undefined> {
  if (path === undefined) return undefined;
  const stats = statSync(path, { throwIfNoEntry: false });
  if (stats === undefined) return path;
  if (!stats.isSocket()) {
    throw new BusbarError('ERR_BUSBAR_LINK_REFUSED', `${path} is there, and no socket`);
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
