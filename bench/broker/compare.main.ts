// SPDX-License-Identifier: MIT
/**
 * `npm run bench:broker`: the example broker and `nats-server` under the same load, in alternating
 * runs.
 */

import { writeFileSync } from 'node:fs';
import { parseArgs } from 'node:util';
import { readCount, runProgram, selectByGlob, UsageError } from '../command-line.ts';
import { coresTakenByOthers, describeCommit, describeMachine, idleMsByCore } from '../machine.ts';
import { quantile } from '../statistics.ts';
import { LoadThread } from './load-thread.ts';
import { drawTable, figuresOf, type RunFigures, type ScenarioFigures } from './report.ts';
import {
  BLOCK_MESSAGES,
  deliveredCount,
  type LoadResult,
  type Scenario,
  scenarios,
} from './scenario.ts';
import { natsServerVersion, type Server, startBusbar, startNatsServer } from './servers.ts';

const USAGE = `Compares the example broker with nats-server: same machine and load, runs alternate.

  npm run bench:broker -- [options]

  --only GLOB      only loads whose id matches, e.g. '1-to-8/*' (repeatable)
  --server NAME    only busbar (on one thread), busbar-2 (on two executors), nats-server, or
                   direct (repeatable). direct is no broker: the load threads talk to each other
                   and show the ceiling of this measurement
  --runs N         timed runs of each load against each server, default 5
  --json FILE      also write the figures to FILE
  --tiny           a few messages once: shows that it works, measures nothing
  --list           print the ids of the loads and stop
  --help           print this and stop
`;

const SERVER_NAMES = ['direct', 'nats-server', 'busbar', 'busbar-2'] as const;
const NS_PER_MS = 1e6;
const MS_PER_SECOND = 1000;
const US_PER_MS = 1000;

/** Stands where a server would, when the load threads talk to each other. */
const direct: Server = {
  name: 'direct',
  port: 0,
  executors: 1,
  cpuMs: () => Number.NaN,
  stop: async () => {},
};

interface Settings {
  readonly only: readonly string[];
  readonly servers: readonly string[];
  readonly runs: number;
  readonly jsonFile: string | undefined;
  readonly tiny: boolean;
}

await runProgram(async () => {
  const settings = readCommandLine();
  if (settings !== undefined) await main(settings);
});

async function main(settings: Settings): Promise<void> {
  const selected = selectByGlob(scenarios, settings.only).map((scenario) =>
    settings.tiny ? tinyScenario(scenario) : scenario,
  );
  const machine = describeMachine();
  const commit = describeCommit();
  const natsVersion = natsServerVersion();
  process.stdout.write(`${machine}\nNode ${process.version}, commit ${commit}\n`);
  process.stdout.write(`${natsVersion ?? 'no nats-server in PATH: its rows are missing'}\n`);
  const servers: Server[] = [];
  const threads = [new LoadThread(), new LoadThread()] as const;
  const figures: ScenarioFigures[] = [];
  try {
    if (settings.servers.includes('direct')) servers.push(direct);
    const wantsNats = settings.servers.includes('nats-server') && natsVersion !== undefined;
    if (wantsNats) servers.push(await startNatsServer());
    if (settings.servers.includes('busbar')) servers.push(await startBusbar(1));
    if (settings.servers.includes('busbar-2')) servers.push(await startBusbar(2));
    for (const scenario of selected) {
      figures.push(...(await compare(scenario, servers, threads, settings.runs)));
    }
  } finally {
    await Promise.all([...threads, ...servers].map(stop));
  }
  if (!settings.tiny)
    process.stdout.write(`${drawTable(figures, process.stdout.isTTY === true)}\n`);
  else process.stdout.write(`${figures.length} combinations of load and server work\n`);
  if (settings.jsonFile !== undefined) {
    const document = { machine, node: process.version, commit, natsVersion, results: figures };
    writeFileSync(settings.jsonFile, `${JSON.stringify(document, null, 2)}\n`);
  }
}

async function stop(one: LoadThread | Server): Promise<void> {
  await (one instanceof LoadThread ? one.close() : one.stop());
}

/**
 * Runs one scenario against each server in turn, and again. The first turn warms up and does not
 * count.
 */
