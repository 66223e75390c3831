// SPDX-License-Identifier: MIT
import { describe, expect, it } from 'vitest';
import { ensureStack, ensureStep } from './stack.ts';

/** The levels of a deep recursion that must be left again until `operation` succeeds. */
function levelsNeeded(operation: () => void): number {
  let levels = 0;
  let done = false;
  const dive = (): void => {
    try {
      dive();
    } catch (error) {
      if (!(error instanceof RangeError)) throw error;
    }
    if (done) return;
    levels++;
    try {
      operation();
      done = true;
    } catch (error) {
      if (!(error instanceof RangeError)) throw error;
    }
  };
  dive();
  return levels;
}

/** A function that V8 has not compiled yet. */
function uncompiled(): () => number {
  return new Function('return () => { const f = function () { return 1; }; return f(); };')();
}

describe('a look at the stack', () => {
  it('throws where a first call would', () => {
    const first = levelsNeeded(uncompiled());
    const deep = levelsNeeded(ensureStack);
    expect(first).toBeGreaterThan(100);
    expect(deep).toBeGreaterThan(first);
  });

  it('asks for as much when it is compiled', () => {
    const interpreted = levelsNeeded(ensureStep);
    for (let i = 0; i < 100_000; i++) ensureStep();
    const compiled = levelsNeeded(ensureStep);
    // A level of the recursion has some hundred bytes, less if that was compiled meanwhile.
    expect(interpreted).toBeGreaterThan(3);
    expect(compiled).toBeGreaterThan(3);
  });

  it('says nothing where there is room', () => {
    expect(() => ensureStack()).not.toThrow();
    expect(() => ensureStep()).not.toThrow();
  });
});
