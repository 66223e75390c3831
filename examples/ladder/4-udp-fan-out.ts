// SPDX-License-Identifier: MIT
/**
 * The ladder, 4: UDP fan-out. A relay sends each datagram that it gets to all who have joined.
 *
 * The idea: fan-out by reference. A datagram lies in the pool once, whatever the number of those
 * who get it; each of them has a reference on its buffer until the system has sent it.
 *
 *   node 4-udp-fan-out.js        ends by itself
 */
import { type UdpAddress, UdpLink } from 'busbar/link';
import { Packet } from 'busbar/packet';
import { BufferPool } from 'busbar/pool';

const LISTENERS = 3;
const pool = BufferPool.create({ bufferSize: 16_384, bufferCount: 64 });

/** Those who have joined, by address and port. */
const members: Map<string, UdpAddress> = new Map();
const relay = await UdpLink.open(pool, {
  host: '127.0.0.1',
  handler: (link) => ({
    onMessage(offset, length, bufferId) {
      if (pool.text(offset, length) === 'join') {
        const source = link.source();
        members.set(`${source}`, source);
        pool.retain(bufferId);
        if (!link.tryReplyRegion(bufferId, offset, length)) pool.release(bufferId);
        return;
      }
      for (const member of members.values()) {
        pool.retain(bufferId);
        // Not now: that member loses it, as the network might have lost it.
        if (!link.trySendRegion(bufferId, offset, length, member)) pool.release(bufferId);
      }
    },
  }),
});
const { port } = relay.local;
const peer = { host: '127.0.0.1', port };

const listeners = await Promise.all(
  Array.from({ length: LISTENERS }, () => UdpLink.open(pool, { peer })),
);
for (const listener of listeners) {
  await listener.write('join');
  // The relay replies: from now on it sends everything here.
  (await listener.receive())?.release();
}

const source = await UdpLink.open(pool, { peer });
for (const text of ['first', 'second']) {
  source.trySend(Packet.tryFrom(pool, text) as Packet);
  source.flush();
  for (const [i, listener] of listeners.entries()) {
    const datagram = await listener.receive();
    console.log(`listener ${i} got the ${datagram}`);
    datagram?.release();
  }
}
await Promise.all([relay, source, ...listeners].map((link) => link.close()));
console.log(`${pool.stats().held} buffers are held`);
