// SPDX-License-Identifier: MIT
/** Example broker: the host of several executors, which are threads of their own. */

import { expect, test } from 'vitest';
import { RawClient } from '../test/e2e/raw-client.ts';
import { drain } from '../test/pool-expectations.ts';
import { buildPrograms } from '../test/program.ts';
import { BrokerGroup } from './broker-group.ts';

const MODULE = new URL('../build/broker/broker.worker.js', import.meta.url);

test('orders are carried out however full the pool is', async () => {
  buildPrograms();
  const options = { port: 0, poolBytes: 1 << 20 };
  const broker = await BrokerGroup.start(options, { executors: 2, module: MODULE });
  const client = await RawClient.connect(broker.port);
  await client.converse('SUB a 1\r\n');
  const { pool } = broker;
  const held = drain(pool);
  expect(await broker.stats()).toMatchObject({ connections: 1, subscriptions: 1 });
  const drained = broker.drain();
  await client.closed;
  for (const bufferId of held) pool.release(bufferId);
  await drained;
  await broker.closed;
  expect(await broker.stats()).toMatchObject({ connections: 0, slowConsumers: 0 });
});
