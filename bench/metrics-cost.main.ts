// SPDX-License-Identifier: MIT
/**
 * `node build/bench/metrics-cost.main.js [TURNS]`: what a reader of the counters costs the thread
 * that counts. One loop, in turns of 20 ms, with each kind of reader; a reader of other objects
 * takes as much of the machine, but reads no word that the loop writes. So the difference between
 * the two is the cost of the reading, and `snapshots` makes it large enough to be seen.
 *
 * On Linux the loop's time on a processor counts: what other programs take is no part of it.
 */

import { readFileSync } from 'node:fs';
import { readCount, runProgram } from './command-line.ts';
import { median, quantile } from './statistics.ts';
import { READINGS, type Reading, startMetricsWork } from './threads/metrics-work.ts';

const OPS = 600_000;
/** For the reader to notice what it is to do. */
const SETTLE_MS = 15;
const NS_PER_MS = 1e6;
const asleep = new Int32Array(new SharedArrayBuffer(4));
const SCRAPES_PER_SECOND = 90;

interface Turn {
  readonly nsPerOp: number;
  readonly reads: number;
}

await runProgram(async () => {
  const count = readCount('TURNS', process.argv[2] ?? '100');
  const work = await startMetricsWork();
  const turns = new Map<Reading, Turn[]>(READINGS.map((reading) => [reading, []]));
  const runFor = (ms: number): void => {
    for (const endMs = performance.now() + ms; performance.now() < endMs; ) work.run(1000);
  };
  runFor(1000);
  for (let i = 0; i < count; i++) {
    for (const reading of READINGS) {
      work.read(reading);
      runFor(SETTLE_MS);
      const before = work.count();
      const beganNs = busyNs();
      work.run(OPS);
      const nsPerOp = (busyNs() - beganNs) / OPS;
      turns.get(reading)?.push({ nsPerOp, reads: work.count() - before });
    }
  }
  await work.close();
  console.log('reading               min     p25  median  ns per round   reads in a turn');
  for (const [reading, all] of turns) {
    const times = all.map(({ nsPerOp }) => nsPerOp);
    const figures = [0, 0.25, 0.5].map((part) => quantile(times, part).toFixed(2).padStart(7));
    const reads = median(all.map((turn) => turn.reads));
    console.log(`${reading.padEnd(20)}${figures.join(' ')}                  ${reads}`);
  }
  for (const name of ['scrapes', 'snapshots'] as const) {
    const here = turns.get(name) ?? [];
    const elsewhere = turns.get(`${name} elsewhere`) ?? [];
    // The turns of one round, a few milliseconds apart: what changes slowly is in both.
    const costs = here.map((turn, i) => turn.nsPerOp - (elsewhere[i] as Turn).nsPerOp);
    const quartiles = [0.25, 0.5, 0.75].map((part) => quantile(costs, part).toFixed(2));
    console.log(`${name}: ${quartiles.join(' / ')} ns more per round than elsewhere (quartiles)`);
    if (name === 'scrapes') continue;
    const best = minimum(here) - minimum(elsewhere);
    const perRead = median(here.map(({ reads }) => reads / OPS));
    const nsPerRead = [best, median(costs)].map((cost) => cost / perRead);
    const [byMinima, byMedians] = nsPerRead.map((ns) => {
      const part = (100 * ns * SCRAPES_PER_SECOND) / 1e9;
      return `${Math.round(ns)} ns, ${SCRAPES_PER_SECOND} a second ${part.toFixed(4)} %`;
    });
    console.log(`a snapshot costs the loop, by minima: ${byMinima}; by medians: ${byMedians}`);
  }
});

/** How long this thread has been on a processor; elsewhere, what the clock says. */
function busyNs(): number {
  if (process.platform !== 'linux') return performance.now() * NS_PER_MS;
  // The system counts when a thread leaves its processor.
  Atomics.wait(asleep, 0, 0, 0.1);
  return Number(readFileSync('/proc/self/schedstat', 'utf8').split(' ')[0]);
}

function minimum(turns: readonly Turn[]): number {
  return Math.min(...turns.map(({ nsPerOp }) => nsPerOp));
}
