// SPDX-License-Identifier: MIT
import { execFileSync } from 'node:child_process';
import { buildSync } from 'esbuild';
import fc from 'fast-check';
import { expect, test } from 'vitest';
import { encodeText } from '../base/bytes.ts';
import { customPartitioner } from './custom-partitioner.ts';
import { hashPartitioner } from './hash-partitioner.ts';
import { jumpPartitioner } from './jump-partitioner.ts';
import type { Key, Partitioner } from './partitioner.ts';
import { rangePartitioner } from './range-partitioner.ts';
import { ringPartitioner } from './ring-partitioner.ts';
import { roundRobinPartitioner } from './round-robin-partitioner.ts';

const everyone: Record<string, (count: number) => Partitioner> = {
  hash: () => hashPartitioner(),
  jump: () => jumpPartitioner(),
  ring: (count) => ringPartitioner({ virtualNodes: 8, count }),
  range: () => rangePartitioner([]),
  'round robin': () => roundRobinPartitioner(),
  custom: () => customPartitioner((_key, count) => count - 1),
};

const anyKey: fc.Arbitrary<Key> = fc.oneof(
  fc.integer(),
  fc.double({ noNaN: true }),
  fc.bigInt(),
  fc.string({ unit: 'binary' }),
  fc.uint8Array(),
);

test.each(Object.entries(everyone))('%s answers with an index below the count', (_name, make) => {
  fc.assert(
    fc.property(anyKey, fc.integer({ min: 1, max: 40 }), (key, count) => {
      const index = make(count).partition(key, count);
      expect(Number.isInteger(index) && index >= 0 && index < count).toBe(true);
    }),
  );
});

test.each(Object.entries(everyone))('%s refuses to choose among no executors', (_name, make) => {
  const partitioner = make(4);
  const noNumbers = [1n, Symbol('1'), '1', { valueOf: () => expect.unreachable() }];
  for (const count of [0, -1, 1.5, Number.NaN, Infinity, 2 ** 31, ...noNumbers]) {
    const partition = (): number => partitioner.partition(1, count as never);
    expect(partition).toThrow(typeof count === 'number' ? RangeError : TypeError);
    expect(partition).toThrow(/^count must be an integer from 1 to/);
  }
  expect(() => partitioner.partition(1, '4' as never)).toThrow(TypeError);
});

test.each(['hash', 'jump', 'ring'])('%s refuses what is no key, and NaN', (name) => {
  const partitioner = everyone[name]?.(4) as Partitioner;
  expect(() => partitioner.partition(Number.NaN, 4)).toThrow('key must not be NaN');
  expect(() => partitioner.partition({} as never, 4)).toThrow(TypeError);
});

test('options that do not exist, or make no sense, are refused', () => {
  expect(() => hashPartitioner({ sed: 1 } as never)).toThrow('there is no option "sed"');
  expect(() => jumpPartitioner({ seed: -1 })).toThrow(/^seed must be an integer from 0/);
  expect(() => ringPartitioner({ virtualNodes: 0 })).toThrow(/^virtualNodes must be an integer/);
  expect(() => ringPartitioner({ count: 0 })).toThrow(/^count must be an integer/);
  expect(() => customPartitioner('f' as never)).toThrow('choose must be a function, got "f"');
});

const KEYS = 20_000;

const families: Record<string, (i: number) => Key> = {
  'integers in a row': (i) => i,
  'negative integers': (i) => -i,
  'multiples of 1024': (i) => i * 1024,
  'powers and more': (i) => 2 ** 32 * i,
  fractions: (i) => i / 7,
  bigints: (i) => BigInt(i) << 70n,
  'short strings': (i) => `u${i}`,
  'long strings': (i) => `orders.eu-central.customer.${i}.created`,
  bytes: (i) => Uint8Array.of(i, i >> 8),
};

/** How far the shares of the executors are from equal: about 1 for chance. */
function unevenness(partitioner: Partitioner, keyOf: (i: number) => Key, count: number): number {
  const shares = new Array<number>(count).fill(0);
  for (let i = 0; i < KEYS; i++) {
    const index = partitioner.partition(keyOf(i), count);
    shares[index] = (shares[index] ?? 0) + 1;
  }
  const mean = KEYS / count;
  const chiSquare = shares.reduce((sum, share) => sum + (share - mean) ** 2 / mean, 0);
  const freedom = count - 1;
  return (chiSquare - freedom) / Math.sqrt(2 * freedom);
}

