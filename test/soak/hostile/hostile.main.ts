// SPDX-License-Identifier: MIT
/**
 * Hostile soak: `npm run soak:hostile`: many hostile clients, and some innocent ones, whose every
 * message is timed. How long they take is judged in yardsticks: see `boundedness.ts`.
 */

import { parseArgs } from 'node:util';
import { Worker } from 'node:worker_threads';
import { readCount, runProgram, UsageError } from '../../../bench/command-line.ts';
import { Histogram } from '../../../bench/histogram.ts';
import { describeCommit, describeMachine } from '../../../bench/machine.ts';
import type { BrokerOptions } from '../../../broker/broker-options.ts';
import { arbitrarySeed } from '../../../src/base/random.ts';
import { BrokerProcess, type StartedBroker } from '../../e2e/broker-process.ts';
import { type Count, crowdOf, outOfBounds, type Third, yardsticksOf } from './boundedness.ts';
import type { HostileCounts, HostileData } from './clients.worker.ts';
import { Innocents } from './innocents.ts';

const USAGE = `Innocent clients of the broker among hostile ones: how long do their messages take,
and does every one come?

  npm run soak:hostile -- --seconds N [options]

  --seconds N      how long
  --seed S         of chance; without, one is drawn
  --clients N      hostile ones (100)
  --pairs N        pairs of innocent ones, each with 100 messages a second (8)
  --executors N    of the broker (2)
  --yardsticks N   messages may take so many at the 99th percentile (30)
  --help           print this and stop

The hostile ones subscribe and unsubscribe by the thousand, to subjects of many tokens and in
thousands of queue groups, flood each other, do not read, read a little, begin frames, connect and
vanish, and talk garbage. In the end all leave: then the broker must hold no buffer, connection or
subscription.

A yardstick is the time of a fixed piece of work (10 ms of a processor of its own), on a thread that
competes with the broker: a busy machine makes both slower. Each third of the run is judged by
itself, and the last against the first.

Ends with 0 if all is fine, with 1 if messages were late, or later and later, one was lost or
altered, an innocent client was cut off, connections piled up, an executor crashed or something was
left, with 2 if it could not be asked for.
`;

const PART_MS_MAX = 10_000;
const THIRDS = 3;
/** What a third prints, at least. */
const PARTS_PER_THIRD = 2;
/** Connections are counted so often. */
const COUNT_MS = 1000;
const MS_PER_SECOND = 1000;
const US_PER_MS = 1000;
/** What was held is given back by then. */
const REST_MS_MAX = 60_000;
const LOOK_MS = 100;
const SEED_MAX = 2 ** 32 - 1;
/** Short, so that each of them is reached in a short run. */
const OPTIONS: BrokerOptions = { port: 0, pingIntervalMs: 5000, authTimeoutMs: 5000 };

interface Settings {
  readonly seconds: number;
  readonly seed: number;
  readonly clients: number;
  readonly pairs: number;
  readonly executors: number;
  readonly yardsticks: number;
}

await runProgram(async () => {
  const settings = readCommandLine(process.argv.slice(2));
  if (settings === undefined) {
    process.stdout.write(USAGE);
    return;
  }
  const complaints = await run(settings);
  for (const complaint of complaints) console.log(complaint);
  if (complaints.length === 0) return;
  const { seconds, seed } = settings;
  console.log(`Again: npm run soak:hostile -- --seconds ${seconds} --seed ${seed}`);
  process.exitCode = 1;
});

function readCommandLine(args: readonly string[]): Settings | undefined {
  const { values } = parseArgs({
    args: [...args],
    options: {
      seconds: { type: 'string' },
      seed: { type: 'string' },
      clients: { type: 'string', default: '100' },
      pairs: { type: 'string', default: '8' },
      executors: { type: 'string', default: '2' },
      yardsticks: { type: 'string', default: '30' },
      help: { type: 'boolean', default: false },
    },
  });
  if (values.help) return undefined;
  if (values.seconds === undefined) throw new UsageError('--seconds must say how long');
  const seed = values.seed === undefined ? arbitrarySeed() >>> 0 : Number(values.seed);
  if (!Number.isInteger(seed) || seed < 0 || seed > SEED_MAX) {
    throw new UsageError(`--seed must be a whole number below 2³², got ${values.seed}`);
  }
  return {
    seconds: readCount('--seconds', values.seconds),
    seed,
    clients: readCount('--clients', values.clients),
    pairs: readCount('--pairs', values.pairs),
    executors: readCount('--executors', values.executors),
    yardsticks: readCount('--yardsticks', values.yardsticks),
  };
}

