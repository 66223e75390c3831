// SPDX-License-Identifier: MIT
import { expect, test, vi } from 'vitest';
import { AssertionError, assert, fail } from './assert.ts';
import { copyForeign, encodeText } from './bytes.ts';
import * as check from './check.ts';
import { nowMs, startTicking, startTimer, stopTimer } from './clock.ts';
import { BUSBAR_ERRORS, BusbarError, type BusbarErrorCode } from './errors.ts';
import { arbitrarySeed, Random } from './random.ts';
import { readText } from './text.ts';

test('assert lets what holds pass and throws the literal message for what does not', () => {
  assert(true, 'never seen');
  expect(() => assert(false, 'broken')).toThrow(AssertionError);
  expect(() => fail('broken')).toThrow(
    expect.objectContaining({ name: 'AssertionError', message: 'broken' }),
  );
});

test('an error has its code, a message that says what the code means, and its cause', () => {
  for (const [code, meaning] of Object.entries(BUSBAR_ERRORS)) {
    const plain = new BusbarError(code as BusbarErrorCode);
    expect(plain).toMatchObject({ name: 'BusbarError', code, message: meaning });
    expect('cause' in plain).toBe(false);
    const cause = new Error('why');
    const full = new BusbarError(code as BusbarErrorCode, 'details', { cause });
    expect(full).toMatchObject({ code, message: `${meaning}: details`, cause });
    expect(full).toBeInstanceOf(Error);
  }
  expect(new Set(Object.values(BUSBAR_ERRORS)).size).toBe(Object.keys(BUSBAR_ERRORS).length);
});

test('copies of every length between private and shared memory equal those of a plain loop', () => {
  const random = new Random(1);
  const source = Uint8Array.from({ length: 300 }, () => random.below(256));
  const wrong: string[] = [];
  for (const make of [
    (size: number) => new Uint8Array(size),
    (size: number) => new Uint8Array(new SharedArrayBuffer(size)),
    (size: number) => Buffer.alloc(size),
  ]) {
    for (let length = 0; length <= 64; length++) {
      for (const begin of [0, 1, 7, source.length - length]) {
        const target = make(100).fill(9);
        const expected = new Uint8Array(100).fill(9);
        for (let i = 0; i < length; i++) expected[13 + i] = source[begin + i];
        copyForeign(target, 13, source, begin, begin + length);
        if (Buffer.compare(target, expected) !== 0) wrong.push(`${length} from ${begin}`);
      }
    }
  }
  expect(wrong).toEqual([]);
  const whole = new Uint8Array(new SharedArrayBuffer(64));
  copyForeign(whole, 0, source.slice(0, 64), 0, 64);
  expect(new Uint8Array(whole)).toEqual(source.slice(0, 64));
});

test('text survives the way through shared bytes', () => {
  const text = 'grüße, 電, 🚌';
  const bytes = encodeText(text);
  const shared = new Uint8Array(new SharedArrayBuffer(bytes.length + 2));
  shared.set(bytes, 1);
  expect(readText(shared, 1, 1 + bytes.length)).toBe(text);
  expect(readText(shared, 1, 1)).toBe('');
});

test('values are shown in errors without ever throwing', () => {
  const shown = [
    undefined,
    null,
    1.5,
    NaN,
    -0,
    10n,
    'a"b',
    'x'.repeat(100),
    Symbol('s'),
    { a: 1 },
    [],
    new Map(),
    Object.create(null),
    function named() {},
    () => {},
    new Proxy({}, {}),
  ].map(check.show);
  expect(shown).toEqual([
    'undefined',
    'null',
    '1.5',
    'NaN',
    '0',
    '10n',
    '"a\\"b"',
    `"${'x'.repeat(60)}"…`,
    'Symbol(s)',
    'an object of type Object',
    'an object of type Array',
    'an object of type Map',
    'an object of type (no prototype)',
    'function named',
    'function (anonymous)',
    'an object of type Object',
  ]);
});

test('a word that is nearly right is named', () => {
  const known = ['capacity', 'kind', 'name', 'no'];
  const hints = ['capasity', 'Capacity', 'nmae', 'names', 'on', 'x', 'quorum', 'ndki', ''].map(
    (wrong) => check.hint(wrong, known),
  );
  const hint = (word: string): string => ` (did you mean "${word}"?)`;
  const right = ['capacity', 'capacity', 'name', 'name', '', '', '', '', ''];
  expect(hints).toEqual(right.map((word) => word && hint(word)));
  expect(() => check.checkOptions('options', { nam: 'x' }, known)).toThrow(
    'there is no option "nam" (did you mean "name"?); known are capacity, kind, name, no',
  );
  expect(() => check.checkOptions('retry', { nam: 'x' }, known)).toThrow(/^retry has no option/);
});

