// SPDX-License-Identifier: MIT
/** `PacketReceiver`: the receiving end of a `PacketChannel`. */

import { checkFunction } from '../base/check.ts';
import { describeAs } from '../base/description.ts';
import type { BusbarError } from '../base/errors.ts';
import { RUN_MAX } from '../base/runs.ts';
import { ensureStep } from '../base/stack.ts';
import { nextTurn } from '../base/turn.ts';
import { type HandleOptions, Handling } from '../packet/handling.ts';
import { Packet } from '../packet/index.ts';
import type { BufferId } from '../pool/index.ts';
import type { TransitLength, TransitMark, TransitOffset } from '../pool/transit-layout.ts';
import type { PayloadTag } from './channel-layout.ts';
import { checkMax, Receiver } from './receiver.ts';

/**
 * NO_BUFFER. Not imported: after a message is taken nothing may throw, and bundlers may turn the
 * read of an imported constant into a call.
 */
const NOTHING = -1 as BufferId;

/**
 * Receives packets from other threads.
 *
 * **Threads** the one that created it.
 */
export class PacketReceiver extends Receiver<Packet> {
  /** First byte in `pool.bytes` of the packet that {@link tryReceiveRegion} took last. @readonly */
  offset: number = 0;
  /** Length in bytes of that packet. @readonly */
  length: number = 0;
  /** The `tag` of that packet. @readonly */
  tag: number = 0;
  /**
   * The buffer whose reference was taken out of the next slot while the slot is not free yet. If
   * the call that took it threw, the next receiving call begins with it.
   */
  private owed: BufferId = NOTHING;
  /** {@link halt} was called within the drain under way. */
  private isHalted: boolean = false;

  /**
   * Takes the next packet; undefined if there is none now.
   *
   * **Ownership** the packet is the caller's.
   * **Cost** that of {@link tryReceiveRegion} and the object.
   */
  tryReceive(): Packet | undefined {
    return this.next();
  }

  /**
   * {@link tryReceive} with plain numbers: returns the buffer of the next packet, or NO_BUFFER, and
   * sets {@link offset}, {@link length} and {@link tag}.
   *
   * **Ownership** the packet's reference is the caller's.
   * **Cost** one read-modify-write, two if several threads receive; one plain load if the channel
   * is empty. No allocation.
   * **Throws** ERR_BUSBAR_BAD_SEND_PACKET if the channel's words were overwritten; that message is
   * lost.
   */
  tryReceiveRegion(): BufferId {
    const id = this.takeOut();
    if (id < 0) return id;
    this.freeRun(1);
    this.owed = NOTHING;
    return id;
  }

  /**
   * Calls back with each packet that is there now, at most `max`; returns their number.
   *
   * **Ownership** each packet is the callback's. If it throws, the rest stays in the channel.
   * **Cost** the packet objects, and one read-modify-write for up to 64 (spsc) or 8 (mpsc).
   */
  drain(callback: (packet: Packet) => void, max: number = Infinity): number {
    checkFunction('callback', callback);
    return this.drainRegions((id, offset, length, tag) => {
      callback(Packet.within(this.pool, id, offset, length, tag));
    }, max);
  }

  /** {@link drain} with plain numbers: the reference on the buffer is the callback's. */
  drainRegions(
    callback: (bufferId: BufferId, offset: number, length: number, tag: number) => void,
    max: number = Infinity,
  ): number {
    checkFunction('callback', callback);
    checkMax(max);
    ensureStep();
    this.invariants();
    const { words } = this;
    let count = 0;
    this.isHalted = false;
    try {
      while (count < max && !this.isHalted) {
        const at = this.look(max - count);
        if (at < 0) break;
        const id = words[at + (3 satisfies TransitMark)] === 0 ? this.owed : this.receiveAt(at);
        this.owed = NOTHING;
        const offset = words[at + (1 satisfies TransitOffset)];
        const length = words[at + (2 satisfies TransitLength)];
        const tag = words[at + (4 satisfies PayloadTag)];
        this.left--;
        this.taken++;
        // A receiver took it out and died before it freed the slot.
        if (id < 0) continue;
        count++;
        callback(id, offset, length, tag);
      }
    } finally {
      this.freeTaken();
    }
    return count;
  }

  /** @internal The tag of the next packet; 0 if there is none now. Takes nothing. */
  get nextTag(): number {
    const { words } = this;
    while (this.peekRun(1) > 0) {
      const at = this.ring.slot();
      if (words[at + (3 satisfies TransitMark)] !== 0 || this.owed >= 0) {
        return words[at + (4 satisfies PayloadTag)];
      }
      this.freeRun(1);
    }
    return 0;
  }

  /** @internal Ends the drain under way after the present callback. */
  halt(): void {
    this.isHalted = true;
  }

  /**
   * Calls `handler` with each packet until the channel ends; then resolves. If it returns promises,
   * at most `concurrency` (default 1: in order) are under way; meanwhile nothing more is taken.
   *
   * **Ownership** each packet is the handler's; a handler that fails need not release it.
   * **Throws** (rejects) what a handler throws, unless there is `onError`, and as {@link receive};
   * the receiver stays open.
   */
  async handle(
    handler: (packet: Packet) => void | Promise<void>,
    options?: HandleOptions,
  ): Promise<void> {
    const failing = new AbortController();
    let resume = (): void => {};
    const handling = new Handling(
      handler,
      options,
      () => resume(),
      (error) => failing.abort(error),
    );
    const { signal } = failing;
    const settled = (): Promise<void> =>
      new Promise((resolve) => {
        resume = resolve;
      });
    for (;;) {
      let left = RUN_MAX;
      while (left > 0 && !handling.isFull && !signal.aborted && this.line.isEmpty) {
        const packet = this.next();
        if (packet === undefined) break;
        handling.give(packet, 0);
        left--;
      }
      if (signal.aborted) break;
      if (handling.isFull) await settled();
      else if (left === 0) await nextTurn();
      else {
        const packet = await this.receive({ signal });
        if (packet === undefined) break;
        handling.give(packet, 0);
      }
    }
    while (handling.running > 0) await settled();
    signal.throwIfAborted();
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
    const packet = Packet.within(this.pool, id, this.offset, this.length, this.tag);
    this.freeRun(1);
    this.owed = NOTHING;
    return packet;
  }

  /**
   * Takes the reference out of the next slot. The caller frees the slot last, after everything that
   * may throw, so that nothing is lost.
   */
  private takeOut(): BufferId {
    // Other threads wait for a claimed slot, and the caller needs stack to release the packet.
    ensureStep();
    const { words } = this;
    while (this.peekRun(1) > 0) {
      const at = this.ring.slot();
      const id = words[at + (3 satisfies TransitMark)] === 0 ? this.owed : this.receiveAt(at);
      this.owed = id;
      if (id >= 0) {
        this.offset = words[at + (1 satisfies TransitOffset)];
        this.length = words[at + (2 satisfies TransitLength)];
        this.tag = words[at + (4 satisfies PayloadTag)];
        return id;
      }
      // A receiver took it out and died before it freed the slot.
      this.freeRun(1);
    }
    this.countRefused();
    return NOTHING;
  }

  private receiveAt(at: number): BufferId {
    try {
      return this.pool.moveFromWords(this.words, at);
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
