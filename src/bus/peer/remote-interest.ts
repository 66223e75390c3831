// SPDX-License-Identifier: MIT
/** What the peers of a bus want, as they have announced it. */

import { KeyedMap } from '../keyed-map.ts';
import { MatchSet } from '../match-set.ts';
import type { QueueName } from '../queue-names.ts';
import type { Bytes } from '../subject.ts';
import { SubscriptionIndex, type Surroundings } from '../subscription-index.ts';
import type { Indexed, TokenNode } from '../token-tree.ts';
import { interestKey } from './own-interest.ts';

/** How many members of a queue group a peer has. */
export interface RemoteMembers<P> {
  readonly peer: P;
  weight: number;
}

/** A queue group with members at peers. */
export interface SpreadGroup<S, P> {
  readonly name: QueueName;
  /** Its members here. */
  readonly members: readonly S[];
  /** Each peer once: those whose members have room, or, if there are none, all. */
  readonly remote: readonly RemoteMembers<P>[];
  /** Members of the peers that have room. */
  readonly remoteWeight: number;
  // Whose turn it is, of all, and of the members here for what peers send; less than 0: unknown.
  turn: number;
  turnHere: number;
}

/** What a subject matches at peers. */
export interface Beyond<S, P> {
  /** Those with plain subscriptions, each once. */
  readonly peers: readonly P[];
  readonly groups: ReadonlyMap<QueueName, SpreadGroup<S, P>>;
  /** A recipient there has no room: publishers wait. */
  readonly isStalled: boolean;
}

/** All subscriptions of a peer with the same subject and queue group. */
class RemoteSubscription<P> implements Indexed {
  readonly peer: P;
  readonly subject: Bytes;
  readonly queue: string;
  readonly textBytes: number;
  node: TokenNode<RemoteSubscription<P>> | undefined = undefined;
  place: number = -1;
  /** Less than 0: that many, stalled. */
  weight: number;

  constructor(peer: P, subject: Bytes, queue: string, weight: number) {
    this.peer = peer;
    this.subject = subject;
    this.queue = queue;
    this.textBytes = subject.length + queue.length;
    this.weight = weight;
  }
}

/** References that a group with members at peers takes in a {@link MatchSet}. */
const SPREAD_WEIGHT = 24;

/** The interests of the peers `P`: a match in the index of one's own subscriptions finds both. */
export class RemoteInterest<S extends Indexed, P> implements Surroundings<S, Beyond<S, P>> {
  readonly #local: SubscriptionIndex<S, Beyond<S, P>>;
  readonly #index: SubscriptionIndex<RemoteSubscription<P>>;
  readonly #known: Map<P, KeyedMap<RemoteSubscription<P>>> = new Map();
  readonly #found: MatchSet<RemoteSubscription<P>> = new MatchSet();

  constructor(local: SubscriptionIndex<S, Beyond<S, P>>) {
    this.#local = local;
    this.#index = new SubscriptionIndex(undefined, local.queueNames);
    local.surroundings = this;
  }

  get count(): number {
    return this.#index.count;
  }

  /** Sets what a peer has announced. Returns whether a stall has ended. */
  set(peer: P, subject: Bytes, queue: string, weight: number): boolean {
    let known = this.#known.get(peer);
    if (known === undefined) {
      known = new KeyedMap();
      this.#known.set(peer, known);
    }
    const key = interestKey(subject, queue);
    const subscription = known.get(key);
    const wasStalled = subscription !== undefined && subscription.weight < 0;
    if (weight === 0) {
      if (subscription === undefined) return false;
      known.delete(key);
      this.#index.remove(subscription);
    } else if (subscription === undefined) {
      const added = new RemoteSubscription(peer, subject, queue, weight);
      known.set(key, added);
      this.#index.add(added);
    } else {
      subscription.weight = weight;
    }
    this.#local.changed(subject);
    return wasStalled && weight >= 0;
  }

  /** Forgets everything of a peer. */
  forget(peer: P): void {
    const known = this.#known.get(peer);
    if (known === undefined) return;
    this.#known.delete(peer);
    for (const subscription of known.values()) this.#index.remove(subscription);
    this.#local.generation++;
    this.#local.version++;
  }

  extend(bytes: Bytes, begin: number, end: number, found: MatchSet<S, Beyond<S, P>>): void {
    if (this.#index.count === 0) return;
    const remote = this.#found;
    this.#index.match(bytes, begin, end, remote);
    if (remote.plainCount === 0 && remote.groupCount === 0) return;
    const peers: P[] = [];
    let isStalled = false;
    for (let i = 0; i < remote.plainCount; i++) {
      const { peer, weight } = remote.plain[i];
      if (!peers.includes(peer)) peers.push(peer);
      isStalled ||= weight < 0;
    }
    const groups: Map<QueueName, SpreadGroup<S, P>> = new Map();
    for (let i = 0; i < remote.groupCount; i++) {
      const name = remote.groupName(i);
      const members = found.takeGroup(name);
      const sum = sumUp(remote.groups[i]);
      groups.set(name, { name, members, ...sum, turn: -1, turnHere: -1 });
      isStalled ||= members.length === 0 && sum.remoteWeight === 0;
    }
    found.weight += groups.size * SPREAD_WEIGHT;
    found.beyond = { peers, groups, isStalled };
  }
}

/** Sums up by peer: there are few peers, with possibly many matching patterns each. */
function sumUp<P>(
  subscriptions: readonly RemoteSubscription<P>[],
): Pick<SpreadGroup<unknown, P>, 'remote' | 'remoteWeight'> {
  const ready = subscriptions.filter(({ weight }) => weight > 0);
  const remote: RemoteMembers<P>[] = [];
  for (const { peer, weight } of ready.length > 0 ? ready : subscriptions) {
    const known = remote.find((each) => each.peer === peer);
    if (known === undefined) remote.push({ peer, weight: Math.abs(weight) });
    else known.weight += Math.abs(weight);
  }
  const remoteWeight = ready.reduce((sum, { weight }) => sum + weight, 0);
  return { remote, remoteWeight };
}
