// SPDX-License-Identifier: MIT
/** End to end: of two brokers started at once on one port, one serves and the other exits. */

import { once } from 'node:events';
import { type AddressInfo, createServer } from 'node:net';
import { afterAll, expect, test } from 'vitest';
import { buildPrograms, killPrograms, Program } from '../program.ts';

afterAll(killPrograms);

test('of two brokers that start on one port at once, one ends with its reason', async () => {
  buildPrograms();
  const probe = createServer().listen(0, '127.0.0.1');
  await once(probe, 'listening');
  const { port } = probe.address() as AddressInfo;
  probe.close();
  await once(probe, 'close');
  const args = ['--port', String(port), '--seconds', '0', '--executors', '2'];
  for (let round = 0; round < 3; round++) {
    const both = [1, 2].map(() => new Program('build/broker/main.js', args));
    const [loser, winner] = await Promise.race([
      both[0].ended.then(() => both),
      both[1].ended.then(() => [both[1], both[0]]),
    ]);
    expect(await loser.ended, loser.lines.join('\n')).toBe(1);
    expect(loser.lines[0]).toBe(
      `Port ${port} is taken: another server listens there, perhaps another broker.`,
    );
    await winner.line(/^Listening on /);
    expect(await winner.stop()).toBe(0);
  }
}, 120_000);
