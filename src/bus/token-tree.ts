// SPDX-License-Identifier: MIT
/**
 * A prefix tree of all subjects that have subscriptions.
 *
 *   SUB orders.*.paid             root ─orders─▶ ○ ─*.paid─▶ ●
 *   SUB orders.eu.new                           └─eu.new─▶ ●
 *   SUB $JS.API.>                 root ─$JS.API.>─▶ ●
 *
 * A node stands for one or more tokens, its *label*. Every node has subscriptions, or two children
 * or more: so there are at most two nodes for a subject, however many tokens it has, and removing
 * one never goes up more than two steps. Nothing here is recursive.
 *
 * Children are found by a keyed hash of their first token and confirmed by their bytes, so looking
 * up makes no string.
 */

import { type KeyedHash, PROCESS_HASH } from './keyed-hash.ts';
import type { QueueName } from './queue-names.ts';
import { type Bytes, DOT, endOfToken, REST, STAR } from './subject.ts';

/** A subscription that an index can hold. */
export interface Indexed {
  /** A valid subject, wildcards included. Bytes of its own, not of a pool. */
  readonly subject: Bytes;
  /** The queue group's name, one character per byte, or an empty string. */
  readonly queue: string;
  /** Bytes of all its texts, for the account of memory. */
  readonly textBytes: number;
  /** Its node in the index, and its place in a list there, or -1. Only for the index. */
  node: object | undefined;
  place: number;
}

/** Bytes of a label that are compared in about the time of one step. */
const STEP_BYTES_LOG2 = 5;

/** A node of a `TokenTree`. */
export class TokenNode<S extends Indexed> {
  /** @internal Tokens with dots between them, one character per byte. */
  label: string;
  /** @internal */
  parent: TokenNode<S> | undefined = undefined;
  /** @internal The next child of the same parent whose first token has the same hash. */
  nextSameHash: TokenNode<S> | undefined = undefined;
  /** @internal Children whose first token is neither `*` nor `>`, by its hash. */
  children: Map<number, TokenNode<S>> | undefined = undefined;
  /** @internal Children whose first token is `*`, and `>`. */
  star: TokenNode<S> | undefined = undefined;
  /** @internal */
  rest: TokenNode<S> | undefined = undefined;
  /** @internal */
  childCount: number = 0;
  /** @internal */
  plain: S[] | undefined = undefined;
  /** @internal The members of each queue group. None is empty. */
  groups: Map<QueueName, S[]> | undefined = undefined;

  /** @internal */
  constructor(label: string) {
    this.label = label;
  }
}

/** A prefix tree of subjects. */
export class TokenTree<S extends Indexed> {
  readonly root: TokenNode<S> = new TokenNode('');
  readonly #hash: KeyedHash;
  /** Nodes visited so far, plus one for each 32 bytes compared. */
  steps: number = 0;
  nodeCount: number = 0;

  constructor(hash: KeyedHash = PROCESS_HASH) {
    this.#hash = hash;
  }

  /** The node of a valid subject, made if there is none. The caller puts a subscription there. */
  insert(subject: Bytes): TokenNode<S> {
    const { length } = subject;
    let node = this.root;
    for (let begin = 0; begin <= length; ) {
      const child = this.#childFor(node, subject, begin, endOfToken(subject, begin, length));
      if (child === undefined) {
        const leaf = new TokenNode<S>(textOf(subject, begin, length));
        this.#link(node, leaf);
        return leaf;
      }
      const shared = sharedLength(child.label, subject, begin);
      this.steps += shared >>> STEP_BYTES_LOG2;
      node = shared === child.label.length ? child : this.#split(child, shared);
      begin += shared + 1;
    }
    return node;
  }

  /** If the node has no subscriptions left, removes it or merges it with its only child. */
  prune(node: TokenNode<S>): void {
    this.steps++;
    if (node.plain !== undefined || node.groups !== undefined) return;
    const { parent } = node;
    if (parent === undefined) return;
    if (node.childCount > 0) {
      this.#join(node);
    } else {
      this.#unlink(parent, node);
      this.#join(parent);
    }
  }

  /** The child whose first token is `bytes[begin, end)`, and no wildcard. */
  literalChild(
    node: TokenNode<S>,
    bytes: Bytes,
    begin: number,
    end: number,
  ): TokenNode<S> | undefined {
    if (node.children === undefined) return undefined;
    let child = node.children.get(this.#hash.of(bytes, begin, end));
    this.steps++;
    while (child !== undefined && !beginsWith(child.label, bytes, begin, end)) {
      this.steps++;
      child = child.nextSameHash;
    }
    return child;
  }

  /**
   * Matches the child's label, wildcards included, against the subject from `begin` on. Returns
   * where the rest of the subject begins, `end + 1` if nothing is left, or -1 without a match.
   */
  follow(child: TokenNode<S>, bytes: Bytes, begin: number, end: number): number {
    const { label } = child;
    const { length } = label;
    let at = begin;
    this.steps += 1 + (length >>> STEP_BYTES_LOG2);
    for (let i = 0; ; i++, at++) {
      if (at > end) return -1;
      let code = label.charCodeAt(i);
      const isSingle = i + 1 === length || label.charCodeAt(i + 1) === DOT;
      if (isSingle && code === REST) return end + 1;
      if (isSingle && code === STAR) {
        at = endOfToken(bytes, at, end);
        i++;
      } else {
        while (code !== DOT) {
          if (at >= end || bytes[at] !== code) return -1;
          at++;
          if (++i === length) break;
          code = label.charCodeAt(i);
        }
        if (at < end && bytes[at] !== DOT) return -1;
      }
      if (i === length) return at + 1;
    }
  }

  /** The child for a token of a *subscription*, in which `*` and `>` have their meaning. */
  #childFor(
    node: TokenNode<S>,
    bytes: Bytes,
    begin: number,
    end: number,
  ): TokenNode<S> | undefined {
    this.steps++;
    if (end - begin === 1 && bytes[begin] === STAR) return node.star;
    if (end - begin === 1 && bytes[begin] === REST) return node.rest;
    return this.literalChild(node, bytes, begin, end);
  }

