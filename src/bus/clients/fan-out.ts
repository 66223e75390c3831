// SPDX-License-Identifier: MIT
/** Fan-out of a message to the clients of a server and to peers, at once or in parts. */

import { checkBytes, show } from '../../base/check.ts';
import { MatchCache } from '../match-cache.ts';
import { MatchSet } from '../match-set.ts';
import type { Outgoing } from '../peer/outgoing.ts';
import type { Beyond, SpreadGroup } from '../peer/remote-interest.ts';
import type { Bytes } from '../subject.ts';
import { SubscriptionIndex, type SubscriptionSet } from '../subscription-index.ts';
import type { Indexed } from '../token-tree.ts';
import { deliveryUnits, FairShare } from './fair-share.ts';
import { FanOutRest } from './fan-out-rest.ts';

/** Returned by a client that has taken an offered message. */
export const TAKEN = 1;
/** The message is not for it: its own message without echo, or it is leaving. */
export const DECLINED = 0;
/** It has no room now. Nothing was written; the message is offered again later. */
export const NO_ROOM = -1;

/** A message in a buffer of the pool, as it is offered. */
export interface FanOutMessage {
  readonly begin: number;
  readonly end: number;
}

/** A client of a server. */
export interface FanOutClient<M, S> {
  /** True if too much output waits for it. */
  readonly isHeldBack: boolean;
  /**
   * Takes the message into its output ({@link TAKEN}), declines it ({@link DECLINED}), or has no
   * room ({@link NO_ROOM}). `from` is the publisher; undefined: the message is from a peer, and
   * does not wait for a client that is held back.
   */
  offer(message: M, subscription: S, from: unknown): number;
}

/** A subscription of a client. */
export interface FanOutSubscription<M, S extends Indexed> extends Indexed {
  readonly owner: FanOutClient<M, S>;
}

/** The way to peers. */
export interface FanOutLanes<M, S> {
  /**
   * Sends a reference to the message, for `isPlain` subscriptions and for one member of each named
   * queue group. False: no room now, nothing was sent.
   */
  offer(to: Outgoing, message: M, isPlain: boolean, groups: readonly string[]): boolean;
  /**
   * Forwards a message of another peer, for one member of each of these groups, without waiting:
   * if there is no memory to name these, it is lost.
   */
  pass(to: Outgoing, message: M, groups: readonly string[]): void;
  /** A message of a peer was for a group whose members are all held back, this one among them. */
  stall(subscription: S): void;
}

const NO_GROUPS: readonly string[] = [];
/** References of unfinished messages, all together, beyond which no long message begins. */
const PINNED_COUNT_MAX = 1 << 22;
/** Weight of a list up to which a message never waits. */
const SMALL_WEIGHT = 256;

/** The subscriptions that a subject matches, here and at peers. */
type Matches<S extends Indexed> = MatchSet<S, BeyondOf<S>>;
type BeyondOf<S> = Beyond<S, Outgoing>;

/**
 * Offers each message to the clients of a server that want it, and to the peers whose clients do.
 * The work is counted in a {@link FairShare}: a message for 50 000 clients goes out over several
 * turns. A client without room stops its message, not those of other publishers: each has a
 * `Publisher` here.
 *
 * **Threads** one object for each thread.
 * **Cost** for each client a call of `offer`; no garbage unless the message is for a queue group or
 * has to wait.
 */
export class FanOut<M extends FanOutMessage, S extends FanOutSubscription<M, S>> {
  /** @internal The same as `index`, with what finds matches in it. */
  readonly matcher: SubscriptionIndex<S, BeyondOf<S>> = new SubscriptionIndex();
  /** The subscriptions of all clients. `ServerPeers` adds and removes them. */
  readonly index: SubscriptionSet<S> = this.matcher;
  readonly share: FairShare;
  /** @internal To peers; without any there is no match beyond this thread. */
  lanes: FanOutLanes<M, S> = { offer: () => true, pass: () => {}, stall: () => {} };
  readonly #cache: MatchCache<S, BeyondOf<S>>;
  readonly #bytes: Bytes;
  readonly #owned: Matches<S> = new MatchSet();
  #random: number;
  /** References held by unfinished messages. */
  #pinnedCount: number = 0;
  /** @internal What is left of the last unfinished `route`; its caller takes it over. */
  rest: FanOutRest<S> | undefined = undefined;

