// SPDX-License-Identifier: MIT
/** One subscription: a handler or a loop, with limits on the messages that wait for it. */

import { assert } from '../base/assert.ts';
import { checkMade } from '../base/check.ts';
import { describeAs } from '../base/description.ts';
import { BusbarError } from '../base/errors.ts';
import { ensureStack } from '../base/stack.ts';
import { throwLater } from '../base/throw-later.ts';
import type { BufferRun, BusMessage } from './bus-message.ts';
import type { ResolvedSubscription } from './bus-options.ts';
import { MessageQueue } from './message-queue.ts';
import type { Bytes } from './subject.ts';
import type { TokenNode } from './token-tree.ts';

/**
 * Borrows each message until it returns; if it is asynchronous, until its promise settles. It is
 * asynchronous if it is an `async` function, or if its subscription has `concurrency`; any other
 * that returns a promise has failed, with a TypeError.
 */
export type BusHandler = (message: BusMessage) => unknown;

/** The part of a bus that a subscription uses. */
export interface SubscriptionHome {
  /** It has room again. */
  roomed(subscription: BusSubscription): void;
  /** Resolves once every peer of the bus knows of it. */
  known(): Promise<void>;
  /** Takes the subscription out of the index. */
  remove(subscription: BusSubscription): void;
  /** A handler threw, and its subscription has no `onError`. */
  readonly failed: (error: unknown, message: BusMessage) => void;
}

/** Gets messages. */
const OPEN = 'open';
/** Gets no more; those that wait are still for the subscriber. */
const DRAINING = 'draining';
/** Nothing waits, and nothing is in hand. */
const CLOSED = 'closed';
type State = typeof OPEN | typeof DRAINING | typeof CLOSED;

const ASYNC_FUNCTION: unknown = (async () => {}).constructor;
const DONE: IteratorResult<BusMessage> = Object.freeze({ value: undefined, done: true });

interface Asker {
  resolve(result: IteratorResult<BusMessage>): void;
  reject(error: unknown): void;
}

/**
 * One subscription of a {@link Bus}. Without a handler, iterate over it.
 *
 * ```
 *   subscribe ──▶ OPEN ──drain, max──▶ DRAINING ──the last one is done──▶ CLOSED
 *                   └──close, cut off, signal──────────────────────────────▶
 * ```
 */
export class BusSubscription implements AsyncIterable<BusMessage>, Disposable {
  /** The subject as it was given, wildcards included. */
  readonly pattern: string;
  /** @internal */
  readonly subject: Bytes;
  readonly queue: string;
  /** @internal */
  readonly textBytes: number;
  /** @internal */
  node: TokenNode<BusSubscription> | undefined = undefined;
  /** @internal */
  place: number = -1;
  /** Messages that it got. @readonly */
  delivered: number = 0;
  /** Messages dropped for lack of room. @readonly */
  dropped: number = 0;
  /** @internal It has no room, and peers of the bus were told. */
  isStalled: boolean = false;
  /** @internal Undefined: messages go straight to the handler. */
  readonly waiting: MessageQueue | undefined;

  readonly #home: SubscriptionHome;
  readonly #limit: ResolvedSubscription;
  readonly #handler: BusHandler | undefined;
  readonly #concurrency: number;
  #state: State = OPEN;
  /** Why a loop ends with an error. */
  #failure: unknown;
  #isPumping: boolean = false;
  /** The one loop over its messages. */
  #loop: AsyncIterator<BusMessage> | undefined = undefined;
  /** The message that the loop has in hand, and the length and the run with which it came. */
  #current: BusMessage | undefined = undefined;
  #currentLength: number = 0;
  #currentRun: BufferRun | undefined = undefined;
  #asker: Asker | undefined = undefined;
  #onClosed: (() => void) | undefined = undefined;
  /** Resolves once it is closed. */
  readonly closed: Promise<void> = new Promise((resolve) => {
    this.#onClosed = resolve;
  });

