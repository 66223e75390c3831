// SPDX-License-Identifier: MIT
/** Example statsd, tests: from datagrams to a report, against an oracle of plain objects. */

import { BufferPool } from 'busbar/pool';
import { expect, test } from 'vitest';
import { arbitrarySeed, Random } from '../../src/base/random.ts';
import { ACCURACY, bucketOf, middleOf } from './buckets.ts';
import { format } from './formats.ts';
import { Gatherer } from './gatherer.ts';
import { AS_THEY_CAME, FOR_GRAPHITE, type Naming } from './naming.ts';
import { Aggregate, type Report } from './report.ts';
import { readSnapshot, writeEnd, writeRecords } from './snapshot.ts';

const SEED = Number(process.env.BUSBAR_SEED ?? arbitrarySeed());
const REPLAY = `replay: BUSBAR_SEED=${SEED} npx vitest run examples/statsd/gathering.test.ts`;
/** Small, so that entries of one table take many packets. */
const BUFFER_BYTES = 256;
const PERCENTILES = [0, 10, 50, 90, 99, 99.9, 100];

const pool = BufferPool.create({ bufferSize: BUFFER_BYTES, bufferCount: 16 });

/** Executors without threads or sockets. */
class Bench {
  nowMs: number = 1000;
  readonly aggregate: Aggregate;
  readonly gatherers: Gatherer[];
  #round: number = 0;

  constructor(
    executors: number,
    capacity: number,
    gaugeTtlMs: number = 1e9,
    naming: Naming = AS_THEY_CAME,
  ) {
    this.aggregate = new Aggregate(pool, PERCENTILES, naming, capacity, gaugeTtlMs);
    const clock = (): number => this.nowMs;
    this.gatherers = Array.from({ length: executors }, (_, i) => new Gatherer(capacity, i, clock));
  }

  say(executor: number, text: string): void {
    this.nowMs++;
    const bytes = Buffer.from(text);
    this.gatherers[executor].take(bytes, 0, bytes.length);
  }

  flush(): Report {
    const round = ++this.#round;
    let ended = 0;
    for (const gatherer of this.gatherers) {
      const { table, tally } = gatherer.next();
      const reader = this.aggregate.reader(() => ended++);
      for (let slot = 0; slot < table.count; ) {
        this.#pass(reader, (begin, end) => {
          const written = writeRecords(pool.view, pool.bytes, begin, end, round, table, slot);
          expect(written.next).toBeGreaterThan(slot);
          slot = written.next;
          return written.end;
        });
      }
      table.clear();
      this.#pass(reader, (begin) => writeEnd(pool.view, begin, round, tally));
    }
    expect(ended).toBe(this.gatherers.length);
    return this.aggregate.report(this.nowMs, 10);
  }

  #pass(
    reader: Parameters<typeof readSnapshot>[3],
    write: (begin: number, end: number) => number,
  ): void {
    const bufferId = pool.tryAcquire();
    const begin = pool.offsetOf(bufferId);
    readSnapshot(pool.view, begin, write(begin, begin + BUFFER_BYTES), reader);
    pool.release(bufferId);
  }
}

test('counters add up over executors, whatever the order of tags', () => {
  const bench = new Bench(2, 100);
  bench.say(0, 'hits:1|c\nhits:2|c|@0.5\nhits:1|c|#b,a:1');
  bench.say(1, 'hits:10|c\n\nhits:-3|c|#a:1,b,,b\nnonsense\n_sc|x|0\n');
  const report = bench.flush();
  expect(report).toMatchObject({
    counters: [
      { name: 'hits', tags: [], value: 15, rate: 1.5 },
      { name: 'hits', tags: ['a:1', 'b'], value: -2, rate: -0.2 },
    ],
    gauges: [],
    timers: [],
    sets: [],
    collector: { datagrams: 2, lines: 7, malformed: 1, ignored: 1, refused: 0 },
  });
  expect(bench.flush()).toMatchObject({ counters: [], collector: { lines: 0 } });
});

