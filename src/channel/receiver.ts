// SPDX-License-Identifier: MIT
/** `Receiver`: base class of a channel's receiving ends. Waiting, iterating, closing. */

import { assert } from '../base/assert.ts';
import { checkFunction, checkInteger, checkMade, showMs } from '../base/check.ts';
import { Runs } from '../base/runs.ts';
import { ensureStack } from '../base/stack.ts';
import type { WaitOptions } from '../pool/index.ts';
import { BY_TICK } from '../pool/liveness.ts';
import type { ChannelCore } from './channel-core.ts';
import { ChannelEnd } from './channel-end.ts';
import { channelError } from './channel-error.ts';
import { NEVER, NOT_NOW, type RingConsumer } from './ring.ts';

/** The ring of a closed receiver. */
const NO_RING: RingConsumer = {
  peek: () => NEVER,
  slot: () => 0,
  hasNews: false,
  free: () => {},
  pending: -1,
  arm: () => false,
};

/** Messages taken at most before their slots are freed. */
const RUN_MAX = 64;

/** Checks a limit on messages: an integer ≥ 0, or Infinity. */
export function checkMax(max: number): void {
  if (max !== Infinity) checkInteger('max', max, 0, Number.MAX_SAFE_INTEGER);
}

/** A receiver of messages of type T. */
export abstract class Receiver<T> extends ChannelEnd implements AsyncIterable<T> {
  protected ring: RingConsumer;
  /** Words from one slot to the next. */
  protected readonly slotWords: number;
  /**
   * Messages of the current run that were handed out and whose slots are not free yet. If
   * {@link freeTaken} throws, the next receiving call begins with it.
   */
  protected taken: number;
  /** Messages of the current run that were not handed out yet. */
  protected left: number;
  private hasEnded: boolean;
  private onReady: (() => void) | undefined;
  private isArmed: boolean;