  /** @internal */
  constructor(
    home: SubscriptionHome,
    pattern: string,
    subject: Bytes,
    limit: ResolvedSubscription,
    handler: BusHandler | undefined,
  ) {
    checkMade(limit !== undefined, new.target, 'bus.subscribe()');
    this.#home = home;
    this.pattern = pattern;
    this.subject = subject;
    this.queue = limit.queue;
    this.textBytes = subject.length + limit.queue.length;
    this.#limit = limit;
    this.#handler = handler;
    const isAsync = limit.concurrency !== undefined || handler?.constructor === ASYNC_FUNCTION;
    this.#concurrency = limit.concurrency ?? 1;
    this.waiting = handler === undefined || isAsync ? new MessageQueue(limit) : undefined;
  }

  get state(): 'open' | 'draining' | 'closed' {
    return this.#state;
  }

  /** Messages that wait or are in hand. */
  get held(): number {
    return this.waiting?.held ?? 0;
  }

  /** @internal False: the publisher has to wait. */
  get hasRoom(): boolean {
    const { waiting } = this;
    return waiting === undefined || waiting.hasRoom || this.#limit.overflow !== 'stop';
  }

  /** @internal */
  get isHalfEmpty(): boolean {
    return this.waiting === undefined || this.waiting.isHalfEmpty;
  }

  /** @internal False: a message would be dropped, or would cut it off. */
  get isReady(): boolean {
    return this.waiting === undefined || this.waiting.hasRoom;
  }

