// SPDX-License-Identifier: MIT
/**
 * Example broker: which subscriptions does a subject reach? A tree with one level per token.
 *
 *   SUB orders.*.paid      root ─orders─▶ ○ ─*─▶ ○ ─paid─▶ ● subscriptions
 *   SUB orders.>                          └─>─▶ ● subscriptions
 *
 * Tokens are found by hash and confirmed by their bytes, so looking up makes no string.
 */

import type { Beyond } from './remote-interest.ts';
import { type Bytes, endOfToken, REST, STAR } from './subject.ts';
import type { Subscription } from './subscription.ts';

/** One queue group at one node: each message goes to one member. */
interface QueueGroup<Owner> {
  readonly name: string;
  readonly members: Subscription<Owner>[];
}

/** One token in the tree. */
class TokenNode<Owner> {
  readonly token: Bytes;
  /** The next node of the same parent whose token has the same hash. */
  nextSameHash: TokenNode<Owner> | undefined = undefined;
  children: Map<number, TokenNode<Owner>> | undefined = undefined;
  star: TokenNode<Owner> | undefined = undefined;
  rest: TokenNode<Owner> | undefined = undefined;
  readonly plain: Subscription<Owner>[] = [];
  readonly groups: QueueGroup<Owner>[] = [];

  constructor(token: Bytes) {
    this.token = token;
  }

  get isEmpty(): boolean {
    return (
      this.plain.length === 0 &&
      this.groups.length === 0 &&
      this.children === undefined &&
      this.star === undefined &&
      this.rest === undefined
    );
  }
}

/**
 * The subscriptions that one subject reaches. Made to be filled again and again: what stands at and
 * after `plainCount` and `groupCount` is left over from earlier subjects.
 */
export class MatchSet<Owner> {
  /** Another one each time it is filled; 0: it never was. */
  stamp: number = 0;
  /** The index's generation then: if that is another one now, this is void. */
  generation: number = -1;
  plain: Subscription<Owner>[] = [];
  plainCount: number = 0;
  /** One entry per queue group: its members. Never empty. Read only: they belong to the index. */
  groups: (readonly Subscription<Owner>[])[] = [];
  groupCount: number = 0;
  /** Whom the subject reaches at other executors; undefined: nobody. Replaced, never changed. */
  beyond: Beyond<Owner> | undefined = undefined;
  #groupNames: string[] = [];

  clear(): void {
    this.stamp = 0;
    this.plainCount = 0;
    this.groupCount = 0;
    this.beyond = undefined;
  }

  /** Also drops what is left over, so that nothing keeps closed connections alive. */
  forget(): void {
    this.clear();
    this.plain = [];
    this.groups = [];
    this.#groupNames = [];
  }

  addPlain(subscriptions: readonly Subscription<Owner>[]): void {
    for (let i = 0; i < subscriptions.length; i++) this.plain[this.plainCount++] = subscriptions[i];
  }

  /** A group that several matching wildcards share is one group, as its members expect. */
  addGroup(name: string, members: readonly Subscription<Owner>[]): void {
    for (let i = 0; i < this.groupCount; i++) {
      if (this.#groupNames[i] === name) {
        this.groups[i] = [...this.groups[i], ...members];
        return;
      }
    }
    this.#groupNames[this.groupCount] = name;
    this.groups[this.groupCount++] = members;
  }

  groupName(index: number): string {
    return this.#groupNames[index];
  }

