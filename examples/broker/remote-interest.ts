// SPDX-License-Identifier: MIT
/** Example broker: what the clients of other executors have subscribed to, as we are told. */

import { KeyedMap } from './keyed-map.ts';
import { MatchSet } from './match-set.ts';
import type { Message } from './message.ts';
import type { QueueName } from './queue-names.ts';
import type { Bytes } from './subject.ts';
import { Subscription } from './subscription.ts';
import { SubscriptionIndex, type Surroundings } from './subscription-index.ts';

/** Another executor, as a place to send messages to. */
export interface RemoteExecutor {
  readonly index: number;
  /**
   * Sends a reference to the message, for `plain` subscriptions and for one member of each of the
   * queue groups named. False: no room now, nothing was sent.
   */
  offer(message: Message, plain: boolean, groups: readonly string[]): boolean;
  /**
   * Sends on a message that came from another executor, for one member of each of these groups,
   * and waits for nothing: one for which the lane itself has no room is lost.
   */
  pass(message: Message, groups: readonly string[]): void;
}

/** How many members of a queue group another executor has. */
export interface RemoteMembers {
  readonly executor: RemoteExecutor;
  weight: number;
}

/** A queue group with members at other executors. */
export interface SpreadGroup<Owner> {
  readonly name: QueueName;
  /** Its members at this executor. */
  readonly members: readonly Subscription<Owner>[];
  /** Each executor once: those whose members have room, if there are such, or all. */
  readonly remote: readonly RemoteMembers[];
  /** Of those that have room. */
  readonly remoteWeight: number;
}

/** Whom a subject reaches at other executors. */
export interface Beyond<Owner> {
  /** Those with subscriptions outside queue groups, each once. */
  readonly executors: readonly RemoteExecutor[];
  readonly groups: ReadonlyMap<QueueName, SpreadGroup<Owner>>;
  /** Somebody there whom it reaches has no room, and messages for him should wait here. */
  readonly isStalled: boolean;
}

/** One subscription for each subject (and queue group) that another executor has announced. */
export class RemoteInterest<Owner> implements Surroundings<Owner> {
  readonly #local: SubscriptionIndex<Owner>;
  readonly #index: SubscriptionIndex<RemoteExecutor>;
  readonly #known: Map<RemoteExecutor, KeyedMap<Subscription<RemoteExecutor>>> = new Map();
  readonly #found: MatchSet<RemoteExecutor> = new MatchSet();

  /** `local` is told of each change: what was looked up there is void then. */
  constructor(local: SubscriptionIndex<Owner>) {
    this.#local = local;
    this.#index = new SubscriptionIndex(undefined, local.queueNames);
    local.surroundings = this;
  }

  get count(): number {
    return this.#index.count;
  }

  /**
   * The executor has so many subscriptions of this kind now; outside queue groups, one or none.
   * Less than 0: so many, and they are stalled. Returns whether they were until now, and are not
   * any more.
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

  /** The executor is gone, or says everything anew. */
  forget(executor: RemoteExecutor): void {
    const known = this.#known.get(executor);
    if (known === undefined) return;
    this.#known.delete(executor);
    for (const subscription of known.values()) this.#index.remove(subscription);
    this.#local.generation++;
  }

  extend(bytes: Bytes, begin: number, end: number, found: MatchSet<Owner>): void {
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

/** What a group with members elsewhere takes in a set, in references. */
const SPREAD_WEIGHT = 24;

/** There are few executors, and may be many subscriptions of each: one for each pattern. */
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

/** A subject has no space in it. */
export function interestKey(subject: Bytes, queue: string): string {
  return `${Buffer.from(subject).toString('latin1')} ${queue}`;
}
