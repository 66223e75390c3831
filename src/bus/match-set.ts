// SPDX-License-Identifier: MIT
/** The subscriptions that one subject matches. */

import type { QueueName } from './queue-names.ts';
import type { Indexed } from './token-tree.ts';

/** References that a queue group takes in a set: its list, its name, its index by name. */
const GROUP_WEIGHT = 8;

/**
 * The subscriptions that one subject matches. It is filled repeatedly: entries from `plainCount`
 * and `groupCount` on are left over from earlier subjects.
 */
export class MatchSet<S extends Indexed, Beyond = undefined> {
  /** Changes each time it is filled; 0: never filled, or invalid. */
  stamp: number = 0;
  /** The index's generation when it was filled; if that has changed, the set is invalid. */
  generation: number = -1;
  plain: S[] = [];
  plainCount: number = 0;
  /** One entry per queue group: its members. Read only: they usually belong to the index. */
  groups: (readonly S[])[] = [];
  groupCount: number = 0;
  /** @internal Whose turn it is in each group; undefined: no message has come so far. */
  readonly turns: number[] = [];
  /** Matches outside the index; undefined: none. Replaced, never changed. */
  beyond: Beyond | undefined = undefined;
  /** True if a message still uses `plain` and `groups`: the next filling replaces them. */
  isPinned: boolean = false;
  /** Approximate number of references held. */
  weight: number = 0;

  #names: QueueName[] = [];
  /** Index of each group. */
  #places: Map<QueueName, number> | undefined = undefined;
  /** Lists of members merged here, of groups at several nodes of the tree. */
  #merged: Map<number, S[]> | undefined = undefined;

  /** @internal */
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

  /** @internal Empties the set, leftovers included: they keep connections alive. */
  forget(): void {
    this.isPinned = false;
    this.plain = [];
    this.groups = [];
    this.#names = [];
    this.clear();
  }

  /** @internal */
  addPlain(subscriptions: readonly S[]): void {
    const { plain } = this;
    for (let i = 0; i < subscriptions.length; i++) plain[this.plainCount++] = subscriptions[i];
    this.weight = Math.max(this.weight, this.plainCount);
  }

  /**
   * @internal Adds members of a group. A group in several matching wildcards is one group. **Cost**
   * one lookup, and a copy of the members if the group is there already.
   */
  addGroup(name: QueueName, members: readonly S[]): void {
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

  /** The members of a group; undefined if it has none in this set. */
  groupMembers(name: QueueName): readonly S[] | undefined {
    const place = this.#places?.get(name);
    return place === undefined ? undefined : this.groups[place];
  }

  /** @internal Where a group is in `groups`; -1: it is not there. */
  groupIndex(name: QueueName): number {
    return this.#places?.get(name) ?? -1;
  }

  /** @internal Removes a group and returns its members; an empty list if it is not there. */
  takeGroup(name: QueueName): readonly S[] {
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
