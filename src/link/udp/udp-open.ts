// SPDX-License-Identifier: MIT
/** Opens a UDP socket of the system: the shim's if available, otherwise Node's. */

import { BusbarError } from '../../base/errors.ts';
import { checkNetAllowed } from '../../native/permission.ts';
import { udpCalls, udpFeature } from '../../native/udp.ts';
import type { BufferPool } from '../../pool/index.ts';
import { UdpDgramSocket } from './udp-dgram-socket.ts';
import { UdpNativeSocket } from './udp-native-socket.ts';
import type { ResolvedUdpOptions, ResolvedUdpSettings } from './udp-options.ts';
import { LateOwner, type UdpSocket, type UdpSocketOwner } from './udp-socket.ts';

/** **Throws** or rejects with ERR_BUSBAR_LINK_REFUSED, ERR_BUSBAR_NATIVE_UNAVAILABLE. */
export function openUdpSocket(
  pool: BufferPool,
  { implementation, config, paths }: ResolvedUdpSettings,
  owner: UdpSocketOwner,
): UdpSocket | Promise<UdpSocket> {
  checkNetAllowed();
  const calls = implementation === 'dgram' ? undefined : udpCalls();
  if (calls !== undefined) return new UdpNativeSocket(calls, pool.bytes, config, owner, paths);
  if (paths === undefined) return UdpDgramSocket.open(pool.bytes, config, owner);
  const reason = udpFeature().reason || "implementation: 'dgram' has no Unix sockets";
  throw new BusbarError('ERR_BUSBAR_NATIVE_UNAVAILABLE', `path: ${reason}`);
}

/** Opens a socket of any kind. */
export type OpenUdpSocket<L> = (
  options: ResolvedUdpOptions<L>,
  owner: UdpSocketOwner,
) => UdpSocket | Promise<UdpSocket>;

/** Opens a socket and makes a link on it. **Throws** what either throws; `signal.reason`. */
export async function openWith<L>(
  options: ResolvedUdpOptions<L>,
  open: OpenUdpSocket<L>,
  make: (socket: UdpSocket, owner: LateOwner) => L,
): Promise<L> {
  options.signal?.throwIfAborted();
  const owner = new LateOwner();
  const socket = await open(options, owner);
  try {
    options.signal?.throwIfAborted();
    return make(socket, owner);
  } catch (error) {
    socket.close();
    throw error;
  }
}
