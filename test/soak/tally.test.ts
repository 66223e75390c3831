// SPDX-License-Identifier: MIT
import { expect, test } from 'vitest';
import { sharedNowMs } from '../../bench/broker/shared-clock.ts';
import { lengthOf, MessageMemory } from './message.ts';
import { Sequence, Tally } from './tally.ts';

const STREAM = 3;
const LONG = 255;

function memoryWith(number: number, stream = STREAM): MessageMemory {
  const memory = new MessageMemory(new Uint8Array(new SharedArrayBuffer(lengthOf(number) + 8)));
  memory.write(8, stream, number, sharedNowMs());
  return memory;
}

/** Takes messages with these numbers; the tally tells what it thinks of them. */
function take(numbers: readonly number[], how: 'take' | 'takeDatagram' = 'take'): Tally {
  const tally = new Tally('test');
  const memory = new MessageMemory(new Uint8Array(lengthOf(LONG)));
  const sequence = new Sequence(tally, memory, STREAM);
  for (const number of numbers) {
    memory.write(0, STREAM, number, sharedNowMs());
    sequence[how](0, lengthOf(number));
  }
  return tally;
}

test('a message is right, and with any one bit changed it is not', () => {
  for (const number of [0, 1, 2, 3, 1_000_000, LONG]) {
    const memory = memoryWith(number);
    const length = lengthOf(number);
    expect(memory.isRight(8, length)).toBe(true);
    expect(memory.isRight(8, length - 1)).toBe(false);
    const step = length > 1000 ? 97 : 1;
    for (let at = 8; at < 8 + length; at += step) {
      memory.bytes[at] ^= 1 << (at % 8);
      expect(memory.isRight(8, length), `${number}, byte ${at - 8}`).toBe(false);
      memory.bytes[at] ^= 1 << (at % 8);
    }
  }
});

test('what is missing, comes twice, out of order or from elsewhere is wrong', () => {
  expect(take([0, 1, 2, 3]).wrong).toBe(0);
  expect(take([0, 1, 3, 4]).complaint).toBe('stream 3: 3 came instead of 2');
  expect(take([0, 1, 1]).wrong).toBe(1);
  expect(take([0, 2, 1, 3]).wrong).toBe(3);
  const tally = new Tally('test');
  const memory = memoryWith(0, STREAM + 1);
  new Sequence(tally, memory, STREAM).take(8, lengthOf(0));
  expect(tally.complaint).toMatch(/altered/);
});

test('datagrams that do not come are counted, and those that come late are not lost', () => {
  const lost = take([0, 1, 5, 6], 'takeDatagram');
  expect([lost.messages, lost.lost, lost.wrong]).toEqual([4, 3, 0]);
  const late = take([0, 2, 1, 3], 'takeDatagram');
  expect([late.messages, late.lost, late.wrong]).toEqual([4, 0, 0]);
});

test('a minute has what came since the last one, with latencies in microseconds', () => {
  const tally = take(Array.from({ length: 32 }, (_, number) => number));
  tally.time(sharedNowMs() - 250);
  const first = tally.takeMinute();
  expect(first.messages).toBe(32);
  expect(first.latencyUs?.max).toBeGreaterThan(240_000);
  expect(first.latencyUs?.p50).toBeLessThanOrEqual(first.latencyUs?.max ?? 0);
  expect(tally.takeMinute()).toEqual({ messages: 0, lost: 0, wrong: 0 });
});
