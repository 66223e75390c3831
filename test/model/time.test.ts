// SPDX-License-Identifier: MIT
/**
 * Model checker: what a thread still has to do when its function has returned, and programs that
 * decide by the clock. All of it once passed, and the report said `complete`.
 */

import { setTimeout as importedTimeout } from 'node:timers';
import { setTimeout as sleep } from 'node:timers/promises';
import { promisify } from 'node:util';
import {
  expectPassed,
  explore,
  type ModelOptions,
  type ModelReport,
  replay,
  type Scenario,
  type ThreadBody,
} from 'busbar/testing';
import { describe, expect, test } from 'vitest';

type Body = ThreadBody<Int32Array>;

function scenario(
  threads: Record<string, Body>,
  check?: Scenario<Int32Array>['check'],
): Scenario<Int32Array> {
  return {
    name: 'scenario',
    setup: () => new Int32Array(new SharedArrayBuffer(16)),
    threads,
    ...(check === undefined ? {} : { check }),
  };
}

function tell({ failure }: ModelReport): string {
  return failure === undefined ? 'none' : `${failure.kind}: ${failure.message}`;
}

const fires = (): never => {
  throw new Error('it was run');
};
const timeOf = (date: Date): number => date.getTime();
const stores: Body = (words) => Atomics.store(words, 0, 1);

describe('what a thread has still to do when its function has returned', () => {
  const tasks: Record<string, () => unknown> = {
    setTimeout: () => setTimeout(fires, 5),
    'setTimeout, imported': () => importedTimeout(fires, 5),
    'setTimeout, as a promise': () => void sleep(5).then(fires),
    'setTimeout, promisified': () => void promisify(setTimeout)(5).then(fires),
    setImmediate: () => setImmediate(fires),
    queueMicrotask: () => queueMicrotask(fires),
    nextTick: () => process.nextTick(fires),
    'a promise': () => void Promise.resolve().then(fires),
    'a timer of a timer': () => setTimeout(() => setTimeout(() => setImmediate(fires), 1), 9),
    'AbortSignal.timeout, kept alive': () => {
      AbortSignal.timeout(5).addEventListener('abort', fires);
      setTimeout(() => undefined, 10);
    },
    setInterval: () => {
      let ticks = 0;
      const timer = setInterval(() => {
        if (++ticks < 3) return;
        clearInterval(Number(timer));
        fires();
      }, 5);
    },
  };
  test.each(Object.keys(tasks))('%s is run', async (name) => {
    const begins: Body = (words) => {
      Atomics.load(words, 0);
      tasks[name]?.();
    };
    expect(tell(await explore(scenario({ begins, stores })))).toContain('it was run');
  });

  test('with what it does to shared memory, in each order', async () => {
    const late: Body = (words) => {
      setTimeout(() => Atomics.store(words, 0, Atomics.load(words, 0) + 1), 5);
    };
    const adds: Body = (words) => Atomics.store(words, 0, Atomics.load(words, 0) + 1);
    const report = await explore(
      scenario({ late, adds }, (words) => {
        if (words[0] !== 2) throw new Error('an update is lost');
      }),
    );
    expect(tell(report)).toBe('assertion: Error: an update is lost');
    const again = await replay(scenario({ late, adds }), report.failure?.schedule ?? '');
    expect(again.diverged).toBe(false);
  });

  test('a timer without a reference does not keep it alive', async () => {
    const begins: Body = (words) => {
      Atomics.load(words, 0);
      setTimeout(fires, 5).unref();
    };
    const report = await explore(scenario({ begins, stores }));
    expect(tell(report)).toBe('none');
    expect(report.complete).toBe(true);
  });

  test.each([() => setTimeout(fires, 5), () => setImmediate(fires)])(
    'in setup it is refused: %s',
    async (sets) => {
      const late = {
        ...scenario({ stores }),
        setup: () => {
          sets();
          return new Int32Array(new SharedArrayBuffer(16));
        },
      };
      await expect(explore(late)).rejects.toThrow('scenario.setup has set a timer');
    },
  );

  test('an interval that nobody ends is named in the report', async () => {
    const begins: Body = (words) => {
      setInterval(() => Atomics.load(words, 0), 5);
    };
    for (const options of [{}, { timeouts: 0, polls: 0 }]) {
      const report = await explore(scenario({ begins, stores }), options);
      expect(tell(report)).toBe('none');
      expect(report.leftOut).toContain('polls');
    }
  });
});

