// SPDX-License-Identifier: MIT
/** Model checker: shared memory that grows while threads use it. */

import { expectPassed, explore, type ModelOptions, resume, type Scenario } from 'busbar/testing';
import { describe, expect, test } from 'vitest';
import { byLength, growingOutcomes, growingTests } from './litmus.ts';
import { allowedOutcomes } from './memory-model.ts';

const KeptBlock = SharedArrayBuffer;

const WEAK: ModelOptions = { memory: 'es' };

const growable = (words: number, most: number): SharedArrayBuffer =>
  new SharedArrayBuffer(4 * words, { maxByteLength: 4 * most });

const blockOf = (view: { readonly buffer: ArrayBufferLike }): SharedArrayBuffer =>
  view.buffer as SharedArrayBuffer;

function scenario(
  threads: Scenario<Int32Array>['threads'],
  rest: Partial<Scenario<Int32Array>> = {},
): Scenario<Int32Array> {
  return { name: 'growing', setup: () => new Int32Array(growable(2, 8)), threads, ...rest };
}

describe('litmus tests: what the specification allows, and all of it', () => {
  test.each(growingTests)('$name: $what', async ({ program, weak }) => {
    const bounds = await growingOutcomes(program);
    expect([...bounds].sort()).toEqual([...allowedOutcomes(program)].sort());
    expect(bounds).toContain(weak);
    const lengths = await growingOutcomes(byLength(program));
    expect([...lengths].sort()).toEqual([...allowedOutcomes(byLength(program))].sort());
  });
});

describe('a log whose writer grows it', () => {
  const GROWN = 0;
  /** The reader takes entry 2, which is there once the writer has said so. */
  const log = (bug: '' | 'told early' | 'not told'): Scenario<Int32Array> =>
    scenario({
      writer: (words) => {
        if (bug === 'told early') Atomics.store(words, GROWN, 1);
        blockOf(words).grow(12);
        if (bug !== 'told early') words[2] = 7;
        if (bug === '') Atomics.store(words, GROWN, 1);
      },
      reader: (words) => {
        if (bug === 'not told' ? words.length < 3 : Atomics.load(words, GROWN) === 0) return;
        const entry = words[2];
        if (entry === undefined) throw new Error('read past the end');
        if (bug === '' && entry !== 7) throw new Error('read too early');
      },
    });

  test('passes if it grows before it tells', async () => {
    const report = await explore(log(''), WEAK);
    expectPassed(report);
    expect(report.schedules).toBeGreaterThan(2);
  });

  test('one that tells before: the reader reads past the end', async () => {
    const { failure } = await explore(log('told early'));
    expect(failure?.message).toBe('Error: read past the end');
    expect(failure?.trace).toContain('read the length of block 0 → 8');
  });

  test('to look at the length orders what came before grow, not what comes after', async () => {
    const { failure } = await explore(log('not told'));
    expect(failure?.kind).toBe('data race');
  });

  test('a bounds check orders nothing, which only ECMAScript’s memory shows', async () => {
    const publishes = scenario({
      writer: (words) => {
        Atomics.store(words, 0, 1);
        blockOf(words).grow(12);
      },
      reader: (words) => {
        if (words[2] !== undefined && Atomics.load(words, 0) === 0) throw new Error('unordered');
      },
    });
    expect((await explore(publishes)).leftOut).toEqual(['stale reads']);
    expect((await explore(publishes, WEAK)).failure?.message).toBe('Error: unordered');
  });
});

test('of two that grow it, the smaller one comes first or is refused', async () => {
  const seen = new Set<string>();
  const grows = (bytes: number) => (words: Int32Array) => {
    try {
      blockOf(words).grow(bytes);
      return 'grown';
    } catch (error) {
      return error instanceof RangeError ? 'refused' : 'wrong';
    }
  };
  const report = await explore(
    scenario(
      { a: grows(12), b: grows(16) },
      {
        check: (words, { results }) => {
          seen.add(`${results.a} ${results.b} ${blockOf(words).byteLength} ${words.length}`);
        },
      },
    ),
  );
  expectPassed(report);
  expect([...seen].sort()).toEqual(['grown grown 16 4', 'refused grown 16 4']);
});

