// SPDX-License-Identifier: MIT
/** Example broker: the state that connections of one broker share. */

import type { Backpressure, FanOut, ServerPeers } from 'busbar/bus';
import type { BufferPool } from 'busbar/pool';
import type { ResolvedBrokerOptions } from './broker-options.ts';
import type { Connection } from './connection.ts';
import type { Message } from './message.ts';
import type { Subscription } from './subscription.ts';

/** Who gets a message, here and at other executors. */
export type Router = FanOut<Message, Subscription<Connection>>;
/** The other executors. */
export type Mesh = ServerPeers<Message, Subscription<Connection>>;

/** The state that connections of one broker share. */
export interface BrokerCore {
  readonly options: ResolvedBrokerOptions;
  readonly pool: BufferPool;
  readonly router: Router;
  readonly mesh: Mesh;
  readonly backpressure: Backpressure;
  readonly counters: BrokerCounters;
  /** Called when the connection has ended. */
  forget(connection: Connection): void;
}

/** Counts since the broker started. */
export interface BrokerCounters {
  messagesIn: number;
  messagesOut: number;
  pings: number;
}
