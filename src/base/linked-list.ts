// SPDX-License-Identifier: MIT
/** A queue that an entry can leave from the middle at once. */

/** What an entry of a {@link LinkedList} carries; all undefined while it is in none. */
export interface Linked<T> {
  list: object | undefined;
  previous: T | undefined;
  next: T | undefined;
}

/**
 * A doubly linked list whose links lie in the entries. An entry is in at most one list.
 *
 * **Cost** a few stores per call, whatever the length; allocates nothing.
 */
export class LinkedList<T extends Linked<T>> {
  #first: T | undefined;
  #last: T | undefined;

  /** The entry that was added first, undefined if there is none. */
  get first(): T | undefined {
    return this.#first;
  }

  get isEmpty(): boolean {
    return this.#first === undefined;
  }

  /** Adds an entry that is in no list at the end. */
  push(entry: T): void {
    const last = this.#last;
    entry.list = this;
    entry.previous = last;
    if (last === undefined) this.#first = entry;
    else last.next = entry;
    this.#last = entry;
  }

  /** Takes the entry out. Returns false, and changes nothing, if it is not in this list. */
  remove(entry: T): boolean {
    if (entry.list !== this) return false;
    const { previous, next } = entry;
    if (previous === undefined) this.#first = next;
    else previous.next = next;
    if (next === undefined) this.#last = previous;
    else next.previous = previous;
    entry.list = undefined;
    entry.previous = undefined;
    entry.next = undefined;
    return true;
  }
}
