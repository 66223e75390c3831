// SPDX-License-Identifier: MIT
/**
 * End to end: a program that knows NATS and nothing of busbar; sends words, expects them back in
 * capitals.
 */
import { connect } from '@nats-io/transport-node';

const [servers, count] = process.argv.slice(2);
const nc = await connect({ servers });
const wrong = [];
const news = nc.subscribe('finished', { max: 1 });
for (let i = 0; i < Number(count); i++) {
  const answer = await nc.request('capitals', `word number ${i}`, { timeout: 30_000 });
  if (answer.string() !== `WORD NUMBER ${i}`) wrong.push(answer.string());
}
for (let i = 0; i < Number(count); i++) nc.publish(`letters.${i}`, `${i}`);
nc.publish('letters.end');
for await (const message of news) console.log(message.string());
console.log(`${count} answers, ${wrong.length} wrong`);
await nc.drain();
