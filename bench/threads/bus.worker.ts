// SPDX-License-Identifier: MIT
/** The module of the executors in the bus cases: 0 publishes, 1 reads a byte of each message. */

import { Bus } from 'busbar/bus';
import type { ExecutorContext } from 'busbar/executor';

const SUBJECT = 'orders.eu.paid';
const PAYLOAD_BYTES = 64;

export function run(context: ExecutorContext): void {
  const bus = Bus.join(context);
  if (context.index === 0) {
    const payload = new Uint8Array(PAYLOAD_BYTES).fill(7);
    bus.subscribe('publish', async (message) => {
      const count = Number(message.text());
      for (let i = 0; i < count; i++) {
        payload[0] = i;
        if (!bus.tryPublish(SUBJECT, payload)) await bus.publish(SUBJECT, payload);
      }
      // All of them are handled then.
      await bus.flush();
      await message.respond('done');
    });
    return;
  }
  let sum = 0;
  const { bytes } = context.pool;
  bus.subscribe(SUBJECT, (message) => {
    sum += bytes[message.offset];
  });
  bus.subscribe('sum', (message) => {
    message.tryRespond(String(sum));
    sum = 0;
  });
}
