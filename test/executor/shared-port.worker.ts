// SPDX-License-Identifier: MIT
/** An executor that accepts connections at a shared port, and crashes when a client says so. */

import type { ExecutorContext } from 'busbar/executor';
import { DelimiterCodec } from 'busbar/framer';
import { SharedPort, type SharedPortHandle, TcpServer } from 'busbar/link';
import { Packet } from 'busbar/packet';

export async function run({ data, index, pool, host, defer }: ExecutorContext): Promise<void> {
  const place = SharedPort.placeOf(data as SharedPortHandle);
  const server = await TcpServer.listen(pool, {
    ...place,
    codec: () => new DelimiterCodec('\n'),
    handler: async (link) => {
      for await (const packet of link) {
        const text = packet.toString();
        packet.release();
        if (text === 'crash') throw new Error('as it was told');
        await link.write(`${index} ${text}`);
      }
    },
  });
  defer(() => server.close());
  await host.send(await Packet.from(pool, JSON.stringify({ index, place })));
}
