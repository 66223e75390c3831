// SPDX-License-Identifier: MIT
/**
 * The ladder, 3: the same on every core.
 *
 * The idea: each executor of a group is a thread with a bus of its own, and all of them are one
 * bus. Nothing else changes: subscribers and publishers do not know which thread the others are on,
 * and a message is a reference to the bytes that its publisher wrote.
 *
 * This file is the program and the module of its executors.
 *
 *   node 3-every-core.js        ends by itself
 */
import { isMainThread } from 'node:worker_threads';
import { Bus } from 'busbar/bus';
import { type ExecutorContext, ExecutorGroup } from 'busbar/executor';
import { BufferPool } from 'busbar/pool';

const NUMBERS = 200;

/** Each executor runs this: a worker that looks for divisors. */
export function run(context: ExecutorContext): void {
  const bus = Bus.join(context);
  bus.subscribe('is-prime', { queue: 'workers' }, async (message) => {
    const answer = isPrime(Number(message.text())) ? 'yes' : 'no';
    await message.respond(`${answer} ${context.index}`);
  });
}

function isPrime(number: number): boolean {
  for (let divisor = 2; divisor * divisor <= number; divisor++) {
    if (number % divisor === 0) return false;
  }
  return number > 1;
}

async function main(): Promise<void> {
  const pool = BufferPool.create({ bufferSize: 4096, bufferCount: 512 });
  const group = await ExecutorGroup.start({ pool, module: new URL(import.meta.url), count: 3 });
  const bus = Bus.join(group);
  let primes = 0;
  const work: Map<string, number> = new Map();
  const ask = async (number: number): Promise<void> => {
    const reply = await bus.request('is-prime', String(number), { timeoutMs: 10_000 });
    const [answer, worker = ''] = reply.text().split(' ');
    reply.release();
    if (answer === 'yes') primes++;
    work.set(worker, (work.get(worker) ?? 0) + 1);
  };
  await Promise.all(Array.from({ length: NUMBERS }, (_, i) => ask(1_000_000 + i)));
  console.log(`${primes} primes from 1 000 000 on, by ${work.size} executors`);
  await bus.drain();
  await group.stop();
}

if (isMainThread) await main();
