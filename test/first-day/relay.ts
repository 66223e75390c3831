// SPDX-License-Identifier: MIT
/** A relay of JSON lines: what one client sends, all others get. One that lags misses lines. */
import { DelimiterCodec } from 'busbar/framer';
import { TcpServer } from 'busbar/link';
import { BufferPool } from 'busbar/pool';

export async function startRelay(): Promise<{
  pool: BufferPool;
  server: TcpServer;
  missed: () => number;
}> {
  const pool = BufferPool.create({ bufferSize: 4096, bufferCount: 1024 });
  let missed = 0;
  const server = await TcpServer.listen(pool, {
    codec: () => new DelimiterCodec('\n'),
    highWaterBytes: 8192,
    handler: (link) => ({
      onFrame(offset, length) {
        for (const other of server.links) {
          if (other === link) continue;
          if (!other.writable || !other.tryWrite(pool.bytes, offset, offset + length)) missed++;
        }
      },
    }),
  });
  return { pool, server, missed: () => missed };
}
