// SPDX-License-Identifier: MIT
/** Linearizability from operations: scenarios are made, judged and shrunk. */

import { describe, expect, test } from 'vitest';
import { type HistoryOperation, judge } from './history.ts';
import { historyTable } from './history-table.ts';
import {
  BLOCKED,
  choose,
  expectPassed,
  formatFailure,
  linearizable,
  type Structure,
} from './index.ts';

/** Words: HEAD (tag · 16 + node + 1), then NEXT and VALUE of each node; a thread brings its own. */
class Stack {
  readonly #words: Int32Array;
  readonly #tagged: boolean;
  #spare: number[];

  constructor(words: Int32Array, spare: number[], tagged: boolean) {
    this.#words = words;
    this.#spare = spare;
    this.#tagged = tagged;
  }

  push(value: number): boolean {
    const words = this.#words;
    const node = this.#spare.shift();
    if (node === undefined) return false;
    Atomics.store(words, 2 + 2 * node, value);
    for (;;) {
      const head = Atomics.load(words, 0);
      Atomics.store(words, 1 + 2 * node, head & 15);
      const tag = this.#tagged ? (head >> 4) + 1 : 0;
      if (Atomics.compareExchange(words, 0, head, tag * 16 + node + 1) === head) return true;
    }
  }

  pop(): number | undefined {
    const words = this.#words;
    for (;;) {
      const head = Atomics.load(words, 0);
      const node = (head & 15) - 1;
      if (node < 0) return undefined;
      const next = Atomics.load(words, 1 + 2 * node);
      const tag = this.#tagged ? (head >> 4) + 1 : 0;
      if (Atomics.compareExchange(words, 0, head, tag * 16 + next) !== head) continue;
      const value = Atomics.load(words, 2 + 2 * node);
      this.#spare.push(node);
      return value;
    }
  }
}

/** Values from the top down. */
function contents(words: Int32Array): (number | undefined)[] {
  const values: (number | undefined)[] = [];
  for (let node = (Atomics.load(words, 0) & 15) - 1; node >= 0 && values.length < 9; ) {
    values.push(words[2 + 2 * node]);
    node = Atomics.load(words, 1 + 2 * node) - 1;
  }
  return values;
}

class SequentialStack {
  items: number[] = [];

  spare: Record<string, number> = {};

  push(value: number, thread: string): boolean {
    const spare = this.spare[thread] ?? 1;
    if (spare === 0) return false;
    this.spare[thread] = spare - 1;
    this.items.push(value);
    return true;
  }

  pop(thread: string): number | undefined {
    const item = this.items.pop();
    if (item !== undefined) this.spare[thread] = (this.spare[thread] ?? 1) + 1;
    return item;
  }

  final(): number[] {
    return this.items.toReversed();
  }
}

function stack(tagged: boolean): Structure<Int32Array, Stack> {
  return {
    name: 'stack',
    setup: () => new Int32Array(new SharedArrayBuffer(4 * 16)),
    attach: (words, self) => new Stack(words, self.name === 'a' ? [0] : [1], tagged),
    sequential: SequentialStack,
    operations: { push: (random) => [random.unique()], pop: {} },
    final: contents,
  };
}

test('a stack without a tag is found, made small, and found again', async () => {
  const right = await linearizable(stack(true), { seed: 2, scenarios: 20 });
  expectPassed(right);
  expect(right).toMatchObject({ complete: true, scenarios: 20 });
  expect(right.histories).toBeGreaterThan(20);

  const { failure, failed = [] } = await linearizable(stack(false), { seed: 2, scenarios: 200 });
  expect(failure?.kind).toBe('not linearizable');
  const calls = failed.flatMap(({ before = [], operations }) => [...before, ...operations]);
  expect(calls.length).toBeLessThan(9);
  const again = await linearizable(stack(false), {
    scenario: failed,
    schedule: failure?.schedule ?? '',
  });
  expect(again.failure?.message).toBe(failure?.message);
  expect(formatFailure(again)).toContain(failure?.replay);
});

