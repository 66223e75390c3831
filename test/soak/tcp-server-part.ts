// SPDX-License-Identifier: MIT
/** Soak: a TcpServer that sends every frame back, and reads no more than it can send. */

import { LengthPrefixCodec } from 'busbar/framer';
import { type TcpHandler, type TcpLink, TcpServer } from 'busbar/link';
import { BufferPool } from 'busbar/pool';
import { HANG_MS, type Part } from './part.ts';
import { touchPages } from './reading.ts';

/** Of the length before each frame. */
export const PREFIX_BYTES = 4;
const POOL = { bufferSize: 65_536, bufferCount: 512 };

export async function makeTcpServer(): Promise<Part> {
  const pool = BufferPool.create(POOL);
  touchPages(pool);
  const server = await TcpServer.listen(pool, {
    codec: () => new LengthPrefixCodec('u32'),
    handler: echo,
    closeDeadlineMs: HANG_MS,
  });
  return { ports: [server.port], pool, tallies: [], close: () => server.close() };
}

function echo(link: TcpLink): TcpHandler {
  const { pool, writer, framer } = link;
  return {
    onFrame(offset, length) {
      if (writer.tryWrite(pool.bytes, offset - PREFIX_BYTES, offset + length)) return;
      const packet = framer.takePacket();
      link.pause();
      writer.reserve(PREFIX_BYTES + length).then(
        (reservation) => {
          pool.view.setUint32(reservation.offset, length);
          const begin = packet.offset;
          pool.bytes.copyWithin(reservation.offset + PREFIX_BYTES, begin, begin + length);
          reservation.commit();
          packet.release();
          link.resume();
        },
        () => packet.release(), // the link is gone
      );
    },
  };
}
