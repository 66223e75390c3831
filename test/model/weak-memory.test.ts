// SPDX-License-Identifier: MIT
/**
 * Racy words under ECMAScript's memory model: litmus tests against an enumeration of candidate
 * executions, and small programs with known results.
 */

import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import {
  explore,
  type ModelOptions,
  type ModelReport,
  replay,
  type Scenario,
  sample,
} from 'busbar/testing';
import { describe, expect, test } from 'vitest';
import {
  type Access,
  atomically,
  litmusTable,
  litmusTests,
  outcomesOf,
  type Program,
} from './litmus.ts';
import { allowedOutcomes } from './memory-model.ts';

const DOCUMENT = join(import.meta.dirname, '../../docs/verification.md');
const WEAK: ModelOptions = { memory: 'es' };

describe('litmus tests', () => {
  for (const { name, program, weak, withLast } of litmusTests) {
    test(`${name}, plain: what the specification allows, and all of it`, async () => {
      const explored = await outcomesOf(program, {}, withLast);
      expect([...explored].sort()).toEqual([...allowedOutcomes(program, withLast)].sort());
      expect(explored).toContain(weak);
    });

    test(`${name}, atomic: the same, and sequentially consistent`, async () => {
      const atomic = atomically(program);
      const explored = await outcomesOf(atomic, {}, withLast);
      expect([...explored].sort()).toEqual([...allowedOutcomes(atomic, withLast)].sort());
      expect(explored).not.toContain(weak);
      const sequential = await outcomesOf(atomic, { memory: 'sequential' }, withLast);
      expect([...explored].sort()).toEqual([...sequential].sort());
    });
  }

  test('docs/verification.md has the table', () => {
    // `BUSBAR_UPDATE=1 npx vitest run test/model/weak-memory.test.ts -t table` writes it.
    const text = readFileSync(DOCUMENT, 'utf8');
    const table = litmusTable((program, withLast) => allowedOutcomes(program, withLast).size);
    const place = /(<!-- litmus tests -->\n\n)[\s\S]*?(\n\n<!-- end -->)/;
    const wanted = text.replace(place, `$1${table}$2`);
    if (process.env.BUSBAR_UPDATE === '1') writeFileSync(DOCUMENT, wanted);
    else expect(text).toBe(wanted);
    expect(wanted).toContain(table);
  });
});

test('of two atomic writes that a plain read knows of, it returns the later one', async () => {
  const on = (kind: Access['kind'], word: number, value = 0): Access => ({ kind, word, value });
  const program: Program = [
    [on('store', 2, 1), on('store', 0, 1), on('store', 1, 1)],
    [on('store', 0, 2), on('load', 2), on('load', 1), on('read', 0)],
  ];
  const explored = await outcomesOf(program);
  expect([...explored].sort()).toEqual([...allowedOutcomes(program)].sort());
  // It wrote 2 before the other one began.
  expect(explored).toContain('0,1,1');
  expect(explored).not.toContain('0,1,2');
});

// ── Known answers ───────────────────────────────────────────────────────────────────────────────

interface Known {
  readonly threads: Scenario<Int32Array>['threads'];
  /** Default: all words. */
  readonly racy?: (word: number) => boolean;
}

const known = (
  { threads, racy = () => true }: Known,
  seen?: Set<string>,
): Scenario<Int32Array> => ({
  name: 'known',
  setup: () => new Int32Array(new SharedArrayBuffer(16)),
  threads,
  racy: () => (_block, word) => racy(word),
  check: (_, { results }) => {
    seen?.add(Object.values(results).flat().join());
  },
});

async function outcomes(threads: Known['threads'], options: ModelOptions = {}): Promise<string[]> {
  const seen = new Set<string>();
  const report = await explore(known({ threads }, seen), { ...WEAK, ...options });
  expect(report.failure?.trace).toBe(undefined);
  expect(report.complete).toBe(true);
  return [...seen].sort();
}

const verdict = ({ failure, leftOut, complete }: ModelReport): string =>
  failure?.kind ?? (complete ? 'passes' : `without ${leftOut.join()}`);

describe('out of thin air', () => {
  test('values that only justify themselves are not explored', async () => {
    const copies = await outcomes({
      a: (words) => {
        const value = words[0];
        words[1] = value;
        return value;
      },
      b: (words) => {
        const value = words[1];
        words[0] = value;
        return value;
      },
    });
    expect(copies).toEqual(['0,0']);
    const conditions = await outcomes({
      a: (words) => {
        const value = words[0];
        if (value === 1) words[1] = 1;
        return value;
      },
      b: (words) => {
        const value = words[1];
        if (value === 1) words[0] = 1;
        return value;
      },
    });
    expect(conditions).toEqual(['0,0']);
  });

  test('a value that is written whatever is read may be read before', async () => {
    const seen = await outcomes({
      a: (words) => {
        const value = words[0];
        words[1] = value;
        return value;
      },
      b: (words) => {
        const value = words[1];
        words[0] = 1;
        return value;
      },
    });
    expect(seen).toEqual(['0,0', '1,0', '1,1']);
  });
});

