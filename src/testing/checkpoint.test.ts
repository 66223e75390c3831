// SPDX-License-Identifier: MIT

import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { explore, type ModelOptions, type ModelReport, resume, type Scenario } from './index.ts';

type Words = Scenario<Int32Array>;

const words = (): Int32Array => new Int32Array(new SharedArrayBuffer(32));

/** Words: a lock, a counter. A thread that finds it taken waits. */
function adds(shared: Int32Array): number {
  while (Atomics.exchange(shared, 0, 1) !== 0) Atomics.wait(shared, 0, 1);
  const count = (shared[1] ?? 0) + 1;
  shared[1] = count;
  Atomics.store(shared, 0, 0);
  Atomics.notify(shared, 0, 1);
  return count;
}

/** Bytes, results, promises and ports: what threads keep on the heap has to come back. */
const mixed: Words = {
  name: 'mixed',
  setup: words,
  threads: {
    parent: async (shared, self) => {
      const child = self.spawn('child', { by: 2 });
      const heard = new Promise<number>((resolve) => child.once('message', resolve as () => void));
      new Uint8Array(shared.buffer)[16] = 3;
      child.postMessage('go');
      return [adds(shared), await heard];
    },
    other: adds,
  },
  spawned: {
    child: (shared, self) => {
      self.parentPort?.once('message', () => {
        const sum = new Uint8Array(shared.buffer)[16] + (self.workerData as { by: number }).by;
        self.parentPort?.postMessage(sum + adds(shared));
      });
    },
  },
  check: (shared, { results }) => {
    const [, heard] = results.parent as [number, number];
    if (shared[1] !== 3) throw new Error(`the counter says ${shared[1]}`);
    if (heard < 6 || heard > 8) throw new Error(`heard ${heard}`);
  },
};

const three: Words = { name: 'three', setup: words, threads: { a: adds, b: adds, c: adds } };

/** One dies, and its supervisor frees the lock. */
const deaths: Words = {
  ...three,
  name: 'deaths',
  threads: {
    a: (shared, self) => {
      self.publish(1);
      return adds(shared);
    },
    b: adds,
  },
  supervisor: (shared, dead) => {
    Atomics.store(shared, 0, 0);
    Atomics.notify(shared, 0);
    return dead.published.length;
  },
  racy: () => (_block, word) => word === 1,
  check: (_, outcome) => void outcome.results,
};

/** Fails when the last thread of the list is the first to have the lock, and the first the last. */
const wrong: Words = {
  ...three,
  name: 'wrong',
  check: (_, { results }) => {
    if (results.c === 1 && results.a === 3) throw new Error('c, b, a');
  },
};

function comparable({ elapsedMs: _, ...report }: ModelReport): unknown {
  return { ...report, failure: report.failure && { ...report.failure, error: '' } };
}

/** Stops after `step` schedules, continues from the bytes, and so on to the end. */
async function inPieces(scenario: Words, options: ModelOptions, step: number): Promise<number> {
  const whole = await explore(scenario, options);
  let bytes: Uint8Array | undefined;
  const checkpoint = (taken: Uint8Array): void => {
    bytes = taken;
  };
  let limit = step;
  let report = await explore(scenario, { ...options, checkpoint, schedules: limit });
  let pieces = 1;
  while (report.leftOut.includes('schedules')) {
    limit += step;
    pieces++;
    const more = { ...options, checkpoint, schedules: limit };
    report = await resume(scenario, bytes as Uint8Array, more);
  }
  expect(comparable(report)).toEqual(comparable(whole));
  return pieces;
}

describe('an exploration in pieces reports what an uninterrupted one does', () => {
  test.each([
    ['three threads on a lock', three, {}, 600],
    ['with bounds', three, { preemptions: 1 }, 25],
    ['ports, promises, bytes and results', mixed, { preemptions: 1 }, 40],
    ['deaths, published values, racy words', deaths, { kills: 1 }, 60],
    ['a failure', wrong, { warmUp: 2 }, 90],
  ])('%s', async (_, scenario, options, step) => {
    expect(await inPieces(scenario as Words, options as ModelOptions, step)).toBeGreaterThan(2);
  });
});

describe('a checkpoint', () => {
  const keep = async (scenario: Words, options: ModelOptions = {}): Promise<Uint8Array> => {
    let bytes: Uint8Array = new Uint8Array(0);
    const checkpoint = (taken: Uint8Array): void => {
      bytes = taken;
    };
    await explore(scenario, { ...options, schedules: 200, checkpoint });
    return bytes;
  };
  const refused = (text: string) => ({
    code: 'ERR_BUSBAR_BAD_CHECKPOINT',
    message: expect.stringContaining(text),
  });

  test('is a file, too, and small', async () => {
    const folder = mkdtempSync(join(tmpdir(), 'busbar-checkpoint-'));
    try {
      const file = join(folder, 'three.checkpoint');
      await explore(three, { schedules: 200, checkpoint: file });
      expect((await resume(three, file)).complete).toBe(true);
      await expect(resume(three, `${file}.not`)).rejects.toMatchObject(refused('cannot read'));
    } finally {
      rmSync(folder, { recursive: true });
    }
    expect((await keep(three)).length).toBeLessThan(100_000);
  });

  test('of another scenario, of other options or of nothing is refused', async () => {
    const bytes = await keep(three);
    const other: Words = { ...three, threads: { ...three.threads, c: (shared) => shared[7] } };
    await expect(resume(other, bytes)).rejects.toMatchObject(refused('another scenario'));
    await expect(resume({ ...three, setup: () => words().fill(1) }, bytes)).rejects.toMatchObject(
      refused('another scenario'),
    );
    await expect(resume(three, bytes, { timeouts: 2 })).rejects.toMatchObject(
      refused('another option'),
    );
    await expect(resume(three, new Uint8Array(9))).rejects.toMatchObject(
      refused('not a checkpoint'),
    );
    await expect(explore(three, { memory: 'es', checkpoint: 'x' })).rejects.toThrow(TypeError);
  });

  test('is refused when a function that the scenario calls does something else', async () => {
    let isOther = false;
    const calls = (shared: Int32Array): number => {
      Atomics.add(shared, isOther ? 5 : 4, 1);
      return adds(shared);
    };
    const scenario: Words = { ...three, threads: { a: calls, b: calls, c: calls } };
    const bytes = await keep(scenario);
    isOther = true;
    await expect(resume(scenario, bytes)).rejects.toMatchObject(refused('something else now'));
  });
});
