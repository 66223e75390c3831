// SPDX-License-Identifier: MIT
/** `PacketSender`: the sending end of a `PacketChannel`. It moves references, not bytes. */

import { assert } from '../base/assert.ts';
import { checkArray, checkInteger, show } from '../base/check.ts';
import { describeAs } from '../base/description.ts';
import { ensureStep } from '../base/stack.ts';
import type { Packet } from '../packet/index.ts';
import type { BufferId } from '../pool/index.ts';
import type { TransitMark } from '../pool/transit-layout.ts';
import type { PayloadTag } from './channel-layout.ts';
import { NEVER, NOT_NOW } from './ring.ts';
import { Sender } from './sender.ts';

const INT32_MAX = 2 ** 31 - 1;

/** NO_BUFFER; see packet-receiver.ts. */
const NOTHING = -1 as BufferId;

/** Packets per claim of a batch at most; bounds the arrays that collect them. */
const RUN_MAX = 1024;

/**
 * Sends packets to another thread, or to several.
 *
 * **Threads** the one that created it. Packets of one sender arrive in the order of sending.
 */
export class PacketSender extends Sender<Packet> {
  /** Stack of the packets that batches in progress have read; `regions` has four numbers each. */
  private readonly withheld: (Packet | undefined)[] = [];
  private readonly regions: number[] = [];
  private top: number = 0;

  /**
   * Sends a packet if there is room now. False: full, or earlier callers of {@link send} wait.
   *
   * **Ownership** on success the channel has the packet and the object is spent; otherwise it
   * remains the caller's.
   * **Cost** one read-modify-write (spsc) or two (mpsc, mpmc); no allocation.
   * **Throws** ERR_BUSBAR_CHANNEL_CLOSED, ERR_BUSBAR_PACKET_RELEASED, TypeError for anything but a
   * packet of the channel's pool.
   */
  trySend(packet: Packet): boolean {
    return this.line.isEmpty ? this.attempt(packet) : this.refuse(NOT_NOW);
  }

  /**
   * {@link trySend} with plain numbers: sends a region of a buffer if there is room now. `tag` is
   * an integer from −2³¹ to 2³¹ − 1, the receiver's `tag`.
   *
   * **Ownership** on success takes one of this thread's references on the buffer; otherwise none.
   * **Throws** as {@link trySend}, ERR_BUSBAR_NOT_HELD, RangeError.
   */
  trySendRegion(bufferId: BufferId, offset: number, length: number, tag: number = 0): boolean {
    if (!this.line.isEmpty) return this.refuse(NOT_NOW);
    return this.sendRegion(bufferId, offset, length, tag);
  }

  /**
   * Sends as many of the packets `[begin, end)` as there is room for, in order; returns their
   * number.
   *
   * **Ownership** as {@link trySend}, for each.
   * **Cost** one read-modify-write for as many as fit at once (spsc), two for up to 8 (mpsc, mpmc).
   * **Throws** as {@link trySend} if the first packet cannot be sent. If a later one cannot, the
   * batch ends before it.
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
    this.invariants();
    let next = begin;
    try {
      while (next < end) {
        const count = this.sendRun(packets, next, Math.min(end - next, RUN_MAX), next > begin);
        if (count === 0) break;
        next += count;
      }
    } catch (error) {
      // The packets before this one were sent.
      if (next === begin) throw error;
    }
    return next - begin;
  }

  /** @internal */
  override invariants(): void {
    super.invariants();
    const { top } = this;
    assert(top >= 0, 'packets are withheld before they are sent or returned');
    assert(top <= this.withheld.length, 'each withheld packet has its place');
  }

  protected override attempt(packet: Packet): boolean {
    if (packet?.pool !== this.pool) this.throwForeign('packet', packet);
    const { bufferId, offset, length, tag } = packet;
    if (!this.sendRegion(bufferId, offset, length, tag)) return false;
    // Sent: no call from here on, unless leaks are tracked.
    packet.buffer = NOTHING;
    if (this.pool.leaks !== undefined) packet.markMoved();
    return true;
  }

