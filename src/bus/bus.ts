// SPDX-License-Identifier: MIT
/** A bus on one thread: publish and subscribe by subject, queue groups, requests. */

import { offAbort, onAbort } from '../base/abort.ts';
import { checkFunction, checkOptions, checkText } from '../base/check.ts';
import { describeAs } from '../base/description.ts';
import { BusbarError, isBusbarError } from '../base/errors.ts';
import { ensureStack } from '../base/stack.ts';
import { throwLater } from '../base/throw-later.ts';
import { WaitGuard, type WaitOptions } from '../base/wait-guard.ts';
import { Packet } from '../packet/index.ts';
import { checkPool } from '../pool/check-pool.ts';
import type { BufferPool } from '../pool/index.ts';
import { BusMessage } from './bus-message.ts';
import {
  type BusOptions,
  copyBusOptions,
  type RepliesOptions,
  type RequestOptions,
  type ResolvedBus,
  resolveBusOptions,
  resolveRequest,
  resolveSubscription,
  type SubscribeOptions,
} from './bus-options.ts';
import { type BusBeyond, type BusIndex, BusPeers, membersIn } from './bus-peers.ts';
import type { BusStats } from './bus-stats.ts';
import { type BusHandler, BusSubscription, type SubscriptionHome } from './bus-subscription.ts';
import { Delivery } from './delivery.ts';
import { type Envelope, type PublishOptions, resolvePublish } from './envelope.ts';
import { reportCrashes } from './messages-in-hand.ts';
import { type BusPayload, bytesOf, NOT_NOW, notNow, Payloads, sizeOf } from './payloads.ts';
import { type BusMember, LaneGroup } from './peer/lane-group.ts';
import { FrameHead } from './peer/message-frame.ts';
import type { PeerGroup } from './peer/peer-carrier.ts';
import { PendingRequest } from './pending-request.ts';
import { PendingRequests } from './pending-requests.ts';
import { INBOX, subjectBytes } from './prepared-subject.ts';
import { PreparedSubjects } from './prepared-subjects.ts';
import { SubscriptionIndex } from './subscription-index.ts';
import { WaitingPublishers } from './waiting-publishers.ts';

const PUBLISH_KEYS = ['reply', 'headers', 'signal', 'timeoutMs'];
const NO_LIMITS: RequestOptions = Object.freeze({});
const NO_ENVELOPE: Envelope = Object.freeze({ reply: undefined, headers: undefined });

/**
 * Publish and subscribe by subject, on one thread or among the threads of an executor group
 * ({@link join}). Subjects are tokens with dots between; a subscriber may use `*` for one token and
 * `>` for the rest.
 *
 * A message goes first into the queues of loops and of asynchronous handlers, then to the other
 * handlers, which run within `tryPublish`. What a handler publishes comes after that: each
 * subscriber sees all messages in the order in which they were published.
 *
 * ```ts
 * import { Bus } from 'busbar/bus';
 * import { BufferPool } from 'busbar/pool';
 *
 * const pool = BufferPool.create({ bufferSize: 4096, bufferCount: 64 });
 * const bus = new Bus(pool);
 * bus.subscribe('price.*', (message) => console.log(message.subject, message.text()));
 * bus.subscribe('add', async (message) => {
 *   const [a, b] = JSON.parse(message.text());
 *   await message.respond(String(a + b));
 * });
 * bus.tryPublish('price.copper', '9.81');
 * using sum = await bus.request('add', '[1, 2]');
 * console.log(sum.text());
 * await bus.drain();
 * ```
 *
 * **Threads** one. **Cost** no object per message for handlers that are not asynchronous.
 */
