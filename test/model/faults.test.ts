// SPDX-License-Identifier: MIT
/**
 * Model checker: false passes, false alarms and misleading messages of earlier versions. Each test
 * fails without the fix.
 */

import { EventEmitter } from 'node:events';
import {
  expectPassed,
  explore,
  type ModelOptions,
  replay,
  type Scenario,
  sample,
  type ThreadBody,
} from 'busbar/testing';
import { describe, expect, test, vi } from 'vitest';

// As a module would that was loaded before the checker.
const KeptSharedArrayBuffer = SharedArrayBuffer;
const KeptInt32Array = Int32Array;
const { load: keptLoad } = Atomics;

type Body = ThreadBody<Int32Array>;

function words(count = 4): Int32Array {
  return new Int32Array(new SharedArrayBuffer(4 * count));
}

function scenario(
  threads: Record<string, Body>,
  rest: Partial<Scenario<Int32Array>> = {},
): Scenario<Int32Array> {
  return { name: 'scenario', setup: () => words(), threads, ...rest };
}

async function failureOf(
  threads: Record<string, Body>,
  options: ModelOptions = {},
  rest: Partial<Scenario<Int32Array>> = {},
): Promise<string> {
  const { failure } = await explore(scenario(threads, rest), options);
  return failure === undefined ? 'none' : `${failure.kind}: ${failure.message}`;
}

const write = (view: { [at: number]: number }, at: number): void => {
  view[at] = 1;
};

/** A method that Node does not document. */
const hexOf = (buffer: Buffer): string => (buffer as unknown as { hexSlice(): string }).hexSlice();

const dateOf = (date: Date): number => date.getTime();

const adds: Body = (shared) => {
  shared[0] = (shared[0] ?? 0) + 1;
};

// ── Passes that were none ───────────────────────────────────────────────────────────────────────

describe('views of different sizes on the same bytes race', () => {
  const kinds: Record<string, [offset: number, size: number, access: Body]> = {
    'Int32Array, read': [0, 4, (shared) => shared[0]],
    'Int32Array, written': [0, 4, (shared) => write(shared, 0)],
    'Atomics.load': [0, 4, (shared) => Atomics.load(shared, 0)],
    'Atomics.store': [0, 4, (shared) => Atomics.store(shared, 0, 1)],
    'Atomics.add': [0, 4, (shared) => Atomics.add(shared, 0, 1)],
    'Uint8Array, read': [1, 1, (shared) => new Uint8Array(shared.buffer)[1]],
    'Uint8Array, written': [1, 1, (shared) => write(new Uint8Array(shared.buffer), 1)],
    'Uint8Array.set': [0, 3, (shared) => new Uint8Array(shared.buffer).set([1, 2, 3])],
    'DataView, read': [0, 2, (shared) => new DataView(shared.buffer).getUint16(0)],
    'Uint32Array, read': [0, 4, (shared) => new Uint32Array(shared.buffer)[0]],
    'Uint32Array, written': [0, 4, (shared) => write(new Uint32Array(shared.buffer), 0)],
    'Int16Array, read': [2, 2, (shared) => new Int16Array(shared.buffer)[1]],
    'Int16Array, written': [0, 2, (shared) => write(new Int16Array(shared.buffer), 0)],
    'Float64Array, read': [0, 8, (shared) => new Float64Array(shared.buffer)[0]],
    'Float32Array, written': [4, 4, (shared) => write(new Float32Array(shared.buffer), 1)],
    'BigInt64Array, written': [
      0,
      8,
      (shared) => {
        new BigInt64Array(shared.buffer)[0] = 1n;
      },
    ],
    'Buffer, read': [1, 4, (shared) => Buffer.from(shared.buffer).readInt32LE(1)],
    'Buffer, written': [4, 1, (shared) => Buffer.from(shared.buffer).writeUInt8(1, 4)],
    'Atomics.add, 1 byte': [0, 1, (shared) => Atomics.add(new Uint8Array(shared.buffer), 0, 1)],
    'Atomics.load, 1 byte': [3, 1, (shared) => Atomics.load(new Int8Array(shared.buffer), 3)],
    'Atomics.store, 2 bytes': [
      2,
      2,
      (shared) => Atomics.store(new Int16Array(shared.buffer), 1, 7),
    ],
    'Atomics.load, 2 bytes': [2, 2, (shared) => Atomics.load(new Uint16Array(shared.buffer), 1)],
    'Atomics.add, unsigned': [0, 4, (shared) => Atomics.add(new Uint32Array(shared.buffer), 0, 1)],
    'Atomics.add, 8 bytes': [
      0,
      8,
      (shared) => Atomics.add(new BigInt64Array(shared.buffer), 0, 1n),
    ],
    'Atomics.load, 8 bytes': [0, 8, (shared) => Atomics.load(new BigUint64Array(shared.buffer), 0)],
    'DataView, written': [1, 4, (shared) => new DataView(shared.buffer).setInt32(1, 7)],
  };
  const writes = (kind: string): boolean => !/read|load/.test(kind);
  const isAtomic = (kind: string): boolean => kind.startsWith('Atomics');
  const names = Object.keys(kinds);
  const pairs = names.flatMap((a, i) => names.slice(i).map((b): [string, string] => [a, b]));
  test.each(pairs)('%s and %s', async (a, b) => {
    const [beginA, sizeA, accessA] = kinds[a] as (typeof kinds)[string];
    const [beginB, sizeB, accessB] = kinds[b] as (typeof kinds)[string];
    const overlap = beginA < beginB + sizeB && beginB < beginA + sizeA;
    const isSame = beginA === beginB && sizeA === sizeB;
    const synchronizes = isAtomic(a) && isAtomic(b) && isSame;
    const races = overlap && (writes(a) || writes(b)) && !synchronizes;
    const found = await failureOf({ a: accessA, b: accessB });
    expect(found.startsWith('data race')).toBe(races);
  });

  test('a word that is published before the bytes', async () => {
    const publishes: Body = (shared) => {
      Atomics.store(shared, 0, 1);
      new Uint8Array(shared.buffer).set([1, 2, 3, 4], 4);
    };
    const looks: Body = (shared) => (Atomics.load(shared, 0) === 1 ? shared[1] : 0);
    expect(await failureOf({ publishes, looks })).toContain('data race');
  });
});

