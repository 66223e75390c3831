// SPDX-License-Identifier: MIT
/** A reply goes to the requester, also from a bus that does not know all its peers yet. */

import { afterEach, beforeEach, expect, test } from 'vitest';
import type { Bus } from '../../../src/bus/bus.ts';
import { BufferPool } from '../../../src/pool/index.ts';
import { turn } from '../../turns.ts';
import { PeerNetwork } from './network.ts';

let pool: BufferPool;
let network: PeerNetwork;
let server: Bus;
let client: Bus;

/** Bus 1 tells bus 0 nothing yet; bus 2 knows both. */
beforeEach(() => {
  pool = BufferPool.create({ bufferSize: 4096, bufferCount: 64, maxThreads: 1 });
  network = new PeerNetwork(pool, 3);
  server = network.start(0);
  network.start(1);
  client = network.start(2);
});

afterEach(() => {
  network.end();
  expect(pool.close().heldByThreads).toBe(0);
});

/** Delivers all but what bus 1 sends to bus 0. */
function settleOthers(): void {
  let isMoving = true;
  while (isMoving) {
    network.flush();
    isMoving = false;
    for (const [from, to] of [
      [0, 1],
      [0, 2],
      [1, 2],
      [2, 0],
      [2, 1],
    ] as const) {
      while (network.deliver(from, to)) isMoving = true;
    }
  }
}

test('who has asked gets the reply although another peer has told nothing yet', async () => {
  const sent: boolean[] = [];
  server.subscribe('square', { queue: 'workers' }, (message) => {
    sent.push(message.tryRespond(String(Number(message.text()) ** 2)));
  });
  settleOthers();
  const answer = client.request('square', '12');
  settleOthers();
  expect(sent).toEqual([true]);
  using square = await answer;
  expect(square.text()).toBe('144');
});

test('everything else waits until all have told what they want', async () => {
  settleOthers();
  client.subscribe('news', () => {});
  settleOthers();
  const inbox = '_INBOX.1-1.1';
  client.subscribe('_INBOX.>', () => {});
  settleOthers();
  expect(server.tryPublish('news', 'early')).toBe(false);
  expect(server.tryPublish(inbox, 'to bus 1, whose inbox is unknown')).toBe(false);
  const waiting = server.publish('news', 'later');
  await turn();
  expect(server.stats().waiting).toBe(1);
  network.settle();
  await waiting;
  expect(server.tryPublish(inbox, 'known')).toBe(true);
});
