// SPDX-License-Identifier: MIT
/** What the subscriptions of this bus want, to be announced to its peers. */

import { KeyedMap } from '../keyed-map.ts';
import type { Bytes } from '../subject.ts';

/** What is needed of a subscription. */
export interface Wanting {
  readonly subject: Bytes;
  readonly queue: string;
  /** It has no room, and its peers were told. */
  isStalled: boolean;
}

/** All subscriptions with the same subject and the same queue group, or none. */
export interface Interest {
  readonly subject: Bytes;
  readonly queue: string;
  count: number;
  stalledCount: number;
  /** Its weight before the last change. */
  before: number;
  /** Peers that wait to hear of a change. */
  behind: number;
}

/** What is announced: see peer-layout.ts. */
export function weightOf({ queue, count, stalledCount }: Interest): number {
  if (queue === '') return stalledCount > 0 ? -1 : Math.min(count, 1);
  return count > 0 && stalledCount === count ? -count : count;
}

/** A key of subject and queue group: subjects have no space. One character per byte. */
export function interestKey(subject: Bytes, queue: string): string {
  return `${Buffer.from(subject).toString('latin1')} ${queue}`;
}

/** What is wanted here, and what of it peers are told. */
export class OwnInterest {
  readonly #interests: KeyedMap<Interest> = new KeyedMap();

  /** Returns the interest if its weight has changed. */
  add({ subject, queue }: Pick<Wanting, 'subject' | 'queue'>): Interest | undefined {
    const key = interestKey(subject, queue);
    let interest = this.#interests.get(key);
    if (interest === undefined) {
      interest = { subject, queue, count: 0, stalledCount: 0, before: 0, behind: 0 };
      this.#interests.set(key, interest);
    }
    return change(interest, 1, 0);
  }

  /** Returns the interest if its weight has changed; {@link dropVoid} follows. */
  remove(wanting: Wanting): Interest | undefined {
    const interest = this.#find(wanting);
    if (interest === undefined) return undefined;
    const stalled = wanting.isStalled ? -1 : 0;
    wanting.isStalled = false;
    return change(interest, -1, stalled);
  }

  /** Returns the interest if its weight has changed. */
  setStalled(wanting: Wanting, isStalled: boolean): Interest | undefined {
    if (wanting.isStalled === isStalled) return undefined;
    const interest = this.#find(wanting);
    if (interest === undefined) return undefined;
    wanting.isStalled = isStalled;
    return change(interest, 0, isStalled ? 1 : -1);
  }

  /** A peer has heard of it, or need not. */
  caughtUp(interest: Interest): void {
    interest.behind--;
    this.dropVoid(interest);
  }

  /** Forgets what nothing wants any more, once no peer waits to hear of that. */
  dropVoid({ subject, queue, count, behind }: Interest): void {
    if (count === 0 && behind === 0) this.#interests.delete(interestKey(subject, queue));
  }

  /** All that is wanted. */
  *all(): Iterable<Interest> {
    for (const interest of this.#interests.values()) if (interest.count > 0) yield interest;
  }

  #find({ subject, queue }: Wanting): Interest | undefined {
    const interest = this.#interests.get(interestKey(subject, queue));
    return interest?.count === 0 ? undefined : interest;
  }
}

function change(interest: Interest, count: number, stalledCount: number): Interest | undefined {
  const before = weightOf(interest);
  interest.count += count;
  interest.stalledCount += stalledCount;
  if (weightOf(interest) === before) return undefined;
  interest.before = before;
  return interest;
}
