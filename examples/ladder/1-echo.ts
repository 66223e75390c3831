// SPDX-License-Identifier: MIT
/**
 * The ladder, 1: echo. A server sends every line back; a client reads its replies.
 *
 * The idea: bytes lie in one pool. A link reads into it, finds the messages, and writes out of it;
 * a packet is a message that is yours until you release it.
 *
 *   node 1-echo.js        ends by itself
 */
import { DelimiterCodec } from 'busbar/framer';
import { TcpLink, TcpServer } from 'busbar/link';
import { BufferPool } from 'busbar/pool';

const pool = BufferPool.create({ bufferSize: 16_384, bufferCount: 64 });
const codec = (): DelimiterCodec => new DelimiterCodec('\n');

const server = await TcpServer.listen(pool, {
  codec,
  handler: async (link) => {
    for await (const packet of link) {
      // While `write` waits for a slow client, nothing more is read from it.
      await link.write(packet.toString());
      packet.release();
    }
  },
});

const client = await TcpLink.connect(pool, { port: server.port, codec });
for (const line of ['hello', 'is there an echo?']) {
  await client.write(line);
  const reply = await client.receive();
  console.log(reply?.toString());
  reply?.release();
}
await client.close();
await server.close();
console.log(`${pool.stats().held} buffers are held`);