test.each(Object.entries(families))('%s spread evenly', (_name, keyOf) => {
  for (const seed of [0, 1, 0xdead_beef]) {
    for (const count of [2, 3, 4, 7, 16, 64, 100]) {
      // Chance exceeds 6 standard deviations once in a million for few executors.
      expect(unevenness(hashPartitioner({ seed }), keyOf, count)).toBeLessThan(6);
      expect(unevenness(jumpPartitioner({ seed }), keyOf, count)).toBeLessThan(6);
    }
  }
});

test('round robin goes round, also when the count changes', () => {
  const partitioner = roundRobinPartitioner();
  const ask = (count: number): number => partitioner.partition('same', count);
  expect([ask(3), ask(3), ask(3), ask(3), ask(3)]).toEqual([0, 1, 2, 0, 1]);
  expect([ask(2), ask(2), ask(4), ask(4), ask(4)]).toEqual([0, 1, 2, 3, 0]);
});

test('a custom partitioner that answers nonsense is an error naming key and answer', () => {
  const answers: [unknown, string][] = [
    [4, '4'],
    [-1, '-1'],
    [1.5, '1.5'],
    [Number.NaN, 'NaN'],
    [undefined, 'undefined'],
    ['1', '"1"'],
    [1n, '1n'],
    [2 ** 32, '4294967296'],
  ];
  for (const [answer, shown] of answers) {
    const partitioner = customPartitioner(() => answer as number);
    const expected =
      'the function of customPartitioner must return an integer from 0 to 3, ' +
      `got ${shown} for the key "order-1"`;
    expect(() => partitioner.partition('order-1', 4)).toThrow(new RangeError(expected));
  }
  const partitioner = customPartitioner(() => 9);
  expect(() => partitioner.partition(Uint8Array.of(1, 255), 4)).toThrow('the key bytes <01 ff>');
  expect(customPartitioner(() => -0).partition('x', 4)).toBe(0);
});

test('a custom partitioner may throw, and gets key and count', () => {
  const seen: unknown[] = [];
  const partitioner = customPartitioner((key, count) => {
    seen.push(key, count);
    if (key === 'bad') throw new Error('no place for it');
    return 0;
  });
  expect(() => partitioner.partition('bad', 2)).toThrow('no place for it');
  expect(partitioner.partition(7n, 3)).toBe(0);
  expect(seen).toEqual(['bad', 2, 7n, 3]);
});

const SAMPLE: readonly Key[] = [
  0,
  -1,
  2 ** 40,
  0.25,
  3n ** 60n,
  'order-17',
  'größe',
  'x'.repeat(300),
];

test('another process finds the same executor for every key', () => {
  const program = `
    import { hashPartitioner } from './hash-partitioner.ts';
    import { jumpPartitioner } from './jump-partitioner.ts';
    import { ringPartitioner } from './ring-partitioner.ts';
    const keys = [0, -1, 2 ** 40, 0.25, 3n ** 60n, 'order-17', 'größe', 'x'.repeat(300)];
    const made = [hashPartitioner(), jumpPartitioner(), ringPartitioner()];
    console.log(JSON.stringify(made.map((each) => keys.map((key) => each.partition(key, 1000)))));`;
  const { outputFiles } = buildSync({
    stdin: { contents: program, resolveDir: import.meta.dirname, loader: 'ts' },
    bundle: true,
    write: false,
    platform: 'node',
    format: 'esm',
  });
  const output = execFileSync(process.execPath, ['--input-type=module', '-'], {
    input: outputFiles[0]?.text ?? '',
    encoding: 'utf8',
  });
  const here = [hashPartitioner(), jumpPartitioner(), ringPartitioner()].map((each) =>
    SAMPLE.map((key) => each.partition(key, 1000)),
  );
  expect(JSON.parse(output)).toEqual(here);
});

test('every release finds the same executor for every key', () => {
  const here = [hashPartitioner(), jumpPartitioner(), ringPartitioner()].map((each) =>
    SAMPLE.map((key) => each.partition(key, 1000)).join(' '),
  );
  expect(here).toMatchInlineSnapshot(`
    [
      "869 755 983 860 519 255 667 489",
      "213 567 866 290 389 967 681 223",
      "160 664 916 111 491 479 521 649",
    ]
  `);
});

test('a string goes where its bytes go, and 5 where 5n goes', () => {
  for (const make of [hashPartitioner, jumpPartitioner, () => ringPartitioner({ count: 50 })]) {
    const partitioner = make();
    const at = (key: Key): number => partitioner.partition(key, 50);
    for (let i = 0; i < 100; i++) {
      expect(at(`kunde-ü-${i}`)).toBe(at(encodeText(`kunde-ü-${i}`)));
      expect(at(i)).toBe(at(BigInt(i)));
    }
  }
});