test('a wait at eight bytes looks at all of them', async () => {
  const longs = (shared: Int32Array): BigInt64Array => new BigInt64Array(shared.buffer);
  const seen = new Set<string>();
  const waits: Body = (shared) => Atomics.wait(longs(shared), 0, 0n);
  const rings: Body = (shared) => {
    Atomics.store(longs(shared), 0, 1n << 40n);
    return Atomics.notify(longs(shared), 0);
  };
  const check: Scenario<Int32Array>['check'] = (shared, { results }) => {
    seen.add(`${results.waits} ${results.rings} ${Atomics.load(longs(shared), 0)}`);
  };
  expectPassed(await explore(scenario({ waits, rings }, { check })));
  expect([...seen].sort()).toEqual(['not-equal 0 1099511627776', 'ok 1 1099511627776']);
  const late: Body = (shared) => {
    Atomics.notify(longs(shared), 0);
    Atomics.store(longs(shared), 0, 1n << 40n);
  };
  expect(await failureOf({ waits, late })).toMatch(/^(lost wake-up|deadlock): /);
  const spins: Body = (shared) => {
    while (Atomics.load(longs(shared), 0) === 0n) {}
  };
  expectPassed(await explore(scenario({ spins, late })));
});

describe('who spins for some rounds and then parks', () => {
  const parks =
    (rounds: number, when: 'right' | 'notifies first') =>
    (shared: Int32Array): void => {
      for (;;) {
        for (let i = 0; i < rounds; i++) if (Atomics.load(shared, 0) === 1) return;
        Atomics.wait(shared, 0, 0);
        if (when === 'notifies first' && Atomics.load(shared, 0) === 1) return;
      }
    };
  const sets: Body = (shared) => {
    Atomics.store(shared, 0, 1);
    Atomics.notify(shared, 0);
  };
  const setsLate: Body = (shared) => {
    Atomics.notify(shared, 0);
    Atomics.store(shared, 0, 1);
  };
  test.each([1, 2, 5, 20, 150, 170, 1000, 5000])('%i rounds', async (rounds) => {
    const a = parks(rounds, 'notifies first');
    expect(await failureOf({ a, b: setsLate })).toContain('lost wake-up');
    const outcomes = new Set<string>();
    const right = scenario({
      a: (shared) => {
        for (let i = 0; i < rounds; i++) if (Atomics.load(shared, 0) === 1) return 'saw it';
        return Atomics.wait(shared, 0, 0);
      },
      b: sets,
    });
    const report = await explore({
      ...right,
      check: (_, { results }) => void outcomes.add(String(results.a)),
    });
    expectPassed(report, { leftOut: ['rounds'] });
    // Also between the last look and the wait.
    expect([...outcomes].sort()).toEqual(['not-equal', 'ok', 'saw it']);
  });
});

