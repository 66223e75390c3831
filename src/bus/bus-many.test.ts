// SPDX-License-Identifier: MIT
/** A bus with 10⁵ subscriptions, beside an obvious matcher; and random programs. */

import { expect, test } from 'vitest';
import { Random } from '../base/random.ts';
import { Packet } from '../packet/index.ts';
import { BufferPool } from '../pool/index.ts';
import { Bus } from './bus.ts';
import type { BusSubscription } from './bus-subscription.ts';

const SEED = Number(process.env.BUSBAR_SEED ?? 16);

/** Token by token, as one would write it first. */
function reaches(pattern: readonly string[], subject: readonly string[]): boolean {
  for (let i = 0; i < pattern.length; i++) {
    if (pattern[i] === '>') return subject.length > i;
    if (i >= subject.length) return false;
    if (pattern[i] !== '*' && pattern[i] !== subject[i]) return false;
  }
  return pattern.length === subject.length;
}

function randomTokens(random: Random, wildcards: boolean): string[] {
  const count = 1 + random.below(5);
  const tokens = Array.from({ length: count }, () => {
    if (wildcards && random.below(5) === 0) return '*';
    return String.fromCharCode(97 + random.below(12)).repeat(1 + random.below(3));
  });
  if (wildcards && random.below(6) === 0) tokens.push('>');
  return tokens;
}

test(`10⁵ subscriptions get what an obvious matcher says (seed ${SEED})`, () => {
  const random = new Random(SEED);
  const pool = BufferPool.create({ bufferSize: 4096, bufferCount: 8 });
  const bus = new Bus(pool);
  const patterns = Array.from({ length: 100_000 }, () => randomTokens(random, true));
  const got = new Int32Array(patterns.length);
  for (const [i, tokens] of patterns.entries()) {
    bus.subscribe(tokens.join('.'), () => void got[i]++);
  }
  const wanted = new Int32Array(patterns.length);
  for (let round = 0; round < 40; round++) {
    const subject = randomTokens(random, false);
    for (const [i, tokens] of patterns.entries()) if (reaches(tokens, subject)) wanted[i]++;
    expect(bus.tryPublish(subject.join('.'), '')).toBe(true);
  }
  expect(Buffer.compare(Buffer.from(got.buffer), Buffer.from(wanted.buffer))).toBe(0);
  bus.close();
  expect(pool.close().heldByThreads).toBe(0);
});

/** What one subscription of a random program must see. */
interface Reader {
  readonly subscription: BusSubscription;
  readonly pattern: readonly string[];
  readonly seen: number[];
  readonly wanted: number[];
}

test(`random programs lose no message and no buffer (seed ${SEED})`, async () => {
  for (let program = 0; program < 40; program++) {
    const random = new Random(SEED * 1000 + program);
    const pool = BufferPool.create({ bufferSize: 64, bufferCount: 12 });
    const bus = new Bus(pool, { backlogMax: 8 });
    const readers: Reader[] = [];
    const read = (message: { text(): string }, seen: number[]): void => {
      seen.push(Number(message.text()));
    };
    for (let i = 0; i < 5; i++) {
      const pattern = random.below(2) === 0 ? ['a'] : ['>'];
      const seen: number[] = [];
      const limit = { messages: 1 + random.below(4) };
      const kind = random.below(3);
      const subscription =
        kind === 0
          ? bus.subscribe(pattern.join('.'), (message) => read(message, seen))
          : kind === 1
            ? bus.subscribe(pattern.join('.'), { limit }, async (message) => {
                await Promise.resolve();
                read(message, seen);
              })
            : bus.subscribe(pattern.join('.'), { limit });
      if (kind === 2) void loop(subscription, seen);
      readers.push({ subscription, pattern, seen, wanted: [] });
    }
    const publishes: Promise<void>[] = [];
    for (let n = 0; n < 60; n++) {
      const subject = random.below(2) === 0 ? 'a' : 'b';
      for (const { pattern, wanted } of readers) if (reaches(pattern, [subject])) wanted.push(n);
      const packet =
        random.below(3) === 0 ? Packet.tryFrom(pool, Buffer.from(String(n))) : undefined;
      publishes.push(bus.publish(subject, packet ?? String(n)));
      // A publisher that does not wait keeps the order for each subject only.
      await publishes.at(-1);
    }
    await Promise.all(publishes);
    await bus.drain();
    for (const { seen, wanted, subscription } of readers) {
      expect(seen, `seed ${SEED}, program ${program}`).toEqual(wanted);
      expect(subscription.held).toBe(0);
    }
    expect(pool.close()).toMatchObject({ heldByThreads: 0, inTransit: 0 });
  }
});

async function loop(subscription: BusSubscription, seen: number[]): Promise<void> {
  for await (const message of subscription) {
    seen.push(Number(message.text()));
    await Promise.resolve();
  }
}