  /**
   * Subjects lie in `bytes`; `view` covers the same memory. `seed`, an integer, determines the
   * choice of members of queue groups. **Throws** TypeError.
   */
  constructor(share: FairShare, bytes: Bytes, view: DataView<ArrayBufferLike>, seed: number) {
    if (!(share instanceof FairShare)) {
      throw new TypeError(`share must be a FairShare, got ${show(share)}`);
    }
    this.#bytes = checkBytes('bytes', bytes);
    this.share = share;
    this.#random = seed | 1;
    this.#cache = new MatchCache(this.matcher, bytes, view);
  }

  /**
   * @internal Finds the matches of the subject `[begin, end)`, whose `hash` a `RecentSubject` has.
   * Three bytes after `end` must be readable.
   *
   * **Ownership** the result changes with the next call for another subject.
   */
  find(begin: number, end: number, hash: number): Matches<S> {
    const { matcher } = this;
    const before = matcher.steps;
    const found = this.#cache.lookup(begin, end, hash);
    const steps = matcher.steps - before;
    // A new result was also copied.
    if (steps > 0) this.share.units -= steps + (found.weight >>> 3);
    return found;
  }

  /**
   * @internal Each message that was delivered in part holds a list of its remaining recipients. If
   * these are
   * long together, no other message with a long list begins until earlier ones are delivered, or
   * their slow clients are cut off.
   */
  get isCrowded(): boolean {
    return this.#pinnedCount > PINNED_COUNT_MAX;
  }

  /** @internal Whether a message with these matches may begin nevertheless. */
  mayBegin(found: Matches<S>): boolean {
    return found.weight <= SMALL_WEIGHT;
  }

  /** @internal Gives up what is left of a message. */
  drop(rest: FanOutRest<S>): void {
    this.#pinnedCount -= rest.weight;
    rest.weight = 0;
  }

  /** Drops results that are void, which keep clients that are gone; called at intervals. */
  dropVoid(): void {
    this.#cache.dropVoid();
  }

  /** @internal Whether a result with this stamp is still valid. */
  isCurrent(found: Matches<S>, stamp: number): boolean {
    return found.stamp === stamp && found.generation === this.matcher.generation;
  }

  /**
   * @internal Offers the message to every client that wants it, to one member of each queue group,
   * and to peers with matches.
   *
   * Returns the number of clients here that took it, or {@link NO_ROOM} if one had no room or the
   * share of work is spent: then {@link rest} has the others.
   */
  route(message: M, from: S['owner'], found: Matches<S>): number {
    const { share } = this;
    const units = deliveryUnits(message.end - message.begin);
    const { plain, plainCount } = found;
    // As many as the quantum allows; computed once, not in each iteration.
    const plainEnd = share.units < plainCount * units ? share.countOf(units) : plainCount;
    let taken = 0;
    for (let i = 0; i < plainEnd; i++) {
      const subscription = plain[i];
      const answer = subscription.owner.offer(message, subscription, from);
      if (answer === NO_ROOM) return this.#postpone(found, i, 0, taken);
      taken += answer;
    }
    share.units -= plainEnd * units;
    if (plainEnd < plainCount) return this.#postpone(found, plainEnd, 0, taken);
    for (let i = 0; i < found.groupCount; i++) {
      if (share.units <= 0) return this.#postpone(found, plainCount, i, taken);
      const answer = this.#offerToGroup(message, found.groups[i], from);
      if (answer === NO_ROOM) return this.#postpone(found, plainCount, i, taken);
      share.units -= units;
      taken += answer;
    }
    if (found.beyond === undefined) return taken;
    return this.#routeBeyond(message, from, found.beyond, taken);
  }

