// SPDX-License-Identifier: MIT
/** Example broker: the subscriptions of one client by id, with their limits. */

import { type Bytes, costOf, countTokens, KeyedMap, SUBSCRIPTION_BYTES } from 'busbar/bus';
import type { LocalIndex } from './matches.ts';
import type { Subscription } from './subscription.ts';

/** Limits of subscriptions. */
export interface SubscriptionLimits {
  /** Per client. */
  readonly maxSubscriptions: number;
  readonly maxSubscriptionTokens: number;
  /** For all clients of one executor together. */
  readonly maxSubscriptionBytes: number;
}

export class ClientSubscriptions<Owner> {
  readonly #index: LocalIndex<Owner>;
  readonly #limits: SubscriptionLimits;
  readonly #bySid: KeyedMap<Subscription<Owner>> = new KeyedMap();
  /** See {@link costOf}. */
  #bytes: number = 0;

  constructor(index: LocalIndex<Owner>, limits: SubscriptionLimits) {
    this.#index = index;
    this.#limits = limits;
  }

  get(sid: string): Subscription<Owner> | undefined {
    return this.#bySid.get(sid);
  }

  has(sid: string): boolean {
    return this.#bySid.has(sid);
  }

  set(sid: string, subscription: Subscription<Owner>): void {
    this.#bySid.set(sid, subscription);
    this.#bytes += costOf(subscription);
  }

  delete(sid: string): void {
    const subscription = this.#bySid.get(sid);
    if (subscription === undefined) return;
    this.#bySid.delete(sid);
    this.#bytes -= costOf(subscription);
  }

  values(): IterableIterator<Subscription<Owner>> {
    return this.#bySid.values();
  }

  /** True if another subscription is refused, even with a known id, as in nats-server. */
  get isFull(): boolean {
    return this.#bySid.size >= this.#limits.maxSubscriptions;
  }

  /**
   * The reason why the client may not subscribe to `bytes[begin, end)`; undefined: it may.
   *
   * A client may use as much of the memory for subscriptions as is left for all others. So one
   * client alone gets half of it, and a hundred greedy ones leave a hundredth.
   */
  refusal(bytes: Bytes, begin: number, end: number): string | undefined {
    const { maxSubscriptionTokens, maxSubscriptionBytes } = this.#limits;
    if (countTokens(bytes, begin, end) > maxSubscriptionTokens) {
      const subject = Buffer.from(bytes.slice(begin, end)).toString('latin1');
      return `Permissions Violation for Subscription to "${subject}", too many tokens`;
    }
    const needed = SUBSCRIPTION_BYTES + 3 * (end - begin);
    if (this.#bytes + needed > maxSubscriptionBytes - this.#index.bytes) {
      return 'maximum subscriptions exceeded, no memory for more';
    }
    return undefined;
  }
}
