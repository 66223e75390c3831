// SPDX-License-Identifier: MIT
/**
 * The model checker itself, against a slow and obvious enumeration, and on small programs with
 * known results.
 */

import {
  expectPassed,
  explore,
  formatFailure,
  type ModelOptions,
  type ModelThread,
  mayDie,
  replay,
  type Scenario,
  sample,
  type ThreadBody,
} from 'busbar/testing';
import { describe, expect, test } from 'vitest';
import { Random } from '../../src/base/random.ts';

interface Words {
  readonly words: Int32Array;
}

function makeWords(count = 4): Words {
  return { words: new Int32Array(new SharedArrayBuffer(count * 4)) };
}

function program(
  threads: Scenario<Words>['threads'],
  rest: Partial<Scenario<Words>> = {},
): Scenario<Words> {
  return { name: 'program', setup: () => makeWords(), threads, ...rest };
}

async function verdict(scenario: Scenario<Words>, options: ModelOptions = {}): Promise<string> {
  const report = await explore(scenario, options);
  if (report.failure !== undefined) return report.failure.kind;
  return report.complete ? 'passes' : `without ${report.leftOut.join(', ')}`;
}

// ── Against an oracle ───────────────────────────────────────────────────────────────────────────

type Op = readonly ['load' | 'store' | 'add' | 'cas', word: number, value: number];

/** One operation on plain words; what it answers is what the thread learns. */
function apply(words: number[] | Int32Array, op: Op): number {
  const [kind, word, value] = op;
  const before = words[word];
  if (kind === 'store') words[word] = value;
  if (kind === 'add') words[word] = before + value;
  if (kind === 'cas' && before === value - 1) words[word] = value;
  return kind === 'store' ? value : before;
}

function applyAtomic(words: Int32Array, op: Op): number {
  const [kind, word, value] = op;
  if (kind === 'load') return Atomics.load(words, word);
  if (kind === 'store') return Atomics.store(words, word, value);
  if (kind === 'add') return Atomics.add(words, word, value);
  return Atomics.compareExchange(words, word, value - 1, value);
}

function randomProgram(random: Random): Op[][] {
  const kinds = ['load', 'store', 'add', 'cas'] as const;
  const threads = random.between(2, 3);
  const length = threads === 2 ? random.between(2, 5) : random.between(2, 3);
  return Array.from({ length: threads }, () =>
    Array.from(
      { length },
      (): Op => [kinds[random.below(4)], random.below(2), random.between(1, 3)],
    ),
  );
}

/** All outcomes of all interleavings with at most so many preemptions, one by one. */
function enumerate(threads: readonly Op[][], preemptionsMax: number): Set<string> {
  const outcomes = new Set<string>();
  const learned: number[][] = threads.map(() => []);
  const words = [0, 0];
  const step = (at: readonly number[], last: number, preemptions: number): void => {
    let ended = true;
    threads.forEach((ops, thread) => {
      if (at[thread] === ops.length) return;
      ended = false;
      const preempts = last >= 0 && thread !== last && at[last] < threads[last].length;
      const spent = preemptions + (preempts ? 1 : 0);
      if (spent > preemptionsMax) return;
      const before = words.slice();
      learned[thread].push(apply(words, ops[at[thread]]));
      step(
        at.map((position, i) => (i === thread ? position + 1 : position)),
        thread,
        spent,
      );
      learned[thread].pop();
      words.splice(0, 2, ...before);
    });
    if (ended) outcomes.add(JSON.stringify([learned, words]));
  };
  step(
    threads.map(() => 0),
    -1,
    0,
  );
  return outcomes;
}

async function explored(threads: readonly Op[][], options: ModelOptions): Promise<Set<string>> {
  const outcomes = new Set<string>();
  const bodies = threads.map((ops, i) => [
    `t${i}`,
    ({ words }: Words) => ops.map((op) => applyAtomic(words, op)),
  ]);
  const report = await explore(
    program(Object.fromEntries(bodies), {
      check: ({ words }, { results }) => {
        outcomes.add(JSON.stringify([Object.values(results), [words[0], words[1]]]));
      },
    }),
    { warmUp: 0, ...options },
  );
  expectPassed(report, { leftOut: options.races === false ? ['races'] : ['preemptions'] });
  return outcomes;
}

