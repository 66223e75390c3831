// SPDX-License-Identifier: MIT
/** Example broker: the subscriptions of one connection. */

import { ClientSubscriptions, classifySubject, SUBJECT_INVALID } from 'busbar/bus';
import type { Broker } from './broker.ts';
import type { Connection } from './connection.ts';
import type { ProtocolCodec } from './protocol.ts';
import { Subscription } from './subscription.ts';

/** Carries out SUB and UNSUB. */
export class Subscribing {
  readonly #broker: Broker;
  readonly #connection: Connection;
  readonly #codec: ProtocolCodec;
  readonly #subscriptions: ClientSubscriptions<Subscription<Connection>>;
  /** True if the subscription of the current frame is made but not confirmed. */
  #isToConfirm: boolean = false;

  constructor(broker: Broker, connection: Connection) {
    this.#broker = broker;
    this.#connection = connection;
    this.#codec = connection.link.framer.codec as ProtocolCodec;
    this.#subscriptions = new ClientSubscriptions(broker.router.index, broker.options);
  }

  /** Carries out SUB, or continues to. Returns false if there is no room now. */
  subscribe(): boolean {
    if (!this.#isToConfirm) {
      const error = this.#trySubscribe();
      if (error !== undefined) return this.#connection.sayError(error);
    }
    // A repeated call would count its own subscription as an earlier one.
    this.#isToConfirm = !this.#connection.confirm();
    return !this.#isToConfirm;
  }

  /** Carries out UNSUB, or continues to. Returns false if there is no room now. */
  unsubscribe(): boolean {
    const { sidBegin, sidEnd, countMax } = this.#codec;
    const subscription = this.#subscriptions.get(this.#connection.cutText(sidBegin, sidEnd));
    if (subscription !== undefined) {
      if (countMax > subscription.deliveredCount) subscription.deliveredCountMax = countMax;
      else this.end(subscription);
    }
    return this.#connection.confirm();
  }

  /** Ends a subscription. */
  end(subscription: Subscription<Connection>): void {
    this.#subscriptions.delete(subscription.sid);
    this.#broker.mesh.remove(subscription);
    this.#connection.noteCaused();
  }

  /** Ends all subscriptions, some in each turn. */
  endAll(): void {
    this.#broker.mesh.removeAll(this.#subscriptions.values());
  }

  /** Carries out the SUB of the current frame, or returns the reason why not. */
  #trySubscribe(): string | undefined {
    const { sidBegin, sidEnd, subjectBegin, subjectEnd, argumentBegin, argumentEnd } = this.#codec;
    const connection = this.#connection;
    const sid = connection.cutText(sidBegin, sidEnd);
    const subscriptions = this.#subscriptions;
    if (subscriptions.isFull) return 'maximum subscriptions exceeded';
    // The first one with an id stays; another with the same is confirmed and ignored.
    if (subscriptions.get(sid) !== undefined) return undefined;
    // Bytes of its own: the subscription lives longer than the frame.
    const subject = connection.cut(subjectBegin, subjectEnd);
    if (classifySubject(subject, 0, subject.length) === SUBJECT_INVALID) return 'Invalid Subject';
    const limit = subscriptions.refusal(subject, 0, subject.length);
    if (limit === 'memory') return 'maximum subscriptions exceeded, no memory for more';
    if (limit === 'tokens') {
      const text = connection.cutText(subjectBegin, subjectEnd);
      return `Permissions Violation for Subscription to "${text}", too many tokens`;
    }
    const queue = connection.cutText(argumentBegin, argumentEnd);
    const subscription = new Subscription(connection, subject, queue, sid);
    subscriptions.set(sid, subscription);
    this.#broker.mesh.add(subscription);
    connection.noteCaused();
    return undefined;
  }
}