test('who spins for some rounds and then for ever, at the same word', async () => {
  const patient =
    (rounds: number): Body =>
    (shared) => {
      for (let i = 0; i < rounds; i++) if (Atomics.load(shared, 0) === 1) return 'at once';
      while (Atomics.load(shared, 0) === 0) {}
      return 'late';
    };
  for (const rounds of [3, 30, 3000]) {
    const seen = new Set<string>();
    const check: Scenario<Int32Array>['check'] = (_, { results }) => void seen.add(`${results.a}`);
    const threads = { a: patient(rounds), b: (shared: Int32Array) => Atomics.store(shared, 0, 1) };
    expectPassed(await explore(scenario(threads, { check })), { leftOut: ['rounds'] });
    expect([...seen].sort()).toEqual(['at once', 'late']);
  }
});

test('races: false: plain accesses are switching points', async () => {
  const lost = { check: (shared: Int32Array) => expect(shared[0]).toBe(2) };
  expect(await failureOf({ a: adds, b: adds }, { races: false }, lost)).toContain('assertion');
  const one = await explore(scenario({ a: adds, b: () => undefined }), { races: false });
  expect(one.leftOut).toEqual(['races']);
});

describe('a thread may die', () => {
  const sets: Body = (shared) => Atomics.store(shared, 0, 1);
  const awaits: Body = (shared) => {
    while (Atomics.load(shared, 0) === 0) {}
  };

  test('before its first change', async () => {
    expect(await failureOf({ a: awaits, b: sets }, { kills: 1 })).toContain('livelock');
    const begun: Body = (shared, self) => {
      Atomics.add(shared, 1, 1);
      self.begin();
      sets(shared, self);
    };
    const options = { kills: 1 };
    const rest = { prepares: ['b'], killable: ['b'] };
    expect(await failureOf({ a: awaits, b: begun }, options, rest)).toContain('livelock');
  });

  test('after it was woken, and before it goes on', async () => {
    const seen = new Set<string>();
    const rings: Body = (shared) => {
      Atomics.store(shared, 0, 1);
      Atomics.notify(shared, 0);
    };
    const woken: Body = (shared) => {
      Atomics.wait(shared, 0, 0);
      shared[1] = 1;
    };
    const report = await explore(
      scenario(
        { a: woken, b: rings },
        {
          killable: ['a'],
          supervisor: () => undefined,
          check: (shared, { results, killed }) => {
            seen.add(`${killed.length} ${String(results.b)} ${shared[1]}`);
          },
        },
      ),
      { kills: 1, deaths: 'calls' },
    );
    expectPassed(report);
    expect(seen).toContain('1 undefined 0');
  });

  test('after it has told its supervisor', async () => {
    const told = new Set<number>();
    const report = await explore(
      scenario(
        {
          a: (shared, self) => {
            self.publish(1);
            return Atomics.load(shared, 0);
          },
        },
        { supervisor: (shared, dead) => void told.add(dead.published.length + (shared[0] ?? 0)) },
      ),
      { kills: 1 },
    );
    expectPassed(report);
    expect([...told].sort()).toEqual([0, 1]);
  });
});