  /** Puts a node between `node` and its parent that has the first `length` bytes of its label. */
  #split(node: TokenNode<S>, length: number): TokenNode<S> {
    const upper = new TokenNode<S>(copyOf(node.label.slice(0, length)));
    const parent = node.parent as TokenNode<S>;
    this.#unlink(parent, node);
    this.#link(parent, upper);
    node.label = copyOf(node.label.slice(length + 1));
    this.#link(upper, node);
    return upper;
  }

  /** Merges this node with its child, if one child is all it has. */
  #join(node: TokenNode<S>): void {
    const { parent } = node;
    if (parent === undefined || node.childCount !== 1) return;
    if (node.plain !== undefined || node.groups !== undefined) return;
    const child = onlyChild(node);
    this.#unlink(node, child);
    this.#unlink(parent, node);
    child.label = copyOf(`${node.label}.${child.label}`);
    this.#link(parent, child);
  }

  #link(parent: TokenNode<S>, child: TokenNode<S>): void {
    const token = firstToken(child.label);
    child.parent = parent;
    parent.childCount++;
    this.nodeCount++;
    if (token === '*') {
      parent.star = child;
    } else if (token === '>') {
      parent.rest = child;
    } else {
      parent.children ??= new Map();
      const hash = this.#hash.ofText(token);
      child.nextSameHash = parent.children.get(hash);
      parent.children.set(hash, child);
    }
  }

  #unlink(parent: TokenNode<S>, child: TokenNode<S>): void {
    parent.childCount--;
    this.nodeCount--;
    if (parent.star === child) {
      parent.star = undefined;
    } else if (parent.rest === child) {
      parent.rest = undefined;
    } else {
      const children = parent.children as Map<number, TokenNode<S>>;
      const hash = this.#hash.ofText(firstToken(child.label));
      let before: TokenNode<S> | undefined;
      let node = children.get(hash) as TokenNode<S>;
      while (node !== child) {
        this.steps++;
        before = node;
        node = node.nextSameHash as TokenNode<S>;
      }
      if (before !== undefined) before.nextSameHash = child.nextSameHash;
      else if (child.nextSameHash !== undefined) children.set(hash, child.nextSameHash);
      else children.delete(hash);
      if (children.size === 0) parent.children = undefined;
    }
    child.nextSameHash = undefined;
    child.parent = undefined;
  }
}

function onlyChild<S extends Indexed>(node: TokenNode<S>): TokenNode<S> {
  const child = node.star ?? node.rest;
  if (child !== undefined) return child;
  const [literal] = (node.children as Map<number, TokenNode<S>>).values();
  return literal;
}

function firstToken(label: string): string {
  const dot = label.indexOf('.');
  return dot < 0 ? label : label.slice(0, dot);
}

/** Whether the label's first token is `bytes[begin, end)`. */
function beginsWith(label: string, bytes: Bytes, begin: number, end: number): boolean {
  const length = end - begin;
  if (label.length < length) return false;
  if (label.length > length && label.charCodeAt(length) !== DOT) return false;
  for (let i = 0; i < length; i++) {
    if (label.charCodeAt(i) !== bytes[begin + i]) return false;
  }
  return true;
}

/** Length of the common beginning of the label and `bytes` from `begin` on, in whole tokens. */
function sharedLength(label: string, bytes: Bytes, begin: number): number {
  const length = Math.min(label.length, bytes.length - begin);
  let shared = 0;
  let i = 0;
  for (; i < length && label.charCodeAt(i) === bytes[begin + i]; i++) {
    if (bytes[begin + i] === DOT) shared = i;
  }
  const endsHere =
    i === length &&
    (i === label.length || label.charCodeAt(i) === DOT) &&
    (begin + i === bytes.length || bytes[begin + i] === DOT);
  return endsHere ? i : shared;
}

function textOf(bytes: Bytes, begin: number, end: number): string {
  return Buffer.from(bytes.buffer, bytes.byteOffset + begin, end - begin).toString('latin1');
}

/** Copies a text: a part of a string may keep all of it alive. */
function copyOf(text: string): string {
  return Buffer.from(text, 'latin1').toString('latin1');
}
