// SPDX-License-Identifier: MIT
/** Example broker: what the clients of this executor have subscribed to, for the others to know. */

import { KeyedMap } from './keyed-map.ts';
import { interestKey } from './remote-interest.ts';
import type { Bytes } from './subject.ts';
import type { Subscription } from './subscription.ts';

/** All subscriptions with the same subject and the same queue group, or none. */
export interface Interest {
  readonly subject: Bytes;
  readonly queue: string;
  /** How many there are. */
  count: number;
}

/** What others are told of an interest: members of groups count, other subscribers do not. */
export function weightOf(interest: Interest): number {
  return interest.queue === '' ? Math.min(interest.count, 1) : interest.count;
}

export class OwnInterest {
  readonly #interests: KeyedMap<Interest> = new KeyedMap();

  /** One more. Returns the interest if its weight has changed. */
  add(subscription: Subscription<unknown>): Interest | undefined {
    const { subject, queue } = subscription;
    const key = interestKey(subject, queue);
    let interest = this.#interests.get(key);
    if (interest === undefined) {
      interest = { subject, queue, count: 0 };
      this.#interests.set(key, interest);
    }
    interest.count++;
    return queue !== '' || interest.count === 1 ? interest : undefined;
  }

  /** One less. Returns the interest if its weight has changed. */
  remove(subscription: Subscription<unknown>): Interest | undefined {
    const { subject, queue } = subscription;
    const key = interestKey(subject, queue);
    const interest = this.#interests.get(key);
    if (interest === undefined) return undefined;
    interest.count--;
    if (interest.count === 0) this.#interests.delete(key);
    return queue !== '' || interest.count === 0 ? interest : undefined;
  }

  all(): Iterable<Interest> {
    return this.#interests.values();
  }
}
