// SPDX-License-Identifier: MIT
/** Example broker: interests of other executors' clients, as those executors announce them. */

import {
  type Bytes,
  KeyedMap,
  type MatchCache,
  MatchSet,
  type QueueName,
  SubscriptionIndex,
  type Surroundings,
} from 'busbar/bus';
import type { Message } from './message.ts';
import { Subscription } from './subscription.ts';

/** Another executor, as a destination of messages. */
export interface RemoteExecutor {
  readonly index: number;
  /**
   * Sends a reference to the message, for `plain` subscriptions and for one member of each named
   * queue group. False: no room now, nothing was sent.
   */
  offer(message: Message, plain: boolean, groups: readonly string[]): boolean;
  /**
   * Forwards a message of another executor, for one member of each of these groups, without
   * waiting: if the lane has no room, the message is lost.
   */
  pass(message: Message, groups: readonly string[]): void;
}

/** The number of members of a queue group at another executor. */
export interface RemoteMembers {
  readonly executor: RemoteExecutor;
  weight: number;
}

/** A queue group with members at other executors. */
export interface SpreadGroup<Owner> {
  readonly name: QueueName;
  /** Its members at this executor. */
  readonly members: readonly Subscription<Owner>[];
  /** Each executor once: those whose members have room, or, if there are none, all. */
  readonly remote: readonly RemoteMembers[];
  /** Members of the executors that have room. */
  readonly remoteWeight: number;
}

/** Matches of a subject at other executors. */
export interface Beyond<Owner> {
  /** Executors with subscriptions outside queue groups, each once. */
  readonly executors: readonly RemoteExecutor[];
  readonly groups: ReadonlyMap<QueueName, SpreadGroup<Owner>>;
  /** True if a recipient there has no room, so that messages for it should wait here. */
  readonly isStalled: boolean;
}

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

/** One subscription for each subject (and queue group) that another executor has announced. */
export class RemoteInterest<Owner> implements Surroundings<Subscription<Owner>, Beyond<Owner>> {
  readonly #local: LocalIndex<Owner>;
  readonly #index: SubscriptionIndex<Subscription<RemoteExecutor>>;
  readonly #known: Map<RemoteExecutor, KeyedMap<Subscription<RemoteExecutor>>> = new Map();
  readonly #found: MatchSet<Subscription<RemoteExecutor>> = new MatchSet();

  /** Notifies `local` of each change, which invalidates its earlier results. */
  constructor(local: LocalIndex<Owner>) {
    this.#local = local;
    this.#index = new SubscriptionIndex(undefined, local.queueNames);
    local.surroundings = this;
  }

  get count(): number {
    return this.#index.count;
  }

  /**
   * Sets the executor's number of subscriptions of this kind; without queue group, 1 or 0. Less
   * than 0: that many, and they are stalled. Returns whether a stall has ended.
   */
  set(executor: RemoteExecutor, subject: Bytes, queue: string, weight: number): boolean {
    let known = this.#known.get(executor);
    if (known === undefined) {
      known = new KeyedMap();
      this.#known.set(executor, known);
    }
    const key = interestKey(subject, queue);
    let subscription = known.get(key);
    const wasStalled = subscription?.isStalled === true;
    if (weight === 0) {
      if (subscription === undefined) return false;
      known.delete(key);
      this.#index.remove(subscription);
    } else if (subscription === undefined) {
      subscription = new Subscription(executor, subject, queue, new Uint8Array(0));
      known.set(key, subscription);
      this.#index.add(subscription);
    }
    if (subscription !== undefined) {
      subscription.weight = Math.abs(weight);
      subscription.isStalled = weight < 0;
    }
    this.#local.changed(subject);
    return wasStalled && weight >= 0;
  }

  /** Removes everything of an executor, which has ended or announces everything again. */
  forget(executor: RemoteExecutor): void {
    const known = this.#known.get(executor);
    if (known === undefined) return;
    this.#known.delete(executor);
    for (const subscription of known.values()) this.#index.remove(subscription);
    this.#local.generation++;
  }

  extend(bytes: Bytes, begin: number, end: number, found: Matches<Owner>): void {
    if (this.#index.count === 0) return;
    const remote = this.#found;
    this.#index.match(bytes, begin, end, remote);
    if (remote.plainCount === 0 && remote.groupCount === 0) return;
    const executors: RemoteExecutor[] = [];
    let isStalled = false;
    for (let i = 0; i < remote.plainCount; i++) {
      const { owner, isStalled: isThisOne } = remote.plain[i];
      if (!executors.includes(owner)) executors.push(owner);
      isStalled ||= isThisOne;
    }
    const groups: Map<QueueName, SpreadGroup<Owner>> = new Map();
    for (let i = 0; i < remote.groupCount; i++) {
      const name = remote.groupName(i);
      const members = found.takeGroup(name);
      const sum = sumUp(remote.groups[i]);
      groups.set(name, { name, members, ...sum });
      isStalled ||= members.length === 0 && sum.remoteWeight === 0;
    }
    found.weight += groups.size * SPREAD_WEIGHT;
    found.beyond = { executors, groups, isStalled };
  }
}

/** References that a group with members at other executors takes in a set. */
const SPREAD_WEIGHT = 24;

/** Sums up by executor: there are few executors, with possibly many matching patterns each. */
function sumUp(
  subscriptions: readonly Subscription<RemoteExecutor>[],
): Pick<SpreadGroup<unknown>, 'remote' | 'remoteWeight'> {
  const ready = subscriptions.filter(({ isStalled }) => !isStalled);
  const remote: RemoteMembers[] = [];
  for (const { owner, weight } of ready.length > 0 ? ready : subscriptions) {
    const known = remote.find(({ executor }) => executor === owner);
    if (known !== undefined) known.weight += weight;
    else remote.push({ executor: owner, weight });
  }
  const remoteWeight = ready.reduce((sum, { weight }) => sum + weight, 0);
  return { remote, remoteWeight };
}

/** The key of an interest: a subject contains no space. */
export function interestKey(subject: Bytes, queue: string): string {
  return `${Buffer.from(subject).toString('latin1')} ${queue}`;
}