  /** The members of a group, if it has any, wherever other members are. */
  groupMembers(name: string): readonly Subscription<Owner>[] | undefined {
    for (let i = 0; i < this.groupCount; i++) {
      if (this.#groupNames[i] === name) return this.groups[i];
    }
    return this.beyond?.groups.find((group) => group.name === name)?.members;
  }

  /** Takes a group out and returns its members; none: it is not among the groups. */
  takeGroup(name: string): readonly Subscription<Owner>[] {
    for (let i = 0; i < this.groupCount; i++) {
      if (this.#groupNames[i] !== name) continue;
      const members = this.groups[i];
      const last = --this.groupCount;
      this.groups[i] = this.groups[last];
      this.#groupNames[i] = this.#groupNames[last];
      return members;
    }
    return [];
  }
}

/** What is known of subscriptions that are not in the index. */
export interface Surroundings<Owner> {
  /** Adds to `found` whom the subject `bytes[begin, end)` reaches there. */
  extend(bytes: Bytes, begin: number, end: number, found: MatchSet<Owner>): void;
}

export class SubscriptionIndex<Owner> {
  readonly #root: TokenNode<Owner> = new TokenNode(new Uint8Array(0));
  /** Changes whenever an answer may have changed: what was looked up before is then void. */
  generation: number = 0;
  count: number = 0;
  /** Other executors; whoever changes something there counts `generation` up. */
  surroundings: Surroundings<Owner> | undefined = undefined;
  #fills: number = 0;

  /** Adds a subscription whose subject is valid. */
  add(subscription: Subscription<Owner>): void {
    const subject = subscription.subject;
    let node = this.#root;
    for (let begin = 0; begin <= subject.length; ) {
      const end = endOfToken(subject, begin, subject.length);
      node = descend(node, subject, begin, end) ?? grow(node, subject, begin, end);
      begin = end + 1;
    }
    const list = listOf(node, subscription.queue);
    subscription.place = list.length;
    list.push(subscription);
    this.count++;
    this.generation++;
  }

  /** Takes a subscription out; one that is not in is ignored. */
  remove(subscription: Subscription<Owner>): void {
    if (subscription.place < 0) return;
    this.#removeBelow(this.#root, subscription, 0);
    subscription.place = -1;
    this.count--;
    this.generation++;
  }

  /**
   * Fills `found` with the subscriptions that the subject `bytes[begin, end)` reaches. A subject
   * with an empty token reaches none. `*` and `>` in the subject are ordinary tokens here: only
   * subscribers have wildcards.
   *
   * **Cost** one hash lookup per token and tree branch; allocates only when `found` grows or a
   * queue group is merged.
   */
  match(bytes: Bytes, begin: number, end: number, found: MatchSet<Owner>): void {
    found.clear();
    found.stamp = ++this.#fills;
    found.generation = this.generation;
    for (let at = begin; at <= end; ) {
      const tokenEnd = endOfToken(bytes, at, end);
      if (tokenEnd === at) return;
      at = tokenEnd + 1;
    }
    matchBelow(this.#root, bytes, begin, end, found);
    this.surroundings?.extend(bytes, begin, end, found);
  }

  /** Removes from the subtree and prunes on the way back. */
  #removeBelow(node: TokenNode<Owner>, subscription: Subscription<Owner>, begin: number): void {
    const subject = subscription.subject;
    if (begin > subject.length) {
      removeFromNode(node, subscription);
      return;
    }
    const end = endOfToken(subject, begin, subject.length);
    const child = descend(node, subject, begin, end);
    if (child === undefined) return;
    this.#removeBelow(child, subscription, end + 1);
    if (child.isEmpty) prune(node, child);
  }
}

function matchBelow<Owner>(
  node: TokenNode<Owner>,
  bytes: Bytes,
  begin: number,
  end: number,
  found: MatchSet<Owner>,
): void {
  if (node.rest !== undefined) collect(node.rest, found);
  const tokenEnd = endOfToken(bytes, begin, end);
  const child = literalChild(node, bytes, begin, tokenEnd);
  const star = node.star;
  if (tokenEnd === end) {
    if (child !== undefined) collect(child, found);
    if (star !== undefined) collect(star, found);
    return;
  }
  if (child !== undefined) matchBelow(child, bytes, tokenEnd + 1, end, found);
  if (star !== undefined) matchBelow(star, bytes, tokenEnd + 1, end, found);
}

function collect<Owner>(node: TokenNode<Owner>, found: MatchSet<Owner>): void {
  if (node.plain.length > 0) found.addPlain(node.plain);
  for (let i = 0; i < node.groups.length; i++) {
    found.addGroup(node.groups[i].name, node.groups[i].members);
  }
}

/** The child for a token of a *subscription*, in which `*` and `>` have their meaning. */
function descend<Owner>(
  node: TokenNode<Owner>,
  bytes: Bytes,
  begin: number,
  end: number,
): TokenNode<Owner> | undefined {
  if (isToken(bytes, begin, end, STAR)) return node.star;
  if (isToken(bytes, begin, end, REST)) return node.rest;
  return literalChild(node, bytes, begin, end);
}

function literalChild<Owner>(
  node: TokenNode<Owner>,
  bytes: Bytes,
  begin: number,
  end: number,
): TokenNode<Owner> | undefined {
  if (node.children === undefined) return undefined;
  let child = node.children.get(hashToken(bytes, begin, end));
  while (child !== undefined && !sameToken(child.token, bytes, begin, end)) {
    child = child.nextSameHash;
  }
  return child;
}

function grow<Owner>(
  node: TokenNode<Owner>,
  bytes: Bytes,
  begin: number,
  end: number,
): TokenNode<Owner> {
  const child = new TokenNode<Owner>(bytes.slice(begin, end));
  if (isToken(bytes, begin, end, STAR)) {
    node.star = child;
  } else if (isToken(bytes, begin, end, REST)) {
    node.rest = child;
  } else {
    node.children ??= new Map();
    const hash = hashToken(bytes, begin, end);
    child.nextSameHash = node.children.get(hash);
    node.children.set(hash, child);
  }
  return child;
}

function prune<Owner>(node: TokenNode<Owner>, child: TokenNode<Owner>): void {
  if (node.star === child) {
    node.star = undefined;
  } else if (node.rest === child) {
    node.rest = undefined;
  } else if (node.children !== undefined) {
    const hash = hashToken(child.token, 0, child.token.length);
    const rest = withoutNode(node.children.get(hash), child);
    if (rest === undefined) node.children.delete(hash);
    else node.children.set(hash, rest);
    if (node.children.size === 0) node.children = undefined;
  }
}

/** The chain of same-hash nodes without one of them. */
function withoutNode<Owner>(
  first: TokenNode<Owner> | undefined,
  node: TokenNode<Owner>,
): TokenNode<Owner> | undefined {
  if (first === undefined || first === node) return first?.nextSameHash;
  first.nextSameHash = withoutNode(first.nextSameHash, node);
  return first;
}

/** Where a subscription of this queue group (or of none) is kept at the node. */
function listOf<Owner>(node: TokenNode<Owner>, queue: string): Subscription<Owner>[] {
  if (queue === '') return node.plain;
  let group = node.groups.find((candidate) => candidate.name === queue);
  if (group === undefined) {
    group = { name: queue, members: [] };
    node.groups.push(group);
  }
  return group.members;
}

/** O(1) in the number of subscriptions: the last one takes the free place. */
function removeFromNode<Owner>(node: TokenNode<Owner>, subscription: Subscription<Owner>): void {
  const list = listOf(node, subscription.queue);
  const last = list.pop();
  if (last !== undefined && last !== subscription) {
    list[subscription.place] = last;
    last.place = subscription.place;
  }
  if (list.length === 0 && subscription.queue !== '') {
    const at = node.groups.findIndex((group) => group.members === list);
    node.groups.splice(at, 1);
  }
}

function isToken(bytes: Bytes, begin: number, end: number, byte: number): boolean {
  return end - begin === 1 && bytes[begin] === byte;
}

function sameToken(token: Bytes, bytes: Bytes, begin: number, end: number): boolean {
  if (token.length !== end - begin) return false;
  for (let i = 0; i < token.length; i++) {
    if (token[i] !== bytes[begin + i]) return false;
  }
  return true;
}

/** FNV-1a over the token, as a small integer so that V8 keeps it unboxed. */
function hashToken(bytes: Bytes, begin: number, end: number): number {
  let hash = 0x811c9dc5 | 0;
  for (let i = begin; i < end; i++) hash = Math.imul(hash ^ bytes[i], 0x01000193);
  return (hash ^ (hash >>> 15)) & 0x3fffffff;
}
