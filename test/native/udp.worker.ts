// SPDX-License-Identifier: MIT
/**
 * Test worker: sends datagrams to itself until it is terminated, over UDP or, with a path as its
 * data, over a Unix socket.
 */
import { parentPort, workerData } from 'node:worker_threads';
import { UdpLink } from 'busbar/link';
import { BufferPool } from 'busbar/pool';

const port = parentPort;
if (port === null) throw new Error('start this as a worker');

const pool = BufferPool.create({ bufferSize: 65_536, bufferCount: 32 });
const path = workerData as string | undefined;
const server = await UdpLink.open(pool, {
  ...(path === undefined ? {} : { path }),
  receiveBytes: 1 << 20,
  handler: () => ({ onPacket: (packet) => packet.release() }),
});
const client = await UdpLink.open(pool, {
  peer: path === undefined ? { host: '127.0.0.1', port: server.local.port } : { path },
  handler: () => ({ onMessage() {} }),
});
const message = new Uint8Array(500);
let told = false;

function turn(): void {
  for (let i = 0; i < 200; i++) if (!client.tryWrite(message)) client.flush();
  client.flush();
  if (!told && server.stats().messages > 0) {
    told = true;
    port?.postMessage(server.implementation);
  }
  setImmediate(turn);
}
turn();
