// SPDX-License-Identifier: MIT
/** The door out of the room between threads, for packets. */

import { checkFunction } from '../base/check.ts';
import { describeAs } from '../base/description.ts';
import type { BusbarError } from '../base/errors.ts';
import { ensureStep } from '../base/stack.ts';
import { Packet } from '../packet/index.ts';
import type { BufferId } from '../pool/index.ts';
import type { TransitLength, TransitMark, TransitOffset } from '../pool/transit-layout.ts';
import { checkMax, Receiver } from './receiver.ts';

/**
 * NO_BUFFER. Not imported: once a message is taken nothing may throw, and where modules are bundled
 * or transformed, to look at an imported constant may be a call.
 */
const NOTHING = -1 as BufferId;

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
   * The buffer whose reference a call has taken out of the next slot, which is not free yet. If the
   * call threw, the next one that receives begins with it.
   */
  private owed: BufferId = NOTHING;

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
    const id = this.takeOut();
    if (id < 0) return id;
    this.freeRun(1);
    this.owed = NOTHING;
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
    ensureStep();
    const { words } = this;
    let count = 0;
    try {
      while (count < max) {
        const at = this.look(max - count);
        if (at < 0) break;
        const id = words[at + (3 satisfies TransitMark)] === 0 ? this.owed : this.receiveAt(at);
        this.owed = NOTHING;
        this.offset = words[at + (1 satisfies TransitOffset)];
        this.length = words[at + (2 satisfies TransitLength)];
        this.left--;
        this.taken++;
        // Taken out by a receiver that died before it could say so.
        if (id < 0) continue;
        count++;
        callback(id, this.offset, this.length);
      }
    } finally {
      this.freeTaken();
    }
    return count;
  }

  override close(): void {
    if (this.owed >= 0 && !this.closed && this.isAttached) {
      this.pool.release(this.owed);
      this.owed = NOTHING;
    }
    super.close();
  }

  protected override next(): Packet | undefined {
    const id = this.takeOut();
    if (id < 0) return undefined;
    const packet = Packet.within(this.pool, id, this.offset, this.length);
    this.freeRun(1);
    this.owed = NOTHING;
    return packet;
  }

  /**
   * Takes the reference out of the next slot, which the caller frees once it has all that it hands
   * out: then nothing is lost if anything throws before.
   */
  private takeOut(): BufferId {
    // What others wait for is claimed, and the caller will want to release what it gets.
    ensureStep();
    const { words } = this;
    while (this.peekRun(1) > 0) {
      const at = this.ring.slot();
      const id = words[at + (3 satisfies TransitMark)] === 0 ? this.owed : this.receiveAt(at);
      this.owed = id;
      if (id >= 0) {
        this.offset = words[at + (1 satisfies TransitOffset)];
        this.length = words[at + (2 satisfies TransitLength)];
        return id;
      }
      // Taken out by a receiver that died before it could say so.
      this.freeRun(1);
    }
    this.countRefused();
    return NOTHING;
  }

  private receiveAt(at: number): BufferId {
    try {
      return this.pool.receiveFrom(this.words, at);
    } catch (error) {
      if ((error as BusbarError).code === 'ERR_BUSBAR_BAD_SEND_PACKET') {
        this.words[at + (3 satisfies TransitMark)] = 0;
        this.left--;
        this.taken++;
        this.freeTaken();
      } else if (!this.isAttached) {
        this.forgetRun();
      }
      throw error;
    }
  }
}

describeAs(PacketReceiver, 'PacketReceiver', (end) => ({ closed: end.closed }));
