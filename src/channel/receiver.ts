// SPDX-License-Identifier: MIT
/** The door out of the room between threads: what every kind of receiver does when it must wait. */

import { checkFunction, checkInteger } from '../base/check.ts';
import { BusbarError } from '../base/errors.ts';
import { ensureStack } from '../base/stack.ts';
import type { WaitOptions } from '../pool/index.ts';
import { BY_TICK } from '../pool/liveness.ts';
import type { ChannelCore } from './channel-core.ts';
import { ChannelEnd } from './channel-end.ts';
import { NEVER, NOT_NOW, type RingConsumer } from './ring.ts';

/** The ring of a receiver that was closed. */
const NO_RING: RingConsumer = {
  peek: () => NEVER,
  slot: () => 0,
  hasNews: false,
  free: () => {},
  pending: -1,
  arm: () => false,
};

/** A receiver takes at most this many messages before it says that their slots are free. */
const RUN_MAX = 64;

/** How many messages are wanted at most. */
export function checkMax(max: number): void {
  if (max !== Infinity) checkInteger('max', max, 0, Number.MAX_SAFE_INTEGER);
}

/** A receiver of messages of type T. */
export abstract class Receiver<T> extends ChannelEnd implements AsyncIterable<T> {
  protected ring: RingConsumer;
  /** Words from one slot to the next. */
  protected readonly slotWords: number;
  /**
   * Messages of the present run that were handed out while their slots are not yet free. If
   * {@link freeTaken} throws, the next call that receives begins with it.
   */
  protected taken: number;
  /** Messages of the present run that are still there. */
  protected left: number;
  private hasEnded: boolean;
  private onReady: (() => void) | undefined;
  private isArmed: boolean;

  /** @internal */
  constructor(core: ChannelCore) {
    const seat = core.joinReceivers();
    super(core, core.receivers, seat, core.isShared);
    this.ring = core.consumer(seat);
    this.slotWords = core.slotWords;
    this.taken = 0;
    this.left = 0;
    this.hasEnded = false;
    this.onReady = undefined;
    this.isArmed = false;
  }

  /** True once "empty" was answered for the last time: the channel is closed and drained. */
  get ended(): boolean {
    return this.hasEnded;
  }

  /**
   * Takes the next message, waiting for one, behind earlier callers. Undefined: the channel was
   * closed and is drained.
   *
   * **Ownership** the message is the caller's.
   * **Throws** (rejects) ERR_BUSBAR_CHANNEL_PEER_DIED if every sender died and nothing is left,
   * ERR_BUSBAR_TIMEOUT, `signal.reason`; no message is lost then.
   */
  async receive(options?: WaitOptions): Promise<T | undefined> {
    let message: T | undefined;
    await this.line.until(
      () => {
        message = this.next();
        return message !== undefined || this.hasEnded;
      },
      options,
      'receive',
    );
    return message;
  }

  /**
   * Takes the next message, blocking this thread (its event loop too) until there is one.
   *
   * **Ownership** and **Throws** as {@link receive}.
   */
  receiveSync(timeoutMs: number = Infinity): T | undefined {
    let message: T | undefined;
    const attempt = () => {
      message = this.next();
      return message !== undefined || this.hasEnded;
    };
    if (this.line.untilSync(attempt, timeoutMs)) return message;
    throw new BusbarError('ERR_BUSBAR_TIMEOUT', `receiveSync, ${timeoutMs} ms`);
  }

  /** Every message until the channel has ended. Leaving the loop does not close the receiver. */
  async *[Symbol.asyncIterator](): AsyncGenerator<T, void, undefined> {
    for (;;) {
      const message = await this.receive();
      if (message === undefined) return;
      yield message;
    }
  }

  /**
   * What {@link arm} calls. It runs on this thread, from its event loop, and must not throw.
   */
  setReadyCallback(callback: (() => void) | undefined): void {
    if (callback !== undefined) checkFunction('callback', callback);
    this.onReady = callback;
    this.disarm();
  }