/** One value from thread to thread; the words are STATE (0 empty, 1 full) and VALUE. */
const mailbox = (bug = ''): Structure<Int32Array> => ({
  name: 'mailbox',
  setup: () => new Int32Array(new SharedArrayBuffer(8)),
  sequential: class {
    value: number | undefined;

    put(value: number): unknown {
      if (this.value !== undefined) return BLOCKED;
      this.value = value;
      return undefined;
    }

    take(): unknown {
      const value = this.value;
      this.value = undefined;
      return value ?? BLOCKED;
    }
  },
  operations: {
    put: {
      args: (random) => [random.unique()],
      waits: true,
      run: (words, value: number) => {
        while (Atomics.compareExchange(words, 0, 0, 1) !== 0) Atomics.wait(words, 0, 1);
        Atomics.store(words, 1, value);
        Atomics.store(words, 0, 2);
        if (bug !== 'rings nobody') Atomics.notify(words, 0);
      },
    },
    take: {
      waits: true,
      run: (words) => {
        for (;;) {
          const state = Atomics.load(words, 0);
          if (state === 2) break;
          Atomics.wait(words, 0, state);
        }
        const value = Atomics.load(words, 1);
        const mine = bug === 'two take it' || Atomics.compareExchange(words, 0, 2, 3) === 2;
        if (!mine) return -1;
        Atomics.store(words, 0, 0);
        Atomics.notify(words, 0);
        return value;
      },
    },
  },
});

test('who waits at the end must have to', async () => {
  const options = { seed: 3, timeouts: 0, polls: 0, scenarios: 10 };
  const { failure } = await linearizable(mailbox('rings nobody'), options);
  expect(failure?.message).toMatch(/waits in \w+\(.*\), which could go on/);
});

test('what a thread was doing when it died has happened or not', async () => {
  const counter = (bug: boolean): Structure<Int32Array> => ({
    name: 'counter',
    setup: () => new Int32Array(new SharedArrayBuffer(8)),
    sequential: class {
      n = 0;

      add(): number {
        return ++this.n;
      }

      recover(): void {}

      final(): number {
        return this.n;
      }
    },
    operations: {
      add: {
        run: (words) => {
          if (bug) Atomics.add(words, 1, 1);
          return Atomics.add(words, 0, 1) + 1;
        },
      },
    },
    recover: () => undefined,
    final: (words) =>
      Atomics.load(words, 0) + Math.max(0, Atomics.load(words, 1) - Atomics.load(words, 0)) * 2,
  });
  const options = { kills: 1, scenarios: 5, operations: 2, preemptions: 1 };
  expectPassed(await linearizable(counter(false), options), { leftOut: ['preemptions'] });
  const { failure } = await linearizable(counter(true), options);
  expect(failure?.message).toContain('† dies');
});

test('a choice that the model leaves open is tried each way', async () => {
  const bag = (bug: boolean): Structure<Int32Array> => ({
    name: 'bag',
    setup: () => new Int32Array(new SharedArrayBuffer(8)),
    sequential: class {
      free = [0, 1];

      take(): number {
        if (this.free.length === 0) return -1;
        const one = choose(this.free);
        this.free = this.free.filter((other) => other !== one);
        return one;
      }
    },
    operations: {
      take: {
        run: (words) => {
          for (const i of [1, 0]) {
            if (bug && Atomics.load(words, i) === 0) {
              Atomics.store(words, i, 1);
              return i;
            }
            if (!bug && Atomics.compareExchange(words, i, 0, 1) === 0) return i;
          }
          return -1;
        },
      },
    },
  });
  expectPassed(await linearizable(bag(false)));
  const { failure } = await linearizable(bag(true));
  expect(failure?.message).toMatch(/take\(\) → 1/);
});

test('a race between operations is not hidden by the record of the history', async () => {
  const report = await linearizable({
    name: 'plain',
    setup: () => new Int32Array(new SharedArrayBuffer(8)),
    sequential: class {
      n = 0;

      set(n: number): void {
        this.n = n;
      }
    },
    operations: {
      set: {
        args: (random) => [random.below(2)],
        run: (words: Int32Array, n: number) => {
          words[0] = n;
        },
      },
    },
  });
  expect(report.failure?.kind).toBe('data race');
  expect(report.failure?.message).toMatch(/a: .*set\(\d\).*\n {2}b: .*set\(\d\)/);
});

