// SPDX-License-Identifier: MIT
/** What a failure says: columns, deaths, interruptions, both sides of a race, a call to paste. */

import { expect, test } from 'vitest';
import { explore, formatFailure, replay, type Scenario } from './index.ts';

const increment = (words: Int32Array): void => {
  Atomics.store(words, 0, Atomics.load(words, 0) + 1);
};

const lost: Scenario<Int32Array> = {
  name: 'lost <update>',
  setup: () => new Int32Array(new SharedArrayBuffer(4)),
  threads: { a: increment, b: increment },
  check: (words) => {
    if (words[0] !== 2) throw new Error(`the counter says ${words[0]}`);
  },
};

/** Without the places, which change with every line above. */
function bare(trace: string): string {
  return trace.replace(/ +testing\/\S+:\d+ .*/g, '').replace(/ +$/gm, '');
}

test('a trace has a column for each thread, and says who is interrupted', async () => {
  const { failure } = await explore(lost, { timeouts: 0 });
  expect(bare(failure?.trace ?? '')).toBe(
    [
      '       a                      b',
      '    1  load block 0 [0] → 0',
      '       ~ interrupted ~',
      '    2                         load block 0 [0] → 0',
      '    3                         store block 0 [0] = 1',
      '    4  store block 0 [0] = 1',
    ].join('\n'),
  );
  expect(failure?.trace).toMatch(/trace\.test\.ts:\d+ {2}Atomics\.store\(words, 0, Atomics\.load/);
  expect(failure?.replay).toBe(`replay(scenario, '${failure?.schedule}', { timeouts: 0 })`);
});

test('the call that a failure prints can be pasted', async () => {
  const report = await explore(lost);
  const [, line = ''] = /replay with: (.*)/.exec(formatFailure(report)) ?? [];
  const pasted = new Function('replay', 'scenario', `return ${line}`) as (
    ...args: unknown[]
  ) => ReturnType<typeof replay>;
  const again = await pasted(replay, lost);
  expect(again.failure?.message).toBe(report.failure?.message);
});

test('a race names the word, and both places with what they do', async () => {
  const { failure } = await explore({
    ...lost,
    threads: {
      a: (words) => {
        words[0] = 1;
      },
      b: (words) => Atomics.load(words, 0),
    },
    nameWord: () => () => 'FLAG',
  });
  expect(failure?.kind).toBe('data race');
  const place = /at testing\/trace\.test\.ts:\d+/g;
  expect(failure?.message).toMatch(/^nothing orders what [ab] did to FLAG .* and what [ab] .*$/);
  expect(failure?.message.match(place)?.length).toBe(2);
  expect(failure?.message).toContain('(a write at');
  expect(failure?.message).toContain('(an atomic read at');
});

test('a race with bytes names both places, too', async () => {
  const { failure } = await explore({
    ...lost,
    setup: () => new SharedArrayBuffer(4) as unknown as Int32Array,
    threads: {
      a: (block) => {
        new Uint8Array(block as unknown as SharedArrayBuffer)[1] = 1;
      },
      b: (block) => new Uint8Array(block as unknown as SharedArrayBuffer)[1],
    },
    check: () => undefined,
  });
  expect(failure?.message).toMatch(
    /did to block 0 byte 1 \(a \w+ at .*:\d+\) and what . does to it \(a \w+ at/,
  );
});

test('deaths are told where they happen, and a schedule of them asks for its options', async () => {
  const dies: Scenario<Int32Array> = {
    ...lost,
    threads: { a: increment },
    supervisor: (words) => {
      if (Atomics.load(words, 0) === 0) throw new Error('nothing was done');
    },
    check: () => undefined,
  };
  const { failure } = await explore(dies, { kills: 1 });
  expect(bare(failure?.trace ?? '')).toContain('† dies');
  const schedule = failure?.schedule ?? '';
  await expect(replay(dies, schedule)).rejects.toThrow(
    /can be followed only with the option kills, as when/,
  );
  expect((await replay(dies, schedule, { kills: 1 })).failure?.kind).toBe('assertion');
});

test('below a helper, the trace says who called it', async () => {
  function helper(words: Int32Array): void {
    increment(words);
  }
  const { failure } = await explore({ ...lost, threads: { a: helper, b: helper } });
  expect(failure?.steps?.[0]?.places.map(({ within }) => within)).toEqual(['increment', 'helper']);
  expect(failure?.trace).toMatch(/ ← testing\/trace\.test\.ts:\d+/);
});

test('JSON has the same steps, and a page escapes what it shows', async () => {
  const report = await explore(lost);
  const told = JSON.parse(formatFailure(report, { as: 'json' }));
  expect(told).toMatchObject({ scenario: 'lost <update>', kind: 'assertion' });
  expect(told.steps).toEqual(report.failure?.steps);
  const page = formatFailure(report, { as: 'html' });
  expect(page).toContain('<h1>lost &lt;update&gt;: assertion</h1>');
  expect(page.match(/<tr/g)?.length).toBe(1 + (report.failure?.steps?.length ?? 0));
  expect(() => formatFailure(report, { as: 'xml' as 'html' })).toThrow(
    /options\.as must be one of/,
  );
});
