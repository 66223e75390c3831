// SPDX-License-Identifier: MIT
/** Counts the words of all texts. */
import { parentPort, workerData } from 'node:worker_threads';
import { PacketChannel } from 'busbar/channel';
import { BufferPool } from 'busbar/pool';

const pool = BufferPool.attach(workerData[0]);
const receiver = PacketChannel.attach(pool, workerData[1]).receiver();
let words = 0;
for await (const packet of receiver) {
  words += `${packet}`.split(' ').length;
  packet.release();
}
receiver.close();
pool.detach();
parentPort?.postMessage(words);
