// SPDX-License-Identifier: MIT
/** Example broker: what is written for subscribers, checked against strings put together. */

import { expect, test } from 'vitest';
import { Random } from '../src/base/random.ts';
import { resolveBrokerOptions } from './broker-options.ts';
import { Message } from './message.ts';
import { ProtocolCodec } from './protocol.ts';
import { Subscription } from './subscription.ts';

const memory = new Uint8Array(new SharedArrayBuffer(1 << 15));
const view = new DataView(memory.buffer);
const limits = { maxPayloadBytes: 4096, maxControlLineBytes: 512 };
const FRAME_AT = 1000;
const OUTPUT_AT = 20_000;
/** What must not be overwritten. */
const GUARD = 0xee;

function text(begin: number, end: number): string {
  return Buffer.from(memory.subarray(begin, end)).toString('latin1');
}

/** What a writer, which returns its length, leaves in the space reserved. */
function written(reserved: number, write: (at: number) => number): string {
  memory.fill(GUARD, OUTPUT_AT - 8, OUTPUT_AT + reserved + 8);
  const length = write(OUTPUT_AT);
  const end = OUTPUT_AT + reserved;
  const around = [...memory.subarray(OUTPUT_AT - 8, OUTPUT_AT), ...memory.subarray(end, end + 8)];
  if (around.some((byte) => byte !== GUARD)) throw new Error('wrote beyond what was reserved');
  return text(OUTPUT_AT, OUTPUT_AT + length);
}

test('messages are written as they should be, whatever their parts', () => {
  const seed = Number(process.env.BUSBAR_SEED ?? 3);
  const random = new Random(seed);
  const codec = new ProtocolCodec(view, limits);
  const copy = (to: number, from: number, length: number): void => {
    memory.copyWithin(to, from, from + length);
  };
  const message = new Message({ view, bytes: memory, copy }, codec);
  const some = (max: number): string => 'abcdefghijklmnopqrstuvwxyz'.repeat(8).slice(0, max);
  const space = (): string => (random.chance(0.1) ? ['\t', '  ', ' \t '][random.below(3)] : ' ');
  for (let i = 0; i < 3000; i++) {
    const subject = some(random.between(1, 40));
    const reply = random.chance(0.5) ? some(random.between(1, 40)) : '';
    const hasHeaders = random.chance(0.4);
    const headers = hasHeaders ? `NATS/1.0\r\nA: ${some(random.below(30))}\r\n\r\n` : '';
    const payload = some(random.below(random.chance(0.2) ? 150 : 20));
    const size = headers.length + payload.length;
    const sizes = hasHeaders ? `${headers.length}${space()}${size}` : `${size}`;
    const replyPart = reply === '' ? '' : `${reply}${space()}`;
    const lineEnd = random.chance(0.1) ? '\n' : '\r\n';
    const name = hasHeaders ? 'HPUB' : 'PUB';
    const frame =
      `${name}${space()}${subject}${space()}${replyPart}${sizes}${lineEnd}` +
      `${headers}${payload}\r\n`;
    const about = `seed ${seed}: ${JSON.stringify(frame)}`;
    for (let at = 0; at < frame.length; at++) memory[FRAME_AT + at] = frame.charCodeAt(at);
    expect(codec.measure(memory, FRAME_AT, FRAME_AT + frame.length, 0), about).toBe(frame.length);

    message.set(FRAME_AT, FRAME_AT + frame.length);
    expect(message.isForAll || message.isForHeaders, about).toBe(codec.isCanonical);
    expect(message.isForAll && hasHeaders, about).toBe(false);
    const sid = '12345678901234'.slice(0, random.between(1, 12));
    const subscription = new Subscription(null, Buffer.from(subject), '', sid);
    const head = `${subject} ${sid} ${reply === '' ? '' : `${reply} `}`;
    const plainSizes = hasHeaders ? `${headers.length} ${size}` : `${size}`;
    const parts = (all: boolean): string =>
      written(message.lengthMaxFor(subscription), (at) =>
        message.writePartsTo(at, subscription, all),
      );
    const kind = hasHeaders ? 'HMSG' : 'MSG';
    const expected = `${kind} ${head}${plainSizes}\r\n${headers}${payload}\r\n`;
    expect(parts(true), about).toBe(expected);
    if (codec.isCanonical) {
      const length = message.lengthFor(subscription);
      const whole = written(length, (at) => {
        message.writeTo(at, subscription);
        return length;
      });
      expect(whole, about).toBe(expected);
    }
    expect(parts(false), about).toBe(`MSG ${head}${payload.length}\r\n${payload}\r\n`);
  }
});

test('a line that is put together fits a buffer, however long its parts are', () => {
  const most = { maxPayloadBytes: 64, maxControlLineBytes: 64 };
  const { maxFrameBytes } = resolveBrokerOptions(most);
  const codec = new ProtocolCodec(view, most);
  const message = new Message({ view, bytes: memory, copy: () => {} }, codec);
  const argument = `${'a'.repeat(61)} 64`;
  const frame = `PUB${' '.repeat(64)}${argument}\n${'x'.repeat(64)}\r\n`;
  for (let at = 0; at < frame.length; at++) memory[FRAME_AT + at] = frame.charCodeAt(at);
  expect(codec.measure(memory, FRAME_AT, FRAME_AT + frame.length, 0)).toBe(frame.length);
  message.set(FRAME_AT, FRAME_AT + frame.length);
  // Of a line `SUB a 1…`.
  const subscription = new Subscription(null, Buffer.from('a'), '', '1'.repeat(62));
  const reserved = message.lengthMaxFor(subscription);
  expect(reserved).toBeLessThanOrEqual(maxFrameBytes);
  const said = written(reserved, (at) => message.writePartsTo(at, subscription, false));
  expect(said).toBe(`MSG ${'a'.repeat(61)} ${subscription.sid} 64\r\n${'x'.repeat(64)}\r\n`);
});