describe('a seqlock', () => {
  /** Words: SEQUENCE, X, Y. */
  const seqlock = (isAtomic: boolean): Scenario<Int32Array> => {
    const put = (words: Int32Array, word: number, value: number): void => {
      if (isAtomic) Atomics.store(words, word, value);
      else words[word] = value;
    };
    const get = (words: Int32Array, word: number): number =>
      isAtomic ? Atomics.load(words, word) : words[word];
    return known({
      threads: {
        writer: (words) => {
          Atomics.add(words, 0, 1);
          put(words, 1, 1);
          put(words, 2, 1);
          Atomics.add(words, 0, 1);
        },
        reader: (words) => {
          for (;;) {
            const before = Atomics.load(words, 0);
            if ((before & 1) === 1) continue;
            const x = get(words, 1);
            const y = get(words, 2);
            if (Atomics.load(words, 0) !== before) continue;
            if (x !== y) throw new Error(`saw ${x} with ${y}`);
            return;
          }
        },
      },
      racy: (word) => word > 0,
    });
  };

  test('with atomic data passes', async () => {
    expect(verdict(await explore(seqlock(true), WEAK))).toBe('passes');
  });

  test('with plain data is broken, which only ECMAScript’s memory shows; it replays', async () => {
    expect(verdict(await explore(seqlock(false)))).toBe('without stale reads');
    const found = await explore(seqlock(false), WEAK);
    expect(verdict(found)).toBe('assertion');
    expect(found.failure?.trace).toMatch(/→ 1, which is written later/);
    const again = await replay(seqlock(false), found.failure?.schedule ?? '', WEAK);
    expect(again.failure?.trace).toBe(found.failure?.trace);
    const byChance = await sample(seqlock(false), { ...WEAK, schedules: 5000 });
    expect(verdict(byChance)).toBe('assertion');
    const bounded = await explore(seqlock(false), { ...WEAK, weakReads: 0 });
    expect(verdict(bounded)).toBe('without weak reads');
  });
});

describe('with waits, spins and deaths', () => {
  test('a plain spin sees the last write at last; one that nobody ends is a livelock', async () => {
    const spin = (until: number) => (words: Int32Array) => {
      while (words[0] !== until) {}
    };
    const writes = (words: Int32Array): void => {
      words[0] = 1;
      words[0] = 2;
    };
    // It may also see them later by one read more, and so on.
    expect(verdict(await explore(known({ threads: { a: spin(2), b: writes } }), WEAK))).toBe(
      'without weak reads',
    );
    expect(verdict(await explore(known({ threads: { a: spin(3), b: writes } }), WEAK))).toBe(
      'livelock',
    );
  });

  test('a schedule that is dropped amid a spin is not taken for one that has ended', async () => {
    const scenario: Scenario<Int32Array> = {
      ...known({
        threads: {
          // If it reads 1 before that is written, it spins, and is given up there.
          a: (words) => {
            if (words[0] === 1) while (words[1] === 0) {}
            return 'ended';
          },
          b: (words) => {
            words[1] = 1;
            words[0] = 1;
            return 'ended';
          },
        },
      }),
      check: (_, { results }) => {
        if (results.a !== 'ended' || results.b !== 'ended') throw new Error('not at its end');
      },
    };
    expect(verdict(await explore(scenario, WEAK))).toBe('without weak reads');
  });

  test('a woken thread knows what was done before; a reader of a plain flag does not', async () => {
    const message = (sees: (words: Int32Array) => boolean): Scenario<Int32Array> =>
      known({
        threads: {
          a: (words) => (sees(words) ? words[1] : 1),
          b: (words) => {
            words[1] = 1;
            words[0] = 1;
            Atomics.notify(words, 0);
          },
        },
        racy: (word) => word === 0,
      });
    const waits = message((words) => Atomics.wait(words, 0, 0) === 'ok');
    expect(verdict(await explore(waits, WEAK))).toBe('passes');
    expect(
      verdict(
        await explore(
          message((words) => words[0] === 1),
          WEAK,
        ),
      ),
    ).toBe('data race');
  });

  test('a supervisor knows what the dead have done, and nobody else', async () => {
    const seen = new Set<string>();
    const scenario: Scenario<Int32Array> = {
      ...known({
        threads: {
          a: (words) => {
            words[0] = 1;
            words[1] = 1;
          },
          b: (words) => [words[1], words[0]].join(''),
        },
      }),
      killable: ['a'],
      supervisor: (words) => [words[0], words[1]].join(''),
      check: (_, { results, killed }) => {
        seen.add(`${killed.join()} ${results.b} ${results["a's-supervisor"]}`);
      },
    };
    expect(verdict(await explore(scenario, { ...WEAK, kills: 1 }))).toBe('passes');
    expect(seen).toContain(' 10 undefined');
    expect(seen).toContain('a 10 11');
    expect([...seen].filter((outcome) => outcome.endsWith(' 01'))).toEqual([]);
    expect([...seen].filter((outcome) => /^a 1. 10$/.test(outcome))).toEqual([]);
  });

  test('a body that fails on what is never written has not failed', async () => {
    const scenario = known({
      threads: {
        // It reads 1 before that is written; then it is not written, or the read failed in vain.
        a: (words) => {
          if (words[0] === 1) throw new Error('read 1');
          Atomics.store(words, 1, 1);
        },
        b: (words) => {
          if (Atomics.load(words, 1) === 1) words[0] = 1;
        },
      },
    });
    expect(verdict(await explore(scenario, WEAK))).toBe('passes');
  });
});

test('options are checked', async () => {
  const scenario = known({ threads: { a: () => undefined } });
  await expect(explore(scenario, { memory: 'weak' as 'es' })).rejects.toThrow(/options\.memory/);
  await expect(explore(scenario, { weakReads: -1 })).rejects.toThrow(/options\.weakReads/);
  await expect(explore(scenario, { ...WEAK, races: false })).rejects.toThrow(/options\.races/);
});
