// SPDX-License-Identifier: MIT
/** `ReadableLink`: base class of links that a program reads by callbacks, or packet by packet. */

import { BusbarError } from '../base/errors.ts';
import { throwLater } from '../base/throw-later.ts';
import type { WaitOptions } from '../base/wait-guard.ts';
import type { HandleOptions } from '../packet/handling.ts';
import type { Packet } from '../packet/index.ts';
import { isThenable, refuseResult } from './handler-result.ts';
import { Inbox } from './inbox.ts';
import type { CloseOptions } from './link.ts';
import { WritableLink } from './writable-link.ts';

/** Why a link does not read: the program has paused it, or its inbox is full. */
const BY_PROGRAM = 1;
const BY_INBOX = 2;

/** Codes of errors that programs get because the link has ended. */
const OF_THE_END = /^ERR_BUSBAR_(?:LINK|WRITER)_/;

/**
 * The ways to read a link whose option `handler` returned no callbacks. Each packet is the
 * program's. While too many wait to be read, the link pauses by itself.
 *
 * **When the link fails**, a reader first gets the packets that had arrived, as callbacks would
 * have, then the link's `error`. They are released when it leaves its loop, at {@link close} or
 * {@link destroy}, and at once if nothing reads the link.
 */
export abstract class ReadableLink<P extends Packet = Packet> extends WritableLink {
  /** @internal Only of a link without callbacks. */
  protected inbox: Inbox<P> | undefined;
  /** @internal True while the program reads, as far as is known: its next read tells a failure. */
  protected isRead = false;
  /** The program's async handler is running; the link's end waits for it. */
  #isServed = false;
  /** The reasons for not reading: { BY_INBOX: 1, BY_PROGRAM: 1 }. */
  #holds = 0;

  /**
   * The next packet, if one is there.
   *
   * **Ownership** the packet is the caller's. **Throws** TypeError if the link has callbacks, is
   * read by {@link handle}, or has frames in parts.
   */
  tryReceive(): P | undefined {
    return this.#reader().tryReceive();
  }

  /**
   * The next packet, as soon as it is there; undefined after the last one.
   *
   * **Ownership** the packet is the caller's. **Throws** (rejects) after the last one the link's
   * `error` if it failed; ERR_BUSBAR_TIMEOUT, `signal.reason`, and as {@link tryReceive}.
   */
  async receive(options?: WaitOptions): Promise<P | undefined> {
    const reader = this.#reader();
    this.beginsRead();
    return reader.receive(options);
  }

  /**
   * All packets, until the link ends. Then throws the link's `error` if it failed. Leaving the loop
   * does not close the link.
   */
  [Symbol.asyncIterator](): AsyncIterableIterator<P, void, undefined> {
    const reader = this.#reader();
    this.beginsRead();
    return reader.packets(() => this.leavesLoop());
  }

  /**
   * Calls `handler` with every packet; if it returns promises, at most `concurrency` (default 1: in
   * order) are under way. Resolves after the last one.
   *
   * **Ownership** the packet is the handler's, which releases it or sends it on; a handler that
   * fails need not. **Throws** (rejects) what a handler throws, unless there is `onError`; the link
   * is closed then. Also, after the last one, the link's `error` if it failed.
   */
  async handle(
    handler: (packet: P) => void | Promise<void>,
    options?: HandleOptions,
  ): Promise<void> {
    const reader = this.#reader();
    this.beginsRead();
    try {
      await reader.handle(handler, options);
    } catch (error) {
      if (error !== this.error && reader.isFailed) this.act(this.life.handlerThrew(error));
      throw error;
    }
  }

  /** @internal Also releases what still waits to be read after a failure. */
  override close(options?: CloseOptions): Promise<void> {
    const done = super.close(options);
    this.inbox?.destroy();
    return done;
  }

  /** @internal As {@link close}. */
  override destroy(): void {
    super.destroy();
    this.inbox?.destroy();
  }

  /** Stops delivery, also from within a delivery, which is then the last. */
  pause(): void {
    this.#hold(BY_PROGRAM);
  }

