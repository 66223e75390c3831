// SPDX-License-Identifier: MIT
/** The subscriptions of one client of a server by id, with their limits. */

import { show } from '../../base/check.ts';
import { KeyedMap } from '../keyed-map.ts';
import { type Bytes, countTokens } from '../subject.ts';
import {
  costOf,
  SUBSCRIPTION_BYTES,
  SubscriptionIndex,
  type SubscriptionSet,
} from '../subscription-index.ts';
import type { Indexed } from '../token-tree.ts';

/** Limits of the subscriptions of a server's clients. */
export interface ClientSubscriptionLimits {
  /** Of one client. */
  readonly maxSubscriptions: number;
  /** Tokens of one subject. */
  readonly maxSubscriptionTokens: number;
  /** Memory of all subscriptions in the index: each 1280 bytes, and three times its `textBytes`. */
  readonly maxSubscriptionBytes: number;
}

/** Which limit a subscription would exceed; '' none. */
export type SubscriptionRefusal = '' | 'count' | 'tokens' | 'memory';

/**
 * The subscriptions of one client of a server, by the ids that it has chosen. A client cannot slow
 * down the others by its ids, nor take the memory for their subscriptions.
 *
 * **Threads** the index's.
 */
export class ClientSubscriptions<S extends Indexed> {
  readonly #index: { readonly bytes: number };
  readonly #limits: ClientSubscriptionLimits;
  readonly #byId: KeyedMap<S> = new KeyedMap();
  /** See {@link costOf}. */
  #bytes: number = 0;

  /** `index`: that of the `FanOut`, with the subscriptions of all clients. */
  constructor(index: SubscriptionSet<S>, limits: ClientSubscriptionLimits) {
    if (!(index instanceof SubscriptionIndex)) {
      throw new TypeError(`index must be a SubscriptionIndex, got ${show(index)}`);
    }
    this.#index = index;
    this.#limits = limits;
  }

  get(id: string): S | undefined {
    return this.#byId.get(id);
  }

  set(id: string, subscription: S): void {
    this.#byId.set(id, subscription);
    this.#bytes += costOf(subscription);
  }

  delete(id: string): void {
    const subscription = this.#byId.get(id);
    if (subscription === undefined) return;
    this.#byId.delete(id);
    this.#bytes -= costOf(subscription);
  }

  values(): IterableIterator<S> {
    return this.#byId.values();
  }

  /** Whether the client has as many as it may. */
  get isFull(): boolean {
    return this.#byId.size >= this.#limits.maxSubscriptions;
  }

  /**
   * Which limit a subscription to `bytes[begin, end)` would exceed.
   *
   * A client may use as much of the memory for subscriptions as is left for all others. So one
   * client alone gets half of it, and a hundred greedy ones leave a hundredth.
   */
  refusal(bytes: Bytes, begin: number, end: number): SubscriptionRefusal {
    const { maxSubscriptionTokens, maxSubscriptionBytes } = this.#limits;
    if (this.isFull) return 'count';
    if (countTokens(bytes, begin, end) > maxSubscriptionTokens) return 'tokens';
    const needed = SUBSCRIPTION_BYTES + 3 * (end - begin);
    return this.#bytes + needed > maxSubscriptionBytes - this.#index.bytes ? 'memory' : '';
  }
}