describe('what is no check at all fails', () => {
  test('a thread that prepares and never begins', async () => {
    const found = await failureOf({ a: adds, b: adds }, {}, { prepares: ['a', 'b'] });
    expect(found).toBe('misuse: a prepares, but never calls begin()');
  });

  test('a scenario in which nobody touches shared memory', async () => {
    expect(await failureOf({ a: () => 1 })).toContain(
      'misuse: no thread has touched shared memory',
    );
    const sampled = await sample(scenario({ a: () => 1 }), { schedules: 3 });
    expect(sampled.failure?.kind).toBe('misuse');
  });

  test('memory made by constructors that somebody kept', async () => {
    const kept = { setup: () => new KeptInt32Array(new KeptSharedArrayBuffer(8)) };
    await expect(explore(scenario({ a: adds, b: adds }, kept))).rejects.toThrow(
      'that setup did not make',
    );
    const inside = { setup: () => new Int32Array(new KeptSharedArrayBuffer(8)) };
    await expect(explore(scenario({ a: adds }, inside))).rejects.toThrow('that setup did not make');
    const behind: Body = (shared) => {
      Atomics.load(shared, 1);
      const own = new KeptInt32Array(shared.buffer);
      own[0] = (own[0] ?? 0) + 1;
    };
    expect(await failureOf({ a: behind, b: behind })).toContain(
      'misuse: shared memory was written',
    );
  });

  test.each<[string, Body]>([
    ['a method that its views do not have', (shared) => hexOf(Buffer.from(shared.buffer))],
  ])('what the checker does not have, though the body catches it: %s', async (_, access) => {
    const a: Body = (shared, self) => {
      try {
        access(shared, self);
      } catch {
        Atomics.load(shared, 0);
      }
    };
    expect(await failureOf({ a })).toMatch(/^misuse: the model checker/);
  });
});

test('a report that left something out is no pass, unless the caller names it', async () => {
  const racy = { racy: () => () => true };
  const report = await explore(scenario({ a: adds, b: adds }, racy), { preemptions: 0 });
  expect(report).toMatchObject({ complete: false, leftOut: ['preemptions', 'stale reads'] });
  expect(() => expectPassed(report)).toThrow(/'preemptions': .*\n {2}'stale reads': /);
  expect(() => expectPassed(report, { leftOut: ['preemptions'] })).toThrow("'stale reads'");
  expectPassed(report, { leftOut: ['preemptions', 'stale reads'] });
  const misspelt = { leftOut: ['preemption'] } as unknown as Parameters<typeof expectPassed>[1];
  expect(() => expectPassed(report, misspelt)).toThrow(/^allowance\.leftOut\[0\]/);
});

// ── Alarms that were false ──────────────────────────────────────────────────────────────────────

test('bytes of words that may race are switched at, and may', async () => {
  const threads = {
    a: (shared: Int32Array) => {
      for (const round of [1, 3]) {
        Atomics.store(shared, 0, round);
        new Uint8Array(shared.buffer).set([round, round], 4);
        Atomics.store(shared, 0, round + 1);
      }
    },
    b: (shared: Int32Array) => {
      const before = Atomics.load(shared, 0);
      const [x, y] = new Uint8Array(shared.buffer).subarray(4, 6);
      if (before % 2 === 1 || Atomics.load(shared, 0) !== before) return 'again';
      return `${x} ${y}`;
    },
  };
  const seen = new Set<string>();
  const check: Scenario<Int32Array>['check'] = (_, { results }) => void seen.add(`${results.b}`);
  const report = await explore(scenario(threads, { racy: () => () => true, check }));
  expectPassed(report, { leftOut: ['stale reads'] });
  expect([...seen].sort()).toEqual(['0 0', '1 1', '3 3', 'again']);
});

