// SPDX-License-Identifier: MIT
/**
 * The ladder, 2: publish and subscribe, on one thread.
 *
 * The idea: parts of a program that do not know each other meet at subjects. A subscriber says what
 * it wants by wildcards, and what it may hold; a queue group shares work; a request gets a reply.
 *
 *   node 2-publish-subscribe.js        ends by itself
 */
import { Bus } from 'busbar/bus';
import { BufferPool } from 'busbar/pool';

const bus = new Bus(BufferPool.create({ bufferSize: 4096, bufferCount: 64 }));

// A handler that returns at once borrows the message: no copy, no object.
let paid = 0;
bus.subscribe('order.*.paid', (message) => {
  paid += Number(message.text());
});

// One that takes its time has a queue. If that is full, its publishers wait: here, after four.
bus.subscribe('order.>', { limit: { messages: 4 } }, async (message) => {
  await new Promise((resolve) => setImmediate(resolve));
  console.log(`${message.subject}: ${message.text()}`);
});

// Of the two workers one gets each request.
for (const name of ['Ann', 'Bob']) {
  bus.subscribe('invoice', { queue: 'clerks' }, (message) => {
    message.tryRespond(`${name} writes an invoice for ${message.text()}`);
  });
}

for (const [country, amount] of Object.entries({ de: 20, fr: 30, pl: 50 })) {
  await bus.publish(`order.${country}.new`, `${amount} euros`);
  await bus.publish(`order.${country}.paid`, String(amount));
  const invoice = await bus.request('invoice', country, { timeoutMs: 1000 });
  console.log(invoice.text());
  invoice.release();
}

// Everything that waits is handled; then the bus is closed.
await bus.drain();
console.log(`${paid} euros were paid`);
