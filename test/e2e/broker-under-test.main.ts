// SPDX-License-Identifier: MIT
/**
 * End to end: the program of a broker on several executors, which a test controls, queries and
 * crashes by messages.
 */

import { BroadcastChannel } from 'node:worker_threads';
import type { BrokerStats } from '../../broker/broker.ts';
import { BrokerGroup } from '../../broker/broker-group.ts';
import type { BrokerOptions } from '../../broker/broker-options.ts';

/** From the test. `id` comes back with the answer. */
export type Order = { readonly id: number } & (
  | { readonly kind: 'start'; readonly executors: number; readonly options: BrokerOptions }
  | { readonly kind: 'stats' }
  | { readonly kind: 'crash'; readonly index: number; readonly how: CrashKind }
  | { readonly kind: 'drain' }
);

/** How an executor is made to end. */
export type CrashKind = 'throw' | 'exit' | 'reject';

/** The host's stats, and what it knows beside. */
export interface GroupStats extends BrokerStats {
  /** Buffers of the pool that are in use, or on their way. */
  readonly held: number;
  /** Executors that have crashed so far. */
  readonly crashes: number;
}

export type Answer = { readonly id: number } & (
  | { readonly kind: 'started'; readonly port: number }
  | { readonly kind: 'stats'; readonly stats: GroupStats }
  | { readonly kind: 'done' }
  | { readonly kind: 'failed'; readonly reason: string }
);

let broker: BrokerGroup | undefined;
let crashes = 0;
const crashing = new BroadcastChannel('crash');
crashing.unref();

process.on('message', (order: Order) => {
  obey(order).then(
    (answer) => process.send?.(answer),
    (error: Error) => process.send?.({ id: order.id, kind: 'failed', reason: error.stack ?? '' }),
  );
});

async function obey(order: Order): Promise<Answer> {
  const { id } = order;
  switch (order.kind) {
    case 'start': {
      const { executors, options } = order;
      const module = new URL('./fragile-broker.worker.js', import.meta.url);
      const onCrash = (): void => void crashes++;
      crashes = 0;
      broker = await BrokerGroup.start(options, { executors, module, onCrash });
      return { id, kind: 'started', port: broker.port };
    }
    case 'stats': {
      if (broker === undefined) throw new Error('not started');
      const stats = await broker.stats();
      const { held } = broker.pool.stats();
      return { id, kind: 'stats', stats: { ...stats, held, crashes } };
    }
    case 'crash':
      crashing.postMessage({ index: order.index, how: order.how });
      return { id, kind: 'done' };
    case 'drain':
      await broker?.drain();
      return { id, kind: 'done' };
  }
}
