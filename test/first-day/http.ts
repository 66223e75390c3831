// SPDX-License-Identifier: MIT
/** HTTP/1.1 with content-length: a codec of one's own, pipelining, an asynchronous handler. */
import { ByteFinder, type Codec } from 'busbar/framer';
import { TcpServer } from 'busbar/link';
import { BufferPool } from 'busbar/pool';

class HttpCodec implements Codec {
  payloadSkip = 0;
  payloadTrim = 0;
  readonly #finder = new ByteFinder(10);

  measure(bytes: Uint8Array, begin: number, end: number, scanned: number): number {
    let at = this.#finder.find(bytes, begin + Math.max(0, scanned - 3), end);
    while (at >= 0 && !(bytes[at - 1] === 13 && bytes[at - 2] === 10)) {
      at = this.#finder.find(bytes, at + 1, end);
    }
    if (at < 0) return 0;
    const head = Buffer.from(bytes.slice(begin, at)).toString('latin1');
    return at + 1 - begin + Number(/content-length: *(\d+)/i.exec(head)?.[1] ?? 0);
  }
}

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
