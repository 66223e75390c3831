// SPDX-License-Identifier: MIT
/** Example broker: whom one subject reaches. */

import type { QueueName } from './queue-names.ts';
import type { Beyond, SpreadGroup } from './remote-interest.ts';
import type { Subscription } from './subscription.ts';

/** What a queue group takes in a set, in references: its list, its name, its place by name. */
const GROUP_WEIGHT = 8;

/**
 * The subscriptions that one subject reaches. Made to be filled again and again: what stands at and
 * after `plainCount` and `groupCount` is left over from earlier subjects.
 */
export class MatchSet<Owner> {
  /** Another one each time it is filled; 0: it never was, or is void. */
  stamp: number = 0;
  /** The index's generation then: if that is another one now, this is void. */
  generation: number = -1;
  plain: Subscription<Owner>[] = [];
  plainCount: number = 0;
  /** One entry per queue group: its members. Read only: they belong to the index, as a rule. */
  groups: (readonly Subscription<Owner>[])[] = [];
  groupCount: number = 0;
  /** Whom the subject reaches at other executors; undefined: nobody. Replaced, never changed. */
  beyond: Beyond<Owner> | undefined = undefined;
  /** Somebody still needs `plain` and `groups` as they are: the next filling leaves them to him. */
  isPinned: boolean = false;
  /** References that it holds, more or less. */
  weight: number = 0;

  #names: QueueName[] = [];
  /** Where each group is. */
  #places: Map<QueueName, number> | undefined = undefined;
  /** Lists of members that were made here, of groups at several nodes of the tree. */
  #merged: Map<number, Subscription<Owner>[]> | undefined = undefined;

  clear(): void {
    if (this.isPinned) this.forget();
    this.stamp = 0;
    this.plainCount = 0;
    this.groupCount = 0;
    this.beyond = undefined;
    this.weight = this.plain.length + this.groups.length * GROUP_WEIGHT;
    this.#places?.clear();
    this.#merged = undefined;
  }

  /** Also drops what is left over, so that nothing keeps closed connections alive. */
  forget(): void {
    this.isPinned = false;
    this.plain = [];
    this.groups = [];
    this.#names = [];
    this.#places = undefined;
    this.clear();
  }

  addPlain(subscriptions: readonly Subscription<Owner>[]): void {
    const { plain } = this;
    for (let i = 0; i < subscriptions.length; i++) plain[this.plainCount++] = subscriptions[i];
    this.weight = Math.max(this.weight, this.plainCount);
  }

  /**
   * A group that several matching wildcards share is one group, as its members expect. **Cost** one
   * look-up, and a copy of the members if it is not the first time.
   */
  addGroup(name: QueueName, members: readonly Subscription<Owner>[]): void {
    this.#places ??= new Map();
    const place = this.#places.get(name);
    if (place === undefined) {
      this.#places.set(name, this.groupCount);
      this.#names[this.groupCount] = name;
      this.groups[this.groupCount++] = members;
      this.weight += GROUP_WEIGHT;
      return;
    }
    this.#merged ??= new Map();
    let merged = this.#merged.get(place);
    if (merged === undefined) {
      merged = this.groups[place].slice();
      this.#merged.set(place, merged);
      this.groups[place] = merged;
      this.weight += merged.length;
    }
    for (let i = 0; i < members.length; i++) merged.push(members[i]);
    this.weight += members.length;
  }

  groupName(index: number): QueueName {
    return this.#names[index];
  }

  /** The members of a group here, wherever other members are; undefined: it has none at all. */
  groupMembers(name: QueueName): readonly Subscription<Owner>[] | undefined {
    const place = this.#places?.get(name);
    return place !== undefined ? this.groups[place] : this.spreadGroup(name)?.members;
  }

  /** The group, if it has members at other executors. */
  spreadGroup(name: QueueName): SpreadGroup<Owner> | undefined {
    return this.beyond?.groups.get(name);
  }

  /** Takes a group out and returns its members; none: it is not among the groups. */
  takeGroup(name: QueueName): readonly Subscription<Owner>[] {
    const place = this.#places?.get(name);
    if (place === undefined) return [];
    const members = this.groups[place];
    const last = --this.groupCount;
    this.#places?.delete(name);
    if (place !== last) {
      this.groups[place] = this.groups[last];
      this.#names[place] = this.#names[last];
      this.#places?.set(this.#names[place], place);
    }
    return members;
  }
}
