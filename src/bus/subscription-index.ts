// SPDX-License-Identifier: MIT
/** An index that finds the subscriptions that match a subject. */

import type { KeyedHash } from './keyed-hash.ts';
import type { MatchSet } from './match-set.ts';
import { QueueNames } from './queue-names.ts';
import { type Bytes, classifySubject, endOfToken, SUBJECT_LITERAL } from './subject.ts';
import type { Indexed } from './token-tree.ts';
import { type TokenNode, TokenTree } from './token-tree.ts';

/** A source of matches outside the index, such as the subscriptions of other executors. */
export interface Surroundings<S extends Indexed, Beyond> {
  /** Adds to `found` what matches the subject `bytes[begin, end)` there. */
  extend(bytes: Bytes, begin: number, end: number, found: MatchSet<S, Beyond>): void;
}

/** A cache of the matches of subjects. */
export interface Rememberer {
  /** The matches of this subject, and of no other, may have changed. */
  forgetSubject(subject: Bytes): void;
}

/** The subscriptions of a server's clients. */
export interface SubscriptionSet<S extends Indexed> {
  /** How many there are. */
  readonly count: number;
  /** Estimate of their heap: each 1280 bytes and three times its `textBytes`. */
  readonly bytes: number;
  /** Adds a subscription whose subject is valid. **Cost** the subject's length. */
  add(subscription: S): void;
  /** Removes a subscription; ignores one that is not there. **Cost** as to add it. */
  remove(subscription: S): void;
}

