// SPDX-License-Identifier: MIT
/** The receiving ends of a flow: connections that compare every chunk with the published bytes. */

import { Connection, type Target } from './connection.ts';
import { DeliveryCheck } from './delivery-check.ts';
import { deliveredBlock, SUBSCRIPTION, subjectOf } from './message-block.ts';
import { BLOCK_MESSAGES, type FlowScenario, type LoadTask, subscriberPlace } from './scenario.ts';
import { sharedNowMs } from './shared-clock.ts';

/** Connects all subscribers of the scenario in this thread. */
export async function prepareSubscribers(
  target: Target,
  scenario: FlowScenario,
): Promise<LoadTask> {
  const { publishers, subscribers, payloadBytes, messages } = scenario;
  const subjects = Array.from({ length: subscribers }, (_, i) =>
    subjectOf(publishers === 1 ? 0 : i),
  );
  const connections = await Promise.all(
    subjects.map((subject, i) =>
      Connection.openAt(target, subscriberPlace(i), `SUB ${subject} ${SUBSCRIPTION}\r\n`),
    ),
  );
  const blocks = subjects.map((subject) => deliveredBlock(subject, BLOCK_MESSAGES, payloadBytes));
  const repeats = messages / BLOCK_MESSAGES;
  const beganMs = sharedNowMs();
  // Listening begins here, not in `run`: the publisher may be told to go before this thread is.
  const received = Promise.all(
    connections.map((connection, i) =>
      receiveAll(connection, blocks[i], blocks[i].length * repeats),
    ),
  );
  received.catch(() => {});
  return {
    port: target.port,
    async run() {
      const endsMs = await received;
      await Promise.all(connections.map((connection) => connection.settle()));
      for (const connection of connections) connection.close();
      return { beganMs, endedMs: Math.max(...endsMs), latenciesUs: [] };
    },
  };
}

/** Resolves to the time at which the last byte arrived. */
function receiveAll(connection: Connection, block: Buffer, expectedBytes: number): Promise<number> {
  const check = new DeliveryCheck(block, BLOCK_MESSAGES);
  let answeredPings = 0;
  return new Promise((resolve, reject) => {
    connection.listen((bytes, size) => {
      check.take(bytes, 0, size);
      for (; answeredPings < check.pings; answeredPings++) connection.answerPing();
      if (check.messageBytes === expectedBytes) resolve(sharedNowMs());
      if (check.messageBytes > expectedBytes) throw new Error('more arrived than was published');
    }, reject);
  });
}