describe('no livelock is', () => {
  test('a loop that makes progress while it polls', async () => {
    const polls: Body = (shared) => {
      while (Atomics.load(shared, 0) === 0) Atomics.add(shared, 1, 1);
    };
    const sets: Body = (shared) => Atomics.store(shared, 0, 1);
    const one = await explore(scenario({ polls, sets }));
    expectPassed(one, { leftOut: ['unfair schedules'] });
    const two = await explore(scenario({ p: polls, q: polls, sets }), { states: 50_000 });
    expect(two.failure).toBe(undefined);
    expect(two.covered).toBeGreaterThanOrEqual(1);
    // But if nobody sets it, it is one.
    expect(await failureOf({ polls, reads: (shared) => Atomics.load(shared, 1) })).toContain(
      'livelock',
    );
  });

  test('a body of 3 000 accesses', async () => {
    const long: Body = (shared) => {
      for (let i = 0; i < 3000; i++) Atomics.add(shared, 1, 1);
      Atomics.add(shared, 0, 1);
    };
    const short: Body = (shared) => Atomics.add(shared, 0, 1);
    expectPassed(await explore(scenario({ long, short })));
  });

  test('a poll loop with turns of the event loop', async () => {
    const polls: Body = async (shared) => {
      while (Atomics.load(shared, 0) === 0) await new Promise((resolve) => setImmediate(resolve));
    };
    const sets: Body = (shared) => Atomics.store(shared, 0, 1);
    expectPassed(await explore(scenario({ polls, sets })));
    expect(await failureOf({ polls, reads: (shared) => Atomics.load(shared, 1) })).toContain(
      'livelock',
    );
  });
});

describe('an access acquires what it reads before it can race', () => {
  // The thread reads plainly, then publishes 1 in the same word.
  const publishes: Body = (shared) => {
    const before = shared[0];
    Atomics.store(shared, 0, 1);
    return before;
  };
  const longsOf = (shared: Int32Array) => new BigInt64Array(shared.buffer, 0, 1);

  test('a compare-exchange from the value that is published', async () => {
    const taken: Body = (shared) => Atomics.compareExchange(shared, 0, 1, 2);
    expect(await failureOf({ a: publishes, b: taken })).toBe('none');
  });

  test('one that does not read it races', async () => {
    const taken: Body = (shared) => Atomics.compareExchange(shared, 0, 0, 2);
    expect(await failureOf({ a: publishes, b: taken })).toMatch('data race');
  });

  test.each(['byte', 'long'])('of a %s', async (size) => {
    const viewOf = (shared: Int32Array) =>
      size === 'byte' ? new Uint8Array(shared.buffer) : longsOf(shared);
    const one = (size === 'byte' ? 1 : 1n) as never;
    const two = (size === 'byte' ? 2 : 2n) as never;
    const zero = (size === 'byte' ? 0 : 0n) as never;
    const a: Body = (shared) => {
      const before = viewOf(shared)[0];
      Atomics.store(viewOf(shared) as BigInt64Array, 0, one);
      return before;
    };
    const from =
      (expected: never): Body =>
      (shared) =>
        Atomics.compareExchange(viewOf(shared) as BigInt64Array, 0, expected, two);
    expect(await failureOf({ a, b: from(one) })).toBe('none');
    expect(await failureOf({ a, b: from(zero) })).toMatch('data race');
  });
});

describe('states that are equal but for what happens before what', () => {
  // Words: X, which two threads set to 1; FLAG, which may race and orders nothing; DATA.
  const sets: Body = (shared) => Atomics.store(shared, 0, 1);
  const writes: Body = (shared) => {
    shared[2] = 7;
    Atomics.store(shared, 0, 1);
    shared[1] = 1;
  };
  const racy = () => (_block: number, word: number) => word === 1;

  test('which of two equal stores was the last one', async () => {
    const reads: Body = (shared) => {
      if (shared[1] === 1 && Atomics.load(shared, 0) === 1) return shared[2];
      return 0;
    };
    expect(await failureOf({ sets, writes, reads }, { warmUp: 0 }, { racy })).toMatch('data race');
    const alone = { reads, writes, sets: () => undefined };
    expect(await failureOf(alone, { warmUp: 0 }, { racy })).toBe('none');
  });

  test('which of them a thread has read', async () => {
    const reads: Body = (shared) => {
      if (Atomics.load(shared, 0) === 1 && shared[1] === 1) return shared[2];
      return 0;
    };
    expect(await failureOf({ sets, writes, reads }, { warmUp: 0 }, { racy })).toMatch('data race');
    const alone = { reads, writes, sets: () => undefined };
    expect(await failureOf(alone, { warmUp: 0 }, { racy })).toBe('none');
  });

  test('epochs alone make no states', async () => {
    // Each adds to two words of a ring: what differs is how often each was released, and by whom.
    const adds = Array.from({ length: 5 }, (_, i): [string, Body] => [
      `t${i}`,
      (shared) => [Atomics.add(shared, i, 1), Atomics.add(shared, (i + 1) % 5, 1)],
    ]);
    const ring = { ...scenario(Object.fromEntries(adds)), setup: () => words(5) };
    const { complete, states } = await explore(ring);
    expect(complete).toBe(true);
    expect(states).toBeLessThan(400);
  });
});

