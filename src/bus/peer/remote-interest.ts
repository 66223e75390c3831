// SPDX-License-Identifier: MIT
/** What the peers of a bus want, as they have announced it. */

import { KeyedMap } from '../keyed-map.ts';
import { MatchSet } from '../match-set.ts';
import type { Bytes } from '../subject.ts';
import { SubscriptionIndex, type Surroundings } from '../subscription-index.ts';
import type { Indexed, TokenNode } from '../token-tree.ts';
import type { Outgoing } from './outgoing.ts';
import { interestKey } from './own-interest.ts';

/** How many members of a queue group a peer has. */
export interface RemoteMembers {
  readonly peer: Outgoing;
  weight: number;
}

/** A queue group with members at peers. */
export interface SpreadGroup<S> {
  readonly name: string;
  /** Its members here. */
  readonly members: readonly S[];
  /** Each peer whose members have room, once. */
  readonly remote: readonly RemoteMembers[];
  // Whose turn it is, of all, and of the members here for what peers send; less than 0: unknown.
  turn: number;
  turnHere: number;
}

/** What a subject matches at peers. */
export interface Beyond<S> {
  /** Those with plain subscriptions, each once. */
  readonly peers: readonly Outgoing[];
  readonly groups: readonly SpreadGroup<S>[];
  /** A recipient there has no room: publishers wait. */
  readonly isStalled: boolean;
}

/** All subscriptions of a peer with the same subject and queue group. */
class RemoteSubscription implements Indexed<RemoteSubscription> {
  readonly peer: Outgoing;
  readonly subject: Bytes;
  readonly queue: string;
  readonly textBytes: number;
  node: TokenNode<RemoteSubscription> | undefined = undefined;
  place: number = -1;
  /** Less than 0: that many, stalled. */
  weight: number;

  constructor(peer: Outgoing, subject: Bytes, queue: string, weight: number) {
    this.peer = peer;
    this.subject = subject;
    this.queue = queue;
    this.textBytes = subject.length + queue.length;
    this.weight = weight;
  }
}

export class RemoteInterest<S extends Indexed<S>> implements Surroundings<S, Beyond<S>> {
  readonly #local: SubscriptionIndex<S, Beyond<S>>;
  readonly #index: SubscriptionIndex<RemoteSubscription>;
  readonly #known: Map<Outgoing, KeyedMap<RemoteSubscription>> = new Map();
  readonly #found: MatchSet<RemoteSubscription> = new MatchSet();

  constructor(local: SubscriptionIndex<S, Beyond<S>>) {
    this.#local = local;
    this.#index = new SubscriptionIndex(undefined, local.queueNames);
    local.surroundings = this;
  }

  get count(): number {
    return this.#index.count;
  }

  /** Sets what a peer has announced. */
  set(peer: Outgoing, subject: Bytes, queue: string, weight: number): void {
    let known = this.#known.get(peer);
    if (known === undefined) {
      known = new KeyedMap();
      this.#known.set(peer, known);
    }
    const key = interestKey(subject, queue);
    const subscription = known.get(key);
    if (weight === 0) {
      if (subscription === undefined) return;
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
  }

  /** Forgets everything of a peer. */
  forget(peer: Outgoing): void {
    const known = this.#known.get(peer);
    if (known === undefined) return;
    this.#known.delete(peer);
    for (const subscription of known.values()) this.#index.remove(subscription);
    this.#local.generation++;
    this.#local.version++;
  }

  extend(bytes: Bytes, begin: number, end: number, found: MatchSet<S, Beyond<S>>): void {
    if (this.#index.count === 0) return;
    const remote = this.#found;
    this.#index.match(bytes, begin, end, remote);
    if (remote.plainCount === 0 && remote.groupCount === 0) return;
    const peers: Outgoing[] = [];
    let isStalled = false;
    for (let i = 0; i < remote.plainCount; i++) {
      const { peer, weight } = remote.plain[i];
      if (!peers.includes(peer)) peers.push(peer);
      isStalled ||= weight < 0;
    }
    const groups: SpreadGroup<S>[] = [];
    for (let i = 0; i < remote.groupCount; i++) {
      const name = remote.groupName(i);
      const members = found.takeGroup(name);
      const spread = {
        name: name.text,
        members,
        remote: sumUp(remote.groups[i]),
        turn: -1,
        turnHere: -1,
      };
      groups.push(spread);
      isStalled ||= members.length === 0 && spread.remote.length === 0;
    }
    found.beyond = { peers, groups, isStalled };
  }
}

/** By peer, without those that are stalled. */
function sumUp(subscriptions: readonly RemoteSubscription[]): RemoteMembers[] {
  const sums: RemoteMembers[] = [];
  for (const { peer, weight } of subscriptions) {
    if (weight < 0) continue;
    const known = sums.find((each) => each.peer === peer);
    if (known === undefined) sums.push({ peer, weight });
    else known.weight += weight;
  }
  return sums;
}
