// SPDX-License-Identifier: MIT
/**
 * Soak: other clients of the broker: the official one, some that come and go, and one that does not
 * read.
 */

import { Random } from '../../src/base/random.ts';
import { BrokerVisitor } from './broker-visitor.ts';
import { ChurnLoop } from './churn-loop.ts';
import { OfficialClients } from './official-clients.ts';
import type { Part, PartOptions } from './part.ts';
import { SlowConsumer } from './slow-consumer.ts';
import { Tally } from './tally.ts';

const VISITORS = 3;

export async function makeGuests({ ports, seed }: PartOptions): Promise<Part> {
  const [port] = ports;
  const random = new Random(seed);
  const requests = new Tally('official request');
  const flow = new Tally('official flow');
  const churn = new Tally('broker churn');
  const cutOffs = new Tally('slow consumer');
  const official = new OfficialClients(port, requests, flow);
  const slow = new SlowConsumer(port, cutOffs, new Random(random.next()));
  const loops = Array.from({ length: VISITORS }, (_, i) => {
    const visitor = new BrokerVisitor(port, i, churn, new Random(random.next()));
    return new ChurnLoop(() => visitor.visit(), churn);
  });
  loops.push(new ChurnLoop(() => slow.visit(), cutOffs));
  return {
    ports: [],
    tallies: [requests, flow, churn, cutOffs],
    async go() {
      await official.start();
      await slow.startPublisher();
      for (const loop of loops) loop.start();
    },
    async stop() {
      slow.hurry();
      await Promise.all([official.finish(), ...loops.map((loop) => loop.stop())]);
      slow.stopPublisher();
    },
    async close() {},
  };
}
