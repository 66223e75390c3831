// SPDX-License-Identifier: MIT
/** Example broker: messages between the host and the executors. They are rare, so they are JSON. */

import type { PacketSender } from 'busbar/channel';
import { Packet } from 'busbar/packet';
import type { BufferPool } from 'busbar/pool';
import type { BrokerOptions } from './broker-options.ts';

/** Start data of every executor. */
export interface ExecutorData {
  readonly options: BrokerOptions;
  /** Memory of the board. */
  readonly board: SharedArrayBuffer;
  readonly serverId: string;
  readonly host: string;
  readonly port: number;
  /** True: each executor listens on the port; false: on a path, and the host forwards clients. */
  readonly sharesPort: boolean;
}

/** Messages of the host. */
export type HostMessage =
  /** Another executor has ended. */
  | { readonly kind: 'lost'; readonly index: number; readonly epoch: number }
  /** Asks for `stats`. */
  | { readonly kind: 'stats'; readonly id: number }
  /** Asks to take no more clients, to close those it has, and for `retired`. */
  | { readonly kind: 'retire' }
  /** Asks to stop in good order, and for `drained`. */
  | { readonly kind: 'drain' };

/** Messages to the host. */
export type ExecutorMessage =
  /** Clients may connect. */
  | { readonly kind: 'listening'; readonly path: string | undefined }
  | { readonly kind: 'failed'; readonly reason: string; readonly code: string | undefined }
  | { readonly kind: 'stats'; readonly id: number; readonly stats: Record<string, number> }
  | { readonly kind: 'retired' }
  | { readonly kind: 'drained' };

/** Sends a message once there is a buffer and room in the lane; rejects if the lane is closed. */
export async function sendText(
  pool: BufferPool,
  send: PacketSender['send'],
  message: HostMessage | ExecutorMessage,
): Promise<void> {
  const text = Buffer.from(JSON.stringify(message));
  const bufferId = await pool.acquire();
  const offset = pool.offsetOf(bufferId);
  pool.bytes.set(text, offset);
  const packet = Packet.wrap(pool, bufferId, offset, text.length);
  try {
    await send(packet);
  } catch (error) {
    packet.release();
    throw error;
  }
}