test('who notifies a waiter knows what it did before', async () => {
  const threads: Record<string, Body> = {
    a: (shared) => {
      shared[1] = 7;
      Atomics.wait(shared, 0, 0);
    },
    b: (shared) => {
      if (Atomics.notify(shared, 0) === 1) return shared[1];
      Atomics.store(shared, 0, 1);
      Atomics.notify(shared, 0);
      return 7;
    },
  };
  expect(await failureOf(threads)).toBe('none');
});

// ── Spins and bounds ────────────────────────────────────────────────────────────────────────────

describe('spinning costs little', () => {
  const counts = (shared: Int32Array): void => {
    shared[1] = (shared[1] ?? 0) + 1;
  };
  const locks: Record<string, Body> = {
    'test and set': (shared) => {
      while (Atomics.compareExchange(shared, 0, 0, 1) !== 0) {}
      counts(shared);
      Atomics.store(shared, 0, 0);
    },
    exchange: (shared) => {
      while (Atomics.exchange(shared, 0, 1) !== 0) {}
      counts(shared);
      Atomics.store(shared, 0, 0);
    },
  };
  test.each(Object.keys(locks))('%s, 3 threads', async (name) => {
    const body = locks[name] as Body;
    const check = (shared: Int32Array): void => expect(shared[1]).toBe(3);
    const report = await explore(scenario({ a: body, b: body, c: body }, { check }));
    expectPassed(report);
    expect(report.schedules).toBeLessThan(5000);
  });

  test('a lock for readers and writers, 3 threads', async () => {
    const reads: Body = (shared) => {
      for (;;) {
        const readers = Atomics.load(shared, 0);
        if (readers >= 0 && Atomics.compareExchange(shared, 0, readers, readers + 1) === readers) {
          break;
        }
      }
      const seen = shared[1];
      Atomics.sub(shared, 0, 1);
      return seen;
    };
    const writes: Body = (shared) => {
      while (Atomics.compareExchange(shared, 0, 0, -1) !== 0) {}
      counts(shared);
      Atomics.store(shared, 0, 0);
    };
    expectPassed(await explore(scenario({ r: reads, s: reads, w: writes })));
    expectPassed(await explore(scenario({ r: reads, v: writes, w: writes })));
  });
});

test.each([1, 2])('a bug behind 2 × 100 steps is found without a bound (%i)', async (word) => {
  const body =
    (own: number): Body =>
    (shared) => {
      for (let i = 0; i < 100; i++) Atomics.add(shared, own, 1);
      Atomics.store(shared, 0, Atomics.load(shared, 0) + 1);
      for (let i = 0; i < 100; i++) Atomics.add(shared, own, 1);
    };
  const check = (shared: Int32Array): void => {
    if (shared[0] !== 2) throw new Error('lost');
  };
  const report = await explore(scenario({ a: body(word), b: body(1) }, { check }));
  expect(report.failure?.message).toBe('Error: lost');
});