describe('histories', () => {
  const operation = (
    thread: number,
    index: number,
    call: string,
    seen: number[],
    text: string,
    end: HistoryOperation['end'] = 'done',
  ): HistoryOperation => {
    const [, name = '', args = ''] = /^(\w+)\((.*)\)$/.exec(call) ?? [];
    return {
      thread,
      threadName: 'ab'[thread] ?? '',
      index,
      name,
      args: args === '' ? [] : [Number(args)],
      seen,
      end,
      text,
    };
  };
  const register = () => ({
    value: 0,
    write(value: number) {
      this.value = value;
    },
    read() {
      return this.value;
    },
  });
  const write = operation(0, 0, 'write(1)', [0, 0], 'undefined');

  test('a read that overlaps a write may be before or after it; one that follows may not', () => {
    const read = (seen: number, text: string) => operation(1, 0, 'read()', [seen, 0], text);
    expect(judge({ operations: [write, read(0, '0')] }, register)).toBeUndefined();
    expect(judge({ operations: [write, read(0, '1')] }, register)).toBeUndefined();
    expect(judge({ operations: [write, read(1, '1')] }, register)).toBeUndefined();
    expect(judge({ operations: [write, read(1, '0')] }, register)).toBeDefined();
  });

  test('an open write may be seen or not, but not first seen and then not', () => {
    const open = operation(0, 0, 'write(1)', [0, 0], '', 'open');
    const reads = (first: string, second: string) => [
      operation(1, 0, 'read()', [0, 0], first),
      operation(1, 1, 'read()', [0, 1], second),
    ];
    expect(judge({ operations: [open, ...reads('0', '0')] }, register)).toBeUndefined();
    expect(judge({ operations: [open, ...reads('0', '1')] }, register)).toBeUndefined();
    expect(judge({ operations: [open, ...reads('1', '0')] }, register)).toBeDefined();
  });

  test('a table has a column for each thread, and shows what overlaps', () => {
    const table = historyTable(
      [
        write,
        operation(0, 1, 'write(2)', [1, 0], 'undefined'),
        operation(1, 0, 'read()', [0, 0], '2'),
        operation(1, 1, 'read()', [2, 1], '', 'waiting'),
      ],
      ['a', 'b'],
    );
    expect(table).toBe(
      [
        '  a                      b',
        '  write(1) → undefined   read()',
        '  write(2) → undefined   → 2',
        '                         read() … waits',
      ].join('\n'),
    );
  });
});

describe('refused', () => {
  const good = stack(true);
  const refused: [string, unknown, unknown, RegExp][] = [
    ['no operations', { ...good, operations: {} }, {}, /must have an operation/],
    ['a method missing', { ...good, operations: { peek: {} } }, {}, /model's method peek must be/],
    ['an unknown key', { ...good, ops: {} }, {}, /structure has no option "ops"/],
    ['an unknown role', { ...good, operations: { pop: { role: 'x' } } }, {}, /no role "x"/],
    ['a schedule alone', good, { schedule: 'a:*' }, /options\.schedule needs options\.scenario/],
    ['an unknown option', good, { sead: 1 }, /there is no option "sead"/],
    ['no scenario', good, { scenario: [{}] }, /options\.scenario must be a list/],
  ];
  for (const [what, structure, options, message] of refused) {
    test(what, async () => {
      const run = linearizable(structure as typeof good, options as object);
      await expect(run).rejects.toThrow(message);
    });
  }
});

test('a bug that one operation alone shows is shown by that operation', async () => {
  class Counter {
    total = 0;
    add(by: number): number {
      this.total += by;
      return this.total;
    }
  }
  const report = await linearizable({
    name: 'counter',
    setup: () => new Int32Array(new SharedArrayBuffer(4)),
    sequential: () => new Counter(),
    operations: {
      add: {
        args: () => [2],
        run: (words: Int32Array, by: number) => Atomics.add(words, 0, by),
      },
    },
  });
  expect(report.failure?.kind).toBe('not linearizable');
  const calls = report.failed?.flatMap(({ before = [], operations }) => [...before, ...operations]);
  expect(calls).toEqual([['add', 2]]);
});

test('an operation without run that the subject does not have is named', async () => {
  const report = await linearizable({
    name: 'counter',
    setup: () => new Int32Array(new SharedArrayBuffer(4)),
    sequential: () => ({ add: () => 0 }),
    operations: { add: {} },
  } as never);
  expect(report.failure?.message).toContain('structure.operations.add has no run');
});
