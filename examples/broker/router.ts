// SPDX-License-Identifier: MIT
/** Example broker: who gets a message, and the order of trying. */

import { MatchCache } from './match-cache.ts';
import type { Message } from './message.ts';
import type { Bytes } from './subject.ts';
import type { Subscription } from './subscription.ts';
import { MatchSet, SubscriptionIndex } from './subscription-index.ts';

/** What a subscriber answers when it is offered a message. */
export const TAKEN = 1;
/** Not for it: its own message without echo, or it is leaving. */
export const DECLINED = 0;
/** It has no room now. Nothing was written; offer it again later. */
export const NOT_NOW = -1;

/** One who subscribes. */
export interface Subscriber {
  /** Takes the message into its output, declines it, or has no room. */
  offer(message: Message, subscription: Subscription<this>, from: unknown): number;
}

/**
 * What is left to do for a message for which some subscribers had no room: one entry per subscriber
 * or queue group.
 */
export interface Remainder<S> {
  readonly targets: (readonly Subscription<S>[])[];
  /** Deliveries made so far. */
  taken: number;
}

export class Router<S extends Subscriber> {
  readonly index: SubscriptionIndex<S> = new SubscriptionIndex();
  readonly cache: MatchCache<S>;
  readonly #bytes: Bytes;
  readonly #reply: MatchSet<S> = new MatchSet();
  #random: number;
  /** Of the last `route` that was not finished; taken over by its caller. */
  remainder: Remainder<S> | undefined = undefined;

  /** Subjects stand in `bytes`; `seed` decides which members of queue groups are chosen. */
  constructor(bytes: Bytes, view: DataView<ArrayBufferLike>, seed: number) {
    this.#bytes = bytes;
    this.#random = seed | 1;
    this.cache = new MatchCache(this.index, bytes, view);
  }

  /** Whom the subject `[begin, end)` with this hash reaches; see {@link MatchCache.lookup}. */
  find(begin: number, end: number, hash: number): MatchSet<S> {
    return this.cache.lookup(begin, end, hash);
  }

  /** Whether what was found, and had this stamp then, is still true. */
  isCurrent(found: MatchSet<S>, stamp: number): boolean {
    return found.stamp === stamp && found.generation === this.index.generation;
  }

  /**
   * Offers the message to everyone who was found, and to one member of each queue group.
   *
   * Returns how many took it, or -1 if somebody had no room: then `remainder` says who is left.
   */
  route(message: Message, from: S, found: MatchSet<S>): number {
    const plain = found.plain;
    const plainCount = found.plainCount;
    let taken = 0;
    for (let i = 0; i < plainCount; i++) {
      const subscription = plain[i];
      const answer = subscription.owner.offer(message, subscription, from);
      if (answer === NOT_NOW) return this.#postpone(found, i, 0, taken);
      taken += answer;
    }
    for (let i = 0; i < found.groupCount; i++) {
      const answer = this.#offerToGroup(message, found.groups[i], from);
      if (answer === NOT_NOW) return this.#postpone(found, plainCount, i, taken);
      taken += answer;
    }
    return taken;
  }

  /** Goes on where {@link route} or this had to stop; same answers. */
  resume(message: Message, from: S, remainder: Remainder<S>): number {
    const targets = remainder.targets;
    while (targets.length > 0) {
      const answer = this.#offerToGroup(message, targets[0], from);
      if (answer === NOT_NOW) return NOT_NOW;
      remainder.taken += answer;
      targets.shift();
    }
    return remainder.taken;
  }

  /** The subscription of `owner` that the subject reaches, if there is one. */
  subscriptionOf(owner: S, begin: number, end: number): Subscription<S> | undefined {
    const found = this.#reply;
    this.index.match(this.#bytes, begin, end, found);
    for (let i = 0; i < found.plainCount; i++) {
      if (found.plain[i].owner === owner) return found.plain[i];
    }
    for (let i = 0; i < found.groupCount; i++) {
      const own = found.groups[i].find((member) => member.owner === owner);
      if (own !== undefined) return own;
    }
    return undefined;
  }

  /** Starts at a random member and takes the first who has room. */
  #offerToGroup(message: Message, members: readonly Subscription<S>[], from: S): number {
    const count = members.length;
    let at = count > 1 ? this.#nextRandom() % count : 0;
    let answer = DECLINED;
    for (let tried = 0; tried < count; tried++) {
      const subscription = members[at];
      // Left over from before a pause, it may have ended meanwhile.
      const one =
        subscription.place < 0 ? DECLINED : subscription.owner.offer(message, subscription, from);
      if (one === TAKEN) return TAKEN;
      if (one === NOT_NOW) answer = NOT_NOW;
      at = at + 1 === count ? 0 : at + 1;
    }
    return answer;
  }

  #postpone(found: MatchSet<S>, plainBegin: number, groupBegin: number, taken: number): number {
    const targets: (readonly Subscription<S>[])[] = [];
    for (let i = plainBegin; i < found.plainCount; i++) targets.push([found.plain[i]]);
    for (let i = groupBegin; i < found.groupCount; i++) targets.push([...found.groups[i]]);
    this.remainder = { targets, taken };
    return NOT_NOW;
  }

  /** Xorshift; not negative. */
  #nextRandom(): number {
    let x = this.#random;
    x ^= x << 13;
    x ^= x >>> 17;
    x ^= x << 5;
    this.#random = x;
    return x >>> 1;
  }
}
