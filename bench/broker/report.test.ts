// SPDX-License-Identifier: MIT
/** Comparison of brokers: what is made of the figures of some runs. */

import { expect, test } from 'vitest';
import { drawTable, figuresOf, type RunFigures } from './report.ts';
import { scenarios } from './scenario.ts';

const [flow] = scenarios.filter(({ kind }) => kind === 'flow');
const [request] = scenarios.filter(({ kind }) => kind === 'request');

function run(figures: Partial<RunFigures>): RunFigures {
  const unknown = { cpuNs: Number.NaN, p50Us: Number.NaN, p99Us: Number.NaN };
  return { perSecond: 1000, coresTaken: 0, ...unknown, ...figures };
}

/** The cells of the rows, from the first to the last. */
function cellsOf(table: string): string[][] {
  return table
    .split('\n')
    .map((line) => line.split('│').map((cell) => cell.trim()))
    .filter((cells) => cells.length > 2)
    .map((cells) => cells.slice(1, -1));
}

test('the CPU time of a message is the median of the runs, with its ratio to nats-server', () => {
  const busbar = figuresOf(flow, 'busbar', [
    run({ perSecond: 2e6, cpuNs: 300 }),
    run({ perSecond: 3e6, cpuNs: 250 }),
    run({ perSecond: 4e6, cpuNs: 9000 }),
  ]);
  expect(busbar).toMatchObject({ perSecond: 3e6, cpuNsPerMessage: 300, runs: 3 });
  const nats = figuresOf(flow, 'nats-server', [run({ perSecond: 1e6, cpuNs: 1200 })]);
  const [head, first, second] = cellsOf(drawTable([nats, busbar], false));
  const cpu = head.indexOf('CPU ns/message');
  expect([first[cpu], second[cpu]]).toEqual(['1200', '300']);
  expect([first.at(-1), second.at(-1)]).toEqual(['', '3.00, CPU 0.25 × nats-server']);
});

test('of requests the round trip is compared', () => {
  const nats = figuresOf(request, 'nats-server', [run({ p50Us: 100, p99Us: 200, cpuNs: 1000 })]);
  const busbar = figuresOf(request, 'busbar-2', [run({ p50Us: 50, p99Us: 300, cpuNs: 1500 })]);
  const rows = cellsOf(drawTable([nats, busbar], false));
  expect(rows[2].at(-1)).toBe('p50 0.50, CPU 1.50 × nats-server');
});

test('where the CPU time is not known, or none was counted, there is no ratio', () => {
  const nats = figuresOf(flow, 'nats-server', [run({ cpuNs: 0 })]);
  const direct = figuresOf(flow, 'direct', [run({})]);
  const busbar = figuresOf(flow, 'busbar', [run({ cpuNs: 10 })]);
  expect(direct.cpuNsPerMessage).toBe(null);
  const rows = cellsOf(drawTable([direct, nats, busbar], false));
  expect(rows[1][rows[0].indexOf('CPU ns/message')]).toBe('');
  expect(rows[3].at(-1)).toBe('1.00 × nats-server');
});