test('threads that have ended are what they returned, if anybody asks', async () => {
  const names = ['a', 'b', 'c', 'd', 'e', 'f', 'g', 'h'];
  const eight = Object.fromEntries(
    names.map((name): [string, Body] => [name, (shared) => Atomics.add(shared, 0, 1)]),
  );
  const check = (shared: Int32Array): void => expect(shared[0]).toBe(8);
  const report = await explore(scenario(eight, { check }));
  expectPassed(report);
  expect(report.schedules).toBeLessThan(2000);
  const orders = new Set<string>();
  const { a, b, c, d } = eight as Record<string, Body>;
  const asks: Scenario<Int32Array>['check'] = (_, { results }) =>
    void orders.add(`${Object.values(results)}`);
  expectPassed(await explore(scenario({ a, b, c, d } as Record<string, Body>, { check: asks })));
  expect(orders.size).toBe(24);
});

// ── Messages and hangs ──────────────────────────────────────────────────────────────────────────

describe('a message says what is wrong', () => {
  test('a body that catches everything and tries again', async () => {
    const stubborn: Body = (shared) => {
      for (;;) {
        try {
          return Atomics.add(shared, 0, 1);
        } catch {}
      }
    };
    const polls: Body = (shared) => {
      for (;;) {
        try {
          if (Atomics.load(shared, 0) === 2) return;
        } catch {}
      }
    };
    expectPassed(await explore(scenario({ a: stubborn, b: stubborn, polls })));
  });

  test('fake timers do not stop it', async () => {
    vi.useFakeTimers();
    try {
      expect(await failureOf({ a: adds, b: adds })).toContain('data race');
    } finally {
      vi.useRealTimers();
    }
  });

  test('nor do those that fake all that can be faked: the clock is the model’s', async () => {
    const all = ['setTimeout', 'setImmediate', 'setInterval', 'Date', 'performance', 'hrtime'];
    vi.useFakeTimers({ toFake: [...all, 'queueMicrotask'] as never, now: 5 });
    const seen = new Set<string>();
    const ticks: Body = async (shared) => {
      const began = [Date.now(), performance.now(), dateOf(new Date())];
      await new Promise<void>((resolve) => setTimeout(resolve, 1e6));
      await new Promise<void>((resolve) => process.nextTick(() => queueMicrotask(resolve)));
      const times = [Date.now(), performance.now(), dateOf(new Date())];
      Atomics.store(shared, 0, 1);
      Atomics.notify(shared, 0);
      seen.add(times.map((time, i) => time - (began[i] ?? 0)).join());
    };
    const waits: Body = (shared) => Atomics.wait(shared, 0, 0);
    try {
      expect(await failureOf({ ticks, waits }, { timeouts: 0 })).toBe('none');
      expect([...seen]).toEqual(['1000000,1000000,1000000']);
      expect([Date.now(), dateOf(new Date())]).toEqual([5, 5]);
    } finally {
      vi.useRealTimers();
    }
  });

  test('a check that is async and rejects', async () => {
    const check = async (): Promise<void> => {
      throw new Error('nobody sees this');
    };
    const found = await failureOf({ a: adds }, {}, { check: check as unknown as () => void });
    expect(found).toContain('scenario.check must not be async');
  });

  test('a body that awaits what the model does not have', async () => {
    const waits: Body = (shared) => {
      Atomics.load(shared, 0);
      return new Promise((resolve) => resolver.once('answer', resolve));
    };
    const resolver = new EventEmitter();
    expect(await failureOf({ waits })).toMatch(/deadlock: .* what waits awaits is outside of the/);
  });

  test('a body that writes what chance says', async () => {
    const a: Body = (shared) => {
      Atomics.store(shared, 0, Math.floor(Math.random() * 2 ** 31));
      Atomics.store(shared, 1, 1);
    };
    const b: Body = (shared) => Atomics.load(shared, 0) + Atomics.load(shared, 1);
    expect(await failureOf({ a, b })).toMatch(
      /^not deterministic: store with other values than before, at model\/faults\.test\.ts:\d+$/,
    );
  });

  test('the clock is the model’s', async () => {
    const a: Body = (shared) => {
      Atomics.store(shared, 0, Number(process.hrtime.bigint() % 1000n) + process.hrtime()[1]);
      Atomics.store(shared, 1, new Date().getMilliseconds());
    };
    const b: Body = (shared) => Atomics.load(shared, 0) + Atomics.load(shared, 1);
    expect(await failureOf({ a, b })).toBe('none');
  });

  test('a function of Atomics that somebody kept', async () => {
    expect(await failureOf({ a: (shared) => keptLoad(shared, 0) })).toMatch(
      /^misuse: a function was taken from Atomics before the run/,
    );
  });

  test('the word of a race, by its name, and both places', async () => {
    const rest = { nameWord: () => () => 'COUNTER' };
    const found = await failureOf({ a: adds, b: adds }, {}, rest);
    expect(found).toMatch(
      /^data race: nothing orders what a did to COUNTER .*faults.*:\d+.* and what b .*faults.*:\d+/,
    );
  });

  test('a schedule with a supervisor, replayed without the options', async () => {
    const dies = scenario(
      { a: adds },
      {
        supervisor: (shared) => shared[1],
        check: (_, { killed }) => {
          if (killed.length > 0) throw new Error('died');
        },
      },
    );
    const { failure } = await explore(dies, { kills: 1 });
    expect(failure?.message).toBe('Error: died');
    await expect(replay(dies, failure?.schedule ?? '')).rejects.toThrow('with the option kills');
  });

  test('schedules bounds the warm-up, too', async () => {
    expect((await explore(scenario({ a: adds }), { schedules: 3 })).schedules).toBe(3);
  });

  test('Atomics and views behave as they do in Node', async () => {
    const results: unknown[] = [];
    const a: Body = (shared) => {
      results.push(Atomics.store(shared, 0, 2 ** 33), ArrayBuffer.isView(shared));
      results.push(Atomics.load(shared, undefined as unknown as number));
      Object.assign(shared, { label: 'mine' });
      results.push((shared as unknown as { label: string }).label);
    };
    expect(await failureOf({ a }, { warmUp: 0 })).toBe('none');
    expect(results.slice(0, 4)).toEqual([2 ** 33, true, 0, 'mine']);
  });
});