test('checks pass what is right and name argument, expectation and value of what is not', () => {
  expect(check.checkInteger('n', 3, 0, 3)).toBe(3);
  expect(check.checkTimeoutMs('t', Infinity)).toBe(Infinity);
  expect(check.checkTimeoutMs('t', 0)).toBe(0);
  expect(check.checkOneOf('mode', 'a', ['a', 'b'])).toBe('a');
  expect(check.checkBoolean('flag', false)).toBe(false);
  expect(check.checkFunction('fn', show)).toBe(show);
  expect(check.checkBytes('bytes', Buffer.alloc(1))).toHaveLength(1);
  expect(check.checkSignal('signal', undefined)).toBe(undefined);
  const { signal } = new AbortController();
  expect(check.checkSignal('signal', signal)).toBe(signal);
  check.checkOptions('options', { a: 1 }, ['a', 'b']);
  const wrong: [() => unknown, typeof TypeError | typeof RangeError, RegExp][] = [
    [() => check.checkInteger('n', '3', 0, 3), TypeError, /^n must be an integer.*0 to 3, got "3"/],
    [() => check.checkInteger('n', 4, 0, 3), RangeError, /^n must be .* got 4$/],
    [() => check.checkInteger('n', -1, 0, 3), RangeError, /^n must be .* got -1$/],
    [() => check.checkInteger('n', 1.5, 0, 3), RangeError, /^n must be .* got 1.5$/],
    [() => check.checkInteger('n', NaN, 0, 3), RangeError, /^n must be .* got NaN$/],
    [() => check.checkInteger('n', undefined, 0, 3), TypeError, /^n must be .* got undefined$/],
    [() => check.checkTimeoutMs('t', NaN), RangeError, /^t must be .* got NaN$/],
    [() => check.checkTimeoutMs('t', -1), RangeError, /^t must be .* got -1$/],
    [() => check.checkTimeoutMs('t', '5'), TypeError, /^t must be .* got "5"$/],
    [() => check.checkOneOf('mode', 'c', ['a', 'b']), RangeError, /^mode must be .*a, b, got "c"$/],
    [() => check.checkBoolean('flag', 0), TypeError, /^flag must be true or false, got 0$/],
    [() => check.checkFunction('fn', 1), TypeError, /^fn must be a function, got 1$/],
    [() => check.checkBytes('bytes', [1]), TypeError, /^bytes must be a Uint8Array, got an object/],
    [() => check.checkBytes('bytes', new Uint16Array(1)), TypeError, /Uint16Array$/],
    [() => check.checkSignal('signal', {}), TypeError, /^signal must be an AbortSignal, got/],
    [
      () => check.checkOptions('options', { c: 1 }, ['a']),
      TypeError,
      /no option "c"; known are a$/,
    ],
    [() => check.checkOptions('options', null, ['a']), TypeError, /^options must be an object/],
    [() => check.checkOptions('options', [], ['a']), TypeError, /^options must be an object/],
    [
      () => check.checkOptions('options', 5, ['a']),
      TypeError,
      /^options must be an object, got 5$/,
    ],
  ];
  for (const [call, kind, message] of wrong) {
    expect(call).toThrow(kind);
    expect(call).toThrow(message);
  }
});

function show(): void {}

test('the clock never goes back, timers fire once, and a stopped one never', async () => {
  const before = nowMs();
  let ticks = 0;
  let stopped = 0;
  stopTimer(startTimer(0, () => stopped++));
  stopTimer(undefined);
  await new Promise<void>((resolve) => {
    const ticking = startTicking(1, () => {
      if (++ticks < 3) return;
      stopTimer(ticking);
      startTimer(0, resolve);
    });
  });
  expect(nowMs()).toBeGreaterThanOrEqual(before);
  expect({ ticks, stopped }).toEqual({ ticks: 3, stopped: 0 });
});

test('a delay beyond the range of timers does not fire at once', async () => {
  let fired = 0;
  const timers = [2 ** 31, 1e300, Infinity].map((delayMs) => startTimer(delayMs, () => fired++));
  await new Promise((resolve) => startTimer(5, () => resolve(undefined)));
  timers.forEach(stopTimer);
  expect(fired).toBe(0);
});

test('a delay beyond the range of timers fires when it is over, unless it was stopped', () => {
  vi.useFakeTimers();
  try {
    const fired: string[] = [];
    const longMs = 3 * 2 ** 31;
    startTimer(longMs, () => fired.push('long'));
    const stopped = startTimer(longMs, () => fired.push('stopped'));
    vi.advanceTimersByTime(longMs - 1);
    expect(fired).toEqual([]);
    stopTimer(stopped);
    vi.advanceTimersByTime(1);
    expect(fired).toEqual(['long']);
  } finally {
    vi.useRealTimers();
  }
});

test('the same seed gives the same numbers, another seed others', () => {
  const numbers = (seed: number): number[] => {
    const random = new Random(seed);
    return Array.from({ length: 100 }, () => random.next());
  };
  expect(numbers(42)).toEqual(numbers(42));
  expect(numbers(42)).not.toEqual(numbers(43));
  expect(numbers(2 ** 32 + 42)).toEqual(numbers(42));
  expect(new Random(-1).seed).toBe(0xffffffff);
  expect(new Set([0, 1, 2, 3].flatMap(numbers)).size).toBe(400);
  for (const n of numbers(0)) expect(n >>> 0).toBe(n);
});

test('chance stays in its bounds and uses all of them', () => {
  const random = new Random(arbitrarySeed());
  const counts = new Array<number>(10).fill(0);
  for (let i = 0; i < 10_000; i++) counts[random.below(10)]++;
  expect(Math.min(...counts), `seed ${random.seed}`).toBeGreaterThan(800);
  const seen = new Set(Array.from({ length: 1000 }, () => random.between(-2, 2)));
  expect([...seen].sort((a, b) => a - b)).toEqual([-2, -1, 0, 1, 2]);
  expect(random.below(1)).toBe(0);
  const hits = Array.from({ length: 10_000 }, () => random.chance(0.25)).filter(Boolean).length;
  expect(Math.abs(hits - 2500), `seed ${random.seed}`).toBeLessThan(400);
  expect(random.chance(0)).toBe(false);
  expect(random.chance(1)).toBe(true);
});
