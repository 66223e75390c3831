// SPDX-License-Identifier: MIT
/** Example statsd, tests: the parser against a slow and obvious one. */

import fc from 'fast-check';
import { expect, test } from 'vitest';
import { arbitrarySeed } from '../../src/base/random.ts';
import { IGNORED, LineParser, MALFORMED, METRIC, TEXT_BYTES_MAX } from './line-parser.ts';
import { COUNTER, GAUGE, SET, TIMER } from './metric-kinds.ts';

const SEED = Number(process.env.BUSBAR_SEED ?? arbitrarySeed() | 0);
const REPLAY = `replay: BUSBAR_SEED=${SEED} npx vitest run examples/statsd/line-parser.test.ts`;

/** What is in a line, in a form that can be compared. */
interface Reading {
  readonly kind: number;
  readonly name: string;
  readonly values: readonly (number | string)[];
  readonly changes: readonly boolean[];
  readonly weight: number;
  readonly tags: string;
}

const parser = new LineParser();

/** By the parser, from the midst of other bytes; strings are latin1: a character is a byte. */
function parsed(line: string): Reading | 'malformed' | 'ignored' {
  const bytes = Buffer.from(`1:1|c${line}:5|#x`, 'latin1');
  const begin = 5;
  const outcome = parser.parse(bytes, begin, begin + line.length);
  if (outcome === MALFORMED) return 'malformed';
  if (outcome === IGNORED) return 'ignored';
  expect(outcome).toBe(METRIC);
  const text = (from: number, to: number): string => bytes.toString('latin1', from, to);
  const { kind, valueCount, values, changes } = parser;
  return {
    kind,
    name: text(parser.nameBegin, parser.nameEnd),
    values:
      kind === SET
        ? [text(parser.memberBegin, parser.memberEnd)]
        : [...values.subarray(0, valueCount)],
    changes: kind === GAUGE ? Array.from(changes.subarray(0, valueCount), Boolean) : [],
    weight: parser.weight[0],
    tags: text(parser.tagsBegin, parser.tagsEnd),
  };
}

