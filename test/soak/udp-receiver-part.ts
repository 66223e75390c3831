// SPDX-License-Identifier: MIT
/** Soak: UdpLinks that receive, one for packed datagrams and one for single messages. */

import { UdpLink } from 'busbar/link';
import { BufferPool } from 'busbar/pool';
import { MessageMemory } from './message.ts';
import type { Part } from './part.ts';
import { touchPages } from './reading.ts';
import { Sequence, Tally } from './tally.ts';

/** The stream is the index. */
export const UDP_MODES = ['packed', 'message'] as const;
export const UDP_POOL = { bufferSize: 65_536, bufferCount: 256 };
const RECEIVE_BYTES = 4 * 1024 * 1024;

export async function makeUdpReceiver(): Promise<Part> {
  const pool = BufferPool.create(UDP_POOL);
  touchPages(pool);
  const memory = new MessageMemory(pool.bytes);
  const tallies = UDP_MODES.map((mode) => new Tally(`udp ${mode}`));
  const links: UdpLink[] = [];
  for (const [stream, mode] of UDP_MODES.entries()) {
    const sequence = new Sequence(tallies[stream], memory, stream);
    const link = await UdpLink.open(pool, {
      mode,
      receiveBytes: RECEIVE_BYTES,
      handler: () => ({
        onMessage: (offset, length) => sequence.takeDatagram(offset, length),
        onError: (error) => tallies[stream].complain(error.message),
      }),
    });
    links.push(link);
  }
  return {
    ports: links.map((link) => link.local.port),
    pool,
    tallies,
    async close() {
      for (const link of links) await link.close();
    },
  };
}
