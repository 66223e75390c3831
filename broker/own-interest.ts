// SPDX-License-Identifier: MIT
/** Example broker: interests of this executor's clients, to announce to the other executors. */

import { type Bytes, KeyedMap } from 'busbar/bus';
import { interestKey } from './remote-interest.ts';
import type { Subscription } from './subscription.ts';

/** All subscriptions with the same subject and the same queue group, or no group. */
export interface Interest {
  readonly subject: Bytes;
  readonly queue: string;
  /** Number of subscriptions. */
  count: number;
  /** Those of them without room. */
  stalledCount: number;
}

/**
 * The announced weight of an interest: the number of members for a group, otherwise 1 or 0. Less
 * than 0: it is stalled, that is, a subscriber without group has no room, or all members have none.
 */
export function weightOf(interest: Interest): number {
  const { queue, count, stalledCount } = interest;
  if (queue === '') return stalledCount > 0 ? -1 : Math.min(count, 1);
  return count > 0 && stalledCount === count ? -count : count;
}

export class OwnInterest {
  readonly #interests: KeyedMap<Interest> = new KeyedMap();

  /** Adds a subscription. Returns the interest if its weight has changed. */
  add(subscription: Subscription<unknown>): Interest | undefined {
    const { subject, queue } = subscription;
    const key = interestKey(subject, queue);
    let interest = this.#interests.get(key);
    if (interest === undefined) {
      interest = { subject, queue, count: 0, stalledCount: 0 };
      this.#interests.set(key, interest);
    }
    return change(interest, 1, 0);
  }

  /** Removes a subscription. Returns the interest if its weight has changed. */
  remove(subscription: Subscription<unknown>): Interest | undefined {
    const { subject, queue } = subscription;
    const key = interestKey(subject, queue);
    const interest = this.#interests.get(key);
    if (interest === undefined) return undefined;
    if (interest.count === 1) this.#interests.delete(key);
    const stalled = subscription.isStalled ? -1 : 0;
    subscription.isStalled = false;
    return change(interest, -1, stalled);
  }

  /** Sets whether a subscription has no room. Returns the interest if its weight has changed. */
  setStalled(subscription: Subscription<unknown>, isStalled: boolean): Interest | undefined {
    if (subscription.isStalled === isStalled) return undefined;
    const interest = this.#interests.get(interestKey(subscription.subject, subscription.queue));
    if (interest === undefined) return undefined;
    subscription.isStalled = isStalled;
    return change(interest, 0, isStalled ? 1 : -1);
  }

  all(): Iterable<Interest> {
    return this.#interests.values();
  }
}

function change(interest: Interest, count: number, stalledCount: number): Interest | undefined {
  const before = weightOf(interest);
  interest.count += count;
  interest.stalledCount += stalledCount;
  return weightOf(interest) === before ? undefined : interest;
}
