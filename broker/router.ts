// SPDX-License-Identifier: MIT
/** Example broker: routes a message to its subscribers, and continues when some have no room. */

import { type Bytes, MatchCache, MatchSet, SubscriptionIndex } from 'busbar/bus';
import { deliveryUnits, FairShare } from './fair-share.ts';
import type { Beyond, Lanes, SpreadGroup } from './matches.ts';
import {
  type LocalCache,
  type LocalIndex,
  localMembers,
  type Matches,
  spreadGroup,
} from './matches.ts';
import type { Message } from './message.ts';
import { Remainder } from './remainder.ts';
import type { Subscription } from './subscription.ts';

/** Returned by a subscriber that has taken an offered message. */
export const TAKEN = 1;
/** The message is not for it: its own message without echo, or it is leaving. */
export const DECLINED = 0;
/** It has no room now. Nothing was written; offer the message again later. */
export const NOT_NOW = -1;

/** A client that subscribes. */
export interface Subscriber {
  /** True if too much output waits for it. */
  readonly isHeldBack: boolean;
  /**
   * Takes the message into its output, declines it, or has no room. `from` undefined: the message
   * is from another executor, and does not wait for a subscriber that is held back.
   */
  offer(message: Message, subscription: Subscription<this>, from: unknown): number;
  /** Called for a message of another executor to a group whose members are all held back. */
  stall(subscription: Subscription<this>): void;
}

const NO_GROUPS: readonly string[] = [];
/** References of unfinished messages, all together, beyond which no long message begins. */
const PINNED_COUNT_MAX = 1 << 22;
/** Weight of a list up to which a message never waits. */
const SMALL_WEIGHT = 256;

export class Router<S extends Subscriber> {
  readonly index: LocalIndex<S> = new SubscriptionIndex();
  readonly share: FairShare;
  /** To other executors; without any there is no match beyond this one. */
  lanes: Lanes = { offer: () => true, pass: () => {} };
  readonly cache: LocalCache<S>;
  readonly #bytes: Bytes;
  readonly #reply: Matches<S> = new MatchSet();
  #random: number;
  /** References held by unfinished remainders. */
  #pinnedCount: number = 0;
  /** The remainder of the last unfinished `route`; its caller takes it over. */
  remainder: Remainder<S> | undefined = undefined;

  /** Subjects lie in `bytes`; `seed` determines the choice of members of queue groups. */
  constructor(
    bytes: Bytes,
    view: DataView<ArrayBufferLike>,
    seed: number,
    share: FairShare = new FairShare(),
  ) {
    this.#bytes = bytes;
    this.share = share;
    this.#random = seed | 1;
    this.cache = new MatchCache(this.index, bytes, view);
  }

  /** Finds the matches of the subject `[begin, end)`; see {@link MatchCache.lookup}. */
  find(begin: number, end: number, hash: number): Matches<S> {
    const { index } = this;
    const before = index.steps;
    const found = this.cache.lookup(begin, end, hash);
    const steps = index.steps - before;
    // A new result was also copied.
    if (steps > 0) this.share.units -= steps + (found.weight >>> 3);
    return found;
  }

  /**
   * Each message that was delivered in part holds a list of its remaining recipients. If these are
   * long together, no other message with a long list begins until earlier ones are delivered, or
   * their slow subscribers are cut off.
   */
  get isCrowded(): boolean {
    return this.#pinnedCount > PINNED_COUNT_MAX;
  }

  /** Whether a message with these matches may begin nevertheless. */
  mayBegin(found: Matches<S>): boolean {
    return found.weight <= SMALL_WEIGHT;
  }

  /** Gives up a remainder. */
  drop(remainder: Remainder<S>): void {
    this.#pinnedCount -= remainder.weight;
    remainder.weight = 0;
  }

  /** Whether a result with this stamp is still valid. */
  isCurrent(found: Matches<S>, stamp: number): boolean {
    return found.stamp === stamp && found.generation === this.index.generation;
  }

  /**
   * Offers the message to every matching subscriber, to one member of each queue group, and to
   * other executors with matches.
   *
   * Returns the number of local subscribers that took it, or -1 if one had no room or the share of
   * work is spent: then `remainder` has the rest.
   */
  route(message: Message, from: S, found: Matches<S>): number {
    const { share } = this;
    const units = deliveryUnits(message.end - message.begin);
    const { plain, plainCount } = found;
    // As many as the quantum allows; computed once, not in each iteration.
    const plainEnd = share.units < plainCount * units ? share.countOf(units) : plainCount;
    let taken = 0;
    for (let i = 0; i < plainEnd; i++) {
      const subscription = plain[i];
      const answer = subscription.owner.offer(message, subscription, from);
      if (answer === NOT_NOW) return this.#postpone(found, i, 0, taken);
      taken += answer;
    }
    share.units -= plainEnd * units;
    if (plainEnd < plainCount) return this.#postpone(found, plainEnd, 0, taken);
    for (let i = 0; i < found.groupCount; i++) {
      if (share.units <= 0) return this.#postpone(found, plainCount, i, taken);
      const answer = this.#offerToGroup(message, found.groups[i], from);
      if (answer === NOT_NOW) return this.#postpone(found, plainCount, i, taken);
      share.units -= units;
      taken += answer;
    }
    if (found.beyond === undefined) return taken;
    return this.#routeBeyond(message, from, found.beyond, taken);
  }

