// SPDX-License-Identifier: MIT
/** Proves that the check of the load generator notices every error. */

import { expect, test } from 'vitest';
import { Random } from '../../src/base/random.ts';
import { DeliveryCheck } from './delivery-check.ts';
import { deliveredBlock } from './message-block.ts';

const COUNT = 7;
const block = deliveredBlock('bench', COUNT, 16);
const messageSize = block.length / COUNT;

test('messages and pings in any chunking are counted exactly', () => {
  const random = new Random(1);
  for (let round = 0; round < 500; round++) {
    const parts: Buffer[] = [];
    let pings = 0;
    const messages = 1 + random.below(40);
    for (let i = 0; i < messages; i++) {
      for (; random.chance(0.2); pings++) parts.push(Buffer.from('PING\r\n'));
      const begin = (i % COUNT) * messageSize;
      parts.push(block.subarray(begin, begin + messageSize));
    }
    const stream = Buffer.concat(parts);
    const check = new DeliveryCheck(block, COUNT);
    for (let begin = 0; begin < stream.length; ) {
      const end = Math.min(stream.length, begin + 1 + random.below(90));
      check.take(stream, begin, end);
      begin = end;
    }
    expect(check.messageBytes).toBe(messages * messageSize);
    expect(check.pings).toBe(pings);
  }
});

test('a wrong byte, a missing message and an error line are noticed', () => {
  const wrong = Buffer.from(block);
  wrong[messageSize + 20] ^= 1;
  expect(() => new DeliveryCheck(block, COUNT).take(wrong, 0, wrong.length)).toThrow(/is wrong/);
  const gap = Buffer.concat([block.subarray(0, messageSize), block.subarray(2 * messageSize)]);
  expect(() => new DeliveryCheck(block, COUNT).take(gap, 0, gap.length)).toThrow(/is wrong/);
  const error = Buffer.from("-ERR 'Slow Consumer'\r\n");
  expect(() => new DeliveryCheck(block, COUNT).take(error, 0, error.length)).toThrow(/is wrong/);
  const pong = Buffer.from('PONG\r\n');
  expect(() => new DeliveryCheck(block, COUNT).take(pong, 0, pong.length)).toThrow(/PING/);
});