/** Finds who wants a subject. */
export class SubscriptionIndex<S extends Indexed, Beyond = undefined>
  implements SubscriptionSet<S>
{
  /** Changes whenever any match may have changed: results from before are then invalid. */
  generation: number = 0;
  /** Changes whenever a subscription comes or goes. */
  version: number = 0;
  count: number = 0;
  bytes: number = 0;
  /** @internal Other executors. After each change there, `changed` must be called. */
  surroundings: Surroundings<S, Beyond> | undefined = undefined;
  /** @internal */
  rememberer: Rememberer | undefined = undefined;
  readonly queueNames: QueueNames;
  readonly #tree: TokenTree<S>;
  #fills: number = 0;
  // The walk's stack: nodes whose labels matched, and where the rest of the subject begins.
  readonly #nodes: TokenNode<S>[] = [];
  readonly #positions: number[] = [];

  /** Indexes that look up each other's queue groups must share `queueNames`. */
  constructor(hash?: KeyedHash, queueNames: QueueNames = new QueueNames(hash)) {
    this.#tree = new TokenTree(hash);
    this.queueNames = queueNames;
  }

  /** Work done so far: nodes of the tree visited, and lists of subscriptions found. */
  get steps(): number {
    return this.#tree.steps;
  }

  /** @internal At most two for each subject. */
  get nodeCount(): number {
    return this.#tree.nodeCount;
  }

  add(subscription: S): void {
    const node = this.#tree.insert(subscription.subject);
    let list: S[] | undefined;
    if (subscription.queue === '') {
      node.plain ??= [];
      list = node.plain;
    } else {
      const name = this.queueNames.use(subscription.queue);
      node.groups ??= new Map();
      list = node.groups.get(name);
      if (list === undefined) {
        list = [];
        node.groups.set(name, list);
      }
    }
    subscription.node = node;
    subscription.place = list.length;
    list.push(subscription);
    this.count++;
    this.bytes += costOf(subscription);
    this.changed(subscription.subject);
  }

  remove(subscription: S): void {
    const node = subscription.node as TokenNode<S> | undefined;
    if (node === undefined) return;
    if (subscription.queue === '') {
      const list = node.plain as S[];
      if (removeFrom(list, subscription)) node.plain = undefined;
    } else {
      const groups = node.groups as NonNullable<typeof node.groups>;
      const name = this.queueNames.find(subscription.queue);
      if (name === undefined) throw new Error('a queue group without a name');
      const list = groups.get(name) as S[];
      if (removeFrom(list, subscription)) groups.delete(name);
      if (groups.size === 0) node.groups = undefined;
      this.queueNames.drop(name);
    }
    subscription.node = undefined;
    subscription.place = -1;
    this.#tree.prune(node);
    this.count--;
    this.bytes -= costOf(subscription);
    this.changed(subscription.subject);
  }

  /** Call after subscribing to or unsubscribing from `subject`: invalidates earlier results. */
  changed(subject: Bytes): void {
    this.version++;
    if (classifySubject(subject, 0, subject.length) === SUBJECT_LITERAL) {
      this.rememberer?.forgetSubject(subject);
    } else {
      this.generation++;
    }
  }

  /**
   * Fills `found` with the subscriptions that the subject `bytes[begin, end)` reaches. A subject
   * with an empty token reaches none. `*` and `>` in the subject are ordinary tokens here: only
   * subscribers have wildcards.
   *
   * **Cost** one hash lookup per node of the tree whose tokens are the subject's; allocates only
   * when `found` grows or a queue group is merged. There are few such nodes as a rule; at worst
   * they are all that wildcards lead to.
   */
  match(bytes: Bytes, begin: number, end: number, found: MatchSet<S, Beyond>): void {
    found.clear();
    found.stamp = ++this.#fills;
    found.generation = this.generation;
    for (let at = begin; at <= end; ) {
      const tokenEnd = endOfToken(bytes, at, end);
      if (tokenEnd === at) return;
      at = tokenEnd + 1;
    }
    this.#walk(bytes, begin, end, found);
    this.surroundings?.extend(bytes, begin, end, found);
  }

  #walk(bytes: Bytes, begin: number, end: number, found: MatchSet<S, Beyond>): void {
    const tree = this.#tree;
    const positions = this.#positions;
    this.#nodes.push(tree.root);
    positions.push(begin);
    for (let node = this.#nodes.pop(); node !== undefined; node = this.#nodes.pop()) {
      const at = positions.pop() as number;
      if (at > end) {
        collect(node, found);
        continue;
      }
      tree.steps++;
      if (node.rest !== undefined) collect(node.rest, found);
      if (node.star !== undefined) this.#follow(node.star, bytes, at, end);
      if (node.children === undefined) continue;
      const child = tree.literalChild(node, bytes, at, endOfToken(bytes, at, end));
      if (child !== undefined) this.#follow(child, bytes, at, end);
    }
  }

  #follow(child: TokenNode<S>, bytes: Bytes, begin: number, end: number): void {
    const at = this.#tree.follow(child, bytes, begin, end);
    if (at < 0) return;
    this.#nodes.push(child);
    this.#positions.push(at);
  }
}

/**
 * What one subscription takes of the heap, in bytes, more or less. Measured
 * (`bench/broker/crowd.main.ts`, Node 20, November 2026): 1431 bytes of memory for a line of 28
 * bytes, garbage included, where this says 1346.
 */
export function costOf({ textBytes }: { readonly textBytes: number }): number {
  return SUBSCRIPTION_BYTES + 3 * textBytes;
}

/** A subscription with two arrays of bytes, its place by id, two nodes of the tree. */
export const SUBSCRIPTION_BYTES = 1280;

function collect<S extends Indexed>(node: TokenNode<S>, found: MatchSet<S, unknown>): void {
  if (node.plain !== undefined) found.addPlain(node.plain);
  if (node.groups === undefined) return;
  for (const [name, members] of node.groups) found.addGroup(name, members);
}

/** Moves the last one to the free place. Returns whether the list is empty now. */
function removeFrom<S extends Indexed>(list: S[], subscription: S): boolean {
  const last = list.pop() as S;
  if (last !== subscription) {
    list[subscription.place] = last;
    last.place = subscription.place;
  }
  return list.length === 0;
}
