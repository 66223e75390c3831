// SPDX-License-Identifier: MIT
/**
 * Example broker: messages between the host and the executors. They are rare, and on a
 * BroadcastChannel, so that they arrive however full the pool is.
 */

import type { SharedPlace, SharedPortHandle } from 'busbar/link';
import type { SeqLockHandle } from 'busbar/sync';
import type { BrokerStats } from './broker.ts';
import type { ResolvedBrokerOptions } from './broker-options.ts';

/** Start data of every executor. */
export interface ExecutorData {
  readonly options: ResolvedBrokerOptions;
  /** Memory of the board. */
  readonly board: SharedArrayBuffer;
  /** By executor, where it writes what it does. */
  readonly figures: readonly SeqLockHandle[];
  /** Also the name of the channel. */
  readonly serverId: string;
  readonly port: SharedPortHandle;
}

/** What an executor is asked to do before it replies. */
export interface Order {
  /** Nothing; to take no more clients and to close those it has; to stop in good order. */
  readonly kind: 'report' | 'retire' | 'drain';
  /** The reply has the same. */
  readonly id: number;
}

/** Executor `from` has carried out an order. */
export interface Done {
  readonly kind: 'done';
  readonly id: number;
  readonly from: number;
  /** Where it listens. */
  readonly place: SharedPlace;
  readonly stats: BrokerStats;
}

/** An executor has ended. */
export interface Lost {
  readonly kind: 'lost';
  readonly index: number;
  readonly epoch: number;
}

export type Message = Order | Done | Lost;