  /**
   * Offers a message of another executor to subscribers of this one: to those without queue group
   * if it is `plain`, and to one member of each of these groups. Returns the same as {@link route}.
   */
  routeHere(
    message: Message,
    found: Matches<S>,
    plain: boolean,
    groups: readonly string[],
  ): number {
    if (groups.length > 0 || !plain) return this.#routeToGroups(message, found, plain, groups);
    const { share } = this;
    const { plainCount, plain: subscriptions } = found;
    const units = deliveryUnits(message.end - message.begin);
    const plainEnd = share.units < plainCount * units ? share.countOf(units) : plainCount;
    let taken = 0;
    for (let i = 0; i < plainEnd; i++) {
      const subscription = subscriptions[i];
      const answer = subscription.owner.offer(message, subscription, undefined);
      if (answer === NOT_NOW) return this.#postponeHere(found, i, taken);
      taken += answer;
    }
    share.units -= plainEnd * units;
    return plainEnd < plainCount ? this.#postponeHere(found, plainEnd, taken) : taken;
  }

  /** Continues where {@link route} or this stopped; returns the same. */
  resume(message: Message, from: S | undefined, remainder: Remainder<S>): number {
    const isDone =
      this.#resumePlain(message, from, remainder) &&
      this.#resumeGroups(message, from, remainder) &&
      this.#decide(message, from, remainder) &&
      this.#dispatch(message, from, remainder);
    if (!isDone) return NOT_NOW;
    this.drop(remainder);
    return remainder.taken;
  }

