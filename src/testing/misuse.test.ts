// SPDX-License-Identifier: MIT
/** Scenarios and options that cannot be meant: errors that say which argument is wrong. */

import { describe, expect, test } from 'vitest';
import {
  expectPassed,
  explore,
  hintsOf,
  linearizable,
  mayDie,
  replay,
  type Scenario,
  sample,
} from './index.ts';

const outside = new Int32Array(new SharedArrayBuffer(8));

function words(): Int32Array {
  return new Int32Array(new SharedArrayBuffer(8));
}

const increment = (shared: Int32Array): void => {
  Atomics.store(shared, 0, Atomics.load(shared, 0) + 1);
};

const good: Scenario<Int32Array> = {
  name: 'two increments',
  setup: words,
  threads: { a: increment, b: increment },
};

const many = Object.fromEntries(Array.from({ length: 16 }, (_, i) => [`t${i}`, increment]));

describe('a scenario is refused', () => {
  const refused: [string, unknown, RegExp][] = [
    ['that is none', undefined, /^scenario must be an object/],
    ['without a name', { ...good, name: '' }, /^scenario\.name must be a string/],
    ['without setup', { ...good, setup: 1 }, /^scenario\.setup must be a function/],
    [
      'whose setup is async',
      { ...good, setup: async () => words() },
      /^scenario\.setup must return/,
    ],
    ['with a misspelt key', { ...good, chek: () => 1 }, /^scenario has no option "chek"/],
    [
      'without threads',
      { ...good, threads: {} },
      /^threads of the scenario must be .* from 1 to 15/,
    ],
    ['whose threads are none', { ...good, threads: 3 }, /^scenario\.threads must be an object/],
    ['with a thread that is no function', { ...good, threads: { a: 1 } }, /^scenario\.threads\.a/],
    ['with a bad name', { ...good, threads: { 'a:b': increment } }, /"a:b" cannot name a thread/],
    ['with too many threads', { ...good, threads: many }, /^threads of the scenario .* got 16/],
    ['that may kill a stranger', { ...good, killable: ['c'] }, /^scenario\.killable\[0\].* a, b/],
    ['that prepares a stranger', { ...good, prepares: ['c'] }, /^scenario\.prepares\[0\].*a, b/],
    ['whose check is none', { ...good, check: 'yes' }, /^scenario\.check must be a function/],
  ];
  test.each(refused)('%s', async (_, scenario, message) => {
    const attempt = explore(scenario as typeof good);
    await expect(attempt).rejects.toThrow(message);
    await expect(attempt).rejects.toSatisfy(
      (error) => error instanceof TypeError || error instanceof RangeError,
    );
  });

  test('whose check is async', async () => {
    const report = await explore({ ...good, check: async () => undefined });
    expect(() => expectPassed(report)).toThrow(/scenario\.check must not be async/);
  });

  test('whose threads and supervisors are too many together', async () => {
    const threads = Object.fromEntries(Object.entries(many).slice(0, 8));
    const scenario = { ...good, threads, supervisor: () => undefined };
    await expect(explore(scenario, { kills: 1 })).rejects.toThrow(/their supervisors .* got 16/);
  });
});

describe('options are refused', () => {
  const refused: [Record<string, unknown>, RegExp][] = [
    [{ preemption: 1 }, /^there is no option "preemption"/],
    [{ preemptions: -1 }, /^options\.preemptions must be/],
    [{ kills: 0.5 }, /^options\.kills must be/],
    [{ spins: 0 }, /^options\.spins must be/],
    [{ states: 'all' }, /^options\.states must be/],
    [{ deaths: 'nowhere' }, /^options\.deaths must be one of anywhere, calls/],
    [{ races: 'no' }, /^options\.races must be true or false/],
    [{ seed: 1 }, /^there is no option "seed"/],
  ];
  test.each(refused)('%o', async (options, message) => {
    await expect(explore(good, options)).rejects.toThrow(message);
  });

  test('a seed out of range', async () => {
    await expect(sample(good, { seed: 2 ** 32 })).rejects.toThrow(/^options\.seed must be/);
  });
});

