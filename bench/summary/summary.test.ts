// SPDX-License-Identifier: MIT
import { expect, test } from 'vitest';
import { benchCases } from '../case-list.ts';
import { peerGroups } from '../peers.ts';
import { type CoreRun, sortRuns } from './documents.ts';
import { plotsOf } from './plots.ts';
import { blocksOf, peersOf, peersTable, readmeTable, verdictOf, withBlocks } from './tables.ts';

const ORIGIN = { machine: 'a machine', commit: 'abc' };

function core(engine: string, nsPerOp: number): object {
  const row = {
    nsPerOp,
    p25: 1,
    p75: 3,
    min: 1,
    runs: 3,
    note: null,
    babA: null,
    disturbed: false,
  };
  const latencyNs = { p50: 700, p99: 1500, p999: 9000, count: 10 };
  const slow = { ...latencyNs, p50: 7000 };
  const results = [
    { ...row, id: 'calibration/atomics-add', a: 1, latencyNs: null, target: null, reached: null },
    { ...row, id: 'framer/60B-u32', a: 2.5, latencyNs: null, target: '≤ 1 A', reached: false },
    { ...row, id: 'baseline/rest-framer-60B', nsPerOp: 40, a: 9, latencyNs: null, target: null },
    { ...row, id: 'hop/round-trip-spin', a: 2, latencyNs, target: null, reached: null },
    { ...row, id: 'hop/round-trip-io', a: 3, latencyNs: { ...latencyNs, p50: 900 }, target: null },
    { ...row, id: 'baseline/post-message-round-trip', a: 90, latencyNs: slow, target: null },
    { ...row, id: 'udp/64B-mmsg', nsPerOp: 5000, a: 9, latencyNs: null, target: null },
    { ...row, id: 'udp/dgram-64B', nsPerOp: 4000, a: 8, latencyNs: null, disturbed: true },
    { ...row, id: 'idiom/echo-callback', nsPerOp: 100, a: 8, latencyNs: null, target: null },
    { ...row, id: 'idiom/echo-net', nsPerOp: 102, a: 8, latencyNs: null, target: null },
    { ...row, id: 'idiom/log-writer', nsPerOp: 102, a: 8, latencyNs: null, target: null },
  ];
  return { ...ORIGIN, engine, pinned: true, results };
}

const scenario = { scenario: '1-to-1/16B', p25: 1, p75: 2, runs: 5, cpuNsPerMessage: 150 };
const broker = {
  ...ORIGIN,
  node: 'v26.1.0',
  natsVersion: 'nats-server: v2.9.10',
  results: [
    { ...scenario, server: 'nats-server', perSecond: 5e6, p50Us: null, p99Us: null },
    { ...scenario, server: 'busbar', perSecond: 12.5e6, p50Us: 30, p99Us: 61.25 },
  ],
};
const setting = { traffic: 'mesh', pinning: 'cores', coresTaken: 0, unpinned: '', slowest: 1 };
const scaling = {
  ...ORIGIN,
  ...{ node: 'v26.1.0', secondsPerRound: 2, rounds: 3 },
  rows: [
    { ...setting, executors: 1, messagesPerSecond: 1e6, fastest: 2e6, ofLinear: null },
    { ...setting, executors: 2, messagesPerSecond: 19e5, fastest: 2e6, ofLinear: 0.95 },
  ],
};
const runs = sortRuns([
  ['core-24.json', core('Node v24.22.3', 30)],
  ['core-26.json', core('Node v26.12.1', 20)],
  ['broker.json', broker],
  ['scaling-2.json', scaling],
]);

test('each kind of run has its tables, with where the figures are from', () => {
  const blocks = blocksOf(runs);
  expect([...blocks.keys()]).toEqual([
    ...['engines', 'latency', 'peers', 'readme'],
    ...['broker', 'scaling'],
  ]);
  expect(blocks.get('engines')).toContain('a machine; Node 24.22.3; commit abc.');
  expect(blocks.get('engines')).toContain(
    '| `framer/60B-u32` | 30.0 ns (2.50 ✗) | 20.0 ns (2.50 ✗) | ≤ 1 A |',
  );
  expect(blocks.get('readme')).toContain('![readme](docs/plots/readme.svg)');
  expect(blocks.get('readme')).toContain(
    '| round-trip-spin 700 ns | post-message-round-trip 7.00 µs |',
  );
  expect(blocks.get('latency')).toContain('| 700 ns | 1.50 µs | 9.00 µs |');
  expect(blocks.get('broker')).toContain(
    '| `1-to-1/16B` | busbar | 12 500 000 | 2.50 | 150 | 30.0 / 61.3 |',
  );
  expect(blocks.get('scaling')).toContain('95');
});

