// SPDX-License-Identifier: MIT
/** The door into the room between threads, for packets: a reference goes in, no byte is moved. */

import { checkArray, checkInteger, show } from '../base/check.ts';
import { describeAs } from '../base/description.ts';
import type { Packet } from '../packet/index.ts';
import type { BufferId } from '../pool/index.ts';
import { NEVER, NOT_NOW } from './ring.ts';
import { Sender } from './sender.ts';

/**
 * Sends packets to another thread, or to several.
 *
 * **Threads** the one that made it. What one sender sends arrives in that order.
 */
export class PacketSender extends Sender<Packet> {
  /**
   * Sends a packet if there is room now. False: full, or earlier callers of {@link send} wait.
   *
   * **Ownership** the packet ends on success; else it is still the caller's.
   * **Cost** one read-modify-write (spsc) or two (mpsc, mpmc); nothing is allocated.
   * **Throws** ERR_BUSBAR_CHANNEL_CLOSED, ERR_BUSBAR_PACKET_RELEASED, TypeError for anything but a
   * packet of the channel's pool.
   */
  trySend(packet: Packet): boolean {
    return this.line.isEmpty ? this.attempt(packet) : this.refuse(NOT_NOW);
  }

  /**
   * Sends a region of a buffer if there is room now: {@link trySend} for plain numbers.
   *
   * **Ownership** takes one of this thread's references on the buffer on success, none else.
   * **Throws** as {@link trySend}, ERR_BUSBAR_NOT_HELD, RangeError.
   */
  trySendRegion(bufferId: BufferId, offset: number, length: number): boolean {
    return this.line.isEmpty ? this.sendRegion(bufferId, offset, length) : this.refuse(NOT_NOW);
  }

  /**
   * Sends the packets `[begin, end)` as far as there is room now, and answers how many were taken:
   * those at the beginning.
   *
   * **Ownership** as {@link trySend}, for each.
   * **Cost** one read-modify-write for as many as fit at once (spsc), two for each (mpsc, mpmc).
   * **Throws** as {@link trySend} if the first cannot be sent; a later one that cannot ends the
   * batch in front of it.
   */
  trySendBatch(
    packets: readonly Packet[],
    begin: number = 0,
    end: number = packets?.length,
  ): number {
    checkArray('packets', packets);
    checkInteger('end', end, 0, packets.length);
    checkInteger('begin', begin, 0, end);
    if (!this.line.isEmpty) return begin < end ? Number(this.refuse(NOT_NOW)) : 0;
    let next = begin;
    while (next < end) {
      const count = this.sendRun(packets, next, Math.min(end - next, this.capacity), next > begin);
      if (count === 0) break;
      next += count;
    }
    return next - begin;
  }

  protected override attempt(packet: Packet): boolean {
    if (packet?.pool !== this.pool) this.throwForeign(packet);
    if (!this.sendRegion(packet.bufferId, packet.offset, packet.length)) return false;
    packet.letGo();
    return true;
  }

  private sendRegion(bufferId: BufferId, offset: number, length: number): boolean {
    const { ring, words } = this;
    const claimed = ring.claim(1);
    if (claimed <= NOT_NOW) return this.refuse(claimed);
    const at = ring.slot();
    try {
      this.pool.sendInto(bufferId, offset, length, words, at);
    } catch (error) {
      ring.abandon();
      throw error;
    }
    if (!ring.publish(1)) {
      this.pool.receiveFrom(words, at);
      return this.refuse(NEVER);
    }
    this.countPassed(1);
    return true;
  }

  /** Sends as many as one claim has room for. */
  private sendRun(packets: readonly Packet[], begin: number, max: number, quiet: boolean): number {
    const { ring, words, pool, slotWords } = this;
    const claimed = ring.claim(max);
    if (claimed <= NOT_NOW) return quiet ? 0 : Number(this.refuse(claimed));
    const at = ring.slot();
    let count = 0;
    try {
      for (; count < claimed; count++) {
        const packet = packets[begin + count];
        if (packet?.pool !== pool) this.throwForeign(packet);
        const slot = at + count * slotWords;
        pool.sendInto(packet.bufferId, packet.offset, packet.length, words, slot);
        // At once, so that the same packet a second time is noticed.
        packet.letGo();
      }
    } catch (error) {
      if (count === 0) {
        ring.abandon();
        if (quiet) return 0;
        throw error;
      }
    }
    if (!ring.publish(count)) {
      while (count > 0) {
        const bufferId = pool.receiveFrom(words, at + --count * slotWords);
        packets[begin + count].comeBack(bufferId);
      }
      return quiet ? 0 : Number(this.refuse(NEVER));
    }
    this.countPassed(count);
    return count;
  }

  private throwForeign(packet: unknown): never {
    throw new TypeError(`packet must be a Packet of the channel's pool, got ${show(packet)}`);
  }
}

describeAs(PacketSender, 'PacketSender', (end) => ({ closed: end.closed }));
