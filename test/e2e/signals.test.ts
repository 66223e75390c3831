// SPDX-License-Identifier: MIT
/** End to end: the signals that operators of nats-server send. */

import { afterAll, expect, test } from 'vitest';
import { buildPrograms, killPrograms, Program } from '../program.ts';

afterAll(killPrograms);

test.skipIf(process.platform === 'win32')(
  'SIGUSR1 and SIGHUP end nothing, SIGUSR2 stops in good order',
  async () => {
    buildPrograms();
    const args = ['--port', '0', '--seconds', '0', '--executors', '1'];
    const broker = new Program('build/examples/broker/main.js', args);
    await broker.line(/^Serving /);
    broker.process.kill('SIGUSR1');
    await broker.line(/^SIGUSR1: there is no log file/);
    broker.process.kill('SIGHUP');
    await broker.line(/^SIGHUP: there is no configuration file/);
    expect(await broker.stop('SIGUSR2')).toBe(0);
    expect(broker.lines.join('\n')).not.toContain('Debugger');
  },
  60_000,
);