async function compare(
  scenario: Scenario,
  servers: readonly Server[],
  threads: readonly [LoadThread, LoadThread],
  runs: number,
): Promise<ScenarioFigures[]> {
  const isOne = scenario.kind === 'flow' && scenario.publishers === 1;
  const able = servers.filter((server) => server !== direct || isOne);
  const collected = able.map((): RunFigures[] => []);
  for (let turn = 0; turn <= runs; turn++) {
    for (const [index, server] of able.entries()) {
      const run = await runOnce(scenario, server, threads);
      if (turn > 0 || runs === 0) collected[index].push(run);
      if (process.stderr.isTTY === true) {
        const rate = `${Math.round(run.perSecond / MS_PER_SECOND)}k/s`;
        process.stderr.write(`\r\u001b[2K${scenario.id} ${turn}/${runs} ${server.name} ${rate}`);
      }
    }
  }
  if (process.stderr.isTTY === true) process.stderr.write('\r\u001b[2K');
  return able.map((server, index) => figuresOf(scenario, server.name, collected[index]));
}

async function runOnce(
  scenario: Scenario,
  server: Server,
  [sending, receiving]: readonly [LoadThread, LoadThread],
): Promise<RunFigures> {
  const { port, executors } = server;
  if (scenario.kind === 'request') {
    await receiving.prepare({ task: 'respond', port, executors, scenario });
    await sending.prepare({ task: 'request', port, executors, scenario });
  } else if (server === direct) {
    const ownPort = await sending.prepare({ task: 'blast', port, executors, scenario });
    await receiving.prepare({ task: 'subscribe', port: ownPort, executors, scenario });
  } else {
    await receiving.prepare({ task: 'subscribe', port, executors, scenario });
    await sending.prepare({ task: 'publish', port, executors, scenario });
  }
  const idleBefore = idleMsByCore();
  const beganMs = performance.now();
  const ownBefore = process.cpuUsage();
  const serverBefore = server.cpuMs();
  const [received, sent] = await Promise.all([receiving.run(), sending.run()]);
  const serverCpuMs = server.cpuMs() - serverBefore;
  const own = process.cpuUsage(ownBefore);
  const usedMs = (own.user + own.system) / US_PER_MS + (serverCpuMs || 0);
  const wallMs = performance.now() - beganMs;
  const coresTaken = coresTakenByOthers(idleBefore, idleMsByCore(), wallMs, usedMs);
  return toFigures(scenario, received, sent, serverCpuMs, coresTaken);
}

function toFigures(
  scenario: Scenario,
  received: LoadResult,
  sent: LoadResult,
  cpuMs: number,
  coresTaken: number,
): RunFigures {
  if (scenario.kind === 'request') {
    const { latenciesUs, beganMs, endedMs } = sent;
    return {
      perSecond: (scenario.requests * MS_PER_SECOND) / (endedMs - beganMs),
      cpuNs: (cpuMs * NS_PER_MS) / (2 * scenario.requests),
      p50Us: quantile(latenciesUs, 0.5),
      p99Us: quantile(latenciesUs, 0.99),
      coresTaken,
    };
  }
  const delivered = deliveredCount(scenario);
  return {
    perSecond: (delivered * MS_PER_SECOND) / (received.endedMs - sent.beganMs),
    cpuNs: (cpuMs * NS_PER_MS) / delivered,
    p50Us: Number.NaN,
    p99Us: Number.NaN,
    coresTaken,
  };
}

function tinyScenario(scenario: Scenario): Scenario {
  return scenario.kind === 'flow'
    ? { ...scenario, messages: BLOCK_MESSAGES }
    : { ...scenario, requests: 10 };
}

function readCommandLine(): Settings | undefined {
  const { values } = parseArgs({
    options: {
      only: { type: 'string', multiple: true, default: [] },
      server: { type: 'string', multiple: true, default: [...SERVER_NAMES] },
      runs: { type: 'string', default: '5' },
      json: { type: 'string' },
      tiny: { type: 'boolean', default: false },
      list: { type: 'boolean', default: false },
      help: { type: 'boolean', default: false },
    },
  });
  if (values.help || values.list) {
    const ids = scenarios.map(({ id }) => id).join('\n');
    process.stdout.write(values.help ? USAGE : `${ids}\n`);
    return undefined;
  }
  for (const name of values.server) {
    if (SERVER_NAMES.some((known) => known === name)) continue;
    throw new UsageError(`--server must be one of ${SERVER_NAMES.join(', ')}, got ${name}`);
  }
  return {
    only: values.only,
    servers: values.server,
    runs: values.tiny ? 0 : readCount('--runs', values.runs),
    jsonFile: values.json,
    tiny: values.tiny,
  };
}
