// SPDX-License-Identifier: MIT
/** HTTP/1.1 with content-length: a codec of one's own, pipelining, an asynchronous handler. */
import { TcpServer } from 'busbar/link';
import { BufferPool } from 'busbar/pool';
import { HttpCodec } from './http-codec.ts';

export async function startHttp(
  answer: (request: string) => Promise<string>,
): Promise<{ pool: BufferPool; server: TcpServer }> {
  const pool = BufferPool.create({ bufferSize: 16384, bufferCount: 64 });
  const server = await TcpServer.listen(pool, {
    codec: () => new HttpCodec(),
    handler: async (link) => {
      for await (const packet of link) {
        const body = await answer(packet.toString());
        packet.release();
        await link.drained();
        link.writer.tryWrite(`HTTP/1.1 200 OK\r\ncontent-length: ${body.length}\r\n\r\n${body}`);
      }
    },
  });
  return { pool, server };
}
