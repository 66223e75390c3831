// SPDX-License-Identifier: MIT
/** Example broker: the subscriptions of one connection. */

import { type Bytes, ClientSubscriptions, classifySubject, SUBJECT_INVALID } from 'busbar/bus';
import type { FrameReader } from 'busbar/framer';
import type { BrokerCore } from './broker-core.ts';
import type { Connection } from './connection.ts';
import type { ProtocolCodec } from './protocol.ts';
import { Subscription } from './subscription.ts';

/** Carries out SUB and UNSUB. */
export class Subscribing {
  readonly #core: BrokerCore;
  readonly #connection: Connection;
  readonly #framer: FrameReader;
  readonly #codec: ProtocolCodec;
  readonly #bytes: Bytes;
  readonly #subscriptions: ClientSubscriptions<Subscription<Connection>>;
  /** True if the subscription of the current frame is made but not confirmed. */
  #isToConfirm: boolean = false;

  constructor(core: BrokerCore, connection: Connection) {
    const { framer } = connection.link;
    this.#core = core;
    this.#connection = connection;
    this.#framer = framer;
    this.#codec = framer.codec as ProtocolCodec;
    this.#bytes = core.pool.bytes;
    this.#subscriptions = new ClientSubscriptions(core.router.index, core.options);
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
    const subscription = this.#subscriptions.get(this.#text(sidBegin, sidEnd));
    if (subscription !== undefined) {
      if (countMax > subscription.deliveredCount) subscription.deliveredCountMax = countMax;
      else this.end(subscription);
    }
    return this.#connection.confirm();
  }

  /** Ends a subscription. */
  end(subscription: Subscription<Connection>): void {
    const sid = subscription.sidAndSpace.subarray(0, -1);
    this.#subscriptions.delete(Buffer.from(sid).toString('latin1'));
    this.#core.mesh.remove(subscription);
    this.#connection.noteCaused();
  }

  /** Ends all subscriptions, some in each turn. */
  endAll(): void {
    this.#core.mesh.removeAll(this.#subscriptions.values());
  }

  /** Carries out the SUB of the current frame, or returns the reason why not. */
  #trySubscribe(): string | undefined {
    const codec = this.#codec;
    const begin = this.#framer.frameOffset;
    const { subjectBegin, subjectEnd } = codec;
    const sid = this.#text(codec.sidBegin, codec.sidEnd);
    const subscriptions = this.#subscriptions;
    if (subscriptions.isFull) return 'maximum subscriptions exceeded';
    // The first one with an id stays; another with the same is confirmed and ignored.
    if (subscriptions.get(sid) !== undefined) return undefined;
    const kind = classifySubject(this.#bytes, begin + subjectBegin, begin + subjectEnd);
    if (kind === SUBJECT_INVALID) return 'Invalid Subject';
    const limit = subscriptions.refusal(this.#bytes, begin + subjectBegin, begin + subjectEnd);
    if (limit === 'memory') return 'maximum subscriptions exceeded, no memory for more';
    if (limit === 'tokens') {
      const subject = this.#text(subjectBegin, subjectEnd);
      return `Permissions Violation for Subscription to "${subject}", too many tokens`;
    }
    const subscription = new Subscription<Connection>(
      this.#connection,
      this.#cut(subjectBegin, subjectEnd),
      this.#text(codec.argumentBegin, codec.argumentEnd),
      this.#cut(codec.sidBegin, codec.sidEnd),
    );
    subscriptions.set(sid, subscription);
    this.#core.mesh.add(subscription);
    this.#connection.noteCaused();
    return undefined;
  }

  /** A copy of a part of the current frame. */
  #cut(begin: number, end: number): Bytes {
    const frame = this.#framer.frameOffset;
    return this.#bytes.slice(frame + begin, frame + end);
  }

  /** The same as a string with one character per byte. */
  #text(begin: number, end: number): string {
    return Buffer.from(this.#cut(begin, end)).toString('latin1');
  }
}
