// SPDX-License-Identifier: MIT
/** The door into the room between threads, for packets: a reference goes in, no byte is moved. */

import { checkArray, checkInteger, show } from '../base/check.ts';
import { describeAs } from '../base/description.ts';
import { ensureStep } from '../base/stack.ts';
import type { Packet } from '../packet/index.ts';
import type { BufferId } from '../pool/index.ts';
import type { TransitMark } from '../pool/transit-layout.ts';
import { NEVER, NOT_NOW } from './ring.ts';
import { Sender } from './sender.ts';

const INT32_MAX = 2 ** 31 - 1;

/** NO_BUFFER; see packet-receiver.ts. */
const NOTHING = -1 as BufferId;

/** A batch is claimed in runs of at most this many: what is collected stays small. */
const RUN_MAX = 1024;

/**
 * Sends packets to another thread, or to several.
 *
 * **Threads** the one that made it. What one sender sends arrives in that order.
 */
export class PacketSender extends Sender<Packet> {
  /** Stack of the packets that batches under way have read; three numbers for each. */
  private readonly withheld: (Packet | undefined)[] = [];
  private readonly regions: number[] = [];
  private top: number = 0;

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
    ensureStep();
    let next = begin;
    try {
      while (next < end) {
        const count = this.sendRun(packets, next, Math.min(end - next, RUN_MAX), next > begin);
        if (count === 0) break;
        next += count;
      }
    } catch (error) {
      // Those before were sent.
      if (next === begin) throw error;
    }
    return next - begin;
  }

  protected override attempt(packet: Packet): boolean {
    if (packet?.pool !== this.pool) this.throwForeign(packet);
    const { bufferId, offset, length } = packet;
    if (!this.sendRegion(bufferId, offset, length)) return false;
    // It is sent: no call from here on, unless leaks are tracked.
    packet.buffer = NOTHING;
    if (this.pool.leaks !== undefined) packet.markMoved();
    return true;
  }

  private sendRegion(bufferId: BufferId, offset: number, length: number): boolean {
    // Before the claim: what is no number might run code of its own when it is used as one.
    checkNumbers(bufferId, offset, length);
    ensureStep();
    const { ring, words, passedAt } = this;
    const claimed = ring.claim(1);
    if (claimed <= NOT_NOW) return this.refuse(claimed);
    const at = ring.slot();
    let isSent = false;
    try {
      this.pool.sendInto(bufferId, offset, length, words, at);
      isSent = ring.publish(1);
    } finally {
      if (!isSent) this.takeBack(at, 1);
    }
    if (!isSent) return this.refuse(NEVER);
    // It is sent: no call from here on.
    const passed = (words[passedAt] + 1) | 0;
    words[passedAt] = passed;
    if (passed === 0) words[passedAt + 1]++;
    return true;
  }

  /** The caller has the references again that are in claimed slots; the claim ends. */
  private takeBack(at: number, count: number): void {
    const { words, slotWords } = this;
    for (let i = 0; i < count; i++) {
      const slot = at + i * slotWords;
      if (words[slot + (3 satisfies TransitMark)] !== 0) this.pool.receiveFrom(words, slot);
    }
    this.ring.abandon();
  }

  /**
   * Sends as many as one claim has room for.
   *
   * Reading an array or a packet may run the caller's code (an accessor, a Proxy, a subclass), and
   * that may use this sender. So all is read first, onto a stack of this object's own; from the
   * claim to the publication no code of others runs.
   */
  private sendRun(packets: readonly Packet[], begin: number, max: number, quiet: boolean): number {
    const { withheld, regions, top: bottom } = this;
    try {
      const room = this.ring.room(max);
      if (room <= NOT_NOW) return quiet ? 0 : Number(this.refuse(room));
      const count = this.collect(packets, begin, room, quiet);
      return count === 0 ? 0 : this.sendCollected(bottom, count, quiet);
    } finally {
      // Those that were not sent are their owner's again. No call: it may come after an overflow.
      while (this.top > bottom) {
        const top = --this.top;
        const packet = withheld[top];
        withheld[top] = undefined;
        if (packet !== undefined) packet.buffer = regions[3 * top] as BufferId;
      }
    }
  }

  /**
   * Withholds packets from their owner, up to the first that cannot be sent: it would be noticed if
   * one came a second time. If that is the first, it throws unless quiet.
   */
  private collect(packets: readonly Packet[], begin: number, max: number, quiet: boolean): number {
    let count = 0;
    try {
      for (; count < max; count++) {
        const packet = packets[begin + count];
        if (packet?.pool !== this.pool) this.throwForeign(packet);
        const { bufferId, offset, length } = packet;
        checkNumbers(bufferId, offset, length);
        const top = this.top;
        this.regions[3 * top] = bufferId;
        this.regions[3 * top + 1] = offset;
        this.regions[3 * top + 2] = length;
        this.withheld[top] = packet;
        this.top = top + 1;
        packet.buffer = NOTHING;
      }
    } catch (error) {
      if (count === 0 && !quiet) throw error;
    }
    return count;
  }

  /** Sends the first of `count` withheld packets; those that are sent are not withheld any more. */
  private sendCollected(bottom: number, count: number, quiet: boolean): number {
    const { ring, words, passedAt, pool, slotWords, regions, withheld } = this;
    const claimed = ring.claim(count);
    if (claimed <= NOT_NOW) return quiet ? 0 : Number(this.refuse(claimed));
    const at = ring.slot();
    let sent = 0;
    let isSent = false;
    try {
      try {
        for (let i = 3 * bottom; sent < claimed; sent++, i += 3) {
          const slot = at + sent * slotWords;
          pool.sendInto(regions[i] as BufferId, regions[i + 1], regions[i + 2], words, slot);
        }
      } catch (error) {
        if (sent === 0) throw error;
      }
      isSent = ring.publish(sent);
    } catch (error) {
      if (!quiet) throw error;
      return 0;
    } finally {
      if (!isSent) this.takeBack(at, sent);
    }
    if (!isSent) return quiet ? 0 : Number(this.refuse(NEVER));
    // They are sent: no call from here on, unless leaks are tracked.
    const before = words[passedAt];
    const after = (before + sent) | 0;
    words[passedAt] = after;
    if (before < 0 && after >= 0) words[passedAt + 1]++;
    const isTraced = pool.leaks !== undefined;
    for (let i = bottom; i < bottom + sent; i++) {
      const packet = withheld[i];
      withheld[i] = undefined;
      if (isTraced) packet?.markMoved();
    }
    return sent;
  }

  private throwForeign(packet: unknown): never {
    throw new TypeError(`packet must be a Packet of the channel's pool, got ${show(packet)}`);
  }
}

function checkNumbers(bufferId: number, offset: number, length: number): void {
  if (typeof bufferId !== 'number') checkInteger('bufferId', bufferId, 0, INT32_MAX);
  if (typeof offset !== 'number') checkInteger('offset', offset, 0, INT32_MAX);
  if (typeof length !== 'number') checkInteger('length', length, 0, INT32_MAX);
}

describeAs(PacketSender, 'PacketSender', (end) => ({ closed: end.closed }));
