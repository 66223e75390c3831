// SPDX-License-Identifier: MIT
/** Model checker: algorithms that the textbook does not have, each right and with planted bugs. */

import { explore, type ModelOptions, type Scenario, type ThreadBody } from 'busbar/testing';
import { describe, expect, test } from 'vitest';

type Body = ThreadBody<Int32Array>;
type Rest = Partial<Scenario<Int32Array>>;

const { load, store, add, compareExchange } = {
  load: (words: Int32Array, at: number): number => Atomics.load(words, at),
  store: (words: Int32Array, at: number, value: number): number => Atomics.store(words, at, value),
  add: (words: Int32Array, at: number, value: number): number => Atomics.add(words, at, value),
  compareExchange: (words: Int32Array, at: number, from: number, to: number): number =>
    Atomics.compareExchange(words, at, from, to),
};

/** "passes", with what was left out if anything was; or kind and message of the failure. */
async function verdictOf(
  threads: Record<string, Body>,
  options: ModelOptions = {},
  rest: Rest = {},
  count = 16,
): Promise<string> {
  const setup = () => new Int32Array(new SharedArrayBuffer(4 * count));
  const report = await explore({ name: 'author', setup, threads, ...rest }, options);
  const { failure } = report;
  if (failure !== undefined) return `${failure.kind}: ${failure.message}`;
  return report.complete ? 'passes' : `passes without ${report.leftOut.join()}`;
}

const counts = (at: number, value: number) => ({
  check: (words: Int32Array) => {
    if (words[at] !== value) throw new Error(`the counter says ${words[at]}`);
  },
});
const racy = (...words: number[]): Rest => ({ racy: () => (_, word) => words.includes(word) });

describe('MCS lock: TAIL, COUNTER, then NEXT and LOCKED of each', () => {
  const body =
    (me: number, bug = ''): Body =>
    (words) => {
      const next = 2 + 2 * me;
      const before = Atomics.exchange(words, 0, me + 1);
      if (before !== 0) {
        if (bug !== 'late') store(words, next + 1, 1);
        store(words, 2 + 2 * (before - 1), me + 1);
        if (bug === 'late') store(words, next + 1, 1);
        while (load(words, next + 1) === 1) {}
      }
      words[1]++;
      if (load(words, next) === 0) {
        if (compareExchange(words, 0, me + 1, 0) === me + 1) return;
        if (bug === 'leaves') return;
        while (load(words, next) === 0) {}
      }
      store(words, 2 + 2 * (load(words, next) - 1) + 1, 0);
    };
  const all = (bug = '') => ({ a: body(0, bug), b: body(1, bug), c: body(2, bug) });
  test('right', async () => {
    expect(await verdictOf({ a: body(0), b: body(1) }, {}, counts(1, 2))).toBe('passes');
  });
  test('leaves', async () => {
    expect(await verdictOf(all('leaves'), {}, counts(1, 3))).toMatch(/^livelock/);
  });
  test('late', async () => {
    expect(await verdictOf(all('late'), {}, counts(1, 3))).toMatch(/^livelock/);
  });
});

describe('Dekker: WANT 0, WANT 1, TURN, COUNTER', () => {
  const body = (me: number, isAtomic: boolean): Body => {
    const get = (words: Int32Array, at: number) => (isAtomic ? load(words, at) : words[at]);
    const put = (words: Int32Array, at: number, value: number) => {
      if (isAtomic) store(words, at, value);
      else words[at] = value;
    };
    return (words) => {
      put(words, me, 1);
      while (get(words, 1 - me) === 1) {
        if (get(words, 2) === me) continue;
        put(words, me, 0);
        while (get(words, 2) !== me) {}
        put(words, me, 1);
      }
      add(words, 3, 1);
      if (add(words, 4, 1) !== 0) throw new Error('both are inside');
      add(words, 4, -1);
      put(words, 2, 1 - me);
      put(words, me, 0);
    };
  };
  const all = (isAtomic: boolean) => ({ a: body(0, isAtomic), b: body(1, isAtomic) });
  test('atomic', async () => {
    expect(await verdictOf(all(true))).toBe('passes');
    expect(await verdictOf(all(true), { memory: 'es' })).toBe('passes');
  });
  test('plain', async () => {
    expect(await verdictOf(all(false))).toMatch(/^data race/);
    expect(await verdictOf(all(false), {}, racy(0, 1, 2))).toBe('passes without stale reads');
    const weak: ModelOptions = { memory: 'es', weakReads: 1, preemptions: 1 };
    expect(await verdictOf(all(false), weak, racy(0, 1, 2))).toMatch(/both are inside/);
  });
});

