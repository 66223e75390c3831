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
  /** How many of them have no room. */
  stalledCount: number;
}

/**
 * What others are told of an interest: members of groups count, other subscribers do not. Less than
 * 0: it is stalled, that is, one of these subscribers has no room, or all members have none.
 */
export function weightOf(interest: Interest): number {
  const { queue, count, stalledCount } = interest;
  if (queue === '') return stalledCount > 0 ? -1 : Math.min(count, 1);
  return count > 0 && stalledCount === count ? -count : count;
}

export class OwnInterest {
  readonly #interests: KeyedMap<Interest> = new KeyedMap();

  /** One more. Returns the interest if its weight has changed. */
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

  /** One less. Returns the interest if its weight has changed. */
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

  /** One of them has no room, or has room again. Returns the interest if its weight has changed. */
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