  /**
   * @internal Puts a message into the queue, or drops one. With the policy 'stop' it comes in: the
   * bus has looked for room, or a peer has sent it within its window.
   */
  accept(message: BusMessage): void {
    const waiting = this.waiting as MessageQueue;
    assert(this.#state === OPEN, 'only open subscriptions are in the index');
    if (!waiting.hasRoom && !this.#makeRoom(waiting)) return;
    waiting.push(message.keep());
    this.#count();
    if (this.#handler !== undefined) this.#pumpSoon();
    else if (this.#asker !== undefined) this.#answer(this.#asker, waiting);
  }

  /** @internal Calls the handler at once. */
  handle(message: BusMessage): void {
    this.#count();
    try {
      const result = (this.#handler as BusHandler)(message);
      if (result !== undefined && typeof (result as PromiseLike<unknown>)?.then === 'function') {
        this.#refusePromise(result as PromiseLike<unknown>);
      }
    } catch (error) {
      this.#report(error, message);
    }
  }

  /**
   * Messages in order, for one loop. The loop borrows each until it asks for the next. Leaving the
   * loop closes the subscription.
   *
   * **Throws** TypeError if it has a handler, or the second time; the loop throws
   * ERR_BUSBAR_SLOW_SUBSCRIBER if it was cut off.
   */
  [Symbol.asyncIterator](): AsyncIterator<BusMessage> {
    if (this.#handler !== undefined) throw new TypeError('the subscription has a handler');
    if (this.#loop !== undefined)
      throw new TypeError('another loop has the messages of the subscription');
    this.#loop = {
      next: () => this.#next(),
      return: () => {
        this.close();
        return Promise.resolve(DONE);
      },
    };
    return this.#loop;
  }

  /** Resolves once every bus of the group knows of it, and sends here what it publishes. */
  subscribed(): Promise<void> {
    return this.#home.known();
  }

  /** Gets no more messages, and drops those that wait. No effect the second time. */
  close(): void {
    if (this.#state === CLOSED) return;
    // The index must not be left half changed.
    ensureStack();
    this.end();
  }

  /** @internal {@link close} on a path that has looked at the stack, or within a delivery. */
  end(): void {
    if (this.#state === CLOSED) return;
    this.#detach();
    this.waiting?.clear();
    if (this.#current !== undefined) this.#finishCurrent();
    this.#end();
    this.#home.roomed(this);
  }

  /** Gets no more messages. Resolves once those that wait are handled. */
  drain(): Promise<void> {
    if (this.#state === OPEN) ensureStack();
    this.#detach();
    this.#endIfDone();
    return this.closed;
  }

  /** @internal Ends it with an error that its loop, or `onError`, gets. */
  fail(error: unknown): void {
    if (this.#state === CLOSED) return;
    this.#failure = error;
    this.end();
    const isTold = this.#handler === undefined && this.#loop !== undefined;
    if (!isTold && this.#limit.onError !== undefined) this.#report(error, undefined);
  }

  [Symbol.dispose](): void {
    this.close();
  }

  #count(): void {
    this.delivered++;
    if (this.delivered < this.#limit.max) return;
    this.#detach();
    // The message is still to be handled.
    queueMicrotask(() => this.#endIfDone());
  }

  #detach(): void {
    if (this.#state !== OPEN) return;
    this.#state = DRAINING;
    this.#home.remove(this);
  }

  #endIfDone(): void {
    if (this.#state === DRAINING && this.held === 0) this.#end();
  }

  #end(): void {
    if (this.#state === CLOSED) return;
    assert(this.place < 0, 'a subscription leaves the index before it is closed');
    this.#state = CLOSED;
    const asker = this.#asker;
    this.#asker = undefined;
    if (asker !== undefined) this.#answerEnd(asker);
    this.#onClosed?.();
  }

  #answerEnd(asker: Asker): void {
    if (this.#failure === undefined) asker.resolve(DONE);
    else asker.reject(this.#failure);
    this.#failure = undefined;
  }

  /** Returns whether a message may come now. */
  #makeRoom(waiting: MessageQueue): boolean {
    const { overflow } = this.#limit;
    if (overflow === 'stop') return true;
    if (overflow === 'cut-off') {
      this.fail(
        new BusbarError('ERR_BUSBAR_SLOW_SUBSCRIBER', `${this.pattern}, ${this.held} held`),
      );
      return false;
    }
    while (overflow === 'drop-oldest' && waiting.count > 0) {
      waiting.dropFirst();
      this.dropped++;
      if (waiting.hasRoom) return true;
    }
    this.dropped++;
    return false;
  }

  #next(): Promise<IteratorResult<BusMessage>> {
    if (this.#asker !== undefined) {
      return Promise.reject(new TypeError('next() was called before the last one was answered'));
    }
    return new Promise((resolve, reject) => {
      const asker = { resolve, reject };
      if (this.#current !== undefined) this.#finishCurrent();
      const waiting = this.waiting as MessageQueue;
      if (waiting.count > 0) {
        this.#answer(asker, waiting);
        return;
      }
      this.#endIfDone();
      if (this.#state === CLOSED) this.#answerEnd(asker);
      else this.#asker = asker;
    });
  }

  #answer(asker: Asker, waiting: MessageQueue): void {
    this.#asker = undefined;
    const message = waiting.take() as BusMessage;
    this.#current = message;
    this.#currentLength = message.length;
    this.#currentRun = message.run;
    asker.resolve({ value: message, done: false });
  }

  #finishCurrent(): void {
    const message = this.#current as BusMessage;
    this.#current = undefined;
    message.release();
    this.waiting?.done(this.#currentLength, this.#currentRun);
    this.#home.roomed(this);
  }

  #pumpSoon(): void {
    if (this.#isPumping) return;
    this.#isPumping = true;
    queueMicrotask(() => this.#pump());
  }

  #pump(): void {
    this.#isPumping = false;
    const waiting = this.waiting as MessageQueue;
    while (waiting.inHand < this.#concurrency) {
      const message = waiting.take();
      if (message === undefined) break;
      void this.#run(message, waiting);
    }
  }

  async #run(message: BusMessage, waiting: MessageQueue): Promise<void> {
    // The handler may change it.
    const { length, run } = message;
    try {
      await (this.#handler as BusHandler)(message);
    } catch (error) {
      this.#report(error, message);
    } finally {
      message.release();
      waiting.done(length, run);
      this.#home.roomed(this);
      if (waiting.count > 0) this.#pumpSoon();
      this.#endIfDone();
    }
  }

  /** What `onError` throws is rethrown from a microtask: the other subscriptions go on. */
  #report(error: unknown, message: BusMessage | undefined): void {
    const { onError = this.#home.failed } = this.#limit;
    try {
      onError(error, message as BusMessage);
    } catch (thrown) {
      throwLater(thrown);
    }
  }

  #refusePromise(promise: PromiseLike<unknown>): never {
    // Its own rejection is not reported: the error below says what to do.
    promise.then(undefined, () => {});
    throw new TypeError(
      `the handler of ${this.pattern} returned a promise, but borrows the message only until it ` +
        'returns: make it an async function, or subscribe with { concurrency }',
    );
  }
}

describeAs(BusSubscription, 'BusSubscription', (self) => ({
  pattern: self.pattern,
  ...(self.queue === '' ? {} : { queue: self.queue }),
  state: self.state,
  delivered: self.delivered,
  held: self.held,
  dropped: self.dropped,
}));