  /**
   * @internal Offers a message of a peer to clients here: to subscriptions without queue group if
   * it is `plain`, and to one member of each of these groups. Returns the same as {@link route}.
   */
  routeHere(message: M, found: Matches<S>, plain: boolean, groups: readonly string[]): number {
    if (groups.length > 0 || !plain) return this.#routeToGroups(message, found, plain, groups);
    const { share } = this;
    const { plainCount, plain: subscriptions } = found;
    const units = deliveryUnits(message.end - message.begin);
    const plainEnd = share.units < plainCount * units ? share.countOf(units) : plainCount;
    let taken = 0;
    for (let i = 0; i < plainEnd; i++) {
      const subscription = subscriptions[i];
      const answer = subscription.owner.offer(message, subscription, undefined);
      if (answer === NO_ROOM) return this.#postponeHere(found, i, taken);
      taken += answer;
    }
    share.units -= plainEnd * units;
    return plainEnd < plainCount ? this.#postponeHere(found, plainEnd, taken) : taken;
  }

  /** @internal Continues where `route`, `routeHere` or this stopped; returns the same. */
  resume(message: M, from: S['owner'] | undefined, rest: FanOutRest<S>): number {
    const isDone =
      this.#resumePlain(message, from, rest) &&
      this.#resumeGroups(message, from, rest) &&
      this.#decide(message, from, rest) &&
      this.#dispatch(message, from, rest);
    if (!isDone) return NO_ROOM;
    this.drop(rest);
    return rest.taken;
  }