const NUMBER = /^[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?$/;
const KINDS: Readonly<Record<string, number>> = {
  c: COUNTER,
  g: GAUGE,
  ms: TIMER,
  h: TIMER,
  d: TIMER,
  s: SET,
};

/** By strings, as the protocol's description has it. */
function expected(line: string): Reading | 'malformed' | 'ignored' {
  if (/^(_e\{.|_sc\|)/s.test(line)) return 'ignored';
  // biome-ignore lint/suspicious/noControlCharactersInRegex: they are what is looked for
  if (/[\x00-\x1f\x7f]/.test(line)) return 'malformed';
  const [head, type, ...fields] = line.split('|');
  const colon = head.indexOf(':');
  if (colon < 1 || type === undefined || !Object.hasOwn(KINDS, type)) return 'malformed';
  const kind = KINDS[type];
  const value = head.slice(colon + 1);
  const texts = kind === SET ? [value] : value.split(':');
  const name = head.slice(0, colon);
  if (kind === SET && value === '') return 'malformed';
  if (kind !== SET && !texts.every((text) => isNumber(text))) return 'malformed';
  if (type === 'ms' && texts.some((text) => Number(text) < 0)) return 'malformed';
  if (fields.includes('')) return 'malformed';
  const rates = fields.filter((field) => field.startsWith('@'));
  const tags = fields.filter((field) => field.startsWith('#'));
  if (rates.length > 1 || tags.length > 1) return 'malformed';
  const rate = rates.length === 0 ? '1' : rates[0].slice(1);
  if (!isNumber(rate) || !(Number(rate) > 0 && Number(rate) <= 1)) return 'malformed';
  if (!Number.isFinite(1 / Number(rate))) return 'malformed';
  const longest = Math.max(name.length, tags[0]?.length ?? 0, kind === SET ? value.length : 0);
  if (longest > TEXT_BYTES_MAX) return 'malformed';
  return {
    kind,
    name,
    values: kind === SET ? texts : texts.map(Number),
    changes: kind === GAUGE ? texts.map((text) => /^[+-]/.test(text)) : [],
    weight: 1 / Number(rate),
    tags: tags[0]?.slice(1) ?? '',
  };
}

function isNumber(text: string): boolean {
  return NUMBER.test(text) && Number.isFinite(Number(text));
}

test.each([
  ['gorets:1|c', { kind: COUNTER, name: 'gorets', values: [1], weight: 1 }],
  ['gorets:1|c|@0.1', { values: [1], weight: 10 }],
  ['glork:320|ms|@0.1', { kind: TIMER, values: [320], weight: 10 }],
  ['gaugor:333|g', { kind: GAUGE, values: [333], changes: [false] }],
  ['gaugor:-10|g', { values: [-10], changes: [true] }],
  ['gaugor:+4|g', { values: [4], changes: [true] }],
  ['uniques:765|s', { kind: SET, values: ['765'] }],
  ['uniques:a:b|s', { values: ['a:b'] }],
  ['page.views:1:2:32|d|#env:prod', { kind: TIMER, values: [1, 2, 32], tags: 'env:prod' }],
  ['fuel.level:0.5|g', { values: [0.5] }],
  ['x:-3.5e2|h|@0.5|#a:b,c', { kind: TIMER, values: [-350], weight: 2, tags: 'a:b,c' }],
  ['x:1|c|#a|@0.5', { weight: 2, tags: 'a' }],
  ['x:1|c|#a|c:ci-abc|T1656581400|e:it-false|card:low', { tags: 'a', values: [1] }],
  ['größe:1|c|#straße:ä', { tags: 'straße:ä' }],
  ['x:1|c|#', { tags: '' }],
] as const)('%s is what the protocol says', (line, reading) => {
  expect(parsed(line)).toMatchObject(reading);
  expect(parsed(line)).toEqual(expected(line));
});

test.each([
  ...['', ':', 'x', 'x:', 'x:1', ':1|c', 'x:1|', 'x:1|x', 'x:1|cc', 'x:|c', 'x:1:|c', 'x:1::2|c'],
  ...['x:a|c', 'x:1a|c', 'x:--1|c', 'x:1e|c', 'x:1e+|c', 'x:.|c', 'x:0x10|c', 'x: 1|c', 'x:1 |c'],
  ...['x:1e999|c', 'x:NaN|c', 'x:Infinity|c', 'x:-1|ms', 'x:|s', 'x|c:1', 'x:1|c|', 'x:1|c||#a'],
  ...['x:1|c|@0', 'x:1|c|@2', 'x:1|c|@-0.5', 'x:1|c|@', 'x:1|c|@x', 'x:1|c|@1|@1', 'x:1|c|#a|#b'],
  ...['x\t:1|c', 'x:1|c\r', 'x:1|c|#a\u0000', 'x:1|c|@1e-320', `${'x'.repeat(4097)}:1|c`],
])('%j is malformed', (line) => {
  expect(parsed(line)).toBe('malformed');
  expect(expected(line)).toBe('malformed');
});

test('events and service checks are known, and not aggregated', () => {
  for (const line of ['_e{5,4}:title|text|d:1', '_sc|Redis connection|2|#env:dev']) {
    expect([parsed(line), expected(line)]).toEqual(['ignored', 'ignored']);
  }
  expect(parsed('_e:1|c')).toMatchObject({ name: '_e', values: [1] });
});

test('numbers are what JavaScript makes of their text, to the last bit', () => {
  const number = fc.oneof(
    fc.double({ noNaN: true, noDefaultInfinity: true }).map(String),
    fc.float({ noNaN: true, noDefaultInfinity: true }).map(String),
    fc.integer().map(String),
    fc.tuple(fc.nat(), fc.nat(30)).map(([n, places]) => (n / 10 ** (places % 9)).toFixed(places)),
    fc.stringMatching(/^[+-]?\d{0,20}\.?\d{0,20}([eE][+-]?\d{1,4})?$/),
    fc.stringMatching(/^0{0,30}\d{0,18}\.0{0,30}\d{0,3}$/),
  );
  fc.assert(
    fc.property(number, (text) => {
      const line = `x:${text}|g`;
      expect(parsed(line), REPLAY).toEqual(expected(line));
    }),
    { seed: SEED, numRuns: 10_000 },
  );
});

test('lines by chance are read as the slow way reads them', () => {
  const piece = fc.constantFrom(
    ...[
      'x',
      'a.b',
      ':',
      '|',
      '@',
      '#',
      ',',
      '1',
      '0.5',
      '-2',
      '+7',
      '1e3',
      '.',
      'e',
      '-',
      'c',
      'g',
    ],
    ...['ms', 'h', 'd', 's', '|c', '|g', '|ms', '|s', '|@0.25', '|#a:b', ':3', ':4|c', '_', '_sc|'],
    ...['_e{', '\t', '\x7f', '\xff', ' ', '|c:x', '|T1'],
  );
  const nearlyRight = fc
    .tuple(
      fc.constantFrom('x', 'a.b.c', 'ü', '', '_e', '_sc'),
      fc.array(fc.oneof(fc.integer().map(String), fc.double().map(String), piece), {
        minLength: 1,
        maxLength: 4,
      }),
      fc.constantFrom('c', 'g', 'ms', 'h', 'd', 's', 'm', ''),
      fc.array(fc.oneof(fc.constantFrom('@0.1', '@1', '#t', '#a:b,c', 'c:x', '', '@0'), piece), {
        maxLength: 3,
      }),
    )
    .map(([name, values, type, fields]) =>
      [`${name}:${values.join(':')}`, type, ...fields].join('|'),
    );
  const soup = fc.array(piece, { maxLength: 12 }).map((pieces) => pieces.join(''));
  const noise = fc.uint8Array({ maxLength: 40 }).map((b) => Buffer.from(b).toString('latin1'));
  let metrics = 0;
  fc.assert(
    fc.property(fc.oneof({ weight: 5, arbitrary: nearlyRight }, soup, noise), (line) => {
      const reading = parsed(line);
      if (typeof reading === 'object') metrics++;
      expect(reading, REPLAY).toEqual(expected(line));
    }),
    { seed: SEED, numRuns: 20_000 },
  );
  expect(metrics).toBeGreaterThan(1000);
});
