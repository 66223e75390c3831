// SPDX-License-Identifier: MIT
/** Example broker: a subscription's id as words. */

import { expect, test } from 'vitest';
import { Subscription } from './subscription.ts';

const bytesOf = (text: string): Uint8Array => new TextEncoder().encode(text);

test('a subscription keeps its id as the bytes that stand in a message line', () => {
  const short = new Subscription('x', bytesOf('a'), '', '12');
  expect(new TextDecoder().decode(short.sidAndSpace)).toBe('12 ');
  expect([short.sidWordCount, short.sidLow]).toEqual([1, 0x203231]);
  const middle = new Subscription('x', bytesOf('a'), '', '12345');
  expect([middle.sidWordCount, middle.sidLow, middle.sidHigh]).toEqual([2, 0x34333231, 0x2035]);
  expect(new Subscription('x', bytesOf('a'), '', '1234567').sidWordCount).toBe(2);
  expect(new Subscription('x', bytesOf('a'), '', '12345678').sidWordCount).toBe(0);
});
