// SPDX-License-Identifier: MIT
/** Example statsd, tests: two million lines through parser and table, between two marks. */

import { Gatherer } from './gatherer.ts';

const LINES = 2_000_000;
const datagram = Buffer.from(
  [
    'api.hits:1|c|#env:prod,zone:b',
    'api.hits:3|c|@0.25',
    'api.latency:12.75|ms|#env:prod',
    'api.latency:1:2:3.5:400|h',
    'queue.length:17|g',
    'queue.length:-3|g',
    'users:12345|s',
  ].join('\n'),
);
const LINES_IN_DATAGRAM = 7;

const gatherer = new Gatherer(1000, 1, () => 1);

function run(lines: number): void {
  for (let done = 0; done < lines; done += LINES_IN_DATAGRAM) {
    gatherer.take(datagram, 0, datagram.length);
  }
}

run(LINES / 2);
for (let i = 0; i < 200; i++) new Array(10_000).fill(i); // so that the trace is not empty
process.stdout.write('begin\n');
const before = process.cpuUsage();
run(LINES);
const { user } = process.cpuUsage(before);
process.stdout.write('end\n');
process.stdout.write(`${Math.round((user * 1000) / LINES)} ns of processor time a line\n`);
