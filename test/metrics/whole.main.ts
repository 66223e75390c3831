// SPDX-License-Identifier: MIT
/** A program that shows Prometheus an object of each kind but executors, each with some traffic. */

import { Bus } from 'busbar/bus';
import { PacketChannel } from 'busbar/channel';
import { LengthPrefixCodec } from 'busbar/framer';
import { TcpLink, TcpServer, UdpLink } from 'busbar/link';
import { Exporter, Monitor } from 'busbar/metrics';
import { Packet } from 'busbar/packet';
import { BufferPool } from 'busbar/pool';
import { LocalWriter, WriteFlusher } from 'busbar/writer';

const pool = BufferPool.create({ bufferSize: 4096, bufferCount: 32, maxThreads: 2 });
const monitor = new Monitor({ program: 'whole' });
monitor.watch('messages', pool);

const channel = PacketChannel.create(pool, { kind: 'mpmc', capacity: 2 });
channel.sender().trySend(await Packet.from(pool, 'x'));
monitor.watch('orders', channel);

const codec = (): LengthPrefixCodec => new LengthPrefixCodec('u16');
const server = await TcpServer.listen(pool, { codec });
const link = await TcpLink.connect(pool, { port: server.port, codec });
await link.write('hello');
monitor.watch('gate', server);
monitor.watch('to gate', link);

const datagrams = { handler: () => ({ onMessage() {} }) };
monitor.watch('datagrams', await UdpLink.open(pool, datagrams));

const flusher = WriteFlusher.create(pool);
const writer = new LocalWriter(flusher);
writer.tryWrite('flushed');
writer.flush();
writer.tryWrite('not yet');
monitor.watch('outlet', flusher);
monitor.watch('log', writer);

const bus = new Bus(pool);
bus.subscribe('orders.*', () => {});
await bus.publish('orders.new', 'x');
await bus.publish('nobody', 'x');
monitor.watch('bus', bus);

const { url } = await Exporter.listen(monitor, { port: 0 });
console.log(`at ${url}`);
setInterval(() => {}, 1 << 30);