  #resumePlain(message: Message, from: S | undefined, remainder: Remainder<S>): boolean {
    const { share } = this;
    const units = deliveryUnits(message.end - message.begin);
    const { plain, plainEnd } = remainder;
    for (; remainder.plainAt < plainEnd; remainder.plainAt++) {
      if (share.units <= 0) return false;
      const subscription = plain[remainder.plainAt];
      // The subscription may have ended meanwhile.
      if (subscription.place < 0) continue;
      const answer = subscription.owner.offer(message, subscription, from);
      if (answer === NOT_NOW) return false;
      share.units -= units;
      remainder.taken += answer;
    }
    return true;
  }

  #resumeGroups(message: Message, from: S | undefined, remainder: Remainder<S>): boolean {
    const { share } = this;
    const units = deliveryUnits(message.end - message.begin);
    const { groups, groupEnd, spread } = remainder;
    for (; remainder.groupAt < groupEnd; remainder.groupAt++) {
      if (share.units <= 0) return false;
      const at = remainder.groupAt;
      const answer = this.#offerToGroup(message, groups[at], from);
      if (answer === NOT_NOW) return false;
      share.units -= units;
      const group = spread?.[at];
      if (answer === DECLINED && group !== undefined) this.#choose(group, remainder);
      remainder.taken += answer;
    }
    return true;
  }

  #dispatch(message: Message, from: S | undefined, remainder: Remainder<S>): boolean {
    const { dispatches } = remainder;
    for (; remainder.dispatchAt < dispatches.length; remainder.dispatchAt++) {
      if (this.share.units <= 0) return false;
      const { peer, plain, groups } = dispatches[remainder.dispatchAt];
      this.share.units -= 1 + groups.length;
      // Two lanes that wait for each other would deadlock.
      if (from === undefined) this.lanes.pass(peer, message, groups);
      else if (!this.lanes.offer(peer, message, plain, groups)) return false;
    }
    return true;
  }

  /** A subscription of `owner` that matches the subject, if there is one. */
  subscriptionOf(owner: S, begin: number, end: number): Subscription<S> | undefined {
    const found = this.#reply;
    this.index.match(this.#bytes, begin, end, found);
    this.share.units -= found.weight;
    for (let i = 0; i < found.plainCount; i++) {
      if (found.plain[i].owner === owner) return found.plain[i];
    }
    return undefined;
  }

  /** A message of another executor does not wait: if no member has room, one takes it anyway. */
  #offerToGroup(
    message: Message,
    members: readonly Subscription<S>[],
    from: S | undefined,
  ): number {
    if (from !== undefined) return this.#offerToMember(message, members, from, false);
    const answer = this.#offerToMember(message, members, from, true);
    if (answer !== DECLINED) return answer;
    this.#stall(members);
    return this.#offerToMember(message, members, from, false);
  }

  /** Starts at a random member and takes the first with room. */
  #offerToMember(
    message: Message,
    members: readonly Subscription<S>[],
    from: S | undefined,
    isPicky: boolean,
  ): number {
    const count = members.length;
    let at = count > 1 ? this.#nextRandom() % count : 0;
    let answer = DECLINED;
    for (let tried = 0; tried < count; tried++) {
      const subscription = members[at];
      // After a pause the subscription may have ended.
      const isOut = subscription.place < 0 || (isPicky && subscription.owner.isHeldBack);
      const one = isOut ? DECLINED : subscription.owner.offer(message, subscription, from);
      if (one === TAKEN) return TAKEN;
      if (one === NOT_NOW) answer = NOT_NOW;
      this.share.units--;
      at = at + 1 === count ? 0 : at + 1;
    }
    return answer;
  }

  #stall(members: readonly Subscription<S>[]): void {
    for (const subscription of members) {
      if (subscription.place >= 0) subscription.owner.stall(subscription);
    }
    this.share.units -= members.length;
  }

  #routeToGroups(
    message: Message,
    found: Matches<S>,
    plain: boolean,
    groups: readonly string[],
  ): number {
    const remainder = new Remainder<S>(0);
    if (plain) remainder.pinPlain(found, 0);
    this.share.units -= groups.length;
    for (const text of groups) {
      const name = this.index.queueNames.find(text);
      if (name === undefined) continue;
      // Its last local member may have left meanwhile: then another executor gets the message.
      remainder.addGroup(localMembers(found, name) ?? [], spreadGroup(found, name));
    }
    const answer = this.resume(message, undefined, remainder);
    return answer === NOT_NOW ? this.#keepRest(remainder) : answer;
  }

  /** Continues with recipients at other executors. */
  #routeBeyond(message: Message, from: S, beyond: Beyond<S>, taken: number): number {
    if (beyond.groups.size > 0) {
      const remainder = new Remainder<S>(taken);
      remainder.setBeyond(beyond);
      const answer = this.resume(message, from, remainder);
      return answer === NOT_NOW ? this.#keepRest(remainder) : answer;
    }
    const { peers } = beyond;
    // The other executors copy it.
    this.share.units -= peers.length * deliveryUnits(message.end - message.begin);
    for (let i = 0; i < peers.length; i++) {
      if (this.lanes.offer(peers[i], message, true, NO_GROUPS)) continue;
      const remainder = new Remainder<S>(taken);
      for (const peer of peers.slice(i)) remainder.dispatch(peer);
      return this.#keepRest(remainder);
    }
    return taken;
  }

  /**
   * Chooses for each queue group whether a local member or another executor gets the message: all
   * members have the same probability.
   */
  #decide(message: Message, from: S | undefined, remainder: Remainder<S>): boolean {
    const { share } = this;
    while (remainder.undecided !== undefined) {
      if (share.units <= 0) return false;
      const next = remainder.undecided.next();
      if (next.done === true) {
        remainder.undecided = undefined;
        break;
      }
      const group = next.value;
      const { members, remoteWeight } = group;
      share.units--;
      const here = this.#nextRandom() % (members.length + remoteWeight) < members.length;
      // A member without room does not delay the other recipients.
      if (here && this.#offerToGroup(message, members, from) === TAKEN) remainder.taken++;
      else this.#choose(group, remainder);
    }
    return true;
  }

  /** Dispatches to one of the executors where the group has members. */
  #choose(group: SpreadGroup<S>, remainder: Remainder<S>): void {
    // If none there has room, the first one is chosen.
    let at = group.remoteWeight > 0 ? this.#nextRandom() % group.remoteWeight : 0;
    for (const { peer, weight } of group.remote) {
      at -= weight;
      if (at >= 0) continue;
      remainder.dispatchToGroup(peer, group.name.text);
      return;
    }
  }

  #postpone(found: Matches<S>, plainBegin: number, groupBegin: number, taken: number): number {
    const remainder = new Remainder<S>(taken);
    remainder.pinPlain(found, plainBegin);
    remainder.pinGroups(found, groupBegin);
    if (found.beyond !== undefined) remainder.setBeyond(found.beyond);
    return this.#keepRest(remainder);
  }

  #postponeHere(found: Matches<S>, plainBegin: number, taken: number): number {
    const remainder = new Remainder<S>(taken);
    remainder.pinPlain(found, plainBegin);
    return this.#keepRest(remainder);
  }

  #keepRest(remainder: Remainder<S>): number {
    const wasCrowded = this.isCrowded;
    this.#pinnedCount += remainder.weight;
    // Publishers look up their matches again, and have to wait.
    if (this.isCrowded && !wasCrowded) this.index.generation++;
    this.remainder = remainder;
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