export class Bus implements Disposable {
  readonly pool: BufferPool;
  readonly name: string;
  readonly #options: ResolvedBus;
  readonly #index: BusIndex = new SubscriptionIndex();
  readonly #subscriptions: Set<BusSubscription> = new Set();
  readonly #payloads: Payloads;
  readonly #subjects: PreparedSubjects<BusSubscription, BusBeyond>;
  readonly #requests: PendingRequests = new PendingRequests();
  readonly #publishers: WaitingPublishers;
  readonly #home: SubscriptionHome;
  /** Other threads' buses; undefined: this one is alone. */
  #peers: BusPeers | undefined = undefined;
  /** The message that handlers borrow. */
  readonly #borrowed: BusMessage;
  readonly #delivery: Delivery;
  readonly #head: FrameHead = new FrameHead();
  #state: 'open' | 'draining' | 'closed' = 'open';
  /** Resolves at the end of the first drain. */
  #drained: Promise<void> = Promise.resolve();
  readonly #forget = (request: PendingRequest): void => {
    this.#requests.remove(request);
    if (this.#publishers.count > 0) this.#publishers.withdraw(request);
  };
  #published: number = 0;
  #unmatched: number = 0;

  /** **Throws** TypeError, RangeError. */
  constructor(pool: BufferPool, options: BusOptions = {}) {
    checkPool(pool);
    this.#options = resolveBusOptions(options);
    this.pool = pool;
    this.name = this.#options.name;
    this.#payloads = new Payloads(pool);
    this.#subjects = new PreparedSubjects(this.#index, this.#options);
    this.#publishers = new WaitingPublishers(pool, this.#options.backlogMax);
    this.#borrowed = new BusMessage(this);
    this.#delivery = new Delivery(this.#options.backlogMax, membersIn(this.#index));
    this.#home = {
      roomed: (subscription) => {
        if (subscription.isStalled) this.#peers?.roomed(subscription);
        this.#publishers.retry();
      },
      known: () => this.#peers?.fence() ?? Promise.resolve(),
      remove: (subscription) => this.#remove(subscription),
      failed: this.#options.onError ?? throwLater,
    };
  }

  /**
   * The bus of a thread of an executor group, joined to those of the other threads: each executor
   * calls this with its context, and the host, if it takes part, with the group. What any of them
   * publishes goes to the subscribers of all. It publishes once it knows what the executors have
   * subscribed to: until then `tryPublish` returns false, and `publish` waits, but for replies.
   *
   * The bus reads the thread's mailbox; other packets in it are counted as `strays`, and released.
   * **Throws** TypeError, RangeError; ERR_BUSBAR_CHANNEL_ROLE if the mailbox has a reader.
   */
  static join(member: BusMember, options: BusOptions = {}): Bus {
    const own = copyBusOptions(options);
    const { subjectBytesMax, onCrash } = resolveBusOptions(own);
    const group = new LaneGroup(member, subjectBytesMax);
    const bus = Bus.over(group.pool, group, own);
    if (onCrash !== undefined) {
      reportCrashes(group, bus, onCrash, (at) => bus.#peers?.peers.nameAt(at) ?? '');
    }
    group.onEnd(() => {
      bus.close();
      bus.destroy();
    });
    return bus;
  }

  /** @internal A bus joined to the peers of a group, whatever carries it. */
  static over(pool: BufferPool, group: PeerGroup, options: BusOptions = {}): Bus {
    const bus = new Bus(pool, { name: `bus-${group.index}`, ...options });
    bus.#join(group);
    return bus;
  }

  /** @internal Gives back what waits for peers, and says nothing to them. */
  destroy(): void {
    this.#peers?.destroy();
    this.close();
  }

  /**
   * Subscribes a handler, or, without one, a loop: `for await (const message of subscription)`.
   *
   * **Ownership** the handler and the loop borrow each message; see {@link BusMessage}.
   * **Throws** TypeError, RangeError, ERR_BUSBAR_BAD_SUBJECT, ERR_BUSBAR_BUS_CLOSED;
   * `signal.reason` if it is aborted.
   */
  subscribe(subject: string, handler: BusHandler): BusSubscription;
  subscribe(subject: string, options?: SubscribeOptions, handler?: BusHandler): BusSubscription;
  subscribe(
    subject: string,
    second: SubscribeOptions | BusHandler = {},
    third?: BusHandler,
  ): BusSubscription {
    const [options, handler] = typeof second === 'function' ? [{}, second] : [second, third];
    this.#checkOpen('subscribe');
    const bytes = subjectBytes(subject, this.#options, true);
    const limit = resolveSubscription(options, this.pool.bufferCount);
    if (handler !== undefined) checkFunction('handler', handler);
    limit.signal?.throwIfAborted();
    // From here on nothing may throw: the index and the peers are told, or none is.
    ensureStack();
    const subscription = new BusSubscription(this.#home, subject, bytes, limit, handler);
    this.#index.add(subscription);
    this.#peers?.add(subscription);
    this.#subscriptions.add(subscription);
    if (subscription.waiting !== undefined) this.#delivery.queueCount++;
    const { signal } = limit;
    if (signal !== undefined) {
      const close = (): void => subscription.close();
      void subscription.closed.then(() => offAbort(signal, close));
      try {
        onAbort(signal, close);
      } catch (error) {
        close();
        throw error;
      }
    }
    return subscription;
  }

  /**
   * Publishes. False: not now, and nothing was sent; a subscriber with the policy 'stop' has no
   * room, no buffer is free, or `backlogMax` messages wait.
   *
   * **Ownership** bytes and strings are copied; a packet is the bus's on success, the caller's
   * after false or an error.
   * **Throws** TypeError, ERR_BUSBAR_BAD_SUBJECT, ERR_BUSBAR_MESSAGE_TOO_LARGE,
   * ERR_BUSBAR_BUS_CLOSED.
   */
  tryPublish(subject: string, payload: BusPayload, options?: PublishOptions): boolean {
    const own = options === undefined ? NO_ENVELOPE : this.#envelope(options);
    if (this.#publishers.count > 0 && this.#publishers.isAhead(subject)) {
      bytesOf(payload, this.pool);
      return false;
    }
    return this.#attempt(subject, payload, own) !== NOT_NOW;
  }

  /**
   * Publishes once there is room, after earlier calls for the same subject. Do not change the bytes
   * before it resolves.
   *
   * **Ownership** as for {@link tryPublish}. **Throws** (rejects) what that throws,
   * ERR_BUSBAR_TIMEOUT, `signal.reason`.
   */
  async publish(
    subject: string,
    payload: BusPayload,
    options: PublishOptions & WaitOptions = {},
  ): Promise<void> {
    const { signal, timeoutMs, ...rest } = checkOptions('options', options, PUBLISH_KEYS);
    const own = this.#envelope(rest);
    checkText('subject', subject);
    const run = (): boolean => this.#attempt(subject, payload, own) !== NOT_NOW;
    await this.#publishers.until(subject, { signal, timeoutMs }, run);
  }

  /**
   * Publishes, and resolves with the first reply.
   *
   * **Ownership** the caller releases the reply (`using`). **Throws** (rejects) what
   * {@link publish} throws; ERR_BUSBAR_NO_RESPONDERS at once if nothing subscribes to the subject.
   */
  async request(
    subject: string,
    payload: BusPayload,
    options?: RequestOptions,
  ): Promise<BusMessage> {
    const own = options === undefined ? NO_LIMITS : resolveRequest(options, false);
    own.signal?.throwIfAborted();
    checkText('subject', subject);
    const home = {
      inbox: this.#peers?.inbox ?? INBOX,
      send: (each: PendingRequest) => this.#attempt(subject, payload, each.envelope),
      forget: this.#forget,
    };
    const request = new PendingRequest(home, subject, this.#requests.nextNumber(), own.headers);
    const answer = request.wait(own);
    this.#requests.add(request);
    this.#publishers.start(request);
    return answer;
  }

  /**
   * Publishes, and returns a loop over the replies: until `max` of them, the timeout, or the abort.
   *
   * **Ownership** the loop borrows each reply. **Throws** as {@link request}, from the loop; the
   * timeout ends the loop without an error.
   */
  replies(
    subject: string,
    payload: BusPayload,
    options: RepliesOptions = {},
  ): AsyncGenerator<BusMessage, void, undefined> {
    const own = resolveRequest(options, true);
    this.#checkOpen('replies');
    this.#subjects.get(subject);
    bytesOf(payload, this.pool);
    own.signal?.throwIfAborted();
    return this.#replies(subject, payload, own);
  }

  async *#replies(
    subject: string,
    payload: BusPayload,
    { headers, signal, timeoutMs = Infinity, max }: RepliesOptions,
  ): AsyncGenerator<BusMessage, void, undefined> {
    const reply = `${this.#peers?.inbox ?? INBOX}${this.#requests.nextNumber()}`;
    const answers = this.subscribe(reply, max === undefined ? {} : { max });
    const guard = new WaitGuard({ signal, timeoutMs }, 'replies', (reason) => {
      if (signal?.aborted === true) answers.fail(reason);
      else void answers.drain();
    });
    try {
      let count = 0;
      await this.#publishers.until(subject, { signal, timeoutMs }, () => {
        count = this.#attempt(subject, payload, { reply, headers });
        return count !== NOT_NOW;
      });
      if (count === 0) throw new BusbarError('ERR_BUSBAR_NO_RESPONDERS', subject);
      yield* answers;
    } catch (error) {
      if (signal?.aborted || !isBusbarError(error, 'ERR_BUSBAR_TIMEOUT')) throw error;
    } finally {
      guard.end();
      answers.close();
    }
  }

  /**
   * Resolves when all calls of `publish` and `request` so far have published, or failed; and, of a
   * bus that has joined others, when these know of all subscriptions, and all messages are in the
   * hands of their subscribers.
   */
  async flush(): Promise<void> {
    await this.#publishers.idle();
    await this.#peers?.fence();
  }

  /**
   * Ends in good order: accepts no new subscription, lets subscribers finish what waits for them
   * and publish meanwhile, then closes.
   */
  drain(): Promise<void> {
    if (this.#state !== 'open') return this.#drained;
    this.#state = 'draining';
    this.#drained = this.#drain();
    return this.#drained;
  }

  async #drain(): Promise<void> {
    await this.flush();
    await Promise.all([...this.#subscriptions].map((each) => each.drain()));
    await this.flush();
    this.close();
  }

  /**
   * Ends at once: drops what waits; waiting calls reject with ERR_BUSBAR_BUS_CLOSED. No
   * effect the second time.
   */
  close(): void {
    if (this.#state === 'closed') return;
    ensureStack();
    this.#state = 'closed';
    this.#peers?.close();
    for (const subscription of [...this.#subscriptions]) subscription.end();
    const error = new BusbarError('ERR_BUSBAR_BUS_CLOSED', this.name);
    this.#publishers.close(error);
    this.#requests.failAll(error);
    this.#delivery.close();
    this.#payloads.close();
    this.#subjects.clear();
  }

  [Symbol.dispose](): void {
    this.close();
  }

  /** **Cost** a few loads. */
  stats(): BusStats {
    return {
      name: this.name,
      subscriptions: this.#index.count,
      published: this.#published,
      unmatched: this.#unmatched,
      waiting: this.#publishers.count,
      backlog: this.#delivery.backlogCount,
      requests: this.#requests.count,
      peers: this.#peers?.peers.count ?? 0,
      regionsOut: this.#peers?.peers.regionsOut ?? 0,
      lost: this.#delivery.lost + (this.#peers?.lost ?? 0),
      strays: this.#peers?.peers.strays ?? 0,
    };
  }

  /** Returns the number of subscribers that it goes to, or NOT_NOW. */
  #attempt(subject: string, payload: BusPayload, envelope: Envelope): number {
    if (this.#state === 'closed') throw new BusbarError('ERR_BUSBAR_BUS_CLOSED', this.name);
    // From the reference on the bytes to the last subscriber, nothing but handlers may throw.
    ensureStack(this.#published > 0);
    // What may be sent does not depend on who has subscribed.
    if (envelope.headers !== undefined)
      this.#head.check(this.#subjects.get(subject), envelope, this.pool);
    const request = this.#requests.count === 0 ? undefined : this.#requests.find(subject);
    if (request !== undefined) return this.#answer(request, payload, envelope);
    const peers = this.#peers;
    const prepared = this.#subjects.get(subject);
    const found = prepared.matches();
    if (peers?.peers.isSettled === false && !peers.hasAsked(subject, found)) {
      return notNow(payload, this.pool);
    }
    if (peers !== undefined && found.beyond !== undefined) {
      return peers.publish(prepared, found, payload, envelope, this.#published + 1);
    }
    const count = found.plainCount + found.groupCount;
    const message = this.#delivery.isDispatching ? new BusMessage(this) : this.#borrowed;
    if (count === 0) {
      bytesOf(payload, this.pool);
      this.#unmatched++;
    } else if (!this.#delivery.hasRoom(found) || !this.#fill(message, payload)) {
      return notNow(payload, this.pool);
    }
    this.#published++;
    if (payload instanceof Packet) payload.release();
    if (count === 0) return 0;
    this.#address(message, subject, envelope);
    const isDone = this.#delivery.deliver(message, found);
    if (isDone && this.#publishers.count > 0) this.#publishers.retry();
    return count;
  }

  /** A reply goes to its request, and to no subscriber. */
  #answer(request: PendingRequest, payload: BusPayload, envelope: Envelope): number {
    const message = new BusMessage(this);
    if (!this.#fill(message, payload)) return NOT_NOW;
    this.#published++;
    if (payload instanceof Packet) payload.release();
    this.#address(message, request.reply, envelope);
    request.answer(message);
    return 1;
  }

  #address(message: BusMessage, subject: string, { reply, headers }: Envelope): void {
    message.subject = subject;
    message.reply = reply;
    message.headers = headers;
    message.source = this.name;
    message.sequence = this.#published;
  }

  #envelope(options: PublishOptions): Envelope {
    const envelope = resolvePublish(options);
    if (envelope.reply !== undefined) subjectBytes(envelope.reply, this.#options, false);
    return envelope;
  }

  /** Gives the message its bytes, with a reference. False: no buffer is free now. */
  #fill(message: BusMessage, payload: BusPayload): boolean {
    if (payload instanceof Packet) {
      message.length = bytesOf(payload, this.pool);
      message.offset = payload.offset;
      message.hold(payload.bufferId);
    } else {
      const length = sizeOf(payload, this.pool);
      const offset = this.#payloads.store(payload, length);
      if (offset < 0) {
        this.#publishers.noteLack();
        return false;
      }
      message.offset = offset;
      message.length = length;
      message.hold(this.#payloads.bufferId);
    }
    return true;
  }

  #join(group: PeerGroup): void {
    this.#peers = new BusPeers(
      {
        pool: this.pool,
        name: this.name,
        index: this.#index,
        delivery: this.#delivery,
        publishers: this.#publishers,
        arriving: (text) => this.#subjects.ofPeer(text),
        message: () => (this.#delivery.isDispatching ? new BusMessage(this) : this.#borrowed),
        answer: (message) => this.#passToRequest(message),
        notePublished: () => {
          this.#published++;
        },
        noteUnmatched: () => {
          this.#unmatched++;
        },
      },
      group,
    );
  }

  #passToRequest(message: BusMessage): boolean {
    const request = this.#requests.find(message.subject);
    if (request === undefined) return false;
    request.answer(message.handOver());
    return true;
  }

  #remove(subscription: BusSubscription): void {
    this.#index.remove(subscription);
    this.#peers?.remove(subscription);
    if (subscription.waiting !== undefined) this.#delivery.queueCount--;
    void subscription.closed.then(() => this.#subscriptions.delete(subscription));
  }

  #checkOpen(name: string): void {
    if (this.#state !== 'open') throw new BusbarError('ERR_BUSBAR_BUS_CLOSED', name);
  }
}

describeAs(Bus, 'Bus', (bus) => bus.stats());
