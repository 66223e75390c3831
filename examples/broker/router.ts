// SPDX-License-Identifier: MIT
/** Example broker: who gets a message, and the order of trying. */

import { MatchCache } from './match-cache.ts';
import type { Message } from './message.ts';
import type { Beyond, RemoteExecutor, SpreadGroup } from './remote-interest.ts';
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

/** One subscriber, or the members of a queue group at this executor. */
interface Target<S> {
  readonly members: readonly Subscription<S>[];
  /** The group, if it has members at other executors too, and one of them may have the message. */
  readonly group: SpreadGroup<S> | undefined;
}

/** A message for another executor, and whom there it is for. */
interface Dispatch {
  readonly executor: RemoteExecutor;
  readonly plain: boolean;
  readonly groups: string[];
}

/**
 * What is left to do for a message for which some subscribers had no room, or a lane to another
 * executor.
 */
export interface Remainder<S> {
  readonly targets: Target<S>[];
  /** Deliveries made so far. */
  taken: number;
  /** Whom it is still to reach at other executors. */
  beyond: Beyond<S> | undefined;
  /** The same, decided. */
  readonly dispatches: Dispatch[];
}

/** Group names in one dispatch: together they must fit into a buffer, with room to spare. */
const GROUP_BYTES_MAX = 16 * 1024;
const NO_GROUPS: readonly string[] = [];

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
   * Offers the message to everyone who was found, to one member of each queue group, and to other
   * executors where somebody wants it.
   *
   * Returns how many took it here, or -1 if somebody had no room: then `remainder` says who is
   * left.
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
    if (found.beyond === undefined) return taken;
    return this.#routeBeyond(message, from, found.beyond, taken);
  }

  /**
   * Offers a message of another executor to subscribers of this one: to those outside queue groups
   * if it is `plain`, and to one member of each of these groups. Same answers.
   */
  routeHere(
    message: Message,
    found: MatchSet<S>,
    plain: boolean,
    groups: readonly string[],
  ): number {
    if (groups.length > 0 || !plain) return this.#routeToGroups(message, found, plain, groups);
    let taken = 0;
    for (let i = 0; i < found.plainCount; i++) {
      const subscription = found.plain[i];
      const answer = subscription.owner.offer(message, subscription, undefined);
      if (answer === NOT_NOW) {
        this.remainder = emptyRemainder(taken);
        addPlain(this.remainder.targets, found, i);
        return NOT_NOW;
      }
      taken += answer;
    }
    return taken;
  }

  /** Goes on where {@link route} or this had to stop; same answers. */
  resume(message: Message, from: S | undefined, remainder: Remainder<S>): number {
    const { targets, dispatches } = remainder;
    while (targets.length > 0) {
      const { members, group } = targets[0];
      const answer = this.#offerToGroup(message, members, from);
      if (answer === NOT_NOW) return NOT_NOW;
      if (answer === DECLINED && group !== undefined) this.#choose(group, dispatches);
      remainder.taken += answer;
      targets.shift();
    }
    if (remainder.beyond !== undefined) {
      const { beyond } = remainder;
      remainder.beyond = undefined;
      remainder.taken += this.#decide(message, from, beyond, dispatches);
    }
    while (dispatches.length > 0) {
      const { executor, plain, groups } = dispatches[0];
      // Two lanes that waited for each other would wait for ever.
      if (from === undefined) executor.pass(message, groups);
      else if (!executor.offer(message, plain, groups)) return NOT_NOW;
      dispatches.shift();
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
    const spread = found.beyond?.groups.map(({ members }) => members) ?? [];
    for (const members of [...found.groups.slice(0, found.groupCount), ...spread]) {
      const own = members.find((member) => member.owner === owner);
      if (own !== undefined) return own;
    }
    return undefined;
  }

  /** Starts at a random member and takes the first who has room. */
  #offerToGroup(
    message: Message,
    members: readonly Subscription<S>[],
    from: S | undefined,
  ): number {
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

  #routeToGroups(
    message: Message,
    found: MatchSet<S>,
    plain: boolean,
    groups: readonly string[],
  ): number {
    const remainder = emptyRemainder<S>(0);
    if (plain) addPlain(remainder.targets, found, 0);
    for (const name of groups) {
      // Its last member may have left while the message was on its way: then it goes on to another.
      const group = found.beyond?.groups.find((candidate) => candidate.name === name);
      remainder.targets.push({ members: [...(found.groupMembers(name) ?? [])], group });
    }
    const answer = this.resume(message, undefined, remainder);
    if (answer === NOT_NOW) this.remainder = remainder;
    return answer;
  }

  /** What is left is for others than the subscribers here. */
  #routeBeyond(message: Message, from: S, beyond: Beyond<S>, taken: number): number {
    if (beyond.groups.length > 0) {
      const remainder = { ...emptyRemainder<S>(taken), beyond };
      const answer = this.resume(message, from, remainder);
      if (answer === NOT_NOW) this.remainder = remainder;
      return answer;
    }
    const { executors } = beyond;
    for (let i = 0; i < executors.length; i++) {
      if (executors[i].offer(message, true, NO_GROUPS)) continue;
      const remainder = emptyRemainder<S>(taken);
      for (const executor of executors.slice(i)) {
        remainder.dispatches.push({ executor, plain: true, groups: [] });
      }
      this.remainder = remainder;
      return NOT_NOW;
    }
    return taken;
  }

  /**
   * Decides for each queue group whether a member here or an executor has the message: all members
   * have the same chance. Returns how many took it here.
   */
  #decide(
    message: Message,
    from: S | undefined,
    beyond: Beyond<S>,
    dispatches: Dispatch[],
  ): number {
    let taken = 0;
    for (const executor of beyond.executors) {
      dispatches.push({ executor, plain: true, groups: [] });
    }
    for (const group of beyond.groups) {
      const { members, remoteWeight } = group;
      const here = this.#nextRandom() % (members.length + remoteWeight) < members.length;
      // Who has no room now does not hold up what others can take.
      if (here && this.#offerToGroup(message, members, from) === TAKEN) taken++;
      else this.#choose(group, dispatches);
    }
    return taken;
  }

  /** Dispatches to one of the executors where the group has members. */
  #choose(group: SpreadGroup<S>, dispatches: Dispatch[]): void {
    let at = this.#nextRandom() % group.remoteWeight;
    for (const { owner, weight } of group.remote) {
      at -= weight;
      if (at >= 0) continue;
      const fit = dispatches.find(
        ({ executor, groups }) => executor === owner && hasRoomFor(groups, group.name),
      );
      if (fit === undefined) {
        dispatches.push({ executor: owner, plain: false, groups: [group.name] });
      } else {
        fit.groups.push(group.name);
      }
      return;
    }
  }

  #postpone(found: MatchSet<S>, plainBegin: number, groupBegin: number, taken: number): number {
    const remainder = { ...emptyRemainder<S>(taken), beyond: found.beyond };
    const { targets } = remainder;
    addPlain(targets, found, plainBegin);
    for (let i = groupBegin; i < found.groupCount; i++) {
      targets.push({ members: [...found.groups[i]], group: undefined });
    }
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

function emptyRemainder<S>(taken: number): Remainder<S> {
  return { targets: [], taken, beyond: undefined, dispatches: [] };
}

function addPlain<S extends Subscriber>(
  targets: Target<S>[],
  found: MatchSet<S>,
  begin: number,
): void {
  for (let i = begin; i < found.plainCount; i++) {
    targets.push({ members: [found.plain[i]], group: undefined });
  }
}

function hasRoomFor(groups: readonly string[], name: string): boolean {
  const bytes = groups.reduce((sum, each) => sum + each.length + 1, name.length);
  return groups.length === 0 || bytes <= GROUP_BYTES_MAX;
}