describe('against an enumeration of all interleavings', () => {
  test('random programs have the same outcomes, with and without race clocks', async () => {
    const random = new Random(20_261);
    for (let i = 0; i < 60; i++) {
      const threads = randomProgram(random);
      const expected = [...enumerate(threads, Number.POSITIVE_INFINITY)].sort();
      expect([...(await explored(threads, {}))].sort()).toEqual(expected);
      expect([...(await explored(threads, { races: false }))].sort()).toEqual(expected);
    }
  });

  test('random programs have the same outcomes within a bound on preemptions', async () => {
    const random = new Random(20_262);
    for (let i = 0; i < 60; i++) {
      const threads = randomProgram(random);
      const preemptions = random.below(3);
      // The checker may see more: where a word is not contended it lets nobody in, and counts no
      // preemption.
      const least = enumerate(threads, preemptions);
      const most = enumerate(threads, Number.POSITIVE_INFINITY);
      const seen = await explored(threads, { preemptions });
      expect([...least].filter((outcome) => !seen.has(outcome))).toEqual([]);
      expect([...seen].filter((outcome) => !most.has(outcome))).toEqual([]);
    }
  });
});

// ── Known answers ───────────────────────────────────────────────────────────────────────────────

describe('data races', () => {
  const message = (publish: (words: Int32Array) => void, sees: (words: Int32Array) => boolean) =>
    program({
      writer: ({ words }) => {
        words[1] = 7;
        publish(words);
      },
      reader: ({ words }) => {
        if (sees(words)) return words[1];
        return 0;
      },
    });

  test('an atomic store read by an atomic load orders plain accesses', async () => {
    const scenario = message(
      (words) => Atomics.store(words, 0, 1),
      (words) => Atomics.load(words, 0) === 1,
    );
    expect(await verdict(scenario)).toBe('passes');
  });

  test('a plain flag orders nothing', async () => {
    const scenario = message(
      (words) => {
        words[0] = 1;
      },
      (words) => words[0] === 1,
    );
    expect(await verdict(scenario)).toBe('data race');
  });

  test('a flag that is declared racy is scheduled, and orders nothing', async () => {
    const scenario = message(
      (words) => {
        words[0] = 1;
      },
      (words) => words[0] === 1,
    );
    const racy = () => (_block: number, word: number) => word === 0;
    expect(await verdict({ ...scenario, racy })).toBe('data race');
    expect(await verdict({ ...scenario, racy: () => () => true })).toBe('without stale reads');
  });

  test('a read-modify-write in between carries the order on, a blind store does not', async () => {
    const relay = (second: (words: Int32Array) => void) =>
      program({
        first: ({ words }) => {
          words[1] = 7;
          Atomics.store(words, 0, 1);
        },
        second: ({ words }) => second(words),
        third: ({ words }) => (Atomics.load(words, 0) === 2 ? words[1] : 0),
      });
    const carries = relay((words) => Atomics.compareExchange(words, 0, 1, 2));
    expect(await verdict(carries)).toBe('passes');
    expect(await verdict(relay((words) => Atomics.store(words, 0, 2)))).toBe('data race');
  });

  test('bytes race one by one', async () => {
    const bytes = (first: number, second: number): Scenario<Uint8Array> => ({
      name: 'bytes',
      setup: () => new Uint8Array(new SharedArrayBuffer(8)),
      threads: {
        a: (shared) => shared.set([1, 2], first),
        b: (shared) => shared.fill(3, second, second + 2),
      },
    });
    expect((await explore(bytes(0, 2))).failure).toBe(undefined);
    expect((await explore(bytes(0, 1))).failure?.kind).toBe('data race');
  });
});

