// SPDX-License-Identifier: MIT
/** Removes the subscriptions of a client that has left, some in each turn. */

import type { Backpressure } from './backpressure.ts';
import type { FairShare, Waiter } from './fair-share.ts';

/** Receives each subscription that ends. */
export interface Departed<S> {
  remove(subscription: S): void;
  flush(): void;
  /** Whether another subscription may end now. If not, waiters continue once it may. */
  readonly mayChange: boolean;
}

export class Departure<S> implements Waiter {
  readonly #left: Iterator<S>;
  readonly #from: Departed<S>;
  readonly #share: FairShare;
  readonly #backpressure: Pick<Backpressure, 'block'>;

  constructor(
    left: Iterator<S>,
    from: Departed<S>,
    share: FairShare,
    backpressure: Pick<Backpressure, 'block'>,
  ) {
    this.#left = left;
    this.#from = from;
    this.#share = share;
    this.#backpressure = backpressure;
  }

  /** Removes as many as the share of work and the peers allow; the rest waits. */
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
