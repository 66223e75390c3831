// SPDX-License-Identifier: MIT
/** Example broker: what the codec reads out of lines, whole and in pieces. */

import { expect, test } from 'vitest';
import { Random } from '../src/base/random.ts';
import { hashSubject } from '../src/bus/subject.ts';
import * as protocol from './protocol.ts';
import { ProtocolCodec } from './protocol.ts';

const memory = new Uint8Array(1 << 14);
const view = new DataView(memory.buffer);
const limits = { maxPayloadBytes: 1000, maxControlLineBytes: 128 };

function newCodec(): ProtocolCodec {
  return new ProtocolCodec(view, limits);
}

/** Puts the text somewhere in memory, surrounded by things that must not be read as part of it. */
function place(text: string, begin: number): number {
  memory.fill(0x39, begin - 8, begin + text.length + 8);
  for (let i = 0; i < text.length; i++) memory[begin + i] = text.charCodeAt(i);
  return begin + text.length;
}

const OP_NAMES = Object.entries(protocol)
  .filter(([name]) => name.startsWith('OP_'))
  .reduce<string[]>((names, [name, op]) => {
    names[Number(op)] = name.slice(3);
    return names;
  }, []);

/** What the codec says about the text, as one line. */
function read(text: string, codec: ProtocolCodec = newCodec(), begin: number = 64): string {
  const end = place(text, begin);
  const length = codec.measure(memory, begin, end, 0);
  return length === 0 ? 'more' : `${length} ${describe(codec, text)}`;
}

function describe(codec: ProtocolCodec, text: string): string {
  const cut = (from: number, to: number): string => text.slice(from, to);
  const subject = cut(codec.subjectBegin, codec.subjectEnd);
  const sid = cut(codec.sidBegin, codec.sidEnd);
  const argument = cut(codec.argumentBegin, codec.argumentEnd);
  switch (codec.op) {
    case protocol.OP_PUB:
    case protocol.OP_HPUB: {
      const reply = cut(codec.replyBegin, codec.replyEnd);
      const sizes = `${codec.headerLength}/${codec.payloadLength} at ${codec.payloadBegin}`;
      const odd = codec.isCanonical ? '' : ' odd';
      return `${OP_NAMES[codec.op]} ${subject} ${reply === '' ? '-' : reply} ${sizes}${odd}`;
    }
    case protocol.OP_SUB:
      return `SUB ${subject} ${argument === '' ? '-' : argument} ${sid}`;
    case protocol.OP_UNSUB:
      return `UNSUB ${sid} ${codec.countMax}`;
    case protocol.OP_CONNECT:
      return `CONNECT ${JSON.stringify(argument)}`;
    case protocol.OP_BROKEN:
      return `BROKEN ${codec.error}`;
    default:
      return OP_NAMES[codec.op];
  }
}