describe('waiting', () => {
  test('notify wakes the longest waiting threads, no more than asked', async () => {
    const waits = ({ words }: Words): string => Atomics.wait(words, 0, 0);
    const scenario = program({
      a: waits,
      b: waits,
      waker: ({ words }) => Atomics.notify(words, 0, 1),
    });
    expect(await verdict(scenario)).toBe('deadlock');
  });

  test('a timed wait ends by time, and its thread sees that time has passed', async () => {
    const scenario = program(
      {
        a: ({ words }) => {
          const begin = performance.now();
          const outcome = Atomics.wait(words, 0, 0, 25);
          return `${outcome} ${performance.now() - begin}`;
        },
        b: ({ words }) => Atomics.notify(words, 0),
      },
      {
        check: (_, { results }) => {
          outcomes.add(`${String(results.a)} ${String(results.b)}`);
        },
      },
    );
    const outcomes = new Set<string>();
    expect(await verdict(scenario)).toBe('without timeouts');
    // And time may pass where the thread does not wait.
    expect([...outcomes].filter((outcome) => / (0|25) /.test(outcome)).sort()).toEqual([
      'ok 0 1',
      'timed-out 25 0',
    ]);
  });

  test('timers, immediates and awaited waits run on the event loop of their thread', async () => {
    const scenario = program(
      {
        a: async ({ words }) => {
          const seen: string[] = [];
          const timer = new Promise<void>((resolve) => setTimeout(resolve, 10));
          const turn = new Promise<void>((resolve) => setImmediate(resolve));
          const wait = Atomics.waitAsync(words, 0, 0);
          timer.then(() => seen.push('timer'));
          turn.then(() => seen.push('turn'));
          if (wait.async) wait.value.then(() => seen.push('rung'));
          await Promise.all([timer, turn, wait.value]);
          return seen.join(' ');
        },
        b: ({ words }) => {
          Atomics.store(words, 0, 1);
          Atomics.notify(words, 0);
        },
      },
      { check: (_, { results }) => void outcomes.add(String(results.a)) },
    );
    const outcomes = new Set<string>();
    expect(await verdict(scenario)).toBe('passes');
    expect(outcomes).toContain('turn timer rung');
    expect(outcomes).toContain('turn rung timer');
    // The word had changed before the wait: nothing to wait for.
    expect(outcomes).toContain('turn timer');
  });

  test('a rejected body is a failure', async () => {
    const scenario = program({
      a: async ({ words }) => {
        await Promise.resolve();
        if (Atomics.load(words, 0) === 1) throw new Error('found it set');
      },
      b: ({ words }) => Atomics.store(words, 0, 1),
    });
    expect(await verdict(scenario)).toBe('assertion');
  });
});

describe('endless loops', () => {
  test('a spin that nobody ends is a livelock', async () => {
    const scenario = program({
      a: ({ words }) => {
        while (Atomics.load(words, 0) === 0) {}
      },
      b: ({ words }) => Atomics.store(words, 1, 1),
    });
    expect(await verdict(scenario)).toBe('livelock');
  });

  test('a spin that somebody ends is none, and a bounded spin may give up', async () => {
    const scenario = program(
      {
        a: ({ words }) => {
          for (let i = 0; i < 20; i++) if (Atomics.load(words, 0) === 1) return 'saw it';
          return 'gave up';
        },
        b: ({ words }) => Atomics.store(words, 0, 1),
      },
      { check: (_, { results }) => void outcomes.add(String(results.a)) },
    );
    const outcomes = new Set<string>();
    // Twenty rounds: others are let in at the first and the last of them.
    expect(await verdict(scenario)).toBe('without rounds');
    expect([...outcomes].sort()).toEqual(['gave up', 'saw it']);
    expect(await verdict(scenario, { spins: 20 })).toBe('passes');
  });

  test('two threads that undo each other for ever are a livelock', async () => {
    const body = (mine: number, other: number) => (shared: Words) => {
      const { words } = shared;
      for (;;) {
        Atomics.store(words, mine, 1);
        if (Atomics.load(words, other) === 0) return;
        Atomics.store(words, mine, 0);
      }
    };
    expect(await verdict(program({ a: body(0, 1), b: body(1, 0) }), { steps: 60 })).toBe(
      'livelock',
    );
  });
});

