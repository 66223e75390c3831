// SPDX-License-Identifier: MIT
/** Example broker: a client that has left takes its subscriptions along, some in each turn. */

import type { Waiter } from './backpressure.ts';
import type { FairShare } from './fair-share.ts';
import type { Subscription } from './subscription.ts';

/** What has to be told of each subscription that ends. */
export interface Departed<Owner> {
  remove(subscription: Subscription<Owner>): void;
  flush(): void;
}

export class Departure<Owner> implements Waiter {
  readonly #left: Iterator<Subscription<Owner>>;
  readonly #from: Departed<Owner>;
  readonly #share: FairShare;

  constructor(left: Iterator<Subscription<Owner>>, from: Departed<Owner>, share: FairShare) {
    this.#left = left;
    this.#from = from;
    this.#share = share;
  }

  /** Removes as many as the share of work allows, and queues up for the rest. */
  proceed(): void {
    while (!this.#share.isSpent) {
      const next = this.#left.next();
      if (next.done === true) {
        this.#from.flush();
        return;
      }
      this.#from.remove(next.value);
      // Also if it had ended.
      this.#share.units--;
    }
    this.#from.flush();
    this.#share.queue(this);
  }
}
