// SPDX-License-Identifier: MIT
/** Example broker: what connections of one broker share. */

import type { BufferId, BufferPool } from 'busbar/pool';
import type { Backpressure, Waiter } from './backpressure.ts';
import type { ResolvedBrokerOptions } from './broker-options.ts';
import type { Connection } from './connection.ts';
import type { Mesh } from './mesh.ts';
import type { Router } from './router.ts';

/** What connections of one broker share. */
export interface BrokerCore {
  readonly options: ResolvedBrokerOptions;
  readonly pool: BufferPool;
  readonly router: Router<Connection>;
  readonly mesh: Mesh<Connection>;
  readonly backpressure: Backpressure;
  readonly counters: BrokerCounters;
  /** A buffer for a message that is written anew. NO_BUFFER: not now; `waiter` is to be blocked. */
  tryTakeCopy(waiter: Waiter): BufferId;
  releaseCopy(bufferId: BufferId): void;
  /** The connection is gone. */
  forget(connection: Connection): void;
}

/** Since the broker started. */
export interface BrokerCounters {
  messagesIn: number;
  messagesOut: number;
  pings: number;
}
