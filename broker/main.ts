// SPDX-License-Identifier: MIT
/** Example broker: the program that `npm start` runs. */

import { once } from 'node:events';
import { BusbarError } from 'busbar/errors';
import { Exporter, Monitor } from 'busbar/metrics';
import { topology } from 'busbar/native';
import { Broker } from './broker.ts';
import { BrokerGroup } from './broker-group.ts';
import { resolveBrokerOptions } from './broker-options.ts';
import { type Command, HELP, readCommandLine } from './command-line.ts';
import { demonstrate, type RunningBroker } from './demo/demo.ts';

process.exitCode = await main();

async function main(): Promise<number> {
  let command: Command;
  try {
    command = readCommandLine(process.argv.slice(2));
  } catch (error) {
    console.error(`${(error as Error).message}\nTry: npm start -- --help`);
    return 2;
  }
  if (command.help) {
    console.log(HELP);
    return 0;
  }
  const stopping = new AbortController();
  stopOnSignal(stopping);
  const broker = await start(command);
  if (broker === undefined) return 1;
  const { signal } = stopping;
  const isFine = signal.aborted || (await serve(broker, command, signal));
  await broker.drain();
  return isFine ? 0 : 1;
}

/** Resolves when the broker is to stop, to whether the demonstration went well. */
async function serve(
  broker: Broker | BrokerGroup,
  command: Command,
  signal: AbortSignal,
): Promise<boolean> {
  console.log(`Listening on ${address(broker)}, NATS protocol. Ctrl-C stops.`);
  if (broker instanceof BrokerGroup) console.log(broker.layout());
  await show(broker, command);
  const lame = new AbortController();
  const isGone = heedNatsSignals(broker, lame);
  const end = AbortSignal.any([signal, lame.signal]);
  const { demoSeconds } = command;
  const isFine = demoSeconds === 0 || (await demonstrate(broker, demoSeconds, end));
  if (!end.aborted) console.log(howToConnect(broker));
  if (!signal.aborted) await Promise.race([isGone, once(signal, 'abort')]);
  return isFine;
}

async function start(command: Command): Promise<Broker | BrokerGroup | undefined> {
  const executors = command.executors ?? topology().usableCount;
  try {
    if (executors === 1) return await Broker.start(command.broker);
    const broker = await BrokerGroup.start(command.broker, { executors, onCrash });
    broker.closed.catch((error: Error) => {
      console.error(`The broker has ended: ${error.message}`);
      process.exit(1);
    });
    return broker;
  } catch (error) {
    if (error instanceof BusbarError && error.code === 'ERR_BUSBAR_LINK_REFUSED') {
      const { host, port } = resolveBrokerOptions(command.broker);
      const { code, message } = error.cause as NodeJS.ErrnoException;
      console.error(
        code === 'EADDRINUSE'
          ? `Port ${port} is taken: another server listens there, perhaps another broker.\n` +
              `Choose another: npm start -- --port ${port + 1}`
          : `Cannot listen on ${host}:${port}: ${message}`,
      );
    } else {
      console.error((error as Error).message);
    }
    return undefined;
  }
}

/** The first signal stops in good order, at whatever moment; a second one ends the process. */
function stopOnSignal(stopping: AbortController): void {
  const stop = (signal: NodeJS.Signals): void => {
    console.log(`${signal}: sending what is left, then goodbye.`);
    process.removeListener('SIGINT', stop);
    process.removeListener('SIGTERM', stop);
    stopping.abort();
  };
  process.on('SIGINT', stop);
  process.on('SIGTERM', stop);
}

/**
 * Signals for nats-server. Without a listener they end the process, or open a debugger. Resolves
 * when the broker has ended in lame duck mode, whose beginning aborts `lame`.
 */
function heedNatsSignals(broker: Broker | BrokerGroup, lame: AbortController): Promise<void> {
  return new Promise((resolve) => {
    if (process.platform === 'win32') return;
    process.on('SIGUSR1', () => console.log('SIGUSR1: there is no log file to reopen.'));
    process.on('SIGHUP', () => console.log('SIGHUP: there is no configuration file to reload.'));
    process.on('SIGUSR2', () => {
      if (lame.signal.aborted) return;
      lame.abort();
      console.log('SIGUSR2: telling clients to go elsewhere; Ctrl-C stops at once.');
      broker.lameDuck().then(resolve);
    });
  });
}

/** Shows what the broker does to `busbar top`, and at a port if one is asked for. */
async function show(
  broker: Broker | BrokerGroup,
  { metricsPort: port, metricsToken: token }: Command,
): Promise<void> {
  const monitor = new Monitor({ program: 'broker' });
  broker.watch(monitor);
  const complain = (error: Error): void => console.error(`No metrics: ${error.message}`);
  await Exporter.listen(monitor).catch(complain);
  if (port === undefined) return;
  const options = token === undefined ? { port } : { port, token };
  const exporter = await Exporter.listen(monitor, options).catch(complain);
  if (exporter !== undefined) console.log(`Live figures, and /metrics: ${exporter.url}`);
}

function onCrash(index: number, error: Error): void {
  console.error(
    `Executor ${index} is gone, with its clients; it is started again: ${error.message}`,
  );
}

function address(broker: RunningBroker): string {
  return `${broker.options.host}:${broker.port}`;
}

function howToConnect(broker: RunningBroker): string {
  const url = `nats://${address(broker)}`;
  return `
Serving ${url} until Ctrl-C. Any NATS client can connect:

  nats --server ${url} sub 'demo.>'
  nats --server ${url} pub demo.hello 'hello world'

or from Node, after npm install @nats-io/transport-node:

  import { connect } from '@nats-io/transport-node';
  const nc = await connect({ servers: '${address(broker)}' });
  const demo = nc.subscribe('demo.>');
  nc.publish('demo.hello', 'hello world');
  for await (const message of demo) console.log(message.subject, message.string());
`;
}
