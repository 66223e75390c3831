// SPDX-License-Identifier: MIT
/** `Sender`: base class of a channel's sending ends. Waiting for room, closing. */

import { assert } from '../base/assert.ts';
import { checkMade, showMs } from '../base/check.ts';
import { ensureStack } from '../base/stack.ts';
import { NO_LIMITS } from '../base/wait-guard.ts';
import type { WaitOptions } from '../pool/index.ts';
import { BY_TICK } from '../pool/liveness.ts';
import type { ChannelCore } from './channel-core.ts';
import { ChannelEnd } from './channel-end.ts';
import { channelError } from './channel-error.ts';
import { NEVER, type RingProducer } from './ring.ts';

/** The ring of a closed sender. */
const NO_RING: RingProducer = {
  room: () => NEVER,
  claim: () => NEVER,
  slot: () => 0,
  publish: () => false,
  abort: () => {},
  arm: () => false,
};

/** What `send` returns when it need not wait. */
const SENT: Promise<void> = Promise.resolve();

/** A sender of messages of type T. */
export abstract class Sender<T> extends ChannelEnd {
  protected ring: RingProducer;
  /** @internal */
  readonly capacity: number;
  /** Words from one slot to the next. */
  protected readonly slotWords: number;

  /** @internal */
  constructor(core: ChannelCore) {
    checkMade(core?.joinSenders !== undefined, new.target, 'channel.sender()');
    // Once the seat is taken, nothing may throw: only this object can give it up.
    ensureStack();
    const seat = core.joinSenders();
    super(core, core.senders, seat, core.kind !== 'spsc');
    this.ring = core.producer(seat);
    this.capacity = core.capacity;
    this.slotWords = core.slotWords;
  }

  /**
   * Sends a message, waiting for room if necessary; callers are served in order.
   *
   * **Ownership** the message is the channel's once the promise resolves, and the caller's again if
   * it rejects. Do not touch it until then.
   * **Throws** (rejects) ERR_BUSBAR_CHANNEL_CLOSED, ERR_BUSBAR_CHANNEL_PEER_DIED if every
   * receiver died, ERR_BUSBAR_TIMEOUT, `signal.reason`.
   */
  send(message: T, options?: WaitOptions): Promise<void> {
    if (options === undefined && this.line.isEmpty) {
      // No promise, closure or object for a message that has room.
      try {
        if (this.attempt(message)) return SENT;
        return this.line.join(() => this.attempt(message), NO_LIMITS, 'send');
      } catch (error) {
        return Promise.reject(error);
      }
    }
    return this.line.until(() => this.attempt(message), options, 'send');
  }

  /**
   * Sends a message, blocking this thread and its event loop until there is room.
   *
   * **Ownership** and **Throws** as {@link send}.
   */
  sendSync(message: T, timeoutMs: number = Infinity): void {
    if (this.line.untilSync(() => this.attempt(message), timeoutMs)) return;
    throw channelError(this.words, 'ERR_BUSBAR_TIMEOUT', `sendSync, ${showMs(timeoutMs)}`);
  }

  /**
   * Leaves the channel; waiting callers are rejected. The last sender to leave closes the channel,
   * unless it `survives`: receivers drain it and end. Idempotent.
   */
  close(): void {
    if (this.closed) return;
    ensureStack();
    this.invariants();
    if (!this.isAttached) this.detach();
    else this.ring.abort();
    this.ring = NO_RING;
    this.line.refuse(
      channelError(this.words, 'ERR_BUSBAR_CHANNEL_CLOSED', 'this sender was closed'),
    );
    if (this.releaseSeat() && !this.core.survives) this.core.close();
    this.detach();
  }

  [Symbol.dispose](): void {
    this.close();
  }

  /** @internal */
  override invariants(): void {
    super.invariants();
    assert(!this.closed || this.ring === NO_RING, 'an end that has left uses no ring');
  }

  /** @internal */
  armRing(): boolean {
    return this.ring.arm();
  }

  /** @internal */
  checkPeers(): void {
    this.core.recover(BY_TICK);
    if (this.core.survives || !this.core.receivers.isDead) return;
    throw channelError(this.words, 'ERR_BUSBAR_CHANNEL_PEER_DIED', 'its receivers');
  }

  /** True: sent. False: full. Throws if the message can never be sent. */
  protected abstract attempt(message: T): boolean;

  /** Returns false if there is no room now; throws if there never will be. */
  protected refuse(answer: number): false {
    if (answer === NEVER) throw channelError(this.words, 'ERR_BUSBAR_CHANNEL_CLOSED');
    this.countRefused();
    return false;
  }
}
