// SPDX-License-Identifier: MIT
/** Sends the number of messages that it is told, as the README does, or by `postMessage`. */

import { parentPort, workerData } from 'node:worker_threads';
import { PacketChannel } from 'busbar/channel';
import { Packet } from 'busbar/packet';
import { BufferPool } from 'busbar/pool';

const TEXT = 'a message of 64 bytes, which is what many of them have on a bus.'.padEnd(64);

if (workerData === null) {
  parentPort?.on('message', (count: number) => {
    for (let i = 0; i < count; i++) parentPort?.postMessage(TEXT);
  });
} else {
  const pool = BufferPool.attach(workerData[0]);
  const sender = PacketChannel.attach(pool, workerData[1]).sender();
  parentPort?.on('message', async (count: number) => {
    for (let i = 0; i < count; i++) {
      let packet = Packet.tryFrom(pool, TEXT);
      // More buffers than slots: only the receiver's last few can be missing.
      for (; packet === undefined; packet = Packet.tryFrom(pool, TEXT)) {
        await new Promise(setImmediate);
      }
      await sender.send(packet);
    }
  });
}