  /** Resumes delivery. What has already arrived may be delivered before this returns. */
  resume(): void {
    this.#endHold(BY_PROGRAM);
  }

  #hold(reason: number): void {
    this.#holds |= reason;
    this.holdReading(true);
  }

  /** Reads on when no reason is left; not at once, if that would call a handler from a read. */
  #endHold(reason: number): void {
    this.#holds &= ~reason;
    if (this.inbox === undefined) this.#readOn();
    else queueMicrotask(() => this.#readOn());
  }

  #readOn(): void {
    if ((this.#holds & BY_PROGRAM) === 0) this.inbox?.advance();
    if (this.#holds === 0) this.holdReading(false);
  }

  /** @internal Stops reading, or reads on and may deliver. */
  protected abstract holdReading(isHeld: boolean): void;

  /** @internal Every packet before the peer's end was dealt with. */
  protected abstract endTaken(): void;

  /** @internal No handler and no loop of the program gets this failure. */
  protected abstract reportUnheard(failure: BusbarError): void;

  /** @internal Whether messages may be longer than a buffer, and come in parts. */
  protected abstract get isInParts(): boolean;

  /** @internal Calls the option `handler`; returns what it returned if these are callbacks. */
  protected takeHandler<T extends object>(
    make: () => T | undefined | Promise<void>,
  ): T | undefined {
    // Before the call: an async function begins to read before it returns.
    const inbox = new Inbox<P>(this.pool.bufferSize, {
      hold: () => this.#hold(BY_INBOX),
      endHold: () => this.#endHold(BY_INBOX),
      isPaused: () => (this.#holds & BY_PROGRAM) !== 0,
      error: () => this.error,
      // An async handler may still begin to read; what it leaves is released when it ends.
      keepsRest: () => this.life.failure !== undefined && (this.isRead || this.#isServed),
      endTaken: () => {
        if (!this.#isServed) this.endTaken();
      },
    });
    this.inbox = inbox;
    const made = make();
    if (made !== undefined && !isThenable(made)) {
      this.inbox = undefined;
      return made;
    }
    if (made === undefined) return undefined;
    this.#isServed = true;
    made.then(
      (result) => this.#served(result),
      (error) => {
        this.inbox?.destroy();
        // The link's own failure is already in its `error`, and a caller that writes after its
        // end, or after `close()`, learns that.
        const tellsEnd = BusbarError.isOne(error) && OF_THE_END.test(error.code);
        if ((tellsEnd && this.life.isEnding) || (error !== undefined && error === this.error)) {
          const { failure } = this.life;
          // The loop got the error and threw it; no other caller has seen it.
          if (failure !== undefined && this.isRead) this.reportUnheard(failure);
          // The peer may have ended within a frame: then the link is still open.
          this.#served(undefined);
          return;
        }
        this.act(this.life.handlerThrew(error));
        throwLater(error);
      },
    );
    return undefined;
  }

  /** @internal The program begins to read. After the link's end, its failure was told already. */
  protected beginsRead(): void {
    if (!this.closed) this.isRead = true;
  }

  /**
   * @internal The program has left a loop. It may read on later; until then no reader gets a
   * failure. What has failed before that may be why it has left.
   */
  protected leavesLoop(): void {
    if (this.life.isGone) this.inbox?.destroy();
    else this.isRead = false;
  }

  #served(result: unknown): void {
    this.#isServed = false;
    this.inbox?.destroy();
    const name = 'an async handler, which has no callbacks,';
    if (result !== undefined) this.notify(() => refuseResult(name, result));
    this.endTaken();
    this.act(this.life.handlerReturned());
  }

  #reader(): Inbox<P> {
    const inbox = this.openInbox();
    if (!this.isInParts) return inbox;
    throw new TypeError('maxFrameBytes is beyond a buffer: read the link with frames()');
  }

  /** @internal **Throws** TypeError: the link has callbacks. */
  protected openInbox(): Inbox<P> {
    if (this.inbox === undefined) throw new TypeError('the link has callbacks, which get all');
    return this.inbox;
  }
}
