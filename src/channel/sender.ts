// SPDX-License-Identifier: MIT
/** The door into the room between threads: what every kind of sender does when it has to wait. */

import { BusbarError } from '../base/errors.ts';
import { ensureStack } from '../base/stack.ts';
import type { WaitOptions } from '../pool/index.ts';
import { BY_TICK } from '../pool/liveness.ts';
import type { ChannelCore } from './channel-core.ts';
import { ChannelEnd } from './channel-end.ts';
import { NEVER, type RingProducer } from './ring.ts';

/** The ring of a sender that was closed. */
const NO_RING: RingProducer = {
  room: () => NEVER,
  claim: () => NEVER,
  slot: () => 0,
  publish: () => false,
  abandon: () => {},
  arm: () => false,
};

/** A sender of messages of type T. */
export abstract class Sender<T> extends ChannelEnd {
  protected ring: RingProducer;
  protected readonly capacity: number;
  /** Words from one slot to the next. */
  protected readonly slotWords: number;

  /** @internal */
  constructor(core: ChannelCore) {
    const seat = core.joinSenders();
    super(core, core.senders, seat, core.kind !== 'spsc');
    this.ring = core.producer(seat);
    this.capacity = core.capacity;
    this.slotWords = core.slotWords;
  }

  /**
   * Sends a message, waiting for room if there is none, behind earlier callers.
   *
   * **Ownership** the message is the channel's once the promise resolves; if it rejects, it is the
   * caller's again. Until then leave it alone.
   * **Throws** (rejects) ERR_BUSBAR_CHANNEL_CLOSED, ERR_BUSBAR_CHANNEL_PEER_DIED if every
   * receiver died, ERR_BUSBAR_TIMEOUT, `signal.reason`.
   */
  send(message: T, options?: WaitOptions): Promise<void> {
    return this.line.until(() => this.attempt(message), options, 'send');
  }

  /**
   * Sends a message, blocking this thread (its event loop too) until there is room.
   *
   * **Ownership** and **Throws** as {@link send}.
   */
  sendSync(message: T, timeoutMs: number = Infinity): void {
    if (this.line.untilSync(() => this.attempt(message), timeoutMs)) return;
    throw new BusbarError('ERR_BUSBAR_TIMEOUT', `sendSync, ${timeoutMs} ms`);
  }

  /**
   * Gives the sender's place up; those who wait here are refused. When no sender is left the
   * channel is closed: receivers drain it and end. Doing it again does nothing.
   */
  close(): void {
    if (this.closed) return;
    ensureStack();
    if (!this.isAttached) this.forsake();
    else this.ring.abandon();
    this.ring = NO_RING;
    this.line.refuse(new BusbarError('ERR_BUSBAR_CHANNEL_CLOSED', 'this sender was closed'));
    if (this.leave()) this.core.close();
    this.forsake();
  }

  [Symbol.dispose](): void {
    this.close();
  }

  /** @internal */
  armRing(): boolean {
    return this.ring.arm();
  }

  /** @internal */
  checkPeers(): void {
    this.core.recover(BY_TICK);
    if (!this.core.receivers.isDead) return;
    throw new BusbarError('ERR_BUSBAR_CHANNEL_PEER_DIED', 'no receiver lives');
  }

  /** True: sent. False: full. Throws: the message will never be sent. */
  protected abstract attempt(message: T): boolean;

  /** There is no room, or there never will be: answers false, or throws. */
  protected refuse(answer: number): false {
    if (answer === NEVER) throw new BusbarError('ERR_BUSBAR_CHANNEL_CLOSED');
    this.countRefused();
    return false;
  }
}