describe('programs that decide by the clock', () => {
  const clocks: Record<string, () => number> = {
    'performance.now': () => performance.now(),
    'Date.now': () => Date.now(),
    'new Date': () => timeOf(new Date()),
    'process.hrtime': () => {
      const [seconds, nanoseconds] = process.hrtime();
      return seconds * 1e3 + nanoseconds / 1e6;
    },
    'process.hrtime.bigint': () => Number(process.hrtime.bigint()) / 1e6,
  };

  /** Which ways a thread went. */
  async function waysOf(
    decides: (words: Int32Array) => string,
    options: ModelOptions = {},
    other: Body = stores,
  ): Promise<{ ways: string[]; report: ModelReport }> {
    const ways = new Set<string>();
    const check: Scenario<Int32Array>['check'] = (_, { results }) => {
      ways.add(String(results.decides));
    };
    const report = await explore(scenario({ decides, other }, check), options);
    return { ways: [...ways].sort(), report };
  }

  test.each(Object.keys(clocks))('a loop that ends by %s ends either way', async (name) => {
    const now = clocks[name] as () => number;
    const { ways, report } = await waysOf((words) => {
      const end = now() + 5;
      while (now() < end) if (Atomics.load(words, 0) === 1) return 'saw it';
      return `gave up, ${Atomics.load(words, 0)}`;
    });
    expect(tell(report)).toBe('none');
    expect(ways).toEqual(['gave up, 0', 'gave up, 1', 'saw it']);
    expect(report.complete).toBe(false);
    expect(report.leftOut).toEqual(['timeouts']);
    expectPassed(report, { leftOut: ['timeouts'] });
  });

  test('one comparison after an access goes either way', async () => {
    const { ways } = await waysOf((words) => {
      const began = performance.now();
      Atomics.load(words, 0);
      return performance.now() - began > 100 ? 'late' : 'in time';
    });
    expect(ways).toEqual(['in time', 'late']);
  });

  test('a loop of looks at the clock alone ends, too', async () => {
    const { ways, report } = await waysOf((words) => {
      const end = performance.now() + 5;
      while (performance.now() < end);
      return `then ${Atomics.add(words, 0, 1)}`;
    });
    expect(tell(report)).toBe('none');
    expect(ways).toEqual(['then 0', 'then 1']);
  });

  test('a short spin that is over is no long time limit that is over', async () => {
    // Lost wake-up: the notification comes before the store.
    const wakes: Body = (words) => {
      Atomics.notify(words, 0);
      Atomics.store(words, 0, 1);
    };
    const { report } = await waysOf(
      (words) => {
        const began = performance.now();
        while (performance.now() < began + 5) if (Atomics.load(words, 0) === 1) return 'saw it';
        if (performance.now() > began + 60_000) return 'gave up';
        return Atomics.wait(words, 0, 0);
      },
      {},
      wakes,
    );
    expect(tell(report)).toContain('lost wake-up');
    const { failure } = report;
    expect(failure?.trace).toMatch(/looks at the clock: \d+ ms have passed/);
    expect(failure?.schedule).toMatch(/decides:\d+@\d /);
  });

  test('a time limit that another thread has set', async () => {
    const { ways } = await waysOf(
      (words) => {
        const until = Atomics.load(words, 1);
        if (until === 0) return 'not set';
        return Date.now() % 2 ** 31 > until ? 'over' : 'not over';
      },
      {},
      (words) => Atomics.store(words, 1, (Date.now() % 2 ** 31) + 50),
    );
    expect(ways).toEqual(['not over', 'not set', 'over']);
  });

  test('nobody but the clock can end it: time passes, unless it stands still', async () => {
    const spins = (words: Int32Array): string => {
      const end = performance.now() + 5;
      while (performance.now() < end) if (Atomics.load(words, 1) === 1) return 'saw it';
      return 'gave up';
    };
    const { ways } = await waysOf(spins, { timeouts: 0 });
    expect(ways).toEqual(['gave up']);
    const { report } = await waysOf(spins, { timeouts: 0, polls: 0 });
    expect(tell(report)).toBe('livelock: spin or wait for ever: decides');
  });

  test('a loop of setImmediate that ends by the clock', async () => {
    const polls: Body = async (words) => {
      const end = performance.now() + 5;
      while (performance.now() < end) {
        if (Atomics.load(words, 1) === 1) return 'saw it';
        await new Promise((resolve) => setImmediate(resolve));
      }
      return 'gave up';
    };
    const ways = new Set<string>();
    const check: Scenario<Int32Array>['check'] = (_, { results }) => {
      ways.add(String(results.polls));
    };
    for (const timeouts of [0, 1]) {
      const report = await explore(scenario({ polls, stores }, check), { timeouts });
      expect(tell(report)).toBe('none');
      expect([...ways]).toEqual(['gave up']);
      ways.clear();
    }
  });

  test('one look of one thread is compared with nothing, and leaves nothing out', async () => {
    const { ways, report } = await waysOf((words) => {
      const began = performance.now();
      return `${Atomics.load(words, 0)} at ${began}`;
    });
    expect(ways).toEqual(['0 at 0', '1 at 0']);
    expect(report.complete).toBe(true);
  });
});