  #resumePlain(message: M, from: S['owner'] | undefined, rest: FanOutRest<S>): boolean {
    const { share } = this;
    const units = deliveryUnits(message.end - message.begin);
    const { plain, plainEnd } = rest;
    for (; rest.plainAt < plainEnd; rest.plainAt++) {
      if (share.units <= 0) return false;
      const subscription = plain[rest.plainAt];
      // The subscription may have ended meanwhile.
      if (subscription.place < 0) continue;
      const answer = subscription.owner.offer(message, subscription, from);
      if (answer === NO_ROOM) return false;
      share.units -= units;
      rest.taken += answer;
    }
    return true;
  }

  #resumeGroups(message: M, from: S['owner'] | undefined, rest: FanOutRest<S>): boolean {
    const { share } = this;
    const units = deliveryUnits(message.end - message.begin);
    const { groups, groupEnd, spread } = rest;
    for (; rest.groupAt < groupEnd; rest.groupAt++) {
      if (share.units <= 0) return false;
      const at = rest.groupAt;
      const answer = this.#offerToGroup(message, groups[at], from);
      if (answer === NO_ROOM) return false;
      share.units -= units;
      const group = spread?.[at];
      if (answer === DECLINED && group !== undefined) this.#choose(group, rest);
      rest.taken += answer;
    }
    return true;
  }

  #dispatch(message: M, from: S['owner'] | undefined, rest: FanOutRest<S>): boolean {
    const { dispatches } = rest;
    for (; rest.dispatchAt < dispatches.length; rest.dispatchAt++) {
      if (this.share.units <= 0) return false;
      const { peer, plain, groups } = dispatches[rest.dispatchAt];
      this.share.units -= 1 + groups.length;
      // Two lanes that wait for each other would deadlock.
      if (from === undefined) this.lanes.pass(peer, message, groups);
      else if (!this.lanes.offer(peer, message, plain, groups)) return false;
    }
    return true;
  }

  /** A subscription of `owner` that matches the subject, if there is one. */
  subscriptionOf(owner: S['owner'], begin: number, end: number): S | undefined {
    const found = this.#owned;
    this.matcher.match(this.#bytes, begin, end, found);
    this.share.units -= found.weight;
    for (let i = 0; i < found.plainCount; i++) {
      if (found.plain[i].owner === owner) return found.plain[i];
    }
    return undefined;
  }

  /** A message of a peer does not wait: if no member has room, one takes it anyway. */
  #offerToGroup(message: M, members: readonly S[], from: S['owner'] | undefined): number {
    if (from !== undefined) return this.#offerToMember(message, members, from, false);
    const answer = this.#offerToMember(message, members, from, true);
    if (answer !== DECLINED) return answer;
    this.#stall(members);
    return this.#offerToMember(message, members, from, false);
  }

  /** Starts at a random member and takes the first with room. */
  #offerToMember(
    message: M,
    members: readonly S[],
    from: S['owner'] | undefined,
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
      if (one === NO_ROOM) answer = NO_ROOM;
      this.share.units--;
      at = at + 1 === count ? 0 : at + 1;
    }
    return answer;
  }

  #stall(members: readonly S[]): void {
    for (const subscription of members) {
      if (subscription.place >= 0) this.lanes.stall(subscription);
    }
    this.share.units -= members.length;
  }

  #routeToGroups(message: M, found: Matches<S>, plain: boolean, groups: readonly string[]): number {
    const rest = new FanOutRest<S>(0);
    if (plain) rest.pinPlain(found, 0);
    this.share.units -= groups.length;
    for (const text of groups) {
      const name = this.matcher.queueNames.find(text);
      if (name === undefined) continue;
      // Its last member here may have left meanwhile: then a peer gets the message.
      const spread = found.beyond?.groups.get(name);
      rest.addGroup(found.groupMembers(name) ?? spread?.members ?? [], spread);
    }
    const answer = this.resume(message, undefined, rest);
    return answer === NO_ROOM ? this.#keepRest(rest) : answer;
  }

  /** Continues with recipients at peers. */
  #routeBeyond(message: M, from: S['owner'], beyond: BeyondOf<S>, taken: number): number {
    if (beyond.groups.size > 0) {
      const rest = new FanOutRest<S>(taken);
      rest.setBeyond(beyond);
      const answer = this.resume(message, from, rest);
      return answer === NO_ROOM ? this.#keepRest(rest) : answer;
    }
    const { peers } = beyond;
    // The peers copy it.
    this.share.units -= peers.length * deliveryUnits(message.end - message.begin);
    for (let i = 0; i < peers.length; i++) {
      if (this.lanes.offer(peers[i], message, true, NO_GROUPS)) continue;
      const rest = new FanOutRest<S>(taken);
      for (const peer of peers.slice(i)) rest.dispatch(peer);
      return this.#keepRest(rest);
    }
    return taken;
  }

  /**
   * Chooses for each queue group whether a member here or at a peer gets the message: all members
   * have the same probability.
   */
  #decide(message: M, from: S['owner'] | undefined, rest: FanOutRest<S>): boolean {
    const { share } = this;
    while (rest.undecided !== undefined) {
      if (share.units <= 0) return false;
      const next = rest.undecided.next();
      if (next.done === true) {
        rest.undecided = undefined;
        break;
      }
      const group = next.value;
      const { members, remoteWeight } = group;
      share.units--;
      const here = this.#nextRandom() % (members.length + remoteWeight) < members.length;
      // A member without room does not delay the other recipients.
      if (here && this.#offerToGroup(message, members, from) === TAKEN) rest.taken++;
      else this.#choose(group, rest);
    }
    return true;
  }

  /** Dispatches to one of the peers where the group has members. */
  #choose(group: SpreadGroup<S, Outgoing>, rest: FanOutRest<S>): void {
    // If none there has room, the first one is chosen.
    let at = group.remoteWeight > 0 ? this.#nextRandom() % group.remoteWeight : 0;
    for (const { peer, weight } of group.remote) {
      at -= weight;
      if (at >= 0) continue;
      rest.dispatchToGroup(peer, group.name.text);
      return;
    }
  }

  #postpone(found: Matches<S>, plainBegin: number, groupBegin: number, taken: number): number {
    const rest = new FanOutRest<S>(taken);
    rest.pinPlain(found, plainBegin);
    rest.pinGroups(found, groupBegin);
    if (found.beyond !== undefined) rest.setBeyond(found.beyond);
    return this.#keepRest(rest);
  }

  #postponeHere(found: Matches<S>, plainBegin: number, taken: number): number {
    const rest = new FanOutRest<S>(taken);
    rest.pinPlain(found, plainBegin);
    return this.#keepRest(rest);
  }

  #keepRest(rest: FanOutRest<S>): number {
    const wasCrowded = this.isCrowded;
    this.#pinnedCount += rest.weight;
    // Publishers look up their matches again, and have to wait.
    if (this.isCrowded && !wasCrowded) this.matcher.generation++;
    this.rest = rest;
    return NO_ROOM;
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
