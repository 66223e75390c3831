// SPDX-License-Identifier: MIT
/** Test worker: the middle stage of a pipeline, which may be terminated at any moment. */

import { workerData } from 'node:worker_threads';
import { PacketChannel } from 'busbar/channel';
import { BufferPool } from 'busbar/pool';

const pool = BufferPool.attach(workerData.pool);
const receiver = PacketChannel.attach(pool, workerData.from).receiver();
const sender = PacketChannel.attach(pool, workerData.to).sender();
const way: 'loop' | 'blocking' = workerData.way;
if (way === 'loop') {
  for await (const packet of receiver) await sender.send(packet);
} else {
  for (let packet = receiver.receiveSync(); packet !== undefined; packet = receiver.receiveSync()) {
    sender.sendSync(packet);
  }
}
receiver.close();
sender.close();
pool.detach();
