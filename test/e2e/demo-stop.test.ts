// SPDX-License-Identifier: MIT
/** End to end: Ctrl-C stops the demonstration of `npm start` in good order, at any moment. */

import { afterAll, expect, test } from 'vitest';
import { buildPrograms, killPrograms, Program } from '../program.ts';

afterAll(killPrograms);

function startDemo(executors: string, seconds: string): Program {
  buildPrograms();
  const args = ['--port', '0', '--executors', executors, '--seconds', seconds];
  return new Program('build/broker/main.js', args);
}

function expectNoComplaint({ lines }: Program): void {
  const printed = lines.join('\n');
  expect(printed).not.toMatch(/Error|at .*:\d+:\d+|ended early|load stopped/);
  for (const summary of printed.matchAll(/delivered, .*/g)) {
    expect(summary[0]).toBe('delivered, 0 missing, 0 wrong or out of order.');
  }
}

const EARLY = ['1', '600', /^Listening on /] as const;
const LOADING = ['2', '600', /^For \d+ s: /] as const;
const BUSY = ['2', '600', /M\/s/] as const;
const ENDING = ['1', '1', /^all .*M\/s/] as const;

test.skipIf(process.platform === 'win32').each([EARLY, LOADING, BUSY, ENDING])(
  '%s executors, a demo of %s s, Ctrl-C after %s',
  async (executors, seconds, moment) => {
    const demo = startDemo(executors, seconds);
    await demo.line(moment);
    expect(await demo.stop('SIGINT'), demo.lines.join('\n')).toBe(0);
    expectNoComplaint(demo);
    expect(demo.lines.at(-1)).not.toMatch(/nc\.publish/);
  },
  60_000,
);

test.skipIf(process.platform === 'win32')(
  'Ctrl-C while it starts: it ends in good order, or has not begun',
  async () => {
    for (const turns of [0, 300, 3000]) {
      const demo = startDemo('2', '600');
      for (let i = 0; i < turns; i++) await new Promise(setImmediate);
      const code = await demo.stop('SIGINT');
      // Without a line the program itself has not begun: then the system ends the process.
      if (demo.lines.length > 0) expect(code, demo.lines.join('\n')).toBe(0);
      expectNoComplaint(demo);
    }
  },
  60_000,
);
