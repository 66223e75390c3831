// SPDX-License-Identifier: MIT
/** A cache of the subscriptions that a subject matches: a hit costs a hash and a comparison. */

import { show } from '../base/check.ts';
import { MatchSet } from './match-set.ts';
import { type Bytes, hashSubjectBytes, tailWord } from './subject.ts';
import { SubscriptionIndex } from './subscription-index.ts';
import type { Indexed } from './token-tree.ts';

/** Words of a key: the bytes of a subject; the last word is partly or wholly empty. */
const SUBJECT_WORDS = 16;
/** Longer subjects are looked up in the tree each time. */
const SUBJECT_BYTES_MAX = SUBJECT_WORDS * 4 - 1;
/**
 * 4096 slots of 64 bytes: hot subjects rarely meet in one slot, and the keys stay within a
 * second-level cache.
 */
const SLOT_COUNT = 4096;
/**
 * Most references on subscriptions that all cached results may hold together. Beyond that number
 * the cache is emptied.
 */
const REFERENCE_COUNT_MAX = 1 << 20;

/**
 * A direct-mapped cache over a {@link SubscriptionIndex}. A subscription to a subject invalidates
 * the result of that subject, one with a wildcard invalidates all (by generation, without a
 * search). Two subjects in one slot displace each other. The hash has no secret: collisions made on
 * purpose cause lookups in the tree, and nothing worse. The cache never grows.
 */
export class MatchCache<S extends Indexed, Beyond = undefined> {
  readonly #index: SubscriptionIndex<S, Beyond>;
  readonly #bytes: Bytes;
  readonly #view: DataView<ArrayBufferLike>;
  readonly #keys: Int32Array = new Int32Array(SLOT_COUNT * SUBJECT_WORDS);
  readonly #lengths: Uint8Array = new Uint8Array(SLOT_COUNT);
  readonly #found: (MatchSet<S, Beyond> | undefined)[] = new Array(SLOT_COUNT).fill(undefined);
  /** The result of a subject that is too long for the cache. */
  readonly #scratch: MatchSet<S, Beyond> = new MatchSet();
  #referenceCount: number = 0;

  /**
   * Subjects lie in `bytes`; `view` covers the same memory, including three bytes after each
   * subject. **Throws** TypeError.
   */
  constructor(index: SubscriptionIndex<S, Beyond>, bytes: Bytes, view: DataView<ArrayBufferLike>) {
    if (!(index instanceof SubscriptionIndex)) {
      throw new TypeError(`index must be a SubscriptionIndex, got ${show(index)}`);
    }
    this.#index = index;
    this.#bytes = bytes;
    this.#view = view;
    index.rememberer = this;
  }

  /**
   * Returns the subscriptions that match the subject `bytes[begin, end)`; `hash` is its
   * `hashSubject`. Three bytes after `end` must be readable.
   *
   * **Ownership** the result is the cache's and changes with the next lookup of another subject.
   * **Cost** about a nanosecond per four bytes for a hit; no allocation once warm.
   */
  lookup(begin: number, end: number, hash: number): MatchSet<S, Beyond> {
    const length = end - begin;
    if (length > SUBJECT_BYTES_MAX) {
      this.#index.match(this.#bytes, begin, end, this.#scratch);
      return this.#scratch;
    }
    const view = this.#view;
    const slot = slotOf(hash);
    const wholeEnd = begin + (length & ~3);
    const tail = tailWord(view, wholeEnd, end);

    const found = this.#found[slot];
    if (found !== undefined && this.#isCurrent(found) && this.#lengths[slot] === length) {
      const keys = this.#keys;
      let word = slot * SUBJECT_WORDS;
      let at = begin;
      while (at < wholeEnd && keys[word] === view.getInt32(at, true)) {
        at += 4;
        word++;
      }
      if (at === wholeEnd && keys[word] === tail) return found;
    }
    return this.#refill(slot, begin, end, tail);
  }

  /** @internal */
  forgetSubject(subject: Bytes): void {
    // A publisher that keeps its subject has the result already; only a new stamp shows a change.
    const found =
      subject.length > SUBJECT_BYTES_MAX
        ? this.#scratch
        : this.#found[slotOf(hashSubjectBytes(subject))];
    if (found !== undefined) found.stamp = 0;
  }

  /**
   * Drops all results that changes of subscriptions have invalidated, and with them references to
   * connections.
   */
  dropVoid(): void {
    for (let slot = 0; slot < SLOT_COUNT; slot++) {
      const found = this.#found[slot];
      if (found !== undefined && !this.#isCurrent(found)) this.#forget(slot);
    }
    this.#scratch.forget();
  }

  #refill(slot: number, begin: number, end: number, tail: number): MatchSet<S, Beyond> {
    if (this.#referenceCount > REFERENCE_COUNT_MAX) {
      for (let other = 0; other < SLOT_COUNT; other++) this.#forget(other);
    }
    let found = this.#found[slot];
    if (found === undefined) {
      found = new MatchSet();
      this.#found[slot] = found;
    }
    this.#referenceCount -= found.weight;
    this.#index.match(this.#bytes, begin, end, found);
    this.#referenceCount += found.weight;

    let word = slot * SUBJECT_WORDS;
    const wholeEnd = begin + ((end - begin) & ~3);
    for (let at = begin; at < wholeEnd; at += 4) {
      this.#keys[word++] = this.#view.getInt32(at, true);
    }
    this.#keys[word] = tail;
    this.#lengths[slot] = end - begin;
    return found;
  }

  #forget(slot: number): void {
    const found = this.#found[slot];
    if (found === undefined) return;
    this.#referenceCount -= found.weight;
    found.forget();
  }

  #isCurrent(found: MatchSet<S, Beyond>): boolean {
    return found.stamp !== 0 && found.generation === this.#index.generation;
  }
}

function slotOf(hash: number): number {
  return (hash ^ (hash >>> 13)) & (SLOT_COUNT - 1);
}
