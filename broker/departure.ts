// SPDX-License-Identifier: MIT
/** Example broker: removes the subscriptions of a client that has left, some in each turn. */

import type { Backpressure, Waiter } from './backpressure.ts';
import type { FairShare } from './fair-share.ts';
import type { Subscription } from './subscription.ts';

/** Receives each subscription that ends. */
export interface Departed<Owner> {
  remove(subscription: Subscription<Owner>): void;
  flush(): void;
  /** Whether another subscription may end now. If not, waiters continue once it may. */
  readonly mayChange: boolean;
}

export class Departure<Owner> implements Waiter {
  readonly #left: Iterator<Subscription<Owner>>;
  readonly #from: Departed<Owner>;
  readonly #share: FairShare;
  readonly #backpressure: Pick<Backpressure, 'block'>;

  constructor(
    left: Iterator<Subscription<Owner>>,
    from: Departed<Owner>,
    share: FairShare,
    backpressure: Pick<Backpressure, 'block'>,
  ) {
    this.#left = left;
    this.#from = from;
    this.#share = share;
    this.#backpressure = backpressure;
  }

  /** Removes as many as the share of work and the other executors allow; the rest waits. */
  proceed(): void {
    while (!this.#share.isSpent && this.#from.mayChange) {
      const next = this.#left.next();
      if (next.done === true) {
        this.#from.flush();
        return;
      }
      this.#from.remove(next.value);
      // Even if it had ended already.
      this.#share.units--;
    }
    this.#from.flush();
    this.#backpressure.block(this);
  }
}
