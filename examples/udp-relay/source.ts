// SPDX-License-Identifier: MIT
/** Example udp-relay: a source, which sends messages to a relay. */

import { randomInt } from 'node:crypto';
import { UdpLink, type UdpPeer } from 'busbar/link';
import type { BufferPool } from 'busbar/pool';
import { COUNT, DATA, HEAD_BYTES, writeHead } from './datagrams.ts';

/** The length that a link's writer expects before a message. */
const LENGTH_BYTES = 2;

export class Source {
  readonly link: UdpLink;
  readonly number: number = randomInt(2 ** 32) | 0;
  /** How many messages it has sent. */
  sent: number = 0;

  private constructor(link: UdpLink) {
    this.link = link;
  }

  static async open(pool: BufferPool, relay: UdpPeer): Promise<Source> {
    return new Source(
      await UdpLink.open(pool, { peer: relay, handler: () => ({ onMessage() {} }) }),
    );
  }

  /** Sends a message at the end of this turn of the event loop. False: not now. */
  trySend(payload: Uint8Array): boolean {
    if (!this.#tryWrite(DATA, payload)) return false;
    this.sent++;
    return true;
  }

  /**
   * Sends how many messages it has sent, so that a loss at the end is seen, too. False: not now.
   */
  tryCount(): boolean {
    return this.#tryWrite(COUNT, new Uint8Array(0));
  }

  close(): Promise<void> {
    return this.link.close();
  }

  #tryWrite(kind: typeof DATA | typeof COUNT, payload: Uint8Array): boolean {
    const { writer, pool } = this.link;
    const length = HEAD_BYTES + payload.length;
    const at = writer.tryReserve(LENGTH_BYTES + length);
    if (at < 0) return false;
    pool.view.setUint16(at, length);
    writeHead(pool.view, at + LENGTH_BYTES, kind, this.number, this.sent);
    pool.bytes.set(payload, at + LENGTH_BYTES + HEAD_BYTES);
    writer.commit(at, LENGTH_BYTES + length);
    return true;
  }
}
