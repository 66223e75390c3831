// SPDX-License-Identifier: MIT
/** Example broker: the state that connections of one broker share. */

import type { Backpressure } from 'busbar/bus';
import type { BufferPool } from 'busbar/pool';
import type { ResolvedBrokerOptions } from './broker-options.ts';
import type { Connection } from './connection.ts';
import type { Mesh, Router } from './matches.ts';

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