  /** @internal */
  constructor(core: ChannelCore) {
    checkMade(core?.joinReceivers !== undefined, new.target, 'channel.receiver()');
    // Once the seat is taken, nothing may throw: only this object can give it up.
    ensureStack();
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

  /** True once a call found the channel closed and drained. */
  get ended(): boolean {
    return this.hasEnded;
  }

  /**
   * Takes the next message, waiting for it if necessary; callers are served in order. Undefined:
   * the channel is closed and drained.
   *
   * **Ownership** the message is the caller's.
   * **Throws** (rejects) ERR_BUSBAR_CHANNEL_PEER_DIED if every sender died and nothing is left,
   * ERR_BUSBAR_TIMEOUT, `signal.reason`. No message is lost then.
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
   * Takes the next message, blocking this thread and its event loop until there is one.
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
    throw channelError(this.words, 'ERR_BUSBAR_TIMEOUT', `receiveSync, ${showMs(timeoutMs)}`);
  }

  /** Yields each message until the channel ends. Leaving the loop does not close the receiver. */
  [Symbol.asyncIterator](): AsyncIterableIterator<T, void, undefined> {
    return new Runs(
      () => (this.line.isEmpty ? this.next() : undefined),
      () => this.receive(),
    );
  }

  /**
   * Sets the callback that {@link arm} asks for. It runs on this thread's event loop and must not
   * throw.
   */
  setReadyCallback(callback: (() => void) | undefined): void {
    if (callback !== undefined) checkFunction('callback', callback);
    this.onReady = callback;
    this.disarm();
  }

  /**
   * Asks for one ready callback when a message arrives or the channel ends. False: that is so
   * already, and no callback will come.
   *
   * For loops that poll while busy and sleep when idle. Does not keep the event loop alive.
   * **Cost** a few atomic operations.
   */
  arm(): boolean {
    if (this.closed) return false;
    this.setWaiting(true);
    this.isArmed = this.ring.arm();
    if (!this.isArmed) this.setWaiting(!this.line.isEmpty);
    return this.isArmed;
  }

  /**
   * Leaves the channel; waiting callers are rejected. The last receiver to leave closes the channel
   * and releases what is queued, unless the channel `survives` and was not closed. Idempotent.
   */
  close(): void {
    if (this.closed) return;
    ensureStack();
    this.invariants();
    this.freeTaken();
    if (!this.isAttached) this.detach();
    else this.dropPending();
    this.line.refuse(
      channelError(this.words, 'ERR_BUSBAR_CHANNEL_CLOSED', 'this receiver was closed'),
    );
    this.disarm();
    this.ring = NO_RING;
    this.hasEnded = true;
    if (this.releaseSeat() && (!this.core.survives || this.core.isClosed)) this.core.destroy();
    this.detach();
  }

  [Symbol.dispose](): void {
    this.close();
  }

  /** @internal A run: those handed out come first, then those left; both fit in RUN_MAX. */
  override invariants(): void {
    super.invariants();
    assert(this.taken >= 0, 'messages are handed out, not taken back');
    assert(this.left >= 0, 'no more messages are handed out than were found');
    assert(this.taken + this.left <= RUN_MAX, 'a run is bounded');
    assert(!this.closed || this.ring === NO_RING, 'an end that has left uses no ring');
    assert(!this.closed || !this.isArmed, 'an end that has left asks for no callback');
  }

  /** @internal */
  armRing(): boolean {
    return this.ring.arm();
  }

  /**
   * @internal False if there is no message now, nor the end of the channel. For loops over many
   * receivers. **Cost** one or two plain loads.
   */
  get hasNews(): boolean {
    return this.left > 0 || this.ring.hasNews;
  }

  /** @internal An armed receiver counts as waiting, even if no caller waits. */
  override setWaiting(isWaiting: boolean): void {
    super.setWaiting(isWaiting || this.isArmed);
  }

  /** @internal */
  checkPeers(): void {
    // First: recovery of dead senders may still make messages appear.
    this.core.recover(BY_TICK);
    if (this.core.survives || this.core.isClosed || !this.core.senders.isDead) return;
    if (!this.ring.arm()) {
      this.line.pump();
      return;
    }
    throw channelError(this.words, 'ERR_BUSBAR_CHANNEL_PEER_DIED', 'its senders');
  }

  /** Takes the next message; undefined if there is none now. */
  protected abstract next(): T | undefined;

  protected override onRing(): void {
    super.onRing();
    if (!this.isArmed || this.ring.arm()) return;
    this.disarm();
    this.onReady?.();
  }

  /**
   * Index of the payload of the next message, or −1. After handing it out, the caller moves one
   * from `left` to `taken`, without a call; {@link freeTaken} then frees the slots of the run.
   *
   * Receiving from inside a run's callback ends that run.
   */
  protected look(max: number): number {
    if (this.left === 0) {
      // The caller's code runs meanwhile: where others receive, no more is claimed than it has.
      const count = this.peekRun(this.isClaiming ? 1 : max);
      if (count === 0) return -1;
      this.left = count;
    }
    return this.ring.slot() + this.taken * this.slotWords;
  }

  /** Begins a run of at most `max` messages; returns their number. {@link freeRun} ends it. */
  protected peekRun(max: number): number {
    this.freeTaken();
    const count = this.ring.peek(max < RUN_MAX ? max : RUN_MAX);
    if (count > NOT_NOW) return count;
    if (count === NEVER) this.hasEnded = true;
    return 0;
  }

  /** Frees the first `count` slots. If it throws, none is free. */
  protected freeRun(count: number): void {
    this.ring.free(count);
    const { words, passedAt } = this;
    const before = words[passedAt];
    const after = (before + count) | 0;
    words[passedAt] = after;
    if (before < 0 && after >= 0) words[passedAt + 1]++;
  }

  /** Frees the slots of all messages that were handed out. */
  protected freeTaken(): void {
    const { taken } = this;
    this.left = 0;
    if (taken === 0) return;
    this.freeRun(taken);
    this.taken = 0;
  }

  /** Leaves the messages of the current run in their slots, for a successor. */
  protected forgetRun(): void {
    this.left = 0;
    this.taken = 0;
  }

  /** Ends the claim of a call that threw: its messages are lost, as if its thread had died. */
  private dropPending(): void {
    for (let at = this.ring.pending; at >= 0; at = this.ring.pending) {
      this.core.takeOut(at);
      this.ring.free(1);
    }
  }

  private disarm(): void {
    this.isArmed = false;
    this.setWaiting(!this.line.isEmpty);
  }
}