describe('deaths', () => {
  test('a thread dies before or after any write; its supervisor sees what was done', async () => {
    const outcomes = new Set<string>();
    const scenario = program(
      {
        a: ({ words }) => {
          words[0] = 1;
          words[1] = 1;
          words[2] = 1;
        },
      },
      {
        supervisor: ({ words }, dead) => `${dead.name} ${words[0]}${words[1]}${words[2]}`,
        check: (_, { results, killed }) => {
          outcomes.add(`${killed.join()} ${String(results["a's-supervisor"])}`);
        },
      },
    );
    expect(await verdict(scenario, { kills: 1 })).toBe('passes');
    expect([...outcomes].sort()).toEqual([
      ' undefined',
      'a a 000',
      'a a 100',
      'a a 110',
      'a a 111',
    ]);
  });

  test('a thread may die before its first change', async () => {
    const scenario = program({
      a: ({ words }) => {
        while (Atomics.load(words, 0) === 0) {}
      },
      b: ({ words }) => Atomics.store(words, 0, 1),
    });
    expect(await verdict({ ...scenario, killable: ['b'] }, { kills: 1 })).toBe('livelock');
  });

  test("with deaths: 'calls', plain accesses behind a call are done with it", async () => {
    const outcomes = new Set<string>();
    const scenario = program(
      {
        a: ({ words }) => {
          words[0] = 1;
          Atomics.store(words, 1, 1);
          words[2] = 1;
          words[3] = 1;
          mayDie();
          words[0] = 2;
          words.set([3], 1);
        },
      },
      {
        supervisor: ({ words }) => [...words].join(''),
        check: (_, { results }) => {
          outcomes.add(String(results["a's-supervisor"]));
        },
      },
    );
    expect(await verdict(scenario, { kills: 1, deaths: 'calls' })).toBe('passes');
    expect([...outcomes].sort()).toEqual(['0000', '1000', '1111', '2111', '2311', 'undefined']);
  });

  test('whoever finds the waits of a dead thread gone knows what it did', async () => {
    const scenario = program(
      {
        a: async ({ words }) => {
          const wait = Atomics.waitAsync(words, 0, 0);
          words[1] = 1;
          await wait.value;
        },
        b: ({ words }) => {
          // Nobody there: it is dead, or has not begun.
          if (Atomics.notify(words, 0) === 0) return words[2] === 1 ? words[1] : 0;
          Atomics.store(words, 0, 1);
          return 0;
        },
      },
      { supervisor: () => undefined },
    );
    expect(await verdict(scenario, { kills: 1 })).not.toBe('data race');
  });
});

describe('exceptions', () => {
  /** Moves one unit between words in two calls; what it leaves when one throws is known. */
  const move = ({ words }: Words, self: ModelThread): string => {
    try {
      return self.deeply(() => {
        mayDie();
        Atomics.sub(words, 0, 1);
        mayDie();
        Atomics.add(words, 1, 1);
        return 'moved';
      });
    } catch (error) {
      return (error as Error).message;
    }
  };
  const outcomesOf = async (body: ThreadBody<Words>, options: ModelOptions): Promise<string[]> => {
    const outcomes = new Set<string>();
    const scenario = program(
      { a: body, b: ({ words }) => Atomics.add(words, 1, 0) },
      {
        check: ({ words }, { results }) => {
          outcomes.add(`${words[0]} ${words[1]} ${String(results.a)}`);
        },
      },
    );
    const report = await explore(scenario, options);
    expect(formatFailure(report)).toBe('');
    expect(report.complete).toBe(true);
    return [...outcomes].sort();
  };
  const FULL = 'Maximum call stack size exceeded';

  test('any call may throw, once, and the thread goes on', async () => {
    expect(await outcomesOf(move, { exceptions: 0 })).toEqual(['-1 1 moved']);
    expect(await outcomesOf(move, { exceptions: 1 })).toEqual([
      `-1 0 ${FULL}`,
      '-1 1 moved',
      `0 0 ${FULL}`,
    ]);
  });

  test('twice, if asked: also in what catches the first one', async () => {
    const mends = (shared: Words, self: ModelThread): string => {
      if (move(shared, self) === 'moved') return 'moved';
      try {
        self.deeply(() => {
          if (Atomics.load(shared.words, 0) === -1) Atomics.add(shared.words, 0, 1);
        });
        return 'mended';
      } catch {
        return 'torn';
      }
    };
    const once = ['-1 1 moved', '0 0 mended'];
    expect(await outcomesOf(mends, { exceptions: 1 })).toEqual(once);
    const twice = ['-1 0 torn', '0 0 torn', ...once];
    expect(await outcomesOf(mends, { exceptions: 2 })).toEqual(twice.sort());
  });

  test('only what runs deeply is thrown at; what nobody catches is a failure', async () => {
    const a: ThreadBody<Words> = ({ words }) => Atomics.add(words, 0, 1);
    const b: ThreadBody<Words> = ({ words }, self) => self.deeply(() => Atomics.add(words, 0, 1));
    expect(await verdict(program({ a, b: a }), { exceptions: 1 })).toBe('passes');
    const { failure } = await explore(program({ a, b }), { exceptions: 1 });
    expect(failure?.message).toBe(`RangeError: ${FULL}`);
    expect(failure?.schedule).toContain('b:0^1');
  });

  test('a schedule with an exception and a death is replayed, and found by chance', async () => {
    const scenario = program(
      {
        a: move,
        b: ({ words }) => Atomics.store(words, 2, 1),
      },
      {
        killable: ['b'],
        check: ({ words }, { killed }) => {
          if (words[0] + words[1] !== 0 && killed.length === 1) throw new Error('torn');
        },
      },
    );
    const options: ModelOptions = { exceptions: 1, kills: 1 };
    const report = await explore(scenario, options);
    expect(report.exceptions).toBeGreaterThan(0);
    expect(report.failure?.message).toBe('Error: torn');
    expect(report.failure?.trace).toContain('the next call throws: the stack is full');
    const again = await replay(scenario, report.failure?.schedule ?? '', options);
    expect(again.failure?.trace).toBe(report.failure?.trace);
    const found = await sample(scenario, { ...options, seed: 3, schedules: 5000 });
    expect(found.failure?.message).toBe('Error: torn');
  });
});

