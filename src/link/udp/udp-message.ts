// SPDX-License-Identifier: MIT
/** `UdpMessage`: position and source of the message that a `UdpLink` is delivering. */

import { ADDRESS_HOST, ADDRESS_PORT, ADDRESS_WORDS } from '../../native/udp.ts';
import { Packet } from '../../packet/index.ts';
import { type BufferId, type BufferPool, NO_BUFFER } from '../../pool/index.ts';
import { refuseResult } from '../handler-result.ts';
import type { Inbox } from '../inbox.ts';
import { Datagram } from './datagram.ts';
import { checkAddressWords, UdpAddress } from './udp-address.ts';
import type { UdpIntake, UdpIntakeOwner } from './udp-intake.ts';

/** The part of a handler that takes messages. */
interface Taker<L> {
  onMessage?(offset: number, length: number, bufferId: BufferId, link: L): void;
  onPacket?(packet: Packet, link: L): void;
}

/** The current message. Outside of a call of the handler, each method **throws** TypeError. */
export class UdpMessage {
  readonly #pool: BufferPool;
  readonly #intake: UdpIntake;
  #bufferId: BufferId = NO_BUFFER;
  #offset = 0;
  #length = 0;

  constructor(pool: BufferPool, intake: UdpIntake) {
    this.#pool = pool;
    this.#intake = intake;
  }

  /** Returns an intake's `deliver`: it makes a message the current one while the handler runs. */
  deliverer<L>(handler: Taker<L>, link: L): UdpIntakeOwner['deliver'] {
    if (handler.onMessage !== undefined) {
      return (offset, length, bufferId) => {
        this.#bufferId = bufferId;
        this.#offset = offset;
        this.#length = length;
        try {
          const result: unknown = handler.onMessage?.(offset, length, bufferId, link);
          if (result !== undefined) refuseResult('onMessage', result);
        } finally {
          this.#bufferId = NO_BUFFER;
        }
        this.#pool.poison(bufferId, offset, length);
      };
    }
    const pool = this.#pool;
    return (offset, length, bufferId) => {
      const packet = Packet.sharing(pool, bufferId, offset, length);
      this.#bufferId = bufferId;
      this.#offset = offset;
      this.#length = length;
      try {
        handler.onPacket?.(packet, link);
      } finally {
        this.#bufferId = NO_BUFFER;
      }
    };
  }

  /** Returns an intake's `deliver` that puts each message into an inbox. */
  collector(inbox: Inbox<Datagram>): UdpIntakeOwner['deliver'] {
    return (offset, length, bufferId) => {
      this.#pool.retain(bufferId);
      inbox.push(new Datagram(this.#pool, bufferId, offset, length, this.#intake));
    };
  }

  takePacket(): Packet {
    this.check();
    return Packet.sharing(this.#pool, this.#bufferId, this.#offset, this.#length);
  }

  get sourceHost(): number {
    return this.#word(ADDRESS_HOST);
  }

  get sourcePort(): number {
    return this.#word(ADDRESS_PORT);
  }

  copySource(target: Int32Array, index: number): void {
    checkAddressWords('target', target, index);
    this.check();
    const { table, sourceAt } = this.#intake;
    for (let i = 0; i < ADDRESS_WORDS; i++) target[index + i] = table[sourceAt + i];
  }

  source(): UdpAddress {
    this.check();
    return UdpAddress.from(this.#intake.table, this.#intake.sourceAt);
  }

  check(): void {
    if (this.#bufferId === NO_BUFFER) {
      throw new TypeError('there is a current message only while the handler is called');
    }
  }

  #word(index: number): number {
    this.check();
    return this.#intake.table[this.#intake.sourceAt + index];
  }
}
