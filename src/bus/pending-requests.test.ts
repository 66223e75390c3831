// SPDX-License-Identifier: MIT
import { expect, test } from 'vitest';
import { BufferPool } from '../pool/index.ts';
import { Bus } from './index.ts';

test('only its reply subject replies to a request, not what ends with its number', async () => {
  const bus = new Bus(BufferPool.create({ bufferSize: 256, bufferCount: 8 }));
  const replies: string[] = [];
  const others: string[] = [];
  bus.subscribe('ask', (message) => {
    replies.push(message.reply ?? '');
  });
  bus.subscribe('other.>', (message) => {
    others.push(message.subject);
  });
  for (let asked = 0; asked < 12; asked++) {
    const answer = bus.request('ask', 'x');
    const reply = replies[asked];
    const number = Number(/\d+$/.exec(reply)?.[0]);
    const like = [`other.${number}`, `other.0${number}`, `other.${reply}`, 'other.', 'other'];
    const long = `other.${'9'.repeat(60)}`;
    for (const subject of [like[0], like[1], like[2], long]) bus.tryPublish(subject, 'y');
    expect(others.splice(0)).toEqual([like[0], like[1], like[2], long]);
    for (const subject of [like[3], 7, null, { length: 3 }] as string[]) {
      expect(() => bus.tryPublish(subject, 'y')).toThrow();
    }
    expect([bus.tryPublish(like[4], 'y'), bus.stats().requests]).toEqual([true, 1]);
    expect([bus.tryPublish(reply, `${asked}`), bus.stats().requests]).toEqual([true, 0]);
    using message = await answer;
    expect(message.text()).toBe(`${asked}`);
  }
  bus.close();
});