test('every operation is read, in every way of writing it that nats-server accepts', () => {
  const lines: [string, string][] = [
    ['PUB a 2\r\nhi\r\n', '13 PUB a - 0/2 at 9'],
    ['PUB a.b _INBOX.1 0\r\n\r\n', '22 PUB a.b _INBOX.1 0/0 at 20'],
    ['PUB a 5 2\r\nhi\r\n', '15 PUB a 5 0/2 at 11'],
    ['PUB a 002\r\nhi\r\n', '15 PUB a - 0/2 at 11'],
    ['PUB a 2\nhi\r\n', '12 PUB a - 0/2 at 8 odd'],
    ['PUB \t a\t 2 \r\nhi\r\n', '17 PUB a - 0/2 at 13 odd'],
    ['PUB\ta\t2\r\nhi\r\n', '13 PUB a - 0/2 at 9 odd'],
    ['PUB a b\r2\r\nhi\r\n', '15 PUB a b 0/2 at 11 odd'],
    ['pub a 2\r\nhi\r\n', '13 PUB a - 0/2 at 9'],
    ['PUB  a 2\r\nhi\r\n', '14 PUB a - 0/2 at 10 odd'],
    ['HPUB a 12 14\r\nNATS/1.0\r\n\r\nhi\r\n', '30 HPUB a - 12/14 at 14'],
    ['hpub a r 12 12\r\nNATS/1.0\r\n\r\n\r\n', '30 HPUB a r 12/12 at 16'],
    ['SUB a.* 1\r\n', '11 SUB a.* - 1'],
    ['sub\ta.>  workers\t7 \r\n', '21 SUB a.> workers 7'],
    ['SUB a\r 1\r\n', '10 SUB a - 1'],
    ['UNSUB 1\r\n', '9 UNSUB 1 0'],
    ['unsub 1 12\n', '11 UNSUB 1 12'],
    ['UNSUB 1 x\r\n', '11 UNSUB 1 0'],
    ['PING\r\n', '6 PING'],
    ['ping\n', '5 PING'],
    ['PING and more\r\n', '15 PING'],
    ['PONG\r\n', '6 PONG'],
    ['CONNECT {"a":1}\r\n', '17 CONNECT "{\\"a\\":1}"'],
    ['connect\t{}\n', '11 CONNECT "{}"'],
    ['CONNECT{}\r\n', '11 CONNECT "{}"'],
    ['CONNECT\n{}\r\n', '12 CONNECT "\\n{}"'],
    ['INFO {}\r\n', '9 INFO'],
    ['+OKAY\r\n', '7 IGNORED'],
    ['SUB \na 1\n', '9 SUB a - 1'],
    ['SUB a\r 12\n', '10 SUB a - 1'],
    ['UNSUB 1 999999999\r\n', '19 UNSUB 1 999999999'],
    ['UNSUB 1 1000000000\r\n', '20 UNSUB 1 0'],
    ['PUB a 000000002\r\nhi\r\n', '21 PUB a - 0/2 at 17'],
    [`SUB ${' '.repeat(120)}a 1\r\n`, '129 SUB a - 1'],
    [`SUB ${'a'.repeat(126)} 1\r\n`, `134 SUB ${'a'.repeat(126)} - 1`],
    [`PUB ${'a'.repeat(126)} 0\r\n\r\n`, `136 PUB ${'a'.repeat(126)} - 0/0 at 134`],
    ['+OK\r\n', '5 IGNORED'],
  ];
  for (const [text, expected] of lines) expect(read(text), JSON.stringify(text)).toBe(expected);
});

test('what is no operation is refused with the text that says why', () => {
  const unknown = `1 BROKEN ${protocol.ERROR_UNKNOWN_OPERATION}`;
  const parser = `1 BROKEN ${protocol.ERROR_PARSER}`;
  const lines: [string, string][] = [
    ['GARBAGE\r\n', unknown],
    ['G', unknown],
    ['\r\nPING\r\n', unknown],
    [' PING\r\n', unknown],
    ['PUBX a 2\r\n', unknown],
    ['PUB\r\n', unknown],
    ['SUBSCRIBE\r\n', unknown],
    ['UNSUBX 1\r\n', unknown],
    ['PUx', unknown],
    ['PIx', unknown],
    ['+Ox', unknown],
    ['-ERx', unknown],
    ['-ERR\r\n', unknown],
    ["-ERR 'x'\r\n", parser],
    ['PUB a 0000000002\r\nhi\r\n', parser],
    [`SUB ${'a'.repeat(127)} 1\r\n`, `1 BROKEN ${protocol.ERROR_CONTROL_LINE}`],
    [`PUB ${'a'.repeat(127)} 0\r\n\r\n`, `1 BROKEN ${protocol.ERROR_CONTROL_LINE}`],
    ['CONNACK {}\r\n', unknown],
    ['POST / HTTP/1.1\r\n', unknown],
    ['MSG a 1 2\r\nhi\r\n', unknown],
    ['P\r\n', unknown],
    ['PUB a\r\n', parser],
    ['PUB a b c 4\r\n', parser],
    ['PUB a -1\r\n', parser],
    ['PUB a 1x\r\n', parser],
    ['HPUB a 2\r\n', parser],
    ['HPUB a b c 1 2\r\n', parser],
    ['HPUB a 15 14\r\n', parser],
    ['HPUB a x 14\r\n', parser],
    ['SUB a\r\n', parser],
    ['SUB a b c d\r\n', parser],
    ['SUB a b c d e f g h i\r\n', parser],
    ['UNSUB \r\n', parser],
    ['SUB\r\n', unknown],
    ['UNSUB 1 2 3\r\n', parser],
    ['PUB a 1001\r\n', `1 BROKEN ${protocol.ERROR_MAX_PAYLOAD}`],
    ['HPUB a 2 1001\r\n', `1 BROKEN ${protocol.ERROR_MAX_PAYLOAD}`],
    ['PUB a 99999999999999999999\r\n', `1 BROKEN ${protocol.ERROR_MAX_PAYLOAD}`],
    [`PUB ${'a'.repeat(130)} 2\r\nhi\r\n`, `1 BROKEN ${protocol.ERROR_CONTROL_LINE}`],
    [`G${'a'.repeat(130)}`, unknown],
    [`PUB ${'a'.repeat(127)} 2\r\nhi\r\n`, `1 BROKEN ${protocol.ERROR_CONTROL_LINE}`],
    [`SUB ${'a'.repeat(130)}`, `1 BROKEN ${protocol.ERROR_CONTROL_LINE}`],
  ];
  for (const [text, expected] of lines) expect(read(text), JSON.stringify(text)).toBe(expected);
});