test('names of one kind are no names of another, nor of a tag', () => {
  const bench = new Bench(1, 100);
  bench.say(0, 'x:1|c\nx:2|g\nx:3|ms\nx:4|s\nx:5|c|#x\nxx:6|c\nx:7|c|#xx');
  const report = bench.flush();
  expect(report.counters.map(({ name, tags, value }) => [name, ...tags, value])).toEqual([
    ['x', 1],
    ['x', 'x', 5],
    ['x', 'xx', 7],
    ['xx', 6],
  ]);
  expect(report.gauges).toEqual([{ name: 'x', tags: [], value: 2 }]);
  expect(report.timers).toMatchObject([{ name: 'x', count: 1, sum: 3, min: 3, max: 3, mean: 3 }]);
  expect(report.sets).toEqual([{ name: 'x', tags: [], count: 1 }]);
});

test('gauges keep their value; the last one to set them wins; changes of others are added', () => {
  const bench = new Bench(3, 100, 5000);
  const level = (): number | undefined => bench.flush().gauges[0]?.value;
  bench.say(0, 'g:10|g\ng:-4|g');
  expect(level()).toBe(6);
  expect(level()).toBe(6);
  bench.say(1, 'g:+1|g');
  bench.say(2, 'g:+2|g');
  expect(level()).toBe(9);
  bench.say(2, 'g:50|g\ng:+1|g');
  bench.say(0, 'g:70|g\ng:-1|g');
  bench.say(1, 'g:+0.5|g');
  expect(level()).toBe(69.5);
  bench.nowMs += 4999;
  expect(level()).toBe(69.5);
  bench.nowMs++;
  expect(level()).toBe(undefined);
  bench.say(0, 'g:+3|g');
  expect(level()).toBe(3);
});

test('when there is no room values are refused, and each one is counted', () => {
  const bench = new Bench(1, 10);
  for (let i = 0; i < 8; i++) bench.say(0, `c${i}:1|c`);
  bench.say(0, 't:1:1:5:6:1|ms'); // the timer and one bucket
  bench.say(0, 's:1|s\nc9:1:2|c\nc7:1|c');
  const report = bench.flush();
  expect(report.counters.map(({ value }) => value)).toEqual([1, 1, 1, 1, 1, 1, 1, 2]);
  expect(report.timers).toMatchObject([{ count: 3, sum: 3, max: 1 }]);
  expect(report.sets).toEqual([]);
  expect(report.collector).toMatchObject({ lines: 12, malformed: 0, refused: 5 });
  bench.say(0, 's:1|s\ns:1|s');
  expect(bench.flush()).toMatchObject({ sets: [{ count: 1 }], collector: { refused: 0 } });
});

test('long keys are bounded, too, and gauges that are kept', () => {
  const bench = new Bench(1, 100);
  const long = 'x'.repeat(200);
  for (let i = 0; i < 100; i++) bench.say(0, `${long}${i}:1|g`);
  const report = bench.flush();
  // 64 bytes for each of 100 keys.
  expect(report.gauges.length).toBe(Math.floor(6400 / 202));
  expect(report.gauges.length + report.collector.refused).toBe(100);
  for (let round = 1; round < 5; round++) {
    for (let i = 0; i < 90; i++) bench.say(0, `g${round}.${i}:1|g`);
    expect(bench.flush().gauges.length).toBe(Math.min(100, 31 + 90 * round));
  }
});

test('a value is within one percent of the middle of its bucket; buckets are in order', () => {
  const random = new Random(SEED);
  const values = [5e-324, 1e-300, 0.001, 1, 2, 1000, 1e300, Number.MAX_VALUE];
  for (let i = 0; i < 4000; i++) values.push((random.next() + 1) * 10 ** random.between(-20, 20));
  values.sort((a, b) => a - b);
  let last = 0;
  for (const value of values) {
    const bucket = bucketOf(value);
    expect(bucket, `${value}, ${REPLAY}`).toBeGreaterThanOrEqual(last);
    expect(bucketOf(-value)).toBe(-bucket);
    last = bucket;
    if (value < 1e-300 || value > 1e300) continue; // the middle itself has no exact number there
    const middle = middleOf(bucket);
    expect(Math.abs(middle - value) / value, REPLAY).toBeLessThan(ACCURACY + 1e-9);
    expect(middleOf(-bucket)).toBe(-middle);
  }
  expect([bucketOf(0), bucketOf(-0), middleOf(0)]).toEqual([0, 0, 0]);
});

