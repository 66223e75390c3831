// SPDX-License-Identifier: MIT
/** Example statsd: the program. Collects metrics and prints reports. */

import { once } from 'node:events';
import { setTimeout as delay } from 'node:timers/promises';
import { isBusbarError } from 'busbar/errors';
import { Exporter, Monitor } from 'busbar/metrics';
import { Collector } from './collector.ts';
import { type Command, HELP, readCommandLine } from './command-line.ts';
import { format } from './formats.ts';

process.exitCode = (await main()) || process.exitCode;

async function main(): Promise<number> {
  let command: Command;
  try {
    command = readCommandLine(process.argv.slice(2));
  } catch (error) {
    console.error(`${(error as Error).message}\nTry: npm run example:statsd -- --help`);
    return 2;
  }
  if (command.help) {
    console.log(HELP);
    return 0;
  }
  const collector = await start(command);
  if (collector === undefined) return 1;
  const { signal } = untilStopped();
  const { host } = command.collector;
  const threads = collector.count === 1 ? '1 executor' : `${collector.count} executors`;
  console.error(`Listening on ${host}:${collector.port}, statsd over UDP, ${threads}.`);
  const { unixPath, datagramPath } = command.collector;
  if (collector.tcpPort !== undefined)
    console.error(`Lines over TCP: ${host}:${collector.tcpPort}.`);
  if (unixPath !== undefined) console.error(`Lines over a Unix socket: ${unixPath}.`);
  if (datagramPath !== undefined) console.error(`Datagrams over a Unix socket: ${datagramPath}.`);
  if (collector.alone !== '') {
    console.error(`One executor, because several cannot share the port: ${collector.alone}`);
  }
  await show(collector, command);
  await report(collector, command, signal);
  return 0;
}

/** Shows what the collector does to `busbar top`, and at a port if one is asked for. */
async function show(
  collector: Collector,
  { metricsPort: port, metricsToken: token }: Command,
): Promise<void> {
  const monitor = new Monitor({ program: 'statsd' });
  collector.watch(monitor);
  const complain = (error: Error): void => console.error(`No metrics: ${error.message}`);
  await Exporter.listen(monitor).catch(complain);
  if (port === undefined) return;
  const options = token === undefined ? { port } : { port, token };
  const exporter = await Exporter.listen(monitor, options).catch(complain);
  if (exporter !== undefined) console.error(`Live figures, and /metrics: ${exporter.url}`);
}

async function start(command: Command): Promise<Collector | undefined> {
  try {
    const collector = await Collector.start({
      ...command.collector,
      onCrash: (index, error) => {
        console.error(`Executor ${index} has crashed, another one starts: ${error.message}`);
      },
    });
    collector.closed.catch((error: Error) => {
      console.error(`The collector has ended: ${error.message}`);
      process.exit(1);
    });
    return collector;
  } catch (error) {
    const { host, port } = command.collector;
    const cause = (error as Error).cause as NodeJS.ErrnoException | undefined;
    const isRefused = isBusbarError(error, 'ERR_BUSBAR_LINK_REFUSED');
    if (isRefused && cause?.code === 'EADDRINUSE') {
      console.error(`Port ${port} is taken, perhaps by another collector.`);
    } else if (isRefused) {
      console.error(`Cannot receive at ${host}:${port}: ${(error as Error).message}`);
    } else {
      console.error((error as Error).message);
    }
    return undefined;
  }
}

/** Aborts on a signal, or when the reader of the reports is gone: then the exit code is 1. */
function untilStopped(): AbortController {
  const stopping = new AbortController();
  const stop = (signal: NodeJS.Signals): void => {
    console.error(`${signal}: one last report.`);
    stopping.abort();
    process.removeListener('SIGINT', stop);
    process.removeListener('SIGTERM', stop);
  };
  process.on('SIGINT', stop);
  process.on('SIGTERM', stop);
  process.stdout.on('error', () => {
    process.exitCode = 1;
    stopping.abort();
  });
  return stopping;
}

/** Prints a report for each interval, and a last one at the end. */
async function report(
  collector: Collector,
  { intervalMs, format: kind, prefix }: Command,
  stopping: AbortSignal,
): Promise<void> {
  for (let dueMs = performance.now(); !stopping.aborted; ) {
    dueMs = Math.max(dueMs + intervalMs, performance.now());
    const waitMs = dueMs - performance.now();
    await delay(waitMs, undefined, { signal: stopping }).catch(() => {});
    if (stopping.aborted) break;
    await written(format(await collector.flush(), kind, prefix), stopping);
  }
  process.stdout.write(format(await collector.stop(), kind, prefix));
}

/** Waits for a slow reader: the interval gets longer, and nothing is lost. */
async function written(text: string, signal: AbortSignal): Promise<void> {
  if (process.stdout.write(text)) return;
  await once(process.stdout, 'drain', { signal }).catch(() => {});
}