test('a line that has not ended yet is awaited, wherever it is cut', () => {
  const texts = [
    'PUB some.subject.here _INBOX.xyz 11\r\nhello world\r\n',
    'HPUB a.b 12 17\r\nNATS/1.0\r\n\r\nhello\r\n',
    'SUB orders.* workers 17\r\n',
    'UNSUB 17 5\r\n',
    'CONNECT {"verbose":false}\r\n',
  ];
  for (const text of texts) {
    const whole = read(text);
    for (let cut = 1; cut < text.length; cut++) {
      const codec = newCodec();
      place(text, 64);
      const early = codec.measure(memory, 64, 64 + cut, 0);
      if (early === 0) {
        expect(cut, text).toBeLessThan(text.indexOf('\n') + 1);
        codec.measure(memory, 64, 64 + text.length, cut);
      } else {
        expect(early).toBe(text.length);
      }
      expect(`${text.length} ${describe(codec, text)}`).toBe(whole);
    }
  }
});

test('the fast way to read PUB agrees with the general one', () => {
  const seed = Number(process.env.BUSBAR_SEED ?? 7);
  const random = new Random(seed);
  const token = (): string => {
    let text = '';
    const length = random.between(1, 20);
    for (let i = 0; i < length; i++) text += String.fromCharCode(random.between(0x21, 0xff));
    return text;
  };
  const space = (): string => (random.chance(0.05) ? '  ' : ' ');
  // One codec for all that goes the fast way: it remembers the subject of the message before.
  const fast = newCodec();
  let subject = token();
  let before = '';
  for (let i = 0; i < 8000; i++) {
    if (random.chance(0.5)) subject = random.chance(0.5) ? token() : before.slice(0, -1) || 'x';
    const reply = random.chance(0.5) ? `${random.chance(0.2) ? '12' : ''}${token()}${space()}` : '';
    const size = random.chance(0.05) ? token() : `${random.below(1100)}`;
    const rest = `${space()}${subject}${space()}${reply}${size}\r\n`;
    const general = newCodec();
    const begin = random.between(64, 128);
    const message = `seed ${seed}: ${JSON.stringify(rest)}`;
    const expected = read(`pub${rest}`, general, begin);
    place(`PUB${rest}`, begin);
    // A line that comes in pieces is read again from its beginning.
    if (random.chance(0.1)) fast.measure(memory, begin, begin + random.between(1, rest.length), 0);
    expect(read(`PUB${rest}`, fast, begin), message).toBe(expected);
    if (fast.op === protocol.OP_BROKEN) continue;
    const hash = hashSubject(view, begin + fast.subjectBegin, begin + fast.subjectEnd);
    expect(fast.subjectHash, message).toBe(hash);
    if (fast.isRepeated) expect(subject, message).toBe(before);
    before = subject;
  }
});
