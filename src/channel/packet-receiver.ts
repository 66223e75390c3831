// SPDX-License-Identifier: MIT
/** The door out of the room between threads, for packets. */

import { checkFunction } from '../base/check.ts';
import { describeAs } from '../base/description.ts';
import { Packet } from '../packet/index.ts';
import { type BufferId, NO_BUFFER } from '../pool/index.ts';
import type { TransitLength, TransitMark, TransitOffset } from '../pool/transit-layout.ts';
import { checkMax, Receiver } from './receiver.ts';

/**
 * Receives packets from other threads.
 *
 * **Threads** the one that made it.
 */
export class PacketReceiver extends Receiver<Packet> {
  /** First byte of what {@link tryTake} took last, absolute in `pool.bytes`. */
  offset: number = 0;
  /** Bytes of what {@link tryTake} took last. */
  length: number = 0;

  /**
   * The next packet, if there is one now.
   *
   * **Ownership** the packet is the caller's. **Cost** the packet object; else as {@link tryTake}.
   */
  tryReceive(): Packet | undefined {
    return this.next();
  }

  /**
   * The buffer of the next packet, or NO_BUFFER; {@link offset} and {@link length} say where in it:
   * {@link tryReceive} for plain numbers.
   *
   * **Ownership** the caller holds the reference that travelled.
   * **Cost** one read-modify-write, two where several threads receive; one plain load if there is
   * nothing. Nothing is allocated.
   * **Throws** ERR_BUSBAR_BAD_SEND_PACKET if somebody has overwritten the channel's words; that
   * message is lost.
   */
  tryTake(): BufferId {
    const id = this.takeOne(1);
    if (id === NO_BUFFER) this.countRefused();
    else this.freeTaken();
    return id;
  }

  /**
   * Calls back with each packet that is there now, at most `max`; answers how many.
   *
   * **Ownership** each packet is the callback's. If it throws, the rest stays in the channel.
   * **Cost** the packet objects, and one read-modify-write for up to 64 of them (spsc).
   */
  drain(callback: (packet: Packet) => void, max: number = Infinity): number {
    checkFunction('callback', callback);
    return this.drainRegions((id, offset, length) => {
      callback(Packet.within(this.pool, id, offset, length));
    }, max);
  }

  /** {@link drain} for plain numbers: the callback holds the reference on the buffer. */
  drainRegions(
    callback: (bufferId: BufferId, offset: number, length: number) => void,
    max: number = Infinity,
  ): number {
    checkFunction('callback', callback);
    checkMax(max);
    let count = 0;
    try {
      while (count < max) {
        const id = this.takeOne(max - count);
        if (id === NO_BUFFER) break;
        count++;
        callback(id, this.offset, this.length);
      }
    } finally {
      this.freeTaken();
    }
    return count;
  }

  protected override next(): Packet | undefined {
    const id = this.tryTake();
    return id === NO_BUFFER ? undefined : Packet.within(this.pool, id, this.offset, this.length);
  }

  private takeOne(max: number): BufferId {
    const { words } = this;
    for (;;) {
      const at = this.take(max);
      if (at < 0) return NO_BUFFER;
      // Taken out by a receiver that died before it could say so.
      if (words[at + (3 satisfies TransitMark)] === 0) continue;
      try {
        const id = this.pool.receiveFrom(words, at);
        this.offset = words[at + (1 satisfies TransitOffset)];
        this.length = words[at + (2 satisfies TransitLength)];
        return id;
      } catch (error) {
        if (this.isAttached) {
          words[at + (3 satisfies TransitMark)] = 0;
          this.freeTaken();
        } else {
          this.forgetRun();
        }
        throw error;
      }
    }
  }
}

describeAs(PacketReceiver, 'PacketReceiver', (end) => ({ closed: end.closed }));
