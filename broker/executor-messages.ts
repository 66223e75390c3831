// SPDX-License-Identifier: MIT
/** Example broker: messages between the host and the executors. They are rare, so they are JSON. */

import type { PacketSender } from 'busbar/channel';
import type { SharedPlace, SharedPortHandle } from 'busbar/link';
import { Packet } from 'busbar/packet';
import type { BufferPool } from 'busbar/pool';
import type { BrokerStats } from './broker.ts';
import type { BrokerOptions } from './broker-options.ts';

/** Start data of every executor. */
export interface ExecutorData {
  readonly options: BrokerOptions;
  /** Memory of the board. */
  readonly board: SharedArrayBuffer;
  readonly serverId: string;
  readonly port: SharedPortHandle;
}

/** Messages of the host. */
export type HostMessage =
  /** Another executor has ended. */
  { readonly kind: 'lost'; readonly index: number; readonly epoch: number } | Order;

/** What an executor is asked to do before it replies. */
export interface Order {
  /** Nothing; to take no more clients and to close those it has; to stop in good order. */
  readonly kind: 'report' | 'retire' | 'drain';
  /** The reply has the same. */
  readonly id: number;
}

/** Messages to the host. */
export type ExecutorMessage =
  /** Clients may connect. */
  | { readonly kind: 'listening'; readonly place: SharedPlace }
  | { readonly kind: 'failed'; readonly reason: string; readonly code: string | undefined }
  /** An order was carried out. */
  | { readonly kind: 'done'; readonly id: number; readonly stats: Partial<BrokerStats> };

/** Sends a message once there is a buffer and room in the lane; rejects if the lane is closed. */
export async function sendText(
  pool: BufferPool,
  send: PacketSender['send'],
  message: HostMessage | ExecutorMessage,
): Promise<void> {
  const packet = await Packet.from(pool, JSON.stringify(message));
  try {
    await send(packet);
  } catch (error) {
    packet.release();
    throw error;
  }
}
