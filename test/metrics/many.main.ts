// SPDX-License-Identifier: MIT
/** A program that shows 40 pools and 200 links to `busbar top`: more than a terminal has lines. */

import { LengthPrefixCodec } from 'busbar/framer';
import { TcpLink, TcpServer } from 'busbar/link';
import { Exporter, Monitor } from 'busbar/metrics';
import { Packet } from 'busbar/packet';
import { BufferPool } from 'busbar/pool';

const monitor = new Monitor({ program: 'many' });
for (let i = 0; i < 40; i++) {
  const pool = BufferPool.create({ bufferSize: 64, bufferCount: 8, maxThreads: 2 });
  Packet.tryFrom(pool, 'held');
  monitor.watch(`pool of the region ${i}, with a long name`, pool);
}
const pool = BufferPool.create({ bufferSize: 1024, bufferCount: 1024 });
const codec = (): LengthPrefixCodec => new LengthPrefixCodec('u16');
const server = await TcpServer.listen(pool, { codec });
for (let i = 0; i < 200; i++) {
  monitor.watch(`link-${i}`, await TcpLink.connect(pool, { port: server.port, codec }));
}
await Exporter.listen(monitor);
console.log('ready');
setInterval(() => {}, 1 << 30);
