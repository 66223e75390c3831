// SPDX-License-Identifier: MIT
/** End to end: runs nats-server, if it is installed, for tests that send the same bytes to both. */

import { spawnSync } from 'node:child_process';
import { Program } from '../program.ts';

const ENVIRONMENT = { PATH: `${process.env.PATH}:/usr/sbin` };

const isInstalled =
  spawnSync('nats-server', ['--version'], { env: { ...process.env, ...ENVIRONMENT } }).status === 0;

/** Whether tests that need it are run; where it is required they fail without it. */
export const isNatsServerExpected: boolean =
  isInstalled || process.env.BUSBAR_TEST_NATS_SERVER === 'required';

export interface StartedNatsServer {
  readonly port: number;
  stop(): Promise<unknown>;
}

/** On a port of its own choice. */
export async function startNatsServer(...args: string[]): Promise<StartedNatsServer> {
  const program = new Program('nats-server', ['-a', '127.0.0.1', '-p', '-1', ...args], ENVIRONMENT);
  const [, port] = await program.line(/Listening for client connections on 127\.0\.0\.1:(\d+)/);
  await program.line(/Server is ready/);
  return { port: Number(port), stop: () => program.stop() };
}