/** Returns what was wrong. */
async function run(settings: Settings): Promise<string[]> {
  const { seconds, seed, clients, pairs, executors, yardsticks } = settings;
  console.log(`${describeMachine()}\nNode ${process.version}, commit ${describeCommit()}`);
  console.log(`${clients} hostile clients, ${pairs} innocent pairs, seed ${seed}`);
  const program = new URL('../../e2e/broker-under-test.main.js', import.meta.url);
  const broker = await BrokerProcess.start(program, executors, OPTIONS);
  const innocents = await Innocents.start(broker.port, pairs);
  const data: HostileData = { port: broker.port, clients, seed };
  const hostile = new Worker(new URL('./clients.worker.js', import.meta.url), { workerData: data });
  const ended = new Promise<void>((resolve, reject) => {
    hostile.once('exit', () => resolve());
    hostile.once('error', reject);
  });
  let done: HostileCounts = { visits: {}, opened: 0, left: 0 };
  let whenTold = (): void => {};
  hostile.on('message', (told: HostileCounts) => {
    done = told;
    whenTold();
  });
  const askHostile = async (): Promise<HostileCounts> => {
    const told = new Promise<void>((resolve) => {
      whenTold = resolve;
    });
    hostile.postMessage('count');
    await Promise.race([told, ended]);
    return done;
  };
  const counts: Count[] = [];
  const count = async (): Promise<number> => {
    const { left } = await askHostile();
    const atMs = performance.now();
    const { connections, slowConsumers } = await broker.stats();
    const { opened } = await askHostile();
    counts.push({ atMs, connections, left, opened });
    return slowConsumers;
  };

  const yardstick = new Worker(new URL('./yardstick.worker.js', import.meta.url));
  const measured = new Histogram();
  yardstick.on('message', (us: number) => measured.record(us));

  const thirds: Third[] = [];
  const thirdMs = (seconds * MS_PER_SECOND) / THIRDS;
  const partMs = Math.min(PART_MS_MAX, thirdMs / PARTS_PER_THIRD);
  const fromMs = performance.now();
  while (thirds.length < THIRDS) {
    const untilMs = fromMs + (thirds.length + 1) * thirdMs;
    const begin = counts.length;
    for (let nowMs = performance.now(); nowMs < untilMs; ) {
      const partUntilMs = Math.min(nowMs + partMs, untilMs);
      let slowConsumers = 0;
      for (; nowMs < partUntilMs; nowMs = performance.now()) {
        await Promise.race([pause(Math.min(COUNT_MS, partUntilMs - nowMs)), ended]);
        slowConsumers = await count();
      }
      const { connections, opened } = counts[counts.length - 1];
      console.log(
        `${percentiles(innocents.recent)}; ${sumOf(done.visits)} visits, ${connections} of ` +
          `${opened} connections, ${slowConsumers} cut off as slow`,
      );
      innocents.recent.reset();
    }
    const third: Third = {
      messageUs: quantile(innocents.third, 0.99),
      yardstickUs: quantile(measured, 0.99),
      ...crowdOf(counts, begin, 2 * pairs),
    };
    thirds.push(third);
    console.log(
      `third ${thirds.length}: p99 ${yardsticksOf(third).toFixed(1)} yardsticks of ` +
        `${(third.yardstickUs / US_PER_MS).toFixed(1)} ms, up to ${third.connections} ` +
        `connections, at times only ${third.lingering} that their clients had left`,
    );
    innocents.third.reset();
    measured.reset();
  }
  yardstick.postMessage('stop');
  hostile.postMessage('stop');
  await ended;
  await innocents.finish();
  innocents.close();
  const left = await untilAtRest(broker);
  const { crashes } = await broker.stats();
  await broker.drain();

  const kinds = Object.entries(done.visits).map(([kind, count]) => `${kind} ${count}`);
  console.log(`visits: ${kinds.join(', ')}`);
  console.log(`${innocents.messages} innocent messages: ${percentiles(innocents.all)}`);
  console.log(`audit: ${left === '' ? 'nothing left, nobody innocent cut off' : left}`);
  const complaints = [...innocents.complaints];
  if (left !== '') complaints.push(`left at the end: ${left}`);
  if (crashes > 0) complaints.push(`${crashes} executors crashed`);
  const bounds = { yardsticks, clients: clients + 2 * pairs, seconds };
  return [...complaints, ...outOfBounds(thirds, bounds)];
}

/** What the broker still has, when all have left; '' if nothing. */
async function untilAtRest(broker: StartedBroker): Promise<string> {
  const untilMs = performance.now() + REST_MS_MAX;
  for (;;) {
    const { held, connections, subscriptions } = await broker.stats();
    if (held + connections + subscriptions === 0) return '';
    if (performance.now() > untilMs) {
      return `${held} buffers, ${connections} connections, ${subscriptions} subscriptions`;
    }
    await pause(LOOK_MS);
  }
}

/** 0 where nothing was measured. */
function quantile(histogram: Histogram, q: number): number {
  return histogram.total === 0 ? 0 : histogram.quantile(q);
}

function percentiles(histogram: Histogram): string {
  if (histogram.total === 0) return 'no messages';
  const ms = (q: number): string => (histogram.quantile(q) / US_PER_MS).toFixed(1);
  return `p50 ${ms(0.5)} ms, p99 ${ms(0.99)} ms, max ${ms(1)} ms`;
}

function sumOf(counts: Readonly<Record<string, number>>): number {
  return Object.values(counts).reduce((sum, count) => sum + count, 0);
}

function pause(ms: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, ms));
}