describe('a schedule', () => {
  test('that is none is refused', async () => {
    await expect(replay(good, 'a')).rejects.toThrow('schedule: "a" is not a piece of a schedule');
    await expect(replay(good, 'c:1')).rejects.toThrow('threads are a, b');
    await expect(replay(good, 1 as unknown as string)).rejects.toThrow('schedule must be a string');
  });

  test.each(['', 'a:2', 'a:* b:* a:*', 'a~:1'])(
    'that does not fit diverges: "%s"',
    async (text) => {
      const report = await replay(good, text);
      expect(report).toMatchObject({ diverged: true, complete: false });
      expect(() => expectPassed(report)).toThrow('does not fit the scenario any more');
    },
  );

  test('that fits does not', async () => {
    const report = await replay(good, 'a:* b:*');
    expect(report).toMatchObject({ diverged: false, ended: 1 });
    expectPassed(report);
  });
});

describe('memory that setup did not make fails the thread that', () => {
  const fails = async (body: (shared: Int32Array) => unknown): Promise<string | undefined> =>
    (await explore({ ...good, threads: { a: body } })).failure?.message;

  test('loads it', async () => {
    expect(await fails(() => Atomics.load(outside, 0))).toContain('that setup did not make');
  });

  test('waits on it', async () => {
    expect(await fails(() => Atomics.wait(outside, 0, 1))).toContain('that setup did not make');
  });

  test('notifies it', async () => {
    expect(await fails(() => Atomics.notify(outside, 0))).toContain('that setup did not make');
  });

  test('makes a view of it', async () => {
    const block = outside.buffer;
    expect(await fails(() => new Int32Array(block))).toContain('that setup did not make');
  });

  test('but not the thread that made it', async () => {
    const also = (own: Int32Array) => (shared: Int32Array) =>
      Atomics.add(own, 0, Atomics.load(shared, 0));
    expect(await fails((shared) => also(words())(shared))).toBeUndefined();
    expect(await fails((shared) => also(new Int32Array(2))(shared))).toBeUndefined();
  });
});

test('timers hand on what they are given', async () => {
  const told: unknown[] = [];
  const threads = {
    a: (shared: Int32Array) =>
      new Promise<void>((resolve) => {
        Atomics.load(shared, 0);
        setImmediate((word: string) => told.push(word), 'turn');
        setTimeout((word: string) => resolve(void told.push(word)), 5, 'timer');
      }),
  };
  expectPassed(await explore({ ...good, threads }));
  expect(new Set(told)).toEqual(new Set(['turn', 'timer']));
});

test('no thread runs the checker that runs it, and hints are asked for inside only', async () => {
  let inner: Promise<unknown> | undefined;
  const nested = () => {
    inner = explore(good).catch(String);
  };
  await explore({ ...good, threads: { a: nested } }, { warmUp: 0 });
  expect(await inner).toContain('a thread of a scenario cannot run the model checker');
  expect(() => hintsOf()).toThrow('for `racy` of a scenario only');
  const strange = { ...good, racy: () => hintsOf({} as never) };
  await expect(explore(strange)).rejects.toThrow(/^handles\[0\] must be the handle/);
});

test('a place to die does nothing outside, and is where a thread dies inside', async () => {
  mayDie();
  const outcomes = new Set<string>();
  const scenario: Scenario<Int32Array> = {
    ...good,
    threads: {
      a: (shared) => {
        shared[0] = 1;
        shared[1] = 1;
        mayDie();
        shared[0] = 2;
        shared[1] = 2;
      },
    },
    check: (shared) => {
      outcomes.add(`${shared[0]}${shared[1]}`);
      if (shared[0] !== shared[1]) throw new Error('torn');
    },
  };
  const report = await explore(scenario, { kills: 1, deaths: 'calls' });
  expectPassed(report);
  // Before its begin, at the mark, and behind its end.
  expect(report.kills).toBe(3);
  expect([...outcomes].sort()).toEqual(['00', '11', '22']);
  expect((await explore(scenario, { kills: 1 })).failure?.message).toBe('Error: torn');
});

