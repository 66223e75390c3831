// SPDX-License-Identifier: MIT
/** A program that shows a pool, a full channel and a server to `busbar top`. */

import { PacketChannel } from 'busbar/channel';
import { LengthPrefixCodec } from 'busbar/framer';
import { TcpServer } from 'busbar/link';
import { Exporter, Monitor } from 'busbar/metrics';
import { Packet } from 'busbar/packet';
import { BufferPool } from 'busbar/pool';

const pool = BufferPool.create({ bufferSize: 64, bufferCount: 8, maxThreads: 2 });
const channel = PacketChannel.create(pool, { kind: 'mpmc', capacity: 2, name: 'orders' });
const sender = channel.sender();
for (let i = 0; i < 2; i++) {
  const packet = Packet.tryFrom(pool, 'x');
  if (packet !== undefined) sender.trySend(packet);
}
const monitor = new Monitor({ program: 'shown' });
monitor.watch('messages', pool);
monitor.watch('orders', channel);
const codec = (): LengthPrefixCodec => new LengthPrefixCodec('u16');
monitor.watch('gate', await TcpServer.listen(pool, { codec }));
await Exporter.listen(monitor);
const { url } = await Exporter.listen(monitor, { port: 0 });
console.log(`at ${url}`);
setInterval(() => {}, 1 << 30);