test('jobs are compared by their fastest ways, and whoever wins is told', () => {
  const [, newest] = runs.core;
  const peers = peersOf(newest);
  // One without its counterpart is not there.
  expect(peers.map(({ ratio }) => ratio)).toEqual([0.1, 100 / 102, 1.25, 0.5]);
  expect(peersTable(newest)).toContain(
    '| frames of 60 B from a stream | 60B-u32 20.0 ns | rest-framer-60B 40.0 ns | 0.50 |',
  );
  expect(peersTable(newest)).toContain(
    '| round-trip-spin 700 ns, round-trip-io 900 ns | post-message-round-trip 7.00 µs | 0.10 |',
  );
  expect(peersTable(newest)).toContain('| 64B-mmsg 5.00 µs | dgram-64B ~4.00 µs | 1.3 |');
  expect(verdictOf(peers)).toBe(
    'Of 4 jobs the fastest way with busbar takes less time than the fastest other in 2, the same ' +
      '(within 5 %) in 1, more in 1: datagrams of 64 B.',
  );
});

test('a job names cases that there are, each once', () => {
  // Not every engine has Web Locks.
  const webLocks = ['sync/web-locks-2t', 'sync/web-locks-read-2t'];
  const ids = new Set([...benchCases.map(({ id }) => id), ...webLocks]);
  for (const { ours, others } of peerGroups) {
    for (const id of [...ours, ...others]) expect(ids.has(id), id).toBe(true);
    expect(ours.length * others.length).toBeGreaterThan(0);
  }
  const all = peerGroups.flatMap(({ ours, others }) => [...ours, ...others]);
  expect(new Set(all).size).toBe(all.length);
});

test('a README has at most eight jobs', () => {
  const ids = peerGroups.flatMap(({ ours, others }) => [...ours, ...others]);
  const [{ results, ...rest }] = runs.core;
  const run: CoreRun = { ...rest, results: ids.map((id) => ({ ...results[0], id })) };
  expect(peersOf(run)).toHaveLength(peerGroups.length);
  expect(readmeTable(run).match(/^\| .* \|$/gm)).toHaveLength(8 + 2);
  expect(readmeTable(run)).not.toContain('~');
  const disturbed = run.results.map((row) => ({ ...row, disturbed: true }));
  expect(readmeTable({ ...run, results: disturbed })).toMatch(/\n`~`: .* disturbed it\.$/);
});

test('drawings name what they show, and every run draws the same', () => {
  const drawings = plotsOf(runs);
  expect([...drawings.keys()]).toEqual([
    ...['readme', 'peers', 'engines', 'latency'],
    ...['broker', 'scaling'],
  ]);
  expect(drawings.get('engines')).toContain('Node 24');
  expect(drawings.get('peers')).toContain('frames of 60 B from a stream: rest-framer-60B');
  // A bar of each: they lie in one place, and do not stand on each other.
  const colours = new Set(drawings.get('peers')?.match(/<path d="[^"]*" fill="(#\w+)"/g));
  expect(colours.size).toBeGreaterThanOrEqual(runs.core[1].results.length - 3);
  for (const svg of drawings.values()) expect(svg).toMatch(/^<svg[\s\S]*<\/svg>$/);
});

test('blocks go between their marks, and the rest of a text stays', () => {
  const text = 'a\n<!-- measured:peers -->\nold\n<!-- /measured -->\nb\n';
  const { text: now, found } = withBlocks(text, new Map([['peers', 'new']]));
  expect(now).toBe('a\n<!-- measured:peers -->\nnew\n<!-- /measured -->\nb\n');
  expect(found).toEqual(['peers']);
  expect(withBlocks(text, new Map()).text).toBe(text);
});

test('a document of something else is refused by name', () => {
  expect(() => sortRuns([['x.json', { results: [] }]])).toThrow(/^x\.json is no document/);
});
