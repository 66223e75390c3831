// SPDX-License-Identifier: MIT
/**
 * End to end: clients that have left before the broker accepts them, or while their bytes wait to
 * be read, are forgotten within a bounded number of turns of its event loop.
 */

import { once } from 'node:events';
import { connect, type Socket } from 'node:net';
import { expect, test } from 'vitest';
import { Broker } from '../../broker/broker.ts';
import { RawClient } from './raw-client.ts';

const CLIENTS = 300;
/** All that came before the last client is accepted; until it is read and closed takes some. */
const TURNS_MAX = 100;

const nextTurn = (): Promise<void> => new Promise((resolve) => setImmediate(resolve));

/** Connects after them, and waits until the broker has no other client. */
async function untilForgotten(broker: Broker): Promise<void> {
  const last = await RawClient.connect(broker.port);
  for (let turns = 0; broker.stats().connections > 1; turns++) {
    expect(turns, `${broker.stats().connections} connections`).toBeLessThan(TURNS_MAX);
    await nextTurn();
  }
  last.destroy();
  await broker.drain();
  expect(broker.stats()).toMatchObject({ connections: 0, subscriptions: 0 });
}

/** All of them are connected before the broker has accepted many. */
async function strangers(port: number): Promise<Socket[]> {
  const sockets: Socket[] = [];
  for (let i = 0; i < CLIENTS; i++) sockets.push(connect(port, '127.0.0.1').on('error', () => {}));
  await Promise.all(sockets.map((socket) => once(socket, 'connect')));
  return sockets;
}

const LEAVING: Record<string, (socket: Socket) => void> = {
  'by an end': (socket) => void socket.destroy(),
  'by a reset': (socket) => void socket.resetAndDestroy(),
  'within a frame': (socket) =>
    void socket.write('SUB a 1\r\nPUB a 50000\r\nxxx', () => socket.destroy()),
  'with much to be read': (socket) =>
    void socket.write('PUB a 1\r\nx\r\n'.repeat(10_000), () => socket.resetAndDestroy()),
};

test.each(Object.entries(LEAVING))('clients that leave %s', async (_how, leave) => {
  const broker = await Broker.start({ port: 0 });
  const sockets = await strangers(broker.port);
  const closed = Promise.all(sockets.map((socket) => once(socket, 'close')));
  for (const socket of sockets) leave(socket);
  await closed;
  await untilForgotten(broker);
});

test('clients that leave with output waiting for them', async () => {
  const broker = await Broker.start({ port: 0 });
  const sleeper = await RawClient.connect(broker.port);
  await sleeper.converse('SUB a 1\r\n');
  sleeper.socket.pause();
  const publisher = await RawClient.connect(broker.port);
  const payload = 'x'.repeat(50_000);
  await publisher.converse(`PUB a ${payload.length}\r\n${payload}\r\n`.repeat(200));
  expect(broker.pool.stats().held).toBeGreaterThan(0);
  sleeper.destroy();
  publisher.destroy();
  await Promise.all([sleeper.closed, publisher.closed]);
  await untilForgotten(broker);
});