describe('messages and traces that misled', () => {
  const { wait: keptWait } = Atomics;

  test('Atomics.wait that was kept', async () => {
    expect(await failureOf({ a: (shared) => keptWait(shared, 0, 1), b: adds })).toMatch(
      /^misuse: a function was taken from Atomics/,
    );
  });

  test('an array that Atomics does not take is the fault of the program', async () => {
    const loads: Body = (shared) => Atomics.load(new Float64Array(shared.buffer) as never, 0);
    expect(await failureOf({ loads })).toMatch(/^assertion: TypeError: \[object Float64Array\]/);
  });

  test('the access at which a race is met has no operands yet', async () => {
    const threads = { a: adds, b: (shared: Int32Array) => Atomics.exchange(shared, 0, 9) };
    const { failure } = await explore(scenario(threads));
    expect(failure?.steps?.at(-1)?.action).toBe('exchange block 0 [0]');
  });

  test('the constructor of a view and structuredClone make views of the model', async () => {
    const other = (shared: Int32Array): Int32Array =>
      new (shared.constructor as typeof Int32Array)(shared.buffer);
    expect(await failureOf({ a: (shared) => adds(other(shared), {} as never), b: adds })).toMatch(
      /^data race/,
    );
    expect(
      await failureOf({ a: (shared) => adds(structuredClone(shared), {} as never), b: adds }),
    ).toMatch(/^data race/);
  });
});

test('a lost wake-up names who waits for the word that has changed, and the word', async () => {
  const waits: Body = (shared) => Atomics.wait(shared, 1, 0);
  const other: Body = (shared) => Atomics.wait(shared, 2, 0);
  const stores: Body = (shared) => Atomics.store(shared, 1, 1);
  const rest = { nameWord: () => (_: number, word: number) => ['FREE', 'READY'][word] };
  const named = await replay(scenario({ waits, other, stores }, rest), 'waits:* other:* stores:*');
  const message = 'waits on READY, which has changed: waits';
  expect(named.failure).toMatchObject({ kind: 'lost wake-up', message });
  const both = await replay(
    scenario({ waits, again: waits, other, stores }),
    'waits:* again:* other:* stores:*',
  );
  expect(both.failure?.message).toBe('waits on block 0 [1], which has changed: waits, again');
});
