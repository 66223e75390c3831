// SPDX-License-Identifier: MIT
/**
 * A hash map that is safe with keys chosen by clients. The engine's `Map` hashes
 * some texts without a secret (numbers written out), and long ones by their length alone; this one
 * never does.
 */

import { type KeyedHash, PROCESS_HASH } from './keyed-hash.ts';

interface Entry<V> {
  readonly key: string;
  value: V;
  /** The next entry with the same hash, rarely any. */
  next: Entry<V> | undefined;
}

/** Keys have one character per byte. **Cost** a hash of the key for each call. */
export class KeyedMap<V> {
  readonly #hash: KeyedHash;
  readonly #chains: Map<number, Entry<V>> = new Map();
  #size: number = 0;

  constructor(hash: KeyedHash = PROCESS_HASH) {
    this.#hash = hash;
  }

  get size(): number {
    return this.#size;
  }

  get(key: string): V | undefined {
    return this.#find(this.#hash.ofText(key), key)?.value;
  }

  set(key: string, value: V): void {
    const hash = this.#hash.ofText(key);
    const entry = this.#find(hash, key);
    if (entry !== undefined) {
      entry.value = value;
      return;
    }
    this.#chains.set(hash, { key, value, next: this.#chains.get(hash) });
    this.#size++;
  }

  /** Returns whether the key was there. */
  delete(key: string): boolean {
    const hash = this.#hash.ofText(key);
    let before: Entry<V> | undefined;
    let entry = this.#chains.get(hash);
    while (entry !== undefined && entry.key !== key) {
      before = entry;
      entry = entry.next;
    }
    if (entry === undefined) return false;
    if (before !== undefined) before.next = entry.next;
    else if (entry.next !== undefined) this.#chains.set(hash, entry.next);
    else this.#chains.delete(hash);
    this.#size--;
    return true;
  }

  /** All values, in no order. One deleted during the iteration may still come. */
  *values(): IterableIterator<V> {
    for (const chain of this.#chains.values()) {
      for (let entry: Entry<V> | undefined = chain; entry !== undefined; entry = entry.next) {
        yield entry.value;
      }
    }
  }

  clear(): void {
    this.#chains.clear();
    this.#size = 0;
  }

  #find(hash: number, key: string): Entry<V> | undefined {
    let entry = this.#chains.get(hash);
    while (entry !== undefined && entry.key !== key) entry = entry.next;
    return entry;
  }
}
