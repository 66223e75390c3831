// SPDX-License-Identifier: MIT
import { afterEach, beforeEach, expect, test, vi } from 'vitest';
import { BY_QUESTION, BY_SEARCH, BY_TICK, declareGone, isGone, Pulse } from './liveness.ts';
import { lifeOf, PoolLayout, PROBES, STATE, THREAD_FREE } from './pool-layout.ts';

// These tests never turn the event loop: to all who ask, their thread is one that is busy.

const DAY_MS = 86_400_000;
const layout = new PoolLayout(1, 2, 1);
const thread = layout.thread(0);
let words: Int32Array;
let nowMs: number;

beforeEach(() => {
  words = new Int32Array(new SharedArrayBuffer(4 * layout.wordCount));
  nowMs = 1000;
  vi.spyOn(performance, 'now').mockImplementation(() => nowMs);
});

afterEach(() => {
  vi.restoreAllMocks();
});

/** A thread that has attached, and how it ends: as an engine ends one, which changes no word. */
function attach(): { pulse: Pulse; state: number; end: () => void } {
  const pulse = Pulse.start(words, thread, THREAD_FREE) as Pulse;
  const state = words[thread + STATE];
  const end = (): void => {
    const probes = probesOf(state);
    pulse.close();
    words[thread + PROBES + lifeOf(state)] = probes;
  };
  return { pulse, state, end };
}

function probesOf(state: number): number {
  return words[thread + PROBES + lifeOf(state)];
}

test('a thread that many ask about for a whole day has proofs left, and is found dead', () => {
  const { state, end } = attach();
  for (let ms = 0; ms < DAY_MS; ms += ms < 100_000 ? 25 : 9_973) {
    nowMs = 1000 + ms;
    // Two who wait, at about the same time.
    expect(isGone(words, thread, state, BY_TICK)).toBe(false);
    expect(isGone(words, thread, state, BY_TICK)).toBe(false);
  }
  expect(probesOf(state)).toBeGreaterThan(5);
  end();
  const beginMs = nowMs;
  while (!isGone(words, thread, state, BY_TICK)) nowMs += 1000;
  expect(nowMs - beginMs).toBeLessThanOrEqual(DAY_MS + 20_000);
});

test.each([
  ['waits', BY_TICK],
  ['searches', BY_SEARCH],
  ['questions', BY_QUESTION],
] as const)('whoever %s without a pause uses up no last proof', (_, asker) => {
  const { state, end } = attach();
  for (let i = 0; i < 100_000; i++) {
    expect(isGone(words, thread, state, asker)).toBe(false);
    nowMs += 0.1;
  }
  expect(probesOf(state)).toBeGreaterThan(0);
  end();
  const deadMs = nowMs;
  while (!isGone(words, thread, state, asker)) nowMs += 1;
  // It had been busy for 10 s.
  expect(nowMs - deadMs).toBeLessThanOrEqual(10_001);
});

test('who has a reason to ask is answered at once, however often others looked', () => {
  const { state, end } = attach();
  for (let i = 0; i < 100_000; i++) {
    isGone(words, thread, state, BY_TICK);
    isGone(words, thread, state, BY_SEARCH);
    nowMs += 0.1;
  }
  end();
  expect(isGone(words, thread, state, BY_SEARCH)).toBe(false);
  expect(isGone(words, thread, state, BY_QUESTION)).toBe(true);
  // And from then on everybody knows.
  expect(isGone(words, thread, state, BY_SEARCH)).toBe(true);
  expect(isGone(words, thread, state, BY_TICK)).toBe(true);
});

test('many who wait for a thread that turns ask it once in a while, all together', async () => {
  const { pulse, state } = attach();
  const full = probesOf(state);
  for (let i = 0; i < 1000; i++) isGone(words, thread, state, BY_TICK);
  expect(probesOf(state)).toBe(full - 1);
  // Its next turn replaces the wait.
  vi.restoreAllMocks();
  while (probesOf(state) < full) await new Promise<void>((resolve) => setImmediate(resolve));
  pulse.close();
});

test('a thread that works without a turn of its event loop replaces its waits where it can', () => {
  const { pulse, state, end } = attach();
  const full = probesOf(state);
  for (let i = 0; i < 200_000; i++) {
    nowMs += 50;
    isGone(words, thread, state, BY_TICK);
    pulse.renew();
  }
  expect(probesOf(state)).toBeGreaterThan(full - 10);
  end();
  const deadMs = nowMs;
  while (!isGone(words, thread, state, BY_TICK)) nowMs += 50;
  expect(nowMs - deadMs).toBeLessThanOrEqual(20_000);
});

test('a word of its end is believed only where nothing can prove that it lives', () => {
  const { state } = attach();
  const proofs = probesOf(state);
  for (let i = 0; i < proofs; i++) expect(declareGone(words, thread, state)).toBe(false);
  expect(isGone(words, thread, state, BY_QUESTION)).toBe(false);
  expect(declareGone(words, thread, state)).toBe(true);
  for (const asker of [BY_TICK, BY_SEARCH, BY_QUESTION] as const) {
    expect(isGone(words, thread, state, asker)).toBe(true);
  }
});

test('what is known of a thread says nothing of the next one in its slot', () => {
  const first = attach();
  first.end();
  expect(declareGone(words, thread, first.state)).toBe(true);
  first.pulse.release();
  const second = attach();
  expect(isGone(words, thread, second.state, BY_QUESTION)).toBe(false);
  second.end();
  expect(isGone(words, thread, second.state, BY_QUESTION)).toBe(true);
});
