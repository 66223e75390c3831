// SPDX-License-Identifier: MIT
/** Example broker: the host of several executors, which are threads of their own. */

import { Exporter, Monitor } from 'busbar/metrics';
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

test('an exporter of the host shows clients, writers and messages of each executor', async () => {
  buildPrograms();
  const options = { port: 0, poolBytes: 1 << 20 };
  const broker = await BrokerGroup.start(options, { executors: 2, module: MODULE });
  const monitor = new Monitor();
  broker.watch(monitor);
  const exporter = await Exporter.listen(monitor, { port: 0, token: '' });
  const scrape = async (): Promise<string> =>
    await (await fetch(new URL('/metrics', exporter.url))).text();
  // The kernel chooses the executor; which one it was, the id says.
  const clients: RawClient[][] = [[], []];
  while (clients.some(({ length }) => length === 0)) {
    const client = await RawClient.connect(broker.port);
    clients[Number(client.info.client_id) % 2]?.push(client);
  }
  for (const [index, each] of clients.entries()) {
    for (const client of each) await client.converse('SUB a 1\r\nPUB b 1\r\nx\r\n');
    const count = each.length;
    const lines = [
      `busbar_server_links{busbar_server_name="broker-${index}/clients"} ${count}`,
      `busbar_server_accepted_total{busbar_server_name="broker-${index}/clients"} ${count}`,
      `busbar_server_queue_size_bytes{busbar_server_name="broker-${index}/clients"} 0`,
      `busbar_flusher_writers{busbar_flusher_name="broker-${index}/writers"} ${count}`,
      `busbar_broker_messages_in_total{busbar_broker_name="broker-${index}/broker"} ${count}`,
      `busbar_broker_subscriptions{busbar_broker_name="broker-${index}/broker"} ${count}`,
    ];
    for (const line of lines) await expect.poll(scrape).toContain(`${line}\n`);
    const bytes = `busbar_server_io_bytes_total{busbar_server_name="broker-${index}/clients"`;
    expect(await scrape()).toMatch(new RegExp(`^${bytes}.*transmit"} [1-9]`, 'm'));
  }
  expect(monitor.health()).toEqual({ live: true, ready: true, reasons: [] });
  await exporter.close();
  await broker.drain();
  await broker.closed;
});
