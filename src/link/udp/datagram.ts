// SPDX-License-Identifier: MIT
/** `Datagram`: a received message as a packet that knows its sender, for programs that await. */

import { checkMade } from '../../base/check.ts';
import { describeAs } from '../../base/description.ts';
import { ADDRESS_HOST, ADDRESS_PORT, ADDRESS_WORDS } from '../../native/udp.ts';
import { Packet } from '../../packet/index.ts';
import { PACKET_KEY } from '../../packet/packet.ts';
import type { BufferId, BufferPool } from '../../pool/index.ts';
import { UdpAddress } from './udp-address.ts';
import type { UdpIntake } from './udp-intake.ts';

/** What the intake knows of the message that it delivers. */
type Arrival = Pick<UdpIntake, 'table' | 'sourceAt' | 'isTruncated'>;

/**
 * A message of a {@link UdpLink}, with the address that it came from.
 *
 * **Ownership** that of a packet: its holder releases it, or sends it on, which does not carry the
 * address. **Cost** a packet and eight words.
 */
export class Datagram extends Packet {
  /** Whether it was longer than a buffer, and its end was dropped. */
  readonly truncated: boolean;
  readonly #source = new Int32Array(ADDRESS_WORDS);

  /** @internal */
  constructor(
    pool: BufferPool,
    bufferId: BufferId,
    offset: number,
    length: number,
    intake: Arrival,
  ) {
    checkMade(typeof intake?.sourceAt === 'number', new.target, 'link.receive()');
    super(pool, bufferId, offset, length, 0, PACKET_KEY);
    this.truncated = intake.isTruncated;
    const { table, sourceAt } = intake;
    for (let i = 0; i < ADDRESS_WORDS; i++) this.#source[i] = table[sourceAt + i];
  }

  /** Its source's IPv4 address as a signed 32-bit number, or the first of four words. */
  get sourceHost(): number {
    return this.#source[ADDRESS_HOST];
  }

  /** Its source's port. */
  get sourcePort(): number {
    return this.#source[ADDRESS_PORT];
  }

  /** Its source, as `trySend(packet, to)` takes it. **Cost** an object and a string. */
  source(): UdpAddress {
    return UdpAddress.from(this.#source);
  }
}

describeAs(Datagram, 'Datagram', (datagram) => ({
  bufferId: datagram.bufferId,
  offset: datagram.offset,
  length: datagram.length,
  source: `${datagram.source()}`,
}));