/** What a plain program would remember. */
class Oracle {
  readonly counters: Map<string, number> = new Map();
  readonly timers: Map<string, { value: number; weight: number }[]> = new Map();
  readonly sets: Map<string, Set<string>> = new Map();
}

test('datagrams of random clients to random executors give the report of a plain program', () => {
  const random = new Random(SEED);
  const bench = new Bench(3, 5000);
  for (let round = 0; round < 20; round++) {
    const oracle = new Oracle();
    let lines = 0;
    for (let i = 0; i < 400; i++) {
      const text: string[] = [];
      for (let n = random.below(4); n >= 0; n--) text.push(randomLine(random, oracle));
      lines += text.length;
      bench.say(random.below(3), text.join('\n') + (random.chance(0.3) ? '\n' : ''));
    }
    check(bench.flush(), oracle, lines);
  }
  expect(pool.stats().held).toBe(0);
});

function randomLine(random: Random, oracle: Oracle): string {
  const name = `n${random.below(6)}`;
  const rate = random.chance(0.3) ? 0.25 : 1;
  const tags = ['', 'a:1', 'a:1,b'][random.below(3)];
  const shown = random.chance(0.5) ? tags : tags.split(',').reverse().join(',');
  const key = `${name} ${tags}`;
  const end = `${rate === 1 ? '' : `|@${rate}`}${tags === '' ? '' : `|#${shown}`}`;
  const weight = 1 / rate;
  switch (random.below(3)) {
    case 0: {
      const values = Array.from({ length: random.between(1, 3) }, () => random.between(-50, 100));
      const sum = values.reduce((total, value) => total + value * weight, 0);
      oracle.counters.set(key, (oracle.counters.get(key) ?? 0) + sum);
      return `${name}:${values.join(':')}|c${end}`;
    }
    case 1: {
      const value = random.between(-1000, 100_000) / 8;
      const list = oracle.timers.get(key) ?? [];
      oracle.timers.set(key, [...list, { value, weight }]);
      return `${name}:${value}|${['h', 'd'][random.below(2)]}${end}`;
    }
    default: {
      const member = String.fromCharCode(0x100 + random.below(40));
      oracle.sets.set(key, (oracle.sets.get(key) ?? new Set()).add(member));
      return `${name}:${member}|s${end}`;
    }
  }
}

function check(report: Report, oracle: Oracle, lines: number): void {
  const key = (each: { name: string; tags: readonly string[] }): string =>
    `${each.name} ${each.tags.join(',')}`;
  expect(report.collector, REPLAY).toMatchObject({ lines, malformed: 0, refused: 0 });
  expect(new Map(report.counters.map((each) => [key(each), each.value])), REPLAY).toEqual(
    oracle.counters,
  );
  expect(new Map(report.sets.map((each) => [key(each), each.count])), REPLAY).toEqual(
    new Map([...oracle.sets].map(([name, members]) => [name, members.size])),
  );
  expect(report.timers.length).toBe(oracle.timers.size);
  for (const timer of report.timers) {
    const list = [...(oracle.timers.get(key(timer)) ?? [])].sort((a, b) => a.value - b.value);
    const count = list.reduce((sum, { weight }) => sum + weight, 0);
    const sum = list.reduce((total, { value, weight }) => total + value * weight, 0);
    expect(timer, REPLAY).toMatchObject({ count, sum, mean: sum / count });
    expect([timer.min, timer.max], REPLAY).toEqual([list[0].value, list.at(-1)?.value]);
    const variance = list.reduce((v, each) => v + each.weight * (each.value - sum / count) ** 2, 0);
    expect(timer.deviation, REPLAY).toBeCloseTo(Math.sqrt(variance / count), 3);
    for (const percent of PERCENTILES) {
      const exact = nearestRank(list, (percent * count) / 100);
      const error = Math.abs(timer.percentiles[percent] - exact);
      expect(error, `p${percent}, ${REPLAY}`).toBeLessThanOrEqual(
        Math.abs(exact) * (ACCURACY + 1e-9),
      );
    }
  }
}

/** The first value up to which there are `rank` of them. */
function nearestRank(list: readonly { value: number; weight: number }[], rank: number): number {
  let seen = 0;
  for (const { value, weight } of list) {
    seen += weight;
    if (seen >= rank - 1e-9) return value;
  }
  return Number.NaN;
}

