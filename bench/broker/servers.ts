// SPDX-License-Identifier: MIT
/**
 * Starts and stops the compared brokers, each as a child process on a free port of this machine.
 */

import { type ChildProcess, spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { readFileSync } from 'node:fs';
import { type AddressInfo, createServer } from 'node:net';
import { fileURLToPath } from 'node:url';
import { Connection } from './connection.ts';

const BROKER_PROGRAM = fileURLToPath(new URL('../../broker/main.js', import.meta.url));
const START_TIMEOUT_MS = 10_000;
const RETRY_MS = 50;
/** /proc counts CPU time in ticks of 10 ms; user and system time are its fields 14 and 15. */
const MS_PER_TICK = 10;
const FIELD_USER_TIME = 14;

/** A running broker. */
export interface Server {
  readonly name: string;
  readonly port: number;
  readonly executors: number;
  /**
   * CPU time that its process has used so far, in milliseconds; NaN where the system does not
   * tell.
   */
  cpuMs(): number;
  stop(): Promise<void>;
}

/** The version line of the `nats-server` in PATH, or undefined when there is none. */
export function natsServerVersion(): string | undefined {
  const { status, stdout } = spawnSync('nats-server', ['--version'], { encoding: 'utf8' });
  return status === 0 ? stdout.trim() : undefined;
}

export async function startNatsServer(): Promise<Server> {
  const port = await freePort();
  return start('nats-server', port, 1, ['nats-server', '-a', '127.0.0.1', '-p', String(port)]);
}

/** On this many executors; on one, 'busbar' is its name. */
export async function startBusbar(executors: number): Promise<Server> {
  const port = await freePort();
  const options = ['--port', String(port), '--seconds', '0', '--executors', String(executors)];
  const name = executors === 1 ? 'busbar' : `busbar-${executors}`;
  return start(name, port, executors, [process.execPath, BROKER_PROGRAM, ...options]);
}

async function start(
  name: string,
  port: number,
  executors: number,
  command: readonly string[],
): Promise<Server> {
  const child = spawn(command[0], command.slice(1), { stdio: ['ignore', 'ignore', 'pipe'] });
  let complaints = '';
  child.stderr.setEncoding('utf8').on('data', (text: string) => {
    complaints = (complaints + text).slice(-2000);
  });
  const ended = new Promise<never>((_, reject) => {
    child.once('error', reject);
    child.once('exit', (code) => reject(new Error(`${name} ended, code ${code}: ${complaints}`)));
  });
  ended.catch(() => {});
  await Promise.race([ended, greeting(port)]);
  return { name, port, executors, cpuMs: () => cpuMsOf(child.pid), stop: () => stop(child) };
}

/** Resolves when the server lets a client in. */
async function greeting(port: number): Promise<void> {
  const untilMs = performance.now() + START_TIMEOUT_MS;
  for (;;) {
    try {
      const connection = await Connection.open(port, '');
      connection.close();
      return;
    } catch (error) {
      if (performance.now() > untilMs) throw error;
      await new Promise((resolve) => setTimeout(resolve, RETRY_MS));
    }
  }
}

async function stop(child: ChildProcess): Promise<void> {
  if (child.exitCode !== null || child.signalCode !== null) return;
  const exited = once(child, 'exit');
  child.kill('SIGTERM');
  const timer = setTimeout(() => child.kill('SIGKILL'), START_TIMEOUT_MS);
  await exited;
  clearTimeout(timer);
}

function cpuMsOf(pid: number | undefined): number {
  try {
    const text = readFileSync(`/proc/${pid}/stat`, 'latin1');
    // The second field is the program's name in parentheses, and may contain spaces.
    const fields = text.slice(text.lastIndexOf(')') + 2).split(' ');
    const user = FIELD_USER_TIME - 3;
    return (Number(fields[user]) + Number(fields[user + 1])) * MS_PER_TICK;
  } catch {
    return Number.NaN;
  }
}

async function freePort(): Promise<number> {
  const server = createServer().listen(0, '127.0.0.1');
  await once(server, 'listening');
  const { port } = server.address() as AddressInfo;
  server.close();
  await once(server, 'close');
  return port;
}
