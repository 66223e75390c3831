// SPDX-License-Identifier: MIT
/**
 * End to end: starts a broker for a test, on one thread or on several executors, behind one
 * interface.
 */

import { afterAll } from 'vitest';
import { Broker } from '../../broker/broker.ts';
import type { BrokerOptions } from '../../broker/broker-options.ts';
import { buildPrograms } from '../program.ts';
import { BrokerProcess, type StartedBroker } from './broker-process.ts';

export type { StartedBroker };

const PROGRAM = new URL('../../build/test/e2e/broker-under-test.main.js', import.meta.url);

/** On how many executors the broker is tested; 1 is this thread, without a mesh. */
export const EXECUTORS: readonly number[] = [1, 2];

afterAll(() => BrokerProcess.endIdle());

export async function startBroker(
  executors: number,
  options: BrokerOptions = {},
  environment: Record<string, string> = {},
): Promise<StartedBroker> {
  if (executors > 1) {
    buildPrograms();
    const all = { port: 0, ...options };
    if (Object.keys(environment).length > 0)
      return BrokerProcess.start(PROGRAM, executors, all, environment);
    return BrokerProcess.startNext(PROGRAM, executors, all);
  }
  const broker = await Broker.start({ port: 0, ...options });
  return {
    port: broker.port,
    stats: async () => ({ ...broker.stats(), held: broker.pool.stats().held, crashes: 0 }),
    crash: async () => {
      throw new Error('this is no executor');
    },
    drain: () => broker.drain(),
  };
}
