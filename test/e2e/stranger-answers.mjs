// SPDX-License-Identifier: MIT
/**
 * End to end: another such program; replies to words in capitals, collects letters and says when it
 * has all.
 */
import { connect } from '@nats-io/transport-node';

const [servers] = process.argv.slice(2);
const nc = await connect({ servers });
nc.subscribe('capitals', {
  callback: (_error, message) => message.respond(message.string().toUpperCase()),
});
const letters = nc.subscribe('letters.>');
await nc.flush();
console.log('ready');
let inOrder = 0;
for await (const message of letters) {
  if (message.subject === 'letters.end') break;
  if (message.subject === `letters.${inOrder}` && message.string() === `${inOrder}`) inOrder++;
}
nc.publish('finished', `${inOrder} letters in order`);
await nc.drain();
