// SPDX-License-Identifier: MIT
/** Requests go to the executor of their key; replies return in the order of the requests. */
import { ExecutorGroup } from 'busbar/executor';
import { LengthPrefixCodec } from 'busbar/framer';
import { type TcpLink, TcpServer } from 'busbar/link';
import { Packet } from 'busbar/packet';
import { BufferPool } from 'busbar/pool';

export async function startRpc(
  module: URL,
): Promise<{ pool: BufferPool; group: ExecutorGroup; server: TcpServer }> {
  const pool = BufferPool.create({ bufferSize: 1024, bufferCount: 1024, maxThreads: 4 });
  const group = await ExecutorGroup.start({ pool, module, count: 2, laneCapacity: 64 });
  const links = new Map<number, TcpLink>();
  let opened = 0;
  void (async () => {
    for await (const reply of group.mailbox) {
      const link = links.get(reply.getUint32(0));
      reply.advance(4);
      if (link?.writable) await link.write(reply);
      reply.release();
    }
  })();
  const server = await TcpServer.listen(pool, {
    codec: () => new LengthPrefixCodec('u32'),
    handler: async (link) => {
      const number = opened++;
      links.set(number, link);
      const head = Buffer.alloc(4);
      head.writeUint32BE(number);
      for await (const request of link) {
        const packet = await Packet.from(pool, Buffer.concat([head, request.bytes]));
        request.release();
        await group.send(number, packet);
      }
    },
  });
  return { pool, group, server };
}
