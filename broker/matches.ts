// SPDX-License-Identifier: MIT
/** The broker: who wants a subject, here and at other executors. */

import type {
  Beyond as BeyondOf,
  MatchCache,
  MatchSet,
  Outgoing,
  QueueName,
  SpreadGroup as SpreadGroupOf,
  SubscriptionIndex,
} from 'busbar/bus';
import type { Message } from './message.ts';
import type { Subscription } from './subscription.ts';

/** The lanes to other executors. */
export interface Lanes {
  /**
   * Sends a reference to the message, for `isPlain` subscriptions and for one member of each named
   * queue group. False: no room now, nothing was sent.
   */
  offer(to: Outgoing, message: Message, isPlain: boolean, groups: readonly string[]): boolean;
  /**
   * Forwards a message of another executor, for one member of each of these groups, without
   * waiting: if there is no memory to name these, it is lost.
   */
  pass(to: Outgoing, message: Message, groups: readonly string[]): void;
}

export type SpreadGroup<Owner> = SpreadGroupOf<Subscription<Owner>, Outgoing>;
export type Beyond<Owner> = BeyondOf<Subscription<Owner>, Outgoing>;
/** The index of this executor's subscriptions, with the matches at other executors. */
export type LocalIndex<Owner> = SubscriptionIndex<Subscription<Owner>, Beyond<Owner>>;
export type LocalCache<Owner> = MatchCache<Subscription<Owner>, Beyond<Owner>>;
/** The matches of one subject. */
export type Matches<Owner> = MatchSet<Subscription<Owner>, Beyond<Owner>>;

/** The group, if it has members at other executors. */
export function spreadGroup<Owner>(
  found: Matches<Owner>,
  name: QueueName,
): SpreadGroup<Owner> | undefined {
  return found.beyond?.groups.get(name);
}

/** The local members of a group; undefined: the group has no members at all. */
export function localMembers<Owner>(
  found: Matches<Owner>,
  name: QueueName,
): readonly Subscription<Owner>[] | undefined {
  return found.groupMembers(name) ?? spreadGroup(found, name)?.members;
}