  /**
   * Asks for one ready callback when something arrives or the channel ends. False: there is
   * something already, and no callback will come.
   *
   * For loops that poll while they are busy and want to be woken when they are not. Does not keep
   * the event loop alive. **Cost** a few atomic operations.
   */
  arm(): boolean {
    if (this.closed) return false;
    this.setWaiting(true);
    this.isArmed = this.ring.arm();
    if (!this.isArmed) this.setWaiting(!this.line.isEmpty);
    return this.isArmed;
  }

  /**
   * Gives the receiver's place up; those who wait here are refused. When no receiver is left the
   * channel is closed and what is queued is released. Doing it again does nothing.
   */
  close(): void {
    if (this.closed) return;
    ensureStack();
    this.freeTaken();
    if (!this.isAttached) this.forsake();
    else this.dropPending();
    this.line.refuse(new BusbarError('ERR_BUSBAR_CHANNEL_CLOSED', 'this receiver was closed'));
    this.disarm();
    this.ring = NO_RING;
    this.hasEnded = true;
    if (this.leave()) this.core.discard();
    this.forsake();
  }

  [Symbol.dispose](): void {
    this.close();
  }

  /** @internal */
  armRing(): boolean {
    return this.ring.arm();
  }

  /**
   * @internal False: nothing is there now, and the end was not reached since the last look.
   * **Cost** a plain load or two, for loops that look at many receivers.
   */
  get hasNews(): boolean {
    return this.left > 0 || this.ring.hasNews;
  }

  /** @internal Who asked for the ready callback waits, even if nobody else does. */
  override setWaiting(isWaiting: boolean): void {
    super.setWaiting(isWaiting || this.isArmed);
  }

  /** @internal */
  checkPeers(): void {
    // First: until all that dead senders had begun is seen to, something may yet appear.
    this.core.recover(BY_TICK);
    if (this.core.isClosed || !this.core.senders.isDead) return;
    if (!this.ring.arm()) {
      this.line.pump();
      return;
    }
    throw new BusbarError('ERR_BUSBAR_CHANNEL_PEER_DIED', 'no sender lives');
  }

  /** The next message; undefined if there is none now. */
  protected abstract next(): T | undefined;

  protected override onRing(): void {
    super.onRing();
    if (!this.isArmed || this.ring.arm()) return;
    this.disarm();
    this.onReady?.();
  }

  /**
   * Index of the payload of the next message, or −1. Whoever hands it out says so in `left` and
   * `taken`, by no call, and {@link freeTaken} frees the slots of up to `max` that were.
   *
   * Whoever receives while another run is under way (from inside its callback) ends that run.
   */
  protected look(max: number): number {
    if (this.left === 0) {
      const count = this.peekRun(max);
      if (count === 0) return -1;
      this.left = count;
    }
    return this.ring.slot() + this.taken * this.slotWords;
  }

  /** How many messages, at most `max`, are there to be taken at once; {@link freeRun} ends that. */
  protected peekRun(max: number): number {
    this.freeTaken();
    const count = this.ring.peek(max < RUN_MAX ? max : RUN_MAX);
    if (count > NOT_NOW) return count;
    if (count === NEVER) this.hasEnded = true;
    return 0;
  }

  /** The slots of the first `count` of them are free. Throws before that, or not at all. */
  protected freeRun(count: number): void {
    this.ring.free(count);
    const { words, passedAt } = this;
    const before = words[passedAt];
    const after = (before + count) | 0;
    words[passedAt] = after;
    if (before < 0 && after >= 0) words[passedAt + 1]++;
  }

  /** The slots of all messages that were handed out are free. */
  protected freeTaken(): void {
    const { taken } = this;
    this.left = 0;
    if (taken === 0) return;
    this.freeRun(taken);
    this.taken = 0;
  }

  /** The messages of the present run stay where they are, for an heir. */
  protected forgetRun(): void {
    this.left = 0;
    this.taken = 0;
  }

  /** What a call had claimed that then threw: as if this receiver had received it, and died. */
  private dropPending(): void {
    const { pending } = this.ring;
    if (pending < 0) return;
    this.core.takeOut(pending);
    this.ring.free(1);
  }

  private disarm(): void {
    this.isArmed = false;
    this.setWaiting(!this.line.isEmpty);
  }
}
