// SPDX-License-Identifier: MIT
/** A claim on a port: the gate may open while another program begins to wait at it. */
import { once } from 'node:events';
import { connect } from 'node:net';
import { expect, test } from 'vitest';
import { listenAlone, untilClosed } from './port-claim.ts';

test('a gate that has opened is no error for the program that waits at it', async () => {
  const server = await listenAlone('127.0.0.1', 0);
  const address = server.address() as { port: number };
  server.close();
  await once(server, 'close');
  const socket = connect({ host: '127.0.0.1', port: address.port });
  await expect(untilClosed(socket, 30_000)).resolves.toBeUndefined();
});