  private sendRegion(bufferId: BufferId, offset: number, length: number, tag: number): boolean {
    // Before the claim: an object used as a number may run code of its own.
    checkNumbers(bufferId, offset, length, tag);
    ensureStep();
    const { ring, words, passedAt } = this;
    const claimed = ring.claim(1);
    if (claimed <= NOT_NOW) return this.refuse(claimed);
    const at = ring.slot();
    let isSent = false;
    try {
      this.pool.moveInto(bufferId, offset, length, words, at);
      words[at + (4 satisfies PayloadTag)] = tag;
      isSent = ring.publish(1);
    } finally {
      if (!isSent) this.takeBack(at, 1);
    }
    if (!isSent) return this.refuse(NEVER);
    // Sent: no call from here on.
    const passed = (words[passedAt] + 1) | 0;
    words[passedAt] = passed;
    if (passed === 0) words[passedAt + 1]++;
    return true;
  }

  /** Gives the references in claimed slots back to the caller, and ends the claim. */
  private takeBack(at: number, count: number): void {
    const { words, slotWords } = this;
    for (let i = 0; i < count; i++) {
      const slot = at + i * slotWords;
      if (words[slot + (3 satisfies TransitMark)] !== 0) this.pool.moveFromWords(words, slot);
    }
    this.ring.abort();
  }

  /**
   * Sends as many packets as one claim has room for.
   *
   * Reading an array or a packet may run user code (an accessor, a Proxy, a subclass), which may
   * use this sender. So all packets are read first, onto a private stack; no user code runs between
   * claim and publication.
   */
  private sendRun(packets: readonly Packet[], begin: number, max: number, quiet: boolean): number {
    const { withheld, regions, top: bottom } = this;
    try {
      const room = this.ring.room(max);
      if (room <= NOT_NOW) return quiet ? 0 : Number(this.refuse(room));
      const count = this.collect(packets, begin, room, quiet);
      return count === 0 ? 0 : this.sendCollected(bottom, count, quiet);
    } finally {
      // Unsent packets return to their owner. No call: the stack may have overflowed.
      while (this.top > bottom) {
        const top = --this.top;
        const packet = withheld[top];
        withheld[top] = undefined;
        if (packet !== undefined) packet.buffer = regions[4 * top] as BufferId;
      }
    }
  }

  /**
   * Takes packets from their owner, up to the first that cannot be sent; so a packet that comes
   * twice is noticed. Throws if the very first cannot be sent, unless quiet.
   */
  private collect(packets: readonly Packet[], begin: number, max: number, quiet: boolean): number {
    let count = 0;
    try {
      for (; count < max; count++) {
        const packet = packets[begin + count];
        if (packet?.pool !== this.pool) this.throwForeign(`packets[${begin + count}]`, packet);
        const { bufferId, offset, length, tag } = packet;
        checkNumbers(bufferId, offset, length, tag);
        const top = this.top;
        this.regions[4 * top] = bufferId;
        this.regions[4 * top + 1] = offset;
        this.regions[4 * top + 2] = length;
        this.regions[4 * top + 3] = tag;
        this.withheld[top] = packet;
        this.top = top + 1;
        packet.buffer = NOTHING;
      }
    } catch (error) {
      if (count === 0 && !quiet) throw error;
    }
    return count;
  }

  /** Sends the first of `count` withheld packets, and withholds those no longer. */
  private sendCollected(bottom: number, count: number, quiet: boolean): number {
    const { ring, words, passedAt, pool, slotWords, regions, withheld } = this;
    const claimed = ring.claim(count);
    if (claimed <= NOT_NOW) return quiet ? 0 : Number(this.refuse(claimed));
    const at = ring.slot();
    let sent = 0;
    let isSent = false;
    try {
      try {
        for (let i = 4 * bottom; sent < claimed; sent++, i += 4) {
          const slot = at + sent * slotWords;
          pool.moveInto(regions[i] as BufferId, regions[i + 1], regions[i + 2], words, slot);
          words[slot + (4 satisfies PayloadTag)] = regions[i + 3];
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
    // Sent: no call from here on, unless leaks are tracked.
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

  private throwForeign(name: string, packet: unknown): never {
    throw new TypeError(`${name} must be a Packet of the channel's pool, got ${show(packet)}`);
  }
}

function checkNumbers(bufferId: number, offset: number, length: number, tag: number): void {
  if (typeof bufferId !== 'number') checkInteger('bufferId', bufferId, 0, INT32_MAX);
  if (typeof offset !== 'number') checkInteger('offset', offset, 0, INT32_MAX);
  if (typeof length !== 'number') checkInteger('length', length, 0, INT32_MAX);
  if ((tag | 0) !== tag) checkInteger('tag', tag, -INT32_MAX - 1, INT32_MAX);
}

describeAs(PacketSender, 'PacketSender', (end) => ({ closed: end.closed }));