describe('linearizable refuses', () => {
  const operations = { add: () => [1], get: () => [] };
  const structure = {
    name: 'counter',
    setup: words,
    attach: (shared: Int32Array) => ({
      add: (n: number) => Atomics.add(shared, 0, n),
      get: () => Atomics.load(shared, 0),
    }),
    sequential: () => ({ add: () => 0, get: () => 0 }),
    operations,
  };
  const withOperation = (add: unknown): unknown => ({ ...structure, operations: { add } });
  const structures: [string, unknown, RegExp][] = [
    ['null', null, /^structure must be an object, got null/],
    ['no name', { ...structure, name: 5 }, /^structure\.name must be a string.*, got 5/],
    ['no setup', { ...structure, setup: undefined }, /^structure\.setup must be a function/],
    ['a check', { ...structure, check: 5 }, /^structure\.check must be a function, got 5/],
    ['racy', { ...structure, racy: 5 }, /^structure\.racy must be a function, got 5/],
    ['nameWord', { ...structure, nameWord: 5 }, /^structure\.nameWord must be a function, got 5/],
    ['operations', { ...structure, operations: [] }, /^structure\.operations must be an object/],
    ['no operation', { ...structure, operations: {} }, /^structure\.operations must have/],
    [
      'an operation',
      withOperation(null),
      /^structure\.operations\.add must be an object, got null/,
    ],
    ['waits', withOperation({ waits: 5 }), /add\.waits must be true or false, got 5/],
    ['mayRefuse', withOperation({ mayRefuse: 5 }), /add\.mayRefuse must be an object, got 5/],
    ['no result', withOperation({ mayRefuse: {} }), /add\.mayRefuse must be \{ result \}/],
    [
      'a role',
      withOperation({ role: 'x' }),
      /add\.role: there is no role "x"; the structure has none/,
    ],
    ['arguments', withOperation(() => 5), /add: the arguments that it makes must be an array/],
    ['roles', { ...structure, roles: 5 }, /^structure\.roles must be an object, got 5/],
    ['no role', { ...structure, roles: { a: null } }, /^structure\.roles\.a must be an object/],
    ['a key', { ...structure, roles: { a: { least: 1 } } }, /^structure\.roles\.a has no option/],
    [
      'a promise',
      { ...structure, sequential: async () => ({}) },
      /^structure\.sequential must return an object/,
    ],
  ];
  test.each(structures)('a structure: %s', async (_, refused, message) => {
    await refuses(linearizable(refused as typeof structure), message);
  });

  const scenario = (thread: unknown): unknown => ({ scenario: [thread] });
  const options: [string, unknown, RegExp][] = [
    ['a list', [], /^options must be an object/],
    ['a scenario', { scenario: 5 }, /^options\.scenario must be a list.*, got 5/],
    ['no threads', { scenario: [] }, /^options\.scenario must be a list/],
    ['no thread', scenario(null), /^options\.scenario\[0\] must be an object, got null/],
    ['no calls', scenario({}), /^options\.scenario must be a list.*\[0\]\.operations is undefined/],
    ['no call', scenario({ operations: [[]] }), /operations\[0\]\[0\] must be one of/],
    [
      'a call of nothing',
      scenario({ operations: [['sub']] }),
      /^options\.scenario\[0\]\.operations\[0\]\[0\] must be one of add, get, got "sub"/,
    ],
    [
      'a role',
      scenario({ role: 'x', operations: [] }),
      /^options\.scenario\[0\]\.role: there is no role "x"/,
    ],
    ['a key', scenario({ ops: [], operations: [] }), /^options\.scenario\[0\] has no option "ops"/],
    ['a schedule', { schedule: 5 }, /^options\.schedule must be a string, got 5/],
  ];
  test.each(options)('options: %s', async (_, refused, message) => {
    await refuses(linearizable(structure, refused as object), message);
  });

  async function refuses(attempt: Promise<unknown>, message: RegExp): Promise<void> {
    await expect(attempt).rejects.toThrow(message);
    await expect(attempt).rejects.toSatisfy(
      (error) => error instanceof TypeError || error instanceof RangeError,
    );
  }
});