test('a death before or after grow, and a checkpoint amid', async () => {
  const grows = (words: Int32Array): void => {
    blockOf(words).grow(blockOf(words).byteLength + 4);
    Atomics.add(words, 2, 1);
  };
  const seen = new Set<string>();
  const mortal = scenario(
    { a: grows },
    { check: (words) => void seen.add(`${words.length} ${words[2]}`) },
  );
  expectPassed(await explore(mortal, { kills: 1 }));
  expect([...seen].sort()).toEqual(['2 undefined', '3 0', '3 1']);

  const both = scenario({ a: grows, b: grows, c: (words) => words[3] });
  let kept: Uint8Array = new Uint8Array();
  const checkpoint = (bytes: Uint8Array): void => {
    kept = bytes;
  };
  // Both may have seen the same length: then one of them finds no room.
  const whole = await explore(both);
  await explore(both, { schedules: 30, checkpoint });
  expect((await resume(both, kept)).states).toBe(whole.states);
});

test('64 bits: atomics beyond the old end throw, and wait once it has grown', async () => {
  const longs = (words: Int32Array) => new BigInt64Array(words.buffer);
  const outcomes = new Set<string>();
  const report = await explore(
    scenario(
      {
        a: (words) => {
          blockOf(words).grow(16);
          Atomics.store(longs(words), 1, 5n);
          Atomics.notify(longs(words), 1);
        },
        b: (words) => {
          const view = longs(words);
          try {
            return `${Atomics.wait(view, 1, 0n)} ${Atomics.load(view, 1)}`;
          } catch (error) {
            return error instanceof RangeError ? 'not there' : error;
          }
        },
      },
      { check: (_, { results }) => void outcomes.add(`${results.b}`) },
    ),
    WEAK,
  );
  expectPassed(report);
  expect([...outcomes].sort()).toEqual(['not there', 'not-equal 5', 'ok 5']);
});

/** What a program can see of views, before and after the memory has grown. */
function tour(block: SharedArrayBuffer): unknown[] {
  const words = new Int32Array(block, 4);
  const fixed = new Int32Array(block, 0, 2);
  const data = new DataView(block, 4);
  const node = Buffer.from(block);
  const tail = words.subarray(1);
  const cloned = structuredClone(words);
  const told = (call: () => unknown): unknown => {
    try {
      return call();
    } catch (error) {
      return `${(error as Error).name}: ${(error as Error).message}`;
    }
  };
  const look = (): unknown[] => [
    [block.growable, block.byteLength, block.maxByteLength],
    [words.length, words.byteLength, words.byteOffset, fixed.length, data.byteLength, node.length],
    [tail.length, cloned.length, words.subarray(0, 1).length, node.subarray(1).length],
    [words[0], words[1], words[2], words.at(-1), words.indexOf(7), [...words], words.slice(1)],
    ['1' in words, Object.keys(words), Object.getOwnPropertyDescriptor(words, 2)],
    told(() => data.getInt32(8)),
    told(() => data.setInt8(4, 3)),
    told(() => Atomics.add(words, 2, 1)),
    told(() => words.set([1, 2, 3])),
    told(() => [...words.fill(4, 1)]),
    told(() => new Int32Array(block, 12).length),
    told(() => new Int32Array(block, 4, 3).length),
    told(() => new DataView(block, 12).byteLength),
    told(() => Buffer.from(block, 0, 16).length),
    told(() => [...new Uint8Array(block.slice(4))]),
  ];
  const before = look();
  words[1] = 7;
  words[2] = 8;
  return [
    before,
    told(() => block.grow(4)),
    told(() => block.grow(20)),
    told(() => block.grow(-1)),
    told(() => block.grow(16)),
    look(),
  ];
}

test('setup and a thread see of such memory what they see of the engine’s', async () => {
  const real = tour(new KeptBlock(8, { maxByteLength: 16 }));
  const inThread = scenario({ a: (words) => tour(blockOf(words)) });
  let seen: unknown;
  const report = await explore({
    ...inThread,
    setup: () => new Int32Array(new SharedArrayBuffer(8, { maxByteLength: 16 })),
    check: (_, { results }) => {
      seen = results.a;
    },
  });
  expectPassed(report);
  expect(seen).toEqual(real);
  let bySetup: unknown;
  await explore({
    ...inThread,
    setup: () => {
      bySetup = tour(new SharedArrayBuffer(8, { maxByteLength: 16 }));
      return new Int32Array(4);
    },
  }).catch(() => undefined);
  expect(bySetup).toEqual(real);
});