test('a line may end in CR LF, and a datagram in half of it', () => {
  const bench = new Bench(1, 100);
  for (const text of ['a:1|c\r\n', 'b:2|c\r\nd:3|g\r\n\r\n', 'e:5|ms|@0.5|#x:y\r', '\r\n', '\r']) {
    bench.say(0, text);
  }
  const { counters, gauges, timers, collector } = bench.flush();
  expect([...counters, ...gauges, ...timers].map(({ name }) => name)).toEqual(['a', 'b', 'd', 'e']);
  expect(timers[0].tags).toEqual(['x:y']);
  expect(collector).toMatchObject({ lines: 4, malformed: 0 });
  bench.say(0, 'a\r:1|c\na:1|c\r\r\n');
  expect(bench.flush().collector.malformed).toBe(2);
});

test.each([
  ['nanoseconds', [1e9 + 1, 1e9 + 2, 1e9 + 3], Math.sqrt(2 / 3)],
  ['times of day', [1.7e12, 1.7e12 + 500, 1.7e12 + 1000], Math.sqrt(2 / 3) * 500],
  ['huge ones', [1e200, 3e200], 1e200],
  ['the ends of all numbers', [-1.7e308, 1.7e308], 1.7e308],
  ['equal ones', [0.1, 0.1, 0.1], 0],
])('the deviation of values that are large and close is right: %s', (_, values, deviation) => {
  const bench = new Bench(2, 100);
  for (const [i, value] of values.entries()) bench.say(i % 2, `t:${value}|h`);
  const [apart] = bench.flush().timers;
  expect(apart.deviation / deviation || 1).toBeCloseTo(1, 9);
  bench.say(0, `t:${values.join(':')}|h`);
  const [together] = bench.flush().timers;
  expect(together.deviation / deviation || 1).toBeCloseTo(1, 9);
  expect(Number.isFinite(together.sum) && Number.isFinite(together.mean)).toBe(true);
});

test('a sampled value counts in the deviation as often as it stands for', () => {
  const bench = new Bench(1, 100);
  bench.say(0, 't:1|h|@0.25\nt:5|h');
  const [timer] = bench.flush().timers;
  expect([timer.count, timer.mean, timer.deviation]).toEqual([5, 1.8, expect.closeTo(1.6, 12)]);
});

test('what would have one name in Graphite is one metric, and nothing is lost', () => {
  const bench = new Bench(2, 100, 1e9, FOR_GRAPHITE);
  bench.say(0, 'glork:1|c\na b:1|c\n☃:4|c\nx:1|c|#:v\ny:1|c|#name:n\nz:1|c|#role:web,role:api');
  bench.say(1, 'gl+ork:2|c\na_b:2|c\nz:2|c|#role:api,role:web\n.dots..:1|c\nv:1|c|#a,b:,c:~x');
  bench.say(0, 't+:1|ms\ns/:1|s\ng+:1|g\ninf:1e308|c\ninf:1e308|c\nnan:-1e308|c|@0.5');
  bench.say(1, 't:3|ms\ns-:2|s\ng:2|g\ninf:1e308|c\nnan:1e308|c|@0.5');
  const report = bench.flush();
  expect(report.timers).toMatchObject([
    { name: 't', count: 2, sum: 4, deviation: expect.closeTo(1, 12) },
  ]);
  expect(report.sets).toMatchObject([{ name: 's-', count: 2 }]);
  expect(report.gauges).toMatchObject([{ name: 'g', value: 2 }]);
  const lines = format(report, 'graphite', 'stats').trim().split('\n');
  const counts = lines.filter((line) => /counters.*count/.test(line)).map((line) => line.slice(15));
  const at = Math.floor(report.timeMs / 1000);
  expect(counts).toEqual(
    [
      ['_.count', 4],
      ['_.dots._._.count', 1],
      ['a_b.count', 3],
      ['glork.count', 3],
      ['inf.count', Number.MAX_VALUE],
      ['nan.count', 0],
      ['v.count;a=true;b=none;c=_x', 1],
      ['x.count;_=v', 1],
      ['y.count;name_=n', 1],
      ['z.count;role=api,web', 3],
    ].map(([series, value]) => `${series} ${value} ${at}`),
  );
  const series = lines.map((line) => line.split(' ')[0]);
  expect(new Set(series).size).toBe(series.length);
});