describe('double-checked init: STATE, LOCK, DATA, MADE', () => {
  const body =
    (bug: string): Body =>
    (words) => {
      const get = () => (bug === 'plain' ? words[0] : load(words, 0));
      if (get() === 0) {
        while (compareExchange(words, 1, 0, 1) !== 0) {}
        if (bug === 'once' || get() === 0) {
          if (bug === 'early') store(words, 0, 1);
          words[2] = 7;
          words[3]++;
          if (bug === 'plain') words[0] = 1;
          else store(words, 0, 1);
        }
        store(words, 1, 0);
      }
      if (words[2] !== 7) throw new Error('half made');
    };
  const all = (bug = '') => ({ a: body(bug), b: body(bug), c: body(bug) });
  test('right', async () => {
    expect(await verdictOf(all(), {}, counts(3, 1))).toBe('passes');
  });
  test('early', async () => {
    expect(await verdictOf(all('early'), {}, counts(3, 1))).toMatch(/^data race/);
  });
  test('once', async () => {
    expect(await verdictOf(all('once'), {}, counts(3, 1))).toMatch(/counter says 2|data race/);
  });
  test('plain', async () => {
    expect(await verdictOf(all('plain'), {}, { ...counts(3, 1), ...racy(0) })).toMatch(
      /^data race/,
    );
    expect(
      await verdictOf(all('plain'), { memory: 'es' }, { ...counts(3, 1), ...racy(0, 2) }),
    ).toMatch(/half made/);
  });
});

describe('hazard pointer: HEAD, HAZARD, then values of two nodes', () => {
  const reader =
    (bug = ''): Body =>
    (words) => {
      let node = load(words, 0);
      for (;;) {
        store(words, 1, node);
        if (bug === 'looks once') break;
        const again = load(words, 0);
        if (again === node) break;
        node = again;
      }
      const value = load(words, 2 + node);
      store(words, 1, 0);
      if (value === 99) throw new Error('freed');
    };
  const writer: Body = (words) => {
    store(words, 4, 7);
    const old = Atomics.exchange(words, 0, 2);
    while (load(words, 1) === old) {}
    store(words, 2 + old, 99);
  };
  const setup = () => {
    const words = new Int32Array(new SharedArrayBuffer(64));
    words[0] = 1;
    return words;
  };
  test('right', async () => {
    expect(await verdictOf({ r: reader(), w: writer }, {}, { setup })).toBe('passes');
  });
  test('looks once', async () => {
    expect(await verdictOf({ r: reader('looks once'), w: writer }, {}, { setup })).toMatch(/freed/);
  });
});

describe('epochs: EPOCH, POINTER, seen epochs of two readers, values of two nodes', () => {
  const reader =
    (me: number, bug = ''): Body =>
    (words) => {
      store(words, 2 + me, load(words, 0));
      if (bug === '')
        while (load(words, 0) !== load(words, 2 + me)) store(words, 2 + me, load(words, 0));
      const node = load(words, 1);
      const value = words[4 + node];
      store(words, 2 + me, 0);
      if (value === 99) throw new Error('freed');
    };
  const writer =
    (bug = ''): Body =>
    (words) => {
      if (bug !== 'late') store(words, 1, 1);
      const epoch = add(words, 0, 1) + 1;
      if (bug === 'late') store(words, 1, 1);
      for (const me of bug === 'one' ? [0] : [0, 1]) {
        for (;;) {
          const seen = load(words, 2 + me);
          if (seen === 0 || seen === epoch) break;
        }
      }
      words[4] = 99;
    };
  const setup = () => {
    const words = new Int32Array(new SharedArrayBuffer(64));
    words[0] = 1;
    return words;
  };
  test('right', async () => {
    expect(await verdictOf({ a: reader(0), b: reader(1), w: writer() }, {}, { setup })).toBe(
      'passes',
    );
  });
  test('of one reader only', async () => {
    expect(
      await verdictOf({ a: reader(0), b: reader(1), w: writer('one') }, {}, { setup }),
    ).toMatch(/^(data race|assertion)/);
  });
  test('says its epoch without a second look', async () => {
    // The pointer is changed before the epoch: who says an old one too late reads the new pointer.
    const once = { a: reader(0, 'once'), b: reader(1, 'once'), w: writer() };
    expect(await verdictOf(once, {}, { setup })).toBe('passes');
    const late = { a: reader(0, 'once'), b: reader(1, 'once'), w: writer('late') };
    expect(await verdictOf(late, {}, { setup })).toMatch(/^(data race|assertion)/);
  });
});

describe('condition variable: LOCK, SEQUENCE, READY', () => {
  const lock = (words: Int32Array) => {
    while (Atomics.exchange(words, 0, 1) !== 0) Atomics.wait(words, 0, 1);
  };
  const unlock = (words: Int32Array) => {
    store(words, 0, 0);
    Atomics.notify(words, 0);
  };
  const waits =
    (bug = ''): Body =>
    (words) => {
      lock(words);
      while (words[2] === 0) {
        let sequence = load(words, 1);
        unlock(words);
        if (bug === 'looks late') sequence = load(words, 1);
        Atomics.wait(words, 1, sequence);
        lock(words);
      }
      words[2]--;
      unlock(words);
    };
  const signals =
    (bug = ''): Body =>
    (words) => {
      lock(words);
      words[2]++;
      unlock(words);
      if (bug !== 'only rings') add(words, 1, 1);
      Atomics.notify(words, 1, 1);
    };
  test('right', async () => {
    expect(await verdictOf({ a: waits(), s: signals() })).toBe('passes');
  });
  test('looks late', async () => {
    expect(await verdictOf({ a: waits('looks late'), s: signals() })).toMatch(
      /^(lost wake-up|deadlock)/,
    );
  });
  test('only rings', async () => {
    expect(await verdictOf({ a: waits(), s: signals('only rings') })).toMatch(
      /^(lost wake-up|deadlock)/,
    );
  });
});