describe('reports', () => {
  const broken = program(
    {
      a: ({ words }) => Atomics.store(words, 0, Atomics.load(words, 0) + 1),
      b: ({ words }) => Atomics.store(words, 0, Atomics.load(words, 0) + 1),
    },
    {
      nameWord: () => (_block, word) => (word === 0 ? 'COUNTER' : undefined),
      check: ({ words }) => {
        if (words[0] !== 2) throw new Error(`the counter says ${words[0]}`);
      },
    },
  );

  test('a failure is shown with one preemption, and can be replayed', async () => {
    const { failure } = await explore(broken);
    expect(failure?.message).toBe('Error: the counter says 1');
    expect(failure?.schedule).toBe('a:0 b:0 a:1 b:2 a:*');
    expect(failure?.trace.replace(/ +\S*engine\.test\.ts:\d+ .*/g, '')).toBe(
      [
        '       a                  b',
        '    1  load COUNTER → 0',
        '       ~ interrupted ~',
        '    2                     load COUNTER → 0',
        '    3                     store COUNTER = 1',
        '    4  store COUNTER = 1',
      ].join('\n'),
    );
    const again = await replay(broken, failure?.schedule ?? '');
    expect(again.failure?.trace).toBe(failure?.trace);
  });

  test('chance finds the same schedules for the same seed', async () => {
    const first = await sample(broken, { seed: 7, schedules: 500 });
    const second = await sample(broken, { seed: 7, schedules: 500 });
    expect(first.failure?.message).toBe('Error: the counter says 1');
    expect(second.schedules).toBe(first.schedules);
    expect(second.failure?.schedule).toBe(first.failure?.schedule);
  });

  test('a body that is not a function of what it reads is refused', async () => {
    let runs = 0;
    const scenario = program({
      a: ({ words }) => {
        Atomics.store(words, runs++ & 1, 1);
        Atomics.store(words, 0, 1);
      },
      b: ({ words }) => Atomics.load(words, 0) + Atomics.load(words, 1),
    });
    expect(await verdict(scenario)).toBe('not deterministic');
  });

  test('an exploration that is cut short says so', async () => {
    expect(await verdict(broken, { schedules: 1, warmUp: 0 })).toBe('without schedules');
  });

  test('the globals are as before when it is done', async () => {
    const before = [Atomics, Int32Array, SharedArrayBuffer, setTimeout, queueMicrotask];
    await explore(broken);
    expect([Atomics, Int32Array, SharedArrayBuffer, setTimeout, queueMicrotask]).toEqual(before);
    expect(Atomics).toBe(before[0]);
    expect(Number.isFinite(performance.now())).toBe(true);
  });
});
